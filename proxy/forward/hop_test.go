package forward_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	nethttp "net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weftmesh/weft/identity"
	"github.com/weftmesh/weft/proxy/alpn"
	"github.com/weftmesh/weft/proxy/config"
	"github.com/weftmesh/weft/proxy/conn"
	"github.com/weftmesh/weft/proxy/forward"
	"github.com/weftmesh/weft/proxy/inbound"
	"github.com/weftmesh/weft/proxy/listen"
	"github.com/weftmesh/weft/proxy/proxytest"
	"github.com/weftmesh/weft/proxy/upstream"
)

// both is an application that speaks HTTP/1.1 and HTTP/2.
func both(t testing.TB, h nethttp.HandlerFunc) netip.AddrPort {
	t.Helper()
	l, addr := listenTCP(t)
	s := &nethttp.Server{Handler: h, Protocols: new(nethttp.Protocols)}
	s.Protocols.SetHTTP1(true)
	s.Protocols.SetUnencryptedHTTP2(true)
	go s.Serve(l)
	t.Cleanup(func() { s.Close() })
	return addr
}

// rawHTTP1 is an application that answers each connection by itself.
func rawHTTP1(t testing.TB, h func(net.Conn, *bufio.Reader)) netip.AddrPort {
	t.Helper()
	l, addr := listenTCP(t)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				h(c, bufio.NewReader(c))
			}()
		}
	}()
	return addr
}

func ask(t testing.TB, a netip.AddrPort) (net.Conn, *bufio.Reader) {
	t.Helper()
	c, err := net.Dial("tcp", a.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(2 * patience))
	return c, bufio.NewReader(c)
}

// head reads a head as it was sent.
func head(r *bufio.Reader) (string, error) {
	var b strings.Builder
	for {
		l, err := r.ReadString('\n')
		b.WriteString(l)
		if err != nil || l == "\r\n" {
			return b.String(), err
		}
	}
}

// opened is how many connections a proxy has dialled, from its telemetry.
func opened(t testing.TB, w *proxytest.Workload) (n int) {
	t.Helper()
	var b strings.Builder
	if err := w.Telemetry.WriteLinkerd(&b); err != nil {
		t.Fatal(err)
	}
	for _, l := range strings.Split(b.String(), "\n") {
		if strings.HasPrefix(l, "tcp_open_total{") && strings.Contains(l, `direction="outbound"`) && strings.Contains(l, `peer="dst"`) {
			var k int
			fmt.Sscan(l[strings.LastIndexByte(l, ' ')+1:], &k)
			n += k
		}
	}
	return n
}

// All requests of both versions share one connection, and reach the
// application in the version that they were made in.
func TestHopIsShared(t *testing.T) {
	gather := make(chan struct{})
	var waiting atomic.Int64
	a := both(t, func(w nethttp.ResponseWriter, r *nethttp.Request) {
		if r.URL.Path == "/together" {
			waiting.Add(1)
			<-gather
		}
		b, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s %s", r.Proto, r.URL.Path, b)
	})
	out, client, _ := meshed(t, a)
	one := &nethttp.Client{Transport: &nethttp.Transport{MaxIdleConnsPerHost: 64}, Timeout: 2 * patience}
	defer one.CloseIdleConnections()
	if _, err := one.Get("http://" + out.String() + "/first"); err != nil {
		t.Fatal(err)
	}
	two := plainClient(t)
	var wg sync.WaitGroup
	for i := range 60 {
		wg.Go(func() {
			cl, proto := one, "HTTP/1.1"
			if i%2 == 1 {
				cl, proto = two, "HTTP/2.0"
			}
			r, err := cl.Post("http://"+out.String()+"/together", "text/plain", strings.NewReader(fmt.Sprint(i)))
			if err != nil {
				t.Error(err)
				return
			}
			defer r.Body.Close()
			if b, _ := io.ReadAll(r.Body); string(b) != fmt.Sprintf("%s /together %d", proto, i) {
				t.Errorf("%d: %q", i, b)
			}
		})
	}
	eventually(t, "all at the application", func() bool { return waiting.Load() == 60 })
	if n := opened(t, client); n != 1 {
		t.Errorf("%d connections between the proxies, want 1", n)
	}
	close(gather)
	wg.Wait()
}

