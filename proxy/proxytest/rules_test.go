package proxytest

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weftmesh/weft/proxy/balance"
	"github.com/weftmesh/weft/proxy/config"
	"github.com/weftmesh/weft/proxy/retry"
	"github.com/weftmesh/weft/proxy/route"
	"github.com/weftmesh/weft/proxy/upstream"
)

// Split changes where connections without HTTP go.
func (d *Destination) Split(s *route.Split) { d.split.Store(s) }

func splitTo(t testing.TB, w *Workload, name string, at netip.AddrPort, s *Workload) *route.Split {
	t.Helper()
	e := Plain(at)
	if s != nil {
		e = Meshed(s.Before(at), s.ID)
	}
	sp, err := route.NewSplit([]route.Backend{{Name: name, Weight: 1, Cluster: w.Cluster(name, e)}})
	if err != nil {
		t.Fatal(err)
	}
	return sp
}

// Passthrough of the application's TLS goes where its SNI says, end to end and
// between two proxies; whatever else comes goes to the rest.
func TestRoutingBySNI(t *testing.T) {
	ca := NewCA(t)
	s, w := New(t, ca, ID("db"), Options{}), New(t, ca, ID("web"), Options{})
	says := func(what string) netip.AddrPort {
		at, _ := tlsApp(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, what+" "+r.TLS.ServerName) })
		return at
	}
	greets := server(t, func(c *net.TCPConn) {
		io.WriteString(c, "220 mail\r\n")
		b := make([]byte, 64)
		n, _ := c.Read(b)
		c.Write(b[:n])
	})
	secure := splitTo(t, w, "one", says("one"), s)
	wild := splitTo(t, w, "two", says("two"), nil)
	rest := splitTo(t, w, "rest", greets, nil)
	// Who is silent for long may be waiting for the rest to speak. This one does not.
	waits := splitTo(t, w, "waits", server(t, func(c *net.TCPConn) { io.Copy(io.Discard, c) }), nil)
	for _, p := range []config.Protocol{config.TCP, config.Detect} {
		name := "db:" + p.String()
		d, out := w.Destination(name, p, Share{w.Cluster("rest", Plain(greets)), 1})
		named := []route.Exception{{Name: "one.example.com", Split: secure}, {Name: "*.example.com", Split: wild}}
		d.Split(waits.Except(named))
		for sni, want := range map[string]string{"one.example.com": "one one.example.com", "Two.Example.com": "two", "a.b.example.com": "two a.b.example.com"} {
			hc := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{ServerName: sni, InsecureSkipVerify: true}}}
			r, err := hc.Get("https://" + out.String())
			if err != nil {
				t.Fatalf("%v %s: %v", p, sni, err)
			}
			b, _ := io.ReadAll(r.Body)
			r.Body.Close()
			if !strings.HasPrefix(string(b), want) {
				t.Errorf("%v: SNI %s came to %q", p, sni, b)
			}
		}
		// Another name, and no TLS at all, where the server speaks first.
		d.Split(rest.Except(named))
		c := dial(t, out.String())
		if got := c.line(); got != "220 mail" {
			t.Fatalf("%v: a silent client is greeted %q", p, got)
		}
		io.WriteString(c, "quit\r\n")
		if got := c.line(); got != "quit" {
			t.Errorf("%q", got)
		}
		if _, err := tls.DialWithDialer(&net.Dialer{Timeout: 10 * time.Second}, "tcp", out.String(), &tls.Config{ServerName: "elsewhere.org", InsecureSkipVerify: true}); err == nil || !strings.Contains(err.Error(), "TLS") {
			t.Errorf("%v: a name of no rule: %v", p, err)
		}
	}
}

