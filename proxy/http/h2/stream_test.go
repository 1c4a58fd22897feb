package h2

import (
	"bytes"
	"errors"
	"io"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weftmesh/weft/internal/waittest"
	"github.com/weftmesh/weft/proxy/http"
)

// An extended CONNECT (RFC 8441) carries bytes both ways at once, in both
// codecs, and its response's content-length is not believed.
func TestExtendedConnect(t *testing.T) {
	bothCodecs(t, func(t *testing.T, o Options) {
		cl, _ := both(t, o, o, func(s *Stream) {
			r := s.Request()
			if string(r.Protocol) != "websocket" || string(r.Method) != "CONNECT" || string(r.Target) != "/chat" || string(r.Authority) != "x" {
				t.Errorf("got %q %q %q %q", r.Method, r.Protocol, r.Authority, r.Target)
			}
			echo(s)
		})
		s, err := cl.Open(&http.Request{Method: []byte("CONNECT"), Protocol: []byte("websocket"), Scheme: []byte("https"),
			Authority: []byte("x"), Target: []byte("/chat")}, false)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Release()
		var h http.Response
		if err := s.ReadHead(&h); err != nil || h.Status != 200 {
			t.Fatalf("%v %v", h, err)
		}
		for range 3 {
			if _, err := s.Write([]byte("frame")); err != nil {
				t.Fatal(err)
			}
			if p, err := s.Next(); string(p) != "frame" || err != nil {
				t.Fatalf("%q %v", p, err)
			}
			s.Consume(5)
		}
		if err := s.End(); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Next(); err != io.EOF {
			t.Errorf("got %v, want the end", err)
		}
	})
}

// What one call sends is what many would have sent.
func TestOneCallIsTheSame(t *testing.T) {
	bothCodecs(t, func(t *testing.T, o Options) {
		big := bytes.Repeat([]byte("0123456789"), 100<<10) // above every window
		cl, _ := both(t, o, o, func(s *Stream) {
			body, err := io.ReadAll(s)
			if err != nil {
				t.Error(err)
			}
			var tr []http.Field
			if string(s.Request().Target) == "/trailers" {
				tr = unaryTrailers
			}
			if n, err := s.WriteResponse(unaryResponse, body, tr, true); err != nil || n != len(body) {
				t.Errorf("%d bytes were sent, %v", n, err)
			}
			if err := s.End(); !errors.Is(err, ErrStreamDone) {
				t.Errorf("after the end: %v", err)
			}
		})
		for _, target := range []string{"/", "/trailers"} {
			for _, body := range [][]byte{nil, []byte("short"), big} {
				s, n, err := cl.OpenWith(request("POST", target), body, true)
				if err != nil {
					t.Fatal(err)
				}
				var wg sync.WaitGroup
				if n < len(body) {
					wg.Go(func() {
						if _, err := s.WriteEnd(body[n:]); err != nil {
							t.Error(err)
						}
					})
				}
				var h http.Response
				p, last, err := s.Receive(&h)
				got := bytes.Clone(p)
				s.Consume(len(p))
				for err == nil && !last {
					if p, err = s.Next(); err == nil {
						got = append(got, p...)
						s.Consume(len(p))
					}
				}
				if (err != nil && err != io.EOF) || !bytes.Equal(got, body) || len(s.Trailers()) != len(target)/9 {
					t.Errorf("%s: %d bytes of %d, trailers %v, %v", target, len(got), len(body), s.Trailers(), err)
				}
				wg.Wait()
				s.Release()
			}
		}
	})
}

// counter is an Aborter.
type counter struct {
	n    atomic.Int32
	free atomic.Bool // it must not be called any more
	t    *testing.T
	err  atomic.Pointer[error]
}

func (c *counter) Aborted(err error) {
	if c.free.Load() {
		c.t.Error("Aborted is called after its stream was given back")
	}
	c.err.Store(&err)
	c.n.Add(1)
}