// Nothing of HTTP/1 is lost on the way, and nothing is added.
func TestHopKeepsHTTP1(t *testing.T) {
	got := make(chan string, 10)
	a := rawHTTP1(t, func(c net.Conn, r *bufio.Reader) {
		for {
			h, err := head(r)
			if err != nil {
				return
			}
			got <- h
			if strings.HasPrefix(h, "GET /old") {
				io.WriteString(c, "HTTP/1.0 200 Yes\r\nX-Z: 1\r\n\r\nuntil the end")
				return
			}
			io.WriteString(c, "HTTP/1.1 299 Quite So\r\nX-Zulu: 1\r\nx-alpha: 2\r\nX-Zulu: 3\r\nContent-Length: 2\r\nX-EmpTy: \r\n\r\nok")
		}
	})
	out, _, _ := meshed(t, a)
	c, r := ask(t, out)
	io.WriteString(c, "PROPFIND /a%20b?c=d&&e HTTP/1.1\r\nHost: Api.Example\r\nX-b: 1\r\nx-A: 2\r\nX-B: 3\r\nAccept:  */*\r\nTE: trailers\r\nConnection: TE, x-hop\r\nX-Hop: gone\r\n\r\n")
	want := "PROPFIND /a%20b?c=d&&e HTTP/1.1\r\nHost: Api.Example\r\nX-b: 1\r\nx-A: 2\r\nX-B: 3\r\nAccept: */*\r\nTE: trailers\r\n" +
		"l5d-client-id: web.default.serviceaccount.identity.weft-system.cluster.local\r\nConnection: TE\r\n\r\n"
	if h := <-got; h != want {
		t.Errorf("the application read\n%q, want\n%q", h, want)
	}
	h, err := head(r)
	if want := "HTTP/1.1 299 Quite So\r\nX-Zulu: 1\r\nx-alpha: 2\r\nX-Zulu: 3\r\nX-EmpTy: \r\nContent-Length: 2\r\n\r\n"; err != nil || h != want {
		t.Errorf("the client read\n%q, want\n%q, %v", h, want, err)
	}
	if _, err := io.ReadFull(r, make([]byte, 2)); err != nil {
		t.Fatal(err)
	}
	io.WriteString(c, "GET /old HTTP/1.1\r\nHost: a\r\n\r\n")
	<-got
	resp, err := nethttp.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(resp.Body); err != nil || resp.Status != "200 Yes" || string(b) != "until the end" || len(resp.TransferEncoding) == 0 {
		t.Errorf("%s %v %q %v", resp.Status, resp.TransferEncoding, b, err)
	}
	// The forms of a target that have no path, and a request without a Host.
	for _, c := range []struct{ send, want string }{
		{"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", "OPTIONS * HTTP/1.1\r\nHost: a\r\n"},
		{"GET http://b.example/x HTTP/1.1\r\nHost: a\r\n\r\n", "GET /x HTTP/1.1\r\nHost: b.example\r\n"},
		{"GET /x HTTP/1.0\r\n\r\n", "GET /x HTTP/1.1\r\nHost: \r\n"},
	} {
		w, _ := ask(t, out)
		io.WriteString(w, c.send)
		if h := <-got; !strings.HasPrefix(h, c.want) {
			t.Errorf("%q: the application read %q", c.send, h)
		}
	}
}

// older is a proxy that does not know of the multiplexed connection, until it
// is told that it does.
type older struct {
	*proxytest.Workload
	knows atomic.Bool
	mu    sync.Mutex
	conns []*conn.Conn
	spoke []string
}

func newOlder(t testing.TB, ca *proxytest.CA) *older {
	return &older{Workload: proxytest.New(t, ca, proxytest.ID("api"), proxytest.Options{})}
}

func (o *older) before(application netip.AddrPort) netip.AddrPort {
	return o.Listen(func(ctx context.Context, a listen.Accepted) {
		protocols := []string{alpn.HTTP2, alpn.HTTP1, alpn.TCP}
		if o.knows.Load() {
			protocols = append([]string{alpn.Mux}, protocols...)
		}
		c, err := conn.Server(ctx, a.Conn, o.TLS.Server(protocols...))
		if err != nil {
			return
		}
		spoken := c.TLS().NegotiatedProtocol
		o.mu.Lock()
		o.conns, o.spoke = append(o.conns, c), append(o.spoke, spoken)
		o.mu.Unlock()
		d := &forward.Downstream{Direction: forward.Inbound, Application: o.Registry.Apply(upstream.Spec{Name: inbound.ApplicationCluster, Kind: upstream.OriginalDestination}),
			Destination: application, Activity: o.Activity, Limits: forward.Limits{}.WithDefaults(), Watch: &forward.Watch{}, Telemetry: o.Telemetry,
			Log: quiet, Mutual: true, Peer: identity.ID{}}
		switch spoken {
		case alpn.Mux:
			forward.ServeMux(ctx, c, d)
		case alpn.HTTP2:
			forward.ServeHTTP2(ctx, c, d)
		case alpn.HTTP1:
			forward.ServeHTTP1(ctx, c, d)
		}
	}).Addr()
}

