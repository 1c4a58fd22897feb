package proxytest

import (
	"bytes"
	"net"
	"runtime"
	"strings"
	"testing"

	"github.com/weftmesh/weft/proxy/config"
)

// maxAllocs is what a request may allocate in both proxies together on the
// steady HTTP/1.1 path: crypto/tls makes one small object for each record that
// it reads.
const maxAllocs = 2.2

const benchRequest = "GET /items/42?full=1 HTTP/1.1\r\nHost: api.default.svc.cluster.local\r\nUser-Agent: bench/1.0\r\nAccept: application/json\r\n" +
	"Accept-Encoding: gzip\r\nX-Request-Id: 0f3c1b52-6a54-4f1b\r\nX-Forwarded-For: 10.0.0.1\r\nCookie: session=abcdef0123456789\r\nTraceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n\r\n"

// steady is a server and a client that allocate nothing themselves, with the
// two proxies between.
func steady(t testing.TB) (once func()) {
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
	s := New(t, ca, ID("api"), Options{})
	w := New(t, ca, ID("web"), Options{})
	_, out := w.Destination("api:80", config.HTTP, Share{w.Cluster("api", Meshed(s.Before(at), ID("api"))), 1})
	c, err := net.Dial("tcp", out.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	request := []byte(benchRequest)
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

// BenchmarkHTTP1 is one keep-alive connection through two proxies and mutual
// TLS; allocs/op are those of both.
func BenchmarkHTTP1(b *testing.B) {
	once := steady(b)
	for range 100 {
		once()
	}
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		once()
	}
}

func TestSteadyPathDoesNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates, and pools forget on purpose")
	}
	once := steady(t)
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
