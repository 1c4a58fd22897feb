package h2

import (
	"context"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"testing"

	"github.com/weftmesh/weft/proxy/http"
)

// inMemory is our client and our server on one connection in memory.
func inMemory(t testing.TB, o Options, h func(*Stream)) (*Client, *Server) {
	a, b := memPair(1 << 20)
	srv := NewServer(b, o)
	over := make(chan struct{})
	go func() { defer close(over); _ = srv.Serve(context.Background(), h) }()
	cl := NewClient(a, o)
	t.Cleanup(func() { cl.Close(); <-cl.Done(); srv.Close(); <-over })
	return cl, srv
}

// unaryRequest has twelve fields with the pseudo-headers.
func unaryRequest() *http.Request {
	return request("POST", "/shop.Cart/AddItem", field("content-type", "application/grpc"), field("te", "trailers"),
		field("user-agent", "grpc-go/1.70.0"), field("grpc-accept-encoding", "gzip"), field("grpc-timeout", "5S"),
		field("x-request-id", "8d0f4a2e-3f0a-4d0e-9b51-2a3c4d5e6f70"), field("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
		field("accept", "*/*"))
}

var unaryResponse = &http.Response{Status: 200, Fields: []http.Field{field("content-type", "application/grpc"), field("server", "shop/1.4"),
	field("date", "Sun, 06 Nov 1994 08:49:37 GMT"), field("x-envoy-upstream-service-time", "3"), field("vary", "accept-encoding")}}

var unaryTrailers = []http.Field{field("grpc-status", "0")}

// answerUnary answers a request whose body is here with a body and trailers.
func answerUnary(body []byte) func(*Stream) {
	return func(s *Stream) {
		for {
			_, last := s.Peek()
			if last {
				break
			}
			p, err := s.Next()
			if err != nil {
				break
			}
			s.Consume(len(p))
		}
		_, _ = s.WriteResponse(unaryResponse, body, unaryTrailers, true)
	}
}

// unary makes one exchange.
func unary(t testing.TB, cl *Client, r *http.Request, h *http.Response, body []byte) {
	s, _, err := cl.OpenWith(r, body, true)
	if err != nil {
		t.Error(err)
		return
	}
	p, last, err := s.Receive(h)
	for n := len(p); err == nil && !last; n = len(p) {
		s.Consume(n)
		if p, err = s.Next(); len(s.Trailers()) > 0 && len(p) == 0 {
			err = nil
			break
		}
	}
	if err != nil || h.Status != 200 {
		t.Errorf("status %d, %v", h.Status, err)
	}
	s.Release()
}

func codecs(f func(name string, o Options)) {
	f("plain", Options{Plain: true, MaxStreams: 1000})
	f("hpack", Options{MaxStreams: 1000})
}

// BenchmarkExchange is unary exchanges over a connection in memory: the time of
// both ends.
func BenchmarkExchange(b *testing.B) {
	body := make([]byte, 100)
	codecs(func(name string, o Options) {
		for _, par := range []int{1, 16, 64} {
			b.Run(name+"/"+strconv.Itoa(par), func(b *testing.B) {
				defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
				cl, _ := inMemory(b, o, answerUnary(body))
				b.ReportAllocs()
				var wg sync.WaitGroup
				each := b.N/par + 1
				used := cpuTime()
				b.ResetTimer()
				for range par {
					wg.Go(func() {
						r := unaryRequest()
						var h http.Response
						for range each {
							unary(b, cl, r, &h, body)
						}
					})
				}
				wg.Wait()
				b.ReportMetric(float64(cpuTime()-used)/float64(b.N), "cpu-ns/op")
			})
		}
	})
}

// cpuTime is what the process has used, in ns: other processes do not disturb it.
func cpuTime() int64 {
	var r syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &r)
	return r.Utime.Nano() + r.Stime.Nano()
}

// BenchmarkBulk is 1 MiB one way over TCP on loopback.
func BenchmarkBulk(b *testing.B) {
	body := make([]byte, 1<<20)
	cl, _ := both(b, Options{}, Options{}, func(s *Stream) {
		for {
			p, err := s.Next()
			if err != nil {
				break
			}
			s.Consume(len(p))
		}
		_, _ = s.WriteResponse(unaryResponse, nil, nil, true)
	})
	r := unaryRequest()
	b.SetBytes(1 << 20)
	b.ReportAllocs()
	used := cpuTime()
	for b.Loop() {
		s, n, err := cl.OpenWith(r, body, true)
		if err != nil {
			b.Fatal(err)
		}
		if n < len(body) {
			_, _ = s.WriteEnd(body[n:])
		}
		var h http.Response
		if err := s.ReadHead(&h); err != nil {
			b.Fatal(err)
		}
		s.Release()
	}
	b.ReportMetric(float64(cpuTime()-used)/float64(b.N), "cpu-ns/op")
}

// A unary exchange allocates nothing at either end, once memory is warm.
func TestExchangeAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates, and empties pools at random")
	}
	body := make([]byte, 100)
	codecs(func(name string, o Options) {
		for _, c := range []struct {
			name    string
			handler func(*Stream)
		}{
			{"trailers", answerUnary(body)},
			{"length", func(s *Stream) { _, _ = s.WriteResponse(unaryResponse, body, nil, true) }},
			{"head", func(s *Stream) { _, _ = s.WriteResponse(unaryResponse, nil, nil, true) }},
			{"pieces", func(s *Stream) {
				if s.WriteHead(unaryResponse, false) == nil {
					_, _ = s.Write(body)
					_ = s.End()
				}
			}},
		} {
			t.Run(name+"/"+c.name, func(t *testing.T) {
				cl, _ := inMemory(t, o, c.handler)
				r := unaryRequest()
				var h http.Response
				for range 100 {
					unary(t, cl, r, &h, body)
				}
				if n := testing.AllocsPerRun(2000, func() { unary(t, cl, r, &h, body) }); n != 0 {
					t.Errorf("%v allocations per exchange", n)
				}
			})
		}
	})
}