// restart cuts every connection.
func (o *older) restart(knows bool) {
	o.knows.Store(knows)
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, c := range o.conns {
		c.Abort()
	}
	o.conns, o.spoke = nil, nil
}

func (o *older) protocols() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return append([]string(nil), o.spoke...)
}

// What a peer speaks is found out by each connection to it.
func TestPeersOfOtherVersions(t *testing.T) {
	a := both(t, func(w nethttp.ResponseWriter, r *nethttp.Request) {
		b, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s", r.Proto, b)
	})
	ca := proxytest.NewCA(t)
	client := proxytest.New(t, ca, proxytest.ID("web"), proxytest.Options{})
	server := newOlder(t, ca)
	_, out := client.Destination("api:80", config.HTTP, proxytest.Share{Cluster: client.Cluster("api", proxytest.Meshed(server.before(a), proxytest.ID("api"))), Weight: 1})
	one := &nethttp.Client{Transport: &nethttp.Transport{MaxIdleConnsPerHost: 64}, Timeout: 2 * patience}
	defer one.CloseIdleConnections()
	two := plainClient(t)
	load := func(cl *nethttp.Client, proto string, method string) {
		t.Helper()
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				for j := range 5 {
					req, _ := nethttp.NewRequest(method, "http://"+out.String(), strings.NewReader(fmt.Sprint(i, j)))
					r, err := cl.Do(req)
					if err != nil {
						t.Error(err)
						return
					}
					b, _ := io.ReadAll(r.Body)
					r.Body.Close()
					if r.StatusCode != 200 || string(b) != fmt.Sprint(proto, " ", i, " ", j) {
						t.Errorf("%d %q", r.StatusCode, b)
					}
				}
			})
		}
		wg.Wait()
	}
	only := func(step, want string, most int) {
		t.Helper()
		got := server.protocols()
		if len(got) == 0 || len(got) > most {
			t.Errorf("%s: connections %v, want at most %d", step, got, most)
		}
		for _, p := range got {
			if p != want {
				t.Errorf("%s: connections %v, want %s", step, got, want)
				return
			}
		}
	}
	for round := range 2 {
		server.restart(false)
		load(one, "HTTP/1.1", "PUT")
		only("older, HTTP/1", alpn.HTTP1, 12)
		server.restart(false)
		load(two, "HTTP/2.0", "PUT")
		only("older, HTTP/2", alpn.HTTP2, 2)
		server.restart(true)
		load(one, "HTTP/1.1", "PUT")
		only(fmt.Sprint("newer, HTTP/1, round ", round), alpn.Mux, 10)
		load(two, "HTTP/2.0", "PUT")
		only("newer, HTTP/2", alpn.Mux, 10)
		server.restart(true)
		load(two, "HTTP/2.0", "PUT")
		load(one, "HTTP/1.1", "PUT")
		only("newer again", alpn.Mux, 2)
	}
}

