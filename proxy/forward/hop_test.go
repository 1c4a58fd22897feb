package forward_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	nethttp "net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weftmesh/weft/internal/waittest"
	"github.com/weftmesh/weft/proxy/alpn"
	"github.com/weftmesh/weft/proxy/config"
	"github.com/weftmesh/weft/proxy/conn"
	"github.com/weftmesh/weft/proxy/forward"
	"github.com/weftmesh/weft/proxy/inbound"
	"github.com/weftmesh/weft/proxy/listen"
	"github.com/weftmesh/weft/proxy/proxytest"
	"github.com/weftmesh/weft/proxy/upstream"
)

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
	waittest.Until(t, "all at the application", func() bool { return waiting.Load() == 60 })
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
			Destination: a, Activity: server.Activity, Limits: forward.Limits{}.WithDefaults(), Watch: &forward.Watch{}, Telemetry: server.Telemetry, Log: quiet, Mutual: true, Draining: draining}, forward.Anything)
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
		waittest.Until(t, "traffic", func() bool { return done.Load() > n+50 })
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
	waittest.Until(t, "the first at the application", func() bool { return waiting.Load() == 1 })
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
	waittest.Until(t, "all at the application", func() bool { return waiting.Load() == n })
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
		began := time.Now()
		s, err := cl.Open(grpcRequest(field("grpc-timeout", "8S")), true)
		if err != nil {
			t.Fatal(err)
		}
		_ = grpcCode(t, s)
		s.Close()
		if v := <-seen; v != "8S" {
			var left time.Duration // in microseconds
			took := time.Since(began)
			_, err := fmt.Sscanf(v, "%du", &left)
			if left *= time.Microsecond; err != nil || left > 7960*time.Millisecond || left < 8*time.Second-took-time.Millisecond {
				t.Errorf("the second try has %s, %s after the request", v, took)
			}
			shorter = true
			break
		}
	}
	if !shorter {
		t.Error("no request was tried twice")
	}
}
