package proxytest

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/weftmesh/weft/proxy/accesslog"
	"github.com/weftmesh/weft/proxy/config"
	"github.com/weftmesh/weft/proxy/conn"
	h1 "github.com/weftmesh/weft/proxy/http"
	"github.com/weftmesh/weft/proxy/http/h2"
	"github.com/weftmesh/weft/proxy/retry"
	"github.com/weftmesh/weft/proxy/route"
	"github.com/weftmesh/weft/proxy/trace"
)

// maxAllocs is what a request may allocate in both proxies together on a steady
// path: nothing, but for what else runs in the process.
const maxAllocs = 0.1

const benchRequest = "GET /items/42?full=1 HTTP/1.1\r\nHost: api.default.svc.cluster.local\r\nUser-Agent: bench/1.0\r\nAccept: application/json\r\n" +
	"Accept-Encoding: gzip\r\nX-Request-Id: 0f3c1b52-6a54-4f1b\r\nX-Forwarded-For: 10.0.0.1\r\nCookie: session=abcdef0123456789\r\nTraceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n\r\n"

// steady is a server and a client that allocate nothing themselves, with the
// two proxies between.
func steady(t testing.TB) (once func()) { return steadyUnder(t, nil) }

// steadyUnder is the same, with requests that fall under a rule with the traffic.
func steadyUnder(t testing.TB, tr *route.Traffic) (once func()) { return steadyLogged(t, tr, nil) }

// steadyLogged is the same with an access log in both proxies; nil for none.
func steadyLogged(t testing.TB, tr *route.Traffic, l *accesslog.Log) (once func()) {
	return steadyTold(t, tr, l, nil)
}

// steadyTold is the same with spans of both proxies; nil for none.
func steadyTold(t testing.TB, tr *route.Traffic, l *accesslog.Log, spans *trace.Tracer) (once func()) {
	return steadyBy(t, tr, l, spans, nil)
}

// steadyNamed is the same where the requests' host decides over the destination.
func steadyNamed(t testing.TB) (once func()) {
	return steadyBy(t, nil, nil, nil, func(w *Workload) netip.AddrPort {
		host, _, _ := strings.Cut(benchRequest[strings.Index(benchRequest, "Host: ")+6:], "\r")
		w.rename("api:80", host+":80")
		names(w, 80, &route.ByName{HTTP: route.NewNames([]string{host}, 80)})
		return w.Redirected(netip.MustParseAddrPort("192.0.2.1:80"))
	})
}

// steadyBy is the same with a listener of the client's proxy that by opens; nil
// is that of the destination.
func steadyBy(t testing.TB, tr *route.Traffic, l *accesslog.Log, spans *trace.Tracer, by func(*Workload) netip.AddrPort) (once func()) {
	response := []byte("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nServer: bench\r\nContent-Length: 1024\r\n\r\n" + strings.Repeat("x", 1024))
	at := server(t, func(c *net.TCPConn) {
		b := make([]byte, 16<<10)
		n := 0
		for {
			m, err := c.Read(b[n:])
			if err != nil {
				return
			}
			if n += m; bytes.HasSuffix(b[:n], []byte("\r\n\r\n")) {
				n = 0
				if _, err := c.Write(response); err != nil {
					return
				}
			}
		}
	})
	ca := NewCA(t)
	logs := &accesslog.Slot{}
	logs.Set(l, l)
	traces := &trace.Slot{}
	traces.Set(spans)
	s := New(t, ca, ID("api"), Options{Logs: logs, Traces: traces})
	w := New(t, ca, ID("web"), Options{})
	api := w.Cluster("api", Meshed(s.Before(at), ID("api")))
	d, out := w.Destination("api:80", config.HTTP, Share{api, 1})
	defer func() { d.Log(l); d.Trace(spans) }()
	if tr != nil {
		u, err := route.NewRule(route.RuleSpec{Traffic: tr, Backends: []route.Backend{{Name: "api", Weight: 1, Cluster: api}}})
		if err != nil {
			t.Fatal(err)
		}
		d.Rules(u)
	}
	if by != nil {
		out = by(w)
	}
	c, err := net.Dial("tcp", out.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	request := []byte(benchRequest)
	if spans != nil { // the proxy decides
		request = []byte(strings.Replace(benchRequest, "Traceparent", "X-Something", 1))
	}
	in := make([]byte, 16<<10)
	return func() {
		if _, err := c.Write(request); err != nil {
			t.Fatal(err)
		}
		for n := 0; ; {
			m, err := c.Read(in[n:])
			if err != nil {
				t.Fatal(err)
			}
			n += m
			if i := bytes.Index(in[:n], []byte("\r\n\r\n")); i > 0 && n == i+4+1024 {
				return
			}
		}
	}
}

// repeat measures once in its steady state.
func repeat(b *testing.B, once func()) {
	b.Helper()
	for range 100 {
		once()
	}
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		once()
	}
}

// BenchmarkHTTP1 is one keep-alive connection through two proxies and mutual
// TLS; allocs/op are those of both.
func BenchmarkHTTP1(b *testing.B) {
	once := steady(b)
	repeat(b, once)
}

// BenchmarkHTTP1Policies is the same with timeouts, retries and a budget.
func BenchmarkHTTP1Policies(b *testing.B) {
	once := steadyUnder(b, policies())
	repeat(b, once)
}