// A ClientHello that comes in pieces is waited for.
func TestRoutingBySNIInPieces(t *testing.T) {
	w := New(t, NewCA(t), ID("web"), Options{})
	got := make(chan int, 4)
	counts := func(k int) netip.AddrPort {
		return server(t, func(c *net.TCPConn) { got <- k; io.Copy(io.Discard, c) })
	}
	d, out := w.Destination("db:443", config.TCP, Share{w.Cluster("rest", Plain(counts(0))), 1})
	rest := d.TCP()
	d.Split(rest.Except([]route.Exception{{Name: "a.example.com", Split: splitTo(t, w, "a", counts(1), nil)}}))
	a, b := net.Pipe()
	go tls.Client(a, &tls.Config{ServerName: "a.example.com", InsecureSkipVerify: true}).Handshake()
	hello := make([]byte, 16<<10)
	n, err := b.Read(hello)
	if err != nil {
		t.Fatal(err)
	}
	b.Close()
	c := dial(t, out.String())
	for i := range n {
		c.Write(hello[i : i+1])
		if i == n/2 {
			time.Sleep(150 * time.Millisecond) // longer than silence is taken for waiting
		}
	}
	for {
		select {
		case k := <-got:
			if k == 1 {
				return
			}
		case <-time.After(10 * time.Second):
			t.Fatal("the connection does not arrive where its name belongs")
		}
	}
}

func TestRoutingBySubnet(t *testing.T) {
	w := New(t, NewCA(t), ID("web"), Options{})
	says := func(what string) netip.AddrPort {
		return server(t, func(c *net.TCPConn) { io.WriteString(c, what+"\n") })
	}
	rest, ten := says("rest"), says("ten")
	for to, want := range map[string]string{"10.1.2.3:5432": "ten", "11.1.2.3:5432": "rest"} {
		d, _ := w.Destination(strings.Replace(to, ":", "_", 1), config.TCP, Share{w.Cluster("rest", Plain(rest)), 1})
		d.Split(d.TCP().Except([]route.Exception{{To: netip.MustParsePrefix("10.0.0.0/8"), Split: splitTo(t, w, "ten", ten, nil)}}))
		if got := dial(t, w.Redirected(netip.MustParseAddrPort(to)).String()).line(); got != want {
			t.Errorf("%s came to %q", to, got)
		}
	}
}

// Connections of one client stay with one endpoint where they are told by it.
func TestBytesByClientAddress(t *testing.T) {
	w := New(t, NewCA(t), ID("web"), Options{})
	var ends []upstream.EndpointSpec
	var hits [8]atomic.Int64
	for i := range hits {
		ends = append(ends, Plain(server(t, func(c *net.TCPConn) { hits[i].Add(1); io.WriteString(c, "hi\n") })))
	}
	d, out := w.Destination("db:1", config.TCP, Share{w.Cluster("db", ends...), 1})
	w.Registry.Apply(upstream.Spec{Name: "db", ConnectTimeout: patient, Balance: balance.Options{Algorithm: balance.RingHash}})
	seen := func() (n int) {
		for i := range hits {
			if hits[i].Swap(0) > 0 {
				n++
			}
		}
		return n
	}
	for _, by := range []bool{true, false} {
		s := *d.TCP()
		s.BySource = by
		d.Split(&s)
		for range 40 {
			dial(t, out.String()).line()
		}
		if n := seen(); (n == 1) != by {
			t.Errorf("by source %v: %d endpoints", by, n)
		}
	}
}

// A response has its time in each try, and to its end.
func TestResponseTimeout(t *testing.T) {
	var seen visits
	r := newRuled(t, func(w http.ResponseWriter, q *http.Request) {
		switch {
		case strings.HasPrefix(q.URL.Path, "/begun"):
			w.(http.Flusher).Flush()
			<-q.Context().Done()
		case seen.add(q.URL.Path) == 1:
			<-q.Context().Done()
		}
	})
	for _, h2c := range []bool{false, true} {
		p := &retry.Policy{On: retry.GatewayError, Retries: 1, Base: time.Millisecond}
		inTime(t, "each try arrives", func(limit time.Duration) bool {
			r.rule(&route.Traffic{Response: limit, Retry: p})
			path := fmt.Sprintf("/%v/%s", h2c, limit)
			resp, err := client(t, h2c).Post(r.url+path, "text/plain", strings.NewReader("body"))
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.StatusCode != 200 && resp.StatusCode != 504 || seen.of(path) > 2 {
				t.Fatalf("http2 %v: %s after %d tries", h2c, resp.Status, seen.of(path))
			}
			return resp.StatusCode == 200
		})
		cutOff(t, client(t, h2c), r, func(limit time.Duration) *route.Traffic { return &route.Traffic{Response: limit, Retry: p} })
	}
	r.flagged("UT", 200)
	inTime(t, "the only try arrives", func(limit time.Duration) bool {
		r.rule(&route.Traffic{Response: limit})
		path := fmt.Sprintf("/once/%s", limit)
		code, _, _ := get(t, r.url+path)
		if n := seen.of(path); code != 504 || n > 1 {
			t.Fatalf("%d after %d tries", code, n)
		}
		return seen.of(path) == 1
	})
}