// A client that does not read holds up nobody else on the connection, and in
// the end the application.
func TestHopBackpressure(t *testing.T) {
	var written atomic.Int64
	ended := make(chan struct{}, 1)
	a := both(t, func(w nethttp.ResponseWriter, r *nethttp.Request) {
		if r.URL.Path != "/flood" {
			io.WriteString(w, "ok")
			return
		}
		for b := make([]byte, 32<<10); ; written.Add(int64(len(b))) {
			if _, err := w.Write(b); err != nil {
				ended <- struct{}{}
				return
			}
		}
	})
	out, client, servers := meshed(t, a)
	c, r := ask(t, out)
	io.WriteString(c, "GET /flood HTTP/1.1\r\nHost: a\r\n\r\n")
	if _, err := head(r); err != nil {
		t.Fatal(err)
	}
	last := int64(-1)
	eventually(t, "standstill", func() bool {
		time.Sleep(50 * time.Millisecond)
		was := last
		last = written.Load()
		return last > 0 && was == last
	})
	if last > 24<<20 {
		t.Errorf("the application sent %d bytes to nobody", last)
	}
	for range 20 {
		w, in := ask(t, out)
		io.WriteString(w, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
		if b, err := io.ReadAll(in); err != nil || !bytes.HasSuffix(b, []byte("\r\n\r\nok")) {
			t.Fatalf("beside it: %q %v", b, err)
		}
	}
	_ = c.(*net.TCPConn).SetLinger(0)
	c.Close()
	select {
	case <-ended:
	case <-time.After(patience):
		t.Error("the application floods on for a client that is gone")
	}
	for _, w := range append(servers, client) {
		eventually(t, "nothing carried", func() bool { return w.Activity.Carried() == 0 })
	}
}

// A body that is still being sent when its client leaves ends as what it is: cut
// off.
func TestHopUploadIsCutOff(t *testing.T) {
	began, got := make(chan struct{}, 1), make(chan error, 1)
	a := both(t, func(_ nethttp.ResponseWriter, r *nethttp.Request) {
		began <- struct{}{}
		_, err := io.Copy(io.Discard, r.Body)
		got <- err
	})
	out, client, servers := meshed(t, a)
	for _, framing := range []string{"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", "Content-Length: 100000\r\n\r\nhello"} {
		c, _ := ask(t, out)
		io.WriteString(c, "POST / HTTP/1.1\r\nHost: a\r\n"+framing)
		<-began
		_ = c.(*net.TCPConn).SetLinger(0)
		c.Close()
		select {
		case err := <-got:
			if err == nil {
				t.Errorf("%q: the application took it for whole", framing)
			}
		case <-time.After(patience):
			t.Fatalf("%q: the application still waits", framing)
		}
	}
	for _, w := range append(servers, client) {
		eventually(t, "nothing carried", func() bool { return w.Activity.Carried() == 0 })
	}
}

// A response that the application cuts off is cut off for the client.
func TestHopResponseIsCutOff(t *testing.T) {
	a := rawHTTP1(t, func(c net.Conn, r *bufio.Reader) {
		h, _ := head(r)
		switch {
		case strings.HasPrefix(h, "GET /length"):
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
		case strings.HasPrefix(h, "GET /chunked"):
			io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n")
		case strings.HasPrefix(h, "GET /garbage"):
			io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")
		case strings.HasPrefix(h, "GET /head"):
			io.WriteString(c, "HTTP/1.1 abc\r\n\r\n")
		}
	})
	out, _, _ := meshed(t, a)
	for path, broken := range map[string]bool{"/length": true, "/chunked": true, "/garbage": true, "/head": false} {
		c, in := ask(t, out)
		io.WriteString(c, "GET "+path+" HTTP/1.1\r\nHost: a\r\n\r\n")
		r, err := nethttp.ReadResponse(in, nil)
		if err == nil {
			_, err = io.ReadAll(r.Body)
		}
		switch {
		case broken && err == nil && r.StatusCode == 200:
			t.Errorf("%s: taken for whole", path)
		case !broken && (err != nil || r.StatusCode != 502):
			t.Errorf("%s: %v %v", path, r, err)
		}
	}
}

// A peer that asks for new connections again and again loses no request.
func TestHopSurvivesDraining(t *testing.T) {
	a := both(t, func(w nethttp.ResponseWriter, r *nethttp.Request) {
		b, _ := io.ReadAll(r.Body)
		_, _ = w.Write(b)
	})
	ca := proxytest.NewCA(t)
	client := proxytest.New(t, ca, proxytest.ID("web"), proxytest.Options{})
	server := proxytest.New(t, ca, proxytest.ID("api"), proxytest.Options{})
	var mu sync.Mutex
	drain := make(chan struct{})
	at := server.Listen(func(ctx context.Context, l listen.Accepted) {
		c, err := conn.Server(ctx, l.Conn, server.TLS.Server(alpn.Mux))
		if err != nil {
			return
		}
		mu.Lock()
		draining := drain
		mu.Unlock()
		forward.ServeMux(ctx, c, &forward.Downstream{Direction: forward.Inbound, Application: server.Registry.Apply(upstream.Spec{Name: inbound.ApplicationCluster, Kind: upstream.OriginalDestination}),
			Destination: a, Activity: server.Activity, Limits: forward.Limits{}.WithDefaults(), Watch: &forward.Watch{}, Telemetry: server.Telemetry, Log: quiet, Mutual: true, Draining: draining})
	}).Addr()
	_, out := client.Destination("api:80", config.HTTP, proxytest.Share{Cluster: client.Cluster("api", proxytest.Meshed(at, proxytest.ID("api"))), Weight: 1})
	one := &nethttp.Client{Transport: &nethttp.Transport{MaxIdleConnsPerHost: 64}, Timeout: 2 * patience}
	defer one.CloseIdleConnections()
	stop := make(chan struct{})
	var done atomic.Int64
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := 0; ; j++ {
				select {
				case <-stop:
					return
				default:
				}
				want := fmt.Sprint(i, j)
				r, err := one.Post("http://"+out.String(), "text/plain", strings.NewReader(want))
				if err != nil {
					t.Error(err)
					return
				}
				b, _ := io.ReadAll(r.Body)
				r.Body.Close()
				if r.StatusCode != 200 || string(b) != want {
					t.Errorf("%s %q", r.Status, b)
					return
				}
				done.Add(1)
			}
		})
	}
	for range 10 {
		n := done.Load()
		eventually(t, "traffic", func() bool { return done.Load() > n+50 })
		mu.Lock()
		close(drain)
		drain = make(chan struct{})
		mu.Unlock()
	}
	close(stop)
	wg.Wait()
	if n := opened(t, client); n < 5 {
		t.Errorf("%d connections: nothing was drained", n)
	}
}

