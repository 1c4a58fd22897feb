package h2

import (
	"bytes"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weftmesh/weft/internal/waittest"
	"github.com/weftmesh/weft/proxy/conn"
	"github.com/weftmesh/weft/proxy/http"
)

// trap is a transport that panics once when it is set: when it is read or written.
type trap struct {
	*conn.Conn
	reads, writes bool
	set           atomic.Bool
}

func (m *trap) spring() {
	if m.set.CompareAndSwap(true, false) {
		panic("trapped")
	}
}

func (m *trap) Discard(n int) {
	if m.reads {
		m.spring()
	}
	m.Conn.Discard(n)
}

func (m *trap) WriteMine(p []byte) (int, error) {
	if m.writes {
		m.spring()
	}
	return m.Conn.WriteMine(p)
}

// crashes counts what Options.Crashed is told.
type crashes struct{ n atomic.Int32 }

func (c *crashes) told(reason any, stack []byte) {
	if reason == "trapped" && bytes.Contains(stack, []byte("spring")) {
		c.n.Add(1)
	}
}

// A goroutine that panics ends its connection: everybody who waits hears of it,
// and nothing else happens.
func TestPanicsEndOneConnection(t *testing.T) {
	const streams = 5
	for _, side := range []string{"client", "server"} {
		for _, what := range []string{"read", "write"} {
			t.Run(side+" "+what, func(t *testing.T) {
				var told crashes
				a, b := pair(t)
				m := &trap{Conn: conn.New(a), reads: what == "read", writes: what == "write"}
				if side == "server" {
					m.Conn = conn.New(b)
				}
				o := Options{Crashed: told.told}
				served := func(s *Stream) {
					if s.WriteHead(&http.Response{Status: 200}, false) == nil {
						for err := error(nil); err == nil; {
							_, err = s.Write(make([]byte, 1000))
						}
					}
				}
				var cl *Client
				over := make(chan error, 1)
				if side == "client" {
					serve(t, b, Options{}, served)
					cl = NewClient(m, o)
				} else {
					srv := NewServer(m, o)
					go func() { over <- srv.Serve(t.Context(), served) }()
					cl = NewClient(conn.New(a), Options{})
				}
				defer cl.Close()
				var open []*Stream
				for range streams {
					s, err := cl.Open(request("POST", "/"), false)
					if err != nil {
						t.Fatal(err)
					}
					var r http.Response
					if err := s.ReadHead(&r); err != nil {
						t.Fatal(err)
					}
					open = append(open, s)
				}
				m.set.Store(true)
				for _, s := range open {
					go func() {
						for err := error(nil); err == nil; {
							_, err = s.Write(make([]byte, 1000))
						}
					}()
				}
				for _, s := range open {
					var err error
					for err == nil {
						var p []byte
						if p, err = s.Next(); err == nil {
							s.Consume(len(p))
						}
					}
					if side == "client" && !errors.Is(err, errCrashed) {
						t.Errorf("a stream says %v", err)
					}
					s.Close()
				}
				if <-cl.Done(); side == "server" {
					select {
					case err := <-over:
						if !errors.Is(err, errCrashed) {
							t.Errorf("Serve says %v", err)
						}
					case <-time.After(patience):
						t.Error("Serve does not return")
					}
				}
				if n := told.n.Load(); n != 1 {
					t.Errorf("told %d times", n)
				}
			})
		}
	}
}

// Who panics with the lock takes nobody with it.
func TestPanicWithTheLock(t *testing.T) {
	var told crashes
	a, b := pair(t)
	srv := serve(t, b, Options{}, holdOrEcho)
	cl := NewClient(conn.New(a), Options{Crashed: told.told})
	s, err := cl.Open(request("GET", "/hold"), true)
	if err != nil {
		t.Fatal(err)
	}
	waittest.Until(t, "the request", func() bool { return srv.Active() == 1 })
	go func() {
		defer cl.c.guard()
		var m trap
		m.set.Store(true)
		cl.c.mu.Lock()
		m.spring()
	}()
	var r http.Response
	if err := s.ReadHead(&r); !errors.Is(err, errCrashed) {
		t.Error(err)
	}
	s.Close()
	<-cl.Done()
	if n := told.n.Load(); n != 1 {
		t.Errorf("told %d times", n)
	}
}