// An Aborter is called once for what the peer did, never for what happened
// here, and never after the stream was given back.
func TestAborter(t *testing.T) {
	bothCodecs(t, func(t *testing.T, o Options) {
		free := make(chan struct{})
		cl, srv := both(t, o, o, func(s *Stream) {
			c := &counter{t: t}
			s.OnAbort(c)
			if string(s.Request().Target) == "/hold" {
				for c.n.Load() == 0 {
					runtime.Gosched()
				}
				if !errors.As(*c.err.Load(), new(*StreamError)) {
					t.Errorf("aborted with %v", *c.err.Load())
				}
				late := &counter{t: t}
				s.OnAbort(late)
				s.OnAbort(nil)
				if late.n.Load() != 1 {
					t.Error("an Aborter that came late was not called")
				}
				late.free.Store(true)
				close(free)
				return
			}
			_ = s.WriteHead(&http.Response{Status: 200}, false)
			runtime.Gosched()
			s.OnAbort(nil)
			c.free.Store(true)
		})
		s, err := cl.Open(request("GET", "/hold"), true)
		if err != nil {
			t.Fatal(err)
		}
		mine := &counter{t: t}
		s.OnAbort(mine)
		waittest.Until(t, "the stream", func() bool { return srv.Active() == 1 })
		s.Reset(CodeCancel)
		<-free
		s.Release()
		if mine.n.Load() != 0 {
			t.Error("an Aborter was told of our own reset")
		}
		// Resets that race with the end on both sides.
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for range 200 {
					s, err := cl.Open(request("GET", "/"), true)
					if err != nil {
						t.Error(err)
						return
					}
					c := &counter{t: t}
					s.OnAbort(c)
					var h http.Response
					_ = s.ReadHead(&h)
					s.Release()
					c.free.Store(true)
				}
			})
		}
		wg.Wait()
	})
}

// A Ref of a stream that is over touches nobody else, whoever has its memory.
func TestRefOutlivesItsStream(t *testing.T) {
	cl, _ := inMemory(t, Options{}, answerUnary([]byte("x")))
	var refs []Ref
	var mu sync.Mutex
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			mu.Lock()
			for _, r := range refs {
				r.Reset(CodeInternal)
			}
			refs = refs[:0]
			mu.Unlock()
			runtime.Gosched()
		}
	})
	r := unaryRequest()
	for range 2000 {
		s, _, err := cl.OpenWith(r, []byte("x"), true)
		if err != nil {
			t.Fatal(err)
		}
		ref := s.Ref()
		var h http.Response
		_, last, err := s.Receive(&h)
		for err == nil && !last {
			p, e := s.Next()
			s.Consume(len(p))
			err = e
		}
		if err != io.EOF && err != nil {
			t.Fatal(err)
		}
		s.Release()
		mu.Lock()
		refs = append(refs, ref)
		mu.Unlock()
	}
	close(stop)
	wg.Wait()
	Ref{}.Reset(CodeCancel)
}

// Streams that follow each other leave nothing behind, however many they are.
func TestManyStreamsKeepMemoryFlat(t *testing.T) {
	bothCodecs(t, func(t *testing.T, o Options) {
		cl, srv := inMemory(t, o, answerUnary([]byte("body")))
		r := unaryRequest()
		var h http.Response
		heap := func() uint64 {
			runtime.GC()
			runtime.GC()
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			return m.HeapAlloc
		}
		many := 100_000
		if raceEnabled {
			many = 10_000
		}
		for range 1000 {
			unary(t, cl, r, &h, nil)
		}
		before := heap()
		for range many {
			unary(t, cl, r, &h, nil)
		}
		if after := heap(); after > before+256<<10 {
			t.Errorf("%d streams left %d KiB behind", many, (after-before)>>10)
		}
		for _, c := range []*mux{cl.c, srv.c} {
			c.mu.Lock()
			if c.out != nil || c.spare != nil || c.open.n != 0 || c.buffered != 0 || len(c.resets.ids) > resetRingSize {
				t.Errorf("an idle connection holds %d and %d bytes of output, %d streams", cap(c.out), cap(c.spare), c.open.n)
			}
			c.mu.Unlock()
		}
	})
}