// unreported samples so many percent, for a collector that takes all.
func unreported(t testing.TB, percent float64) *trace.Tracer {
	t.Helper()
	e := trace.NewExporters(takesAll{}, trace.Self{Node: "node", Canonical: "web", Namespace: "default"}, slog.New(slog.DiscardHandler))
	t.Cleanup(e.Close)
	return trace.New(trace.Spec{Cluster: "collector", Sampling: percent}, nil, e)
}

type takesAll struct{}

func (takesAll) Export(context.Context, string, string, []byte) ([]byte, error) { return nil, nil }

// BenchmarkHTTP1Traced is the same with spans of all requests in both proxies.
func BenchmarkHTTP1Traced(b *testing.B) {
	once := steadyTold(b, nil, nil, unreported(b, 100))
	repeat(b, once)
}

// BenchmarkHTTP1Logged is the same with Istio's access log in both proxies.
func BenchmarkHTTP1Logged(b *testing.B) {
	once := steadyLogged(b, nil, discarded(b))
	repeat(b, once)
}

func policies() *route.Traffic {
	return &route.Traffic{Timeout: time.Minute, TryTimeout: 10 * time.Second, Response: 20 * time.Second, Classes: []route.Class{{Min: 500, Max: 599, Failure: true}}, Budget: retry.NewBudget(0.2, 10, 10*time.Second, time.Now()),
		Retry: &retry.Policy{On: retry.ServerError | retry.Reset, Retries: 2, AvoidPrevious: true}}
}

// steadyGRPC is the same for unary calls of gRPC.
func steadyGRPC(t testing.TB) (once func()) {
	field := func(n, v string) h1.Field { return h1.Field{Name: []byte(n), Value: []byte(v)} }
	message := []byte("\x00\x00\x00\x00\x10sixteen bytes!!!")
	head := h1.Response{Status: 200, Fields: []h1.Field{field("content-type", "application/grpc")}}
	trailers := []h1.Field{field("grpc-status", "0")}
	at := server(t, func(c *net.TCPConn) {
		_ = h2.NewServer(conn.New(c), h2.Options{}).Serve(context.Background(), func(s *h2.Stream) {
			for {
				p, err := s.Next()
				if err != nil {
					break
				}
				s.Consume(len(p))
			}
			_, _ = s.WriteResponse(&head, message, trailers, true)
		})
	})
	ca := NewCA(t)
	s := New(t, ca, ID("api"), Options{})
	w := New(t, ca, ID("web"), Options{})
	_, out := w.Destination("api:80", config.HTTP, Share{w.Cluster("api", Meshed(s.Before(at), ID("api"))), 1})
	nc, err := net.Dial("tcp", out.String())
	if err != nil {
		t.Fatal(err)
	}
	cl := h2.NewClient(conn.New(nc), h2.Options{})
	t.Cleanup(func() { cl.Close(); <-cl.Done() })
	request := h1.Request{Method: []byte("POST"), Scheme: []byte("http"), Authority: []byte("api"), Target: []byte("/a.B/C"),
		Fields: []h1.Field{field("content-type", "application/grpc"), field("te", "trailers"), field("user-agent", "bench/1.0"), field("grpc-timeout", "10S")}}
	return func() {
		s, _, err := cl.OpenWith(&request, message, true)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Release()
		var r h1.Response
		p, _, err := s.Receive(&r)
		for n := 0; err == nil; p, err = s.Next() {
			s.Consume(len(p))
			n += len(p)
		}
		if v, ok := h1.Get(s.Trailers(), "grpc-status"); err != io.EOF || r.Status != 200 || !ok || string(v) != "0" {
			t.Fatal(r.Status, err)
		}
	}
}

// BenchmarkGRPC is one call after another on one connection.
func BenchmarkGRPC(b *testing.B) {
	once := steadyGRPC(b)
	repeat(b, once)
}

func TestSteadyPathDoesNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates, and pools forget on purpose")
	}
	for name, path := range map[string]func(testing.TB) func(){
		"HTTP/1.1 over the hop":  func(t testing.TB) func() { return steady(t) },
		"HTTP/1.1 with policies": func(t testing.TB) func() { return steadyUnder(t, policies()) }, "gRPC": steadyGRPC,
		"HTTP/1.1 with spans of none":       func(t testing.TB) func() { return steadyTold(t, nil, nil, unreported(t, 0)) },
		"HTTP/1.1 with spans of one in 100": func(t testing.TB) func() { return steadyTold(t, nil, nil, unreported(t, 1)) },
		"HTTP/1.1 with spans of all":        func(t testing.TB) func() { return steadyTold(t, nil, nil, unreported(t, 100)) },
		"HTTP/1.1 by the requests' host":    steadyNamed,
		"HTTP/1.1 with an access log":       func(t testing.TB) func() { return steadyLogged(t, nil, discarded(t)) },
	} {
		t.Run(name, func(t *testing.T) { doesNotAllocate(t, path(t)) })
	}
}

func doesNotAllocate(t *testing.T, once func()) {
	for range 200 {
		once()
	}
	const n = 2000
	best := 1e9
	for range 3 { // the least of three: what else runs in the process is no fault of the path
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range n {
			once()
		}
		runtime.ReadMemStats(&after)
		best = min(best, float64(after.Mallocs-before.Mallocs)/n)
	}
	t.Logf("%.2f allocations a request", best)
	if best > maxAllocs {
		t.Errorf("%.2f allocations a request in two proxies, want at most %.1f", best, maxAllocs)
	}
}