// An upgrade has a connection of its own, beside the shared one.
func TestUpgradeBesideHop(t *testing.T) {
	a := rawHTTP1(t, func(c net.Conn, r *bufio.Reader) {
		for {
			h, err := head(r)
			if err != nil {
				return
			}
			if strings.Contains(h, "Upgrade: echo") {
				io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\n")
				_, _ = io.Copy(c, r)
				return
			}
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		}
	})
	out, client, _ := meshed(t, a)
	c, in := ask(t, out)
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	if h, err := head(in); err != nil || !strings.HasPrefix(h, "HTTP/1.1 200") {
		t.Fatal(h, err)
	}
	if _, err := io.ReadFull(in, make([]byte, 2)); err != nil {
		t.Fatal(err)
	}
	io.WriteString(c, "GET /chat HTTP/1.1\r\nHost: a\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\n")
	if h, err := head(in); err != nil || !strings.HasPrefix(h, "HTTP/1.1 101") {
		t.Fatal(h, err)
	}
	for i := range 3 {
		want := fmt.Sprintf("frame %d\n", i)
		io.WriteString(c, want)
		if got, err := in.ReadString('\n'); err != nil || got != want {
			t.Fatalf("%q %v", got, err)
		}
	}
	w, other := ask(t, out)
	io.WriteString(w, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	if h, err := head(other); err != nil || !strings.HasPrefix(h, "HTTP/1.1 200") {
		t.Fatal(h, err)
	}
	if n := opened(t, client); n != 2 {
		t.Errorf("%d connections, want the shared one and that of the upgrade", n)
	}
}

// More requests than one connection takes open another one.
func TestCrowdedHop(t *testing.T) {
	if testing.Short() {
		t.Skip("opens 1,500 connections")
	}
	const n = 1500
	gather := make(chan struct{})
	var waiting atomic.Int64
	a := both(t, func(w nethttp.ResponseWriter, _ *nethttp.Request) {
		waiting.Add(1)
		<-gather
		io.WriteString(w, "ok")
	})
	out, client, _ := meshed(t, a)
	two := plainClient(t)
	// Until the peer has said how many it takes, less is assumed.
	one, in := ask(t, out)
	io.WriteString(one, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	eventually(t, "the first at the application", func() bool { return waiting.Load() == 1 })
	gather <- struct{}{}
	if _, err := head(in); err != nil {
		t.Fatal(err)
	}
	waiting.Store(0)
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			r, err := two.Get("http://" + out.String())
			if err != nil {
				t.Error(err)
				return
			}
			r.Body.Close()
		})
	}
	eventually(t, "all at the application", func() bool { return waiting.Load() == n })
	if k := opened(t, client); k != 2 {
		t.Errorf("%d connections for %d requests, want 2", k, n)
	}
	close(gather)
	wg.Wait()
}

// The deadline that another try is given is what the first has left of it.
func TestRetryHasLessTime(t *testing.T) {
	seen := make(chan string, 1)
	good := rawApp(t, tellTimeout(seen))
	bad := rawApp(t, refuseLate)
	ca := proxytest.NewCA(t)
	w := proxytest.New(t, ca, proxytest.ID("web"), proxytest.Options{})
	_, out := w.Destination("api:80", config.HTTP, proxytest.Share{Cluster: w.Cluster("api", proxytest.Plain(bad), proxytest.Plain(good)), Weight: 1})
	cl := h2To(t, out)
	shorter := false
	for range 20 {
		s, err := cl.Open(grpcRequest(field("grpc-timeout", "8S")), true)
		if err != nil {
			t.Fatal(err)
		}
		_ = grpcCode(t, s)
		s.Close()
		if v := <-seen; v != "8S" {
			var ns int
			if _, err := fmt.Sscanf(v, "%du", &ns); err != nil || ns > 7_960_000 || ns < 5_000_000 {
				t.Errorf("the second try has %s", v)
			}
			shorter = true
			break
		}
	}
	if !shorter {
		t.Error("no request was tried twice")
	}
}