// Handlers run on goroutines that are reused, and let go when nobody needs them.
func TestWorkersAreReusedAndDismissed(t *testing.T) {
	free := make(chan struct{})
	var ran sync.Map
	cl, srv := inMemory(t, Options{Plain: true}, func(s *Stream) {
		buf := make([]byte, 64)
		ran.Store(string(buf[:runtime.Stack(buf, false)])[:20], true)
		if string(s.Request().Target) == "/hold" {
			<-free
		}
		_, _ = s.WriteResponse(&http.Response{Status: 200}, nil, nil, true)
	})
	var h http.Response
	for range 100 {
		s, err := cl.Open(request("GET", "/"), true)
		if err == nil {
			err = s.ReadHead(&h)
		}
		if err != nil {
			t.Fatal(err)
		}
		s.Release()
	}
	goroutines := 0
	ran.Range(func(any, any) bool { goroutines++; return true })
	if goroutines > 10 {
		t.Errorf("%d goroutines for 100 requests in turn", goroutines)
	}
	var open []*Stream
	for range 20 {
		s, err := cl.Open(request("GET", "/hold"), true)
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, s)
	}
	waittest.Until(t, "handlers", func() bool { return srv.Active() == 20 })
	close(free)
	for _, s := range open {
		if err := s.ReadHead(&h); err != nil {
			t.Error(err)
		}
		s.Release()
	}
	idle := func() int { srv.c.mu.Lock(); defer srv.c.mu.Unlock(); return srv.c.idleWorkers }
	waittest.Until(t, "idle workers", func() bool { return idle() >= 20 })
	// What the timer would do, twice.
	srv.c.dismiss()
	srv.c.dismiss()
	if n := idle(); n != 0 {
		t.Errorf("%d workers stay", n)
	}
	srv.c.mu.Lock()
	if srv.c.resting {
		t.Error("the timer goes on without workers")
	}
	srv.c.mu.Unlock()
}

// A handler that ends its goroutine, or leaves in the middle, takes its stream
// along and nobody else's.
func TestHandlerThatLeaves(t *testing.T) {
	cl, _ := inMemory(t, Options{}, func(s *Stream) {
		switch string(s.Request().Target) {
		case "/exit":
			runtime.Goexit()
		case "/leave":
			return
		}
		_, _ = s.WriteResponse(&http.Response{Status: 200}, nil, nil, true)
	})
	for range 10 {
		for _, target := range []string{"/exit", "/leave", "/"} {
			s, err := cl.Open(request("GET", target), true)
			if err != nil {
				t.Fatal(err)
			}
			var h http.Response
			err = s.ReadHead(&h)
			if target != "/" && CodeOf(err) != CodeInternal || target == "/" && err != nil {
				t.Errorf("%s: %v", target, err)
			}
			s.Release()
		}
	}
}

// A peer that does not take our frames holds up whoever writes, and neither the
// reader nor a Reset.
func TestStuckTransport(t *testing.T) {
	a, b := memPair(100) // what is not read fills at once
	srv := NewServer(b, Options{})
	cl := NewClient(a, Options{})
	defer func() { cl.Close(); <-cl.Done() }()
	s, n, err := cl.OpenWith(request("POST", "/"), make([]byte, 8<<10), false)
	if err != nil {
		t.Fatal(err)
	}
	if n != 8<<10 {
		t.Errorf("%d bytes were queued", n)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.Ref().Reset(CodeCancel)
		s.Release()
	}()
	select {
	case <-done:
	case <-time.After(patience):
		t.Fatal("Reset waits for the peer")
	}
	srv.Close()
}

// slowAborter takes its time.
type slowAborter struct {
	begun chan struct{}
	over  atomic.Bool
}

func (a *slowAborter) Aborted(error) {
	close(a.begun)
	time.Sleep(50 * time.Millisecond)
	a.over.Store(true)
}

// Whoever gives a stream back waits for its Aborter, which may then be reused.
func TestAborterIsOverWhenItsStreamIs(t *testing.T) {
	for name, leave := range map[string]func(*Stream){
		"Release": (*Stream).Release,
		"Close":   (*Stream).Close,
		"OnAbort": func(s *Stream) { s.OnAbort(nil) },
	} {
		cl, _ := inMemory(t, Options{}, func(s *Stream) {
			_, _ = s.Next() // until the request's first byte
			s.Reset(CodeInternal)
		})
		s, err := cl.Open(request("POST", "/"), false)
		if err != nil {
			t.Fatal(err)
		}
		a := &slowAborter{begun: make(chan struct{})}
		s.OnAbort(a)
		if _, err := s.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		<-a.begun
		leave(s)
		if !a.over.Load() {
			t.Errorf("%s returns while the Aborter runs", name)
		}
	}
}