// What a rule calls a failure counts as one.
func TestResponseClasses(t *testing.T) {
	r := newRuled(t, func(w http.ResponseWriter, q *http.Request) {
		code := 200
		switch q.URL.Path {
		case "/404":
			code = 404
		case "/503":
			code = 503
		}
		w.WriteHeader(code)
	})
	r.rule(&route.Traffic{Classes: []route.Class{{Min: 404, Max: 404, Failure: true}, {Min: 500, Max: 599}}})
	for _, path := range []string{"/404", "/503", "/200"} {
		get(t, r.url+path)
	}
	for _, want := range [][]string{{`status_code="404"`, `classification="failure"`}, {`status_code="503"`, `classification="success"`}, {`status_code="200"`, `classification="success"`}} {
		wait(t, want[0]+" as "+want[1], func() bool {
			return metric(t, r.client, "response_total", append(want, `direction="outbound"`)...) == 1
		})
	}
	// Endpoints are judged by the same.
	o := balance.DefaultOutlier()
	o.MaxEjectionPercent, o.AlwaysEjectOne = 100, true
	r.client.Registry.Apply(upstream.Spec{Name: "api", ConnectTimeout: patient, Detection: balance.Detection{Outliers: true, Outlier: o}})
	for range 20 {
		get(t, r.url+"/503")
	}
	if n := r.api.Counters().Ejections; n != 0 {
		t.Errorf("%d ejections for what is a success", n)
	}
	for range 5 {
		get(t, r.url+"/404")
	}
	if n := r.api.Counters().Ejections; n != 1 {
		t.Errorf("%d ejections for what is a failure", n)
	}
	// The server's proxy knows nothing of it.
	if metric(t, r.server, "response_total", `status_code="503"`, `classification="failure"`) == 0 {
		t.Error("the server's proxy counts otherwise")
	}
}

// What the server's proxy reports of its application is tried again as if the
// application had been dialled by the client's.
func TestReportedResetIsRetriedWhereSafe(t *testing.T) {
	ca := NewCA(t)
	s, w := New(t, ca, ID("api"), Options{}), New(t, ca, ID("web"), Options{})
	var n atomic.Int64
	at := h2app(t, func(w http.ResponseWriter, q *http.Request) {
		if n.Add(1)%3 == 0 {
			return
		}
		if q.ProtoMajor == 1 {
			c, _, _ := w.(http.Hijacker).Hijack()
			c.(*net.TCPConn).SetLinger(0)
			c.Close()
			return
		}
		panic(http.ErrAbortHandler)
	})
	_, out := w.Destination("api:80", config.HTTP, Share{w.Cluster("api", Meshed(s.Before(at), ID("api"))), 1})
	for _, h2c := range []bool{false, true} {
		for method, want := range map[string]struct{ code, tries int }{"GET": {200, 3}, "PUT": {200, 3}, "POST": {503, 1}} {
			n.Store(0)
			q, _ := http.NewRequest(method, "http://"+out.String(), strings.NewReader("body"))
			resp, err := client(t, h2c).Do(q)
			if err != nil {
				t.Errorf("http2 %v: %s: %v", h2c, method, err)
				continue
			}
			resp.Body.Close()
			if resp.StatusCode != want.code || n.Load() != int64(want.tries) {
				t.Errorf("http2 %v: %s: %d after %d tries, want %d after %d", h2c, method, resp.StatusCode, n.Load(), want.code, want.tries)
			}
		}
	}
}
