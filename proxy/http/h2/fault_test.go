package h2

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/weftmesh/weft/internal/waittest"
	"github.com/weftmesh/weft/proxy/http"
)

// faulty is a transport that reads and writes in pieces and, at the operation
// of that number, is reset: before it, or after its effect.
type faulty struct {
	*memConn
	ops   atomic.Int64
	at    int64 // 0 is never
	after bool
	rnd   *rand.Rand // of the reader
	whole []byte     // read and not yet shown
	short bool
}

func (f *faulty) step() bool { return f.ops.Add(1) == f.at }

func (f *faulty) reset() error {
	f.in.fail(syscall.ECONNRESET)
	f.out.fail(syscall.ECONNRESET)
	return syscall.ECONNRESET
}

func (f *faulty) op(do func() error) error {
	hit := f.step()
	if hit && !f.after {
		return f.reset()
	}
	err := do()
	if hit {
		return f.reset()
	}
	return err
}

// Fill shows some bytes more of what has come.
func (f *faulty) Fill() error {
	return f.op(func() error {
		if !f.short {
			return f.memConn.Fill()
		}
		if len(f.whole) == 0 {
			kept := f.buf[f.pos:]
			f.buf, f.pos = append([]byte(nil), kept...), 0
			n := len(f.buf)
			if err := f.memConn.Fill(); err != nil {
				return err
			}
			f.whole = append([]byte(nil), f.buf[n:]...)
			f.buf = f.buf[:n]
		}
		n := 1 + f.rnd.IntN(len(f.whole))
		if f.rnd.IntN(3) == 0 {
			n = 1
		}
		f.buf, f.whole = append(f.buf, f.whole[:n]...), f.whole[n:]
		return nil
	})
}

func (f *faulty) Write(p []byte) (n int, err error) {
	err = f.op(func() error { n, err = f.memConn.Write(p); return err })
	return n, err
}

func (f *faulty) Flush() error { return f.op(f.memConn.Flush) }

func (f *faulty) TryFlush() (done bool, err error) {
	err = f.op(func() error { done, err = f.memConn.TryFlush(); return err })
	return done, err
}

func (f *faulty) CloseWrite() error { return f.op(f.memConn.CloseWrite) }

// session makes exchanges of every kind over a faulty connection and checks that
// whatever succeeds is right and that nothing stays behind. It returns how many
// operations each side made.
func session(t *testing.T, o Options, clientAt, serverAt int64, after, short bool) (clientOps, serverOps int64) {
	t.Helper()
	a, b := memPair(3000)
	seed := uint64(clientAt*1000 + serverAt)
	ca := &faulty{memConn: a, at: clientAt, after: after, short: short, rnd: rand.New(rand.NewPCG(seed, 1))}
	sb := &faulty{memConn: b, at: serverAt, after: after, short: short, rnd: rand.New(rand.NewPCG(seed, 2))}
	name := fmt.Sprintf("client's operation %d, server's %d, after %v", clientAt, serverAt, after)
	guard := time.AfterFunc(3*patience, func() {
		buf := make([]byte, 1<<20)
		panic(name + " hangs\n" + string(buf[:runtime.Stack(buf, true)]))
	})
	defer guard.Stop()
	srv := NewServer(sb, o)
	over := make(chan struct{})
	go func() { defer close(over); _ = srv.Serve(context.Background(), echoToken) }()
	cl := NewClient(ca, o)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 3 {
				if ok := exchange(t, name, cl, i, j); !ok && clientAt == 0 && serverAt == 0 && i != 7 {
					t.Errorf("%s: an exchange failed", name)
				}
			}
		})
	}
	wg.Wait()
	cl.Drain()
	<-cl.Done()
	srv.Close()
	<-over
	for _, c := range []*mux{cl.c, srv.c} {
		c.mu.Lock()
		if c.open.n != 0 || c.handlers != 0 || c.buffered != 0 || writers(c) != 0 || c.idleWorkers != 0 {
			t.Errorf("%s: left behind: %d streams, %d handlers, %d bytes, %d writers, %d workers", name, c.open.n, c.handlers, c.buffered, writers(c), c.idleWorkers)
		}
		c.mu.Unlock()
	}
	return ca.ops.Load(), sb.ops.Load()
}

// writers is how many wait in a line or have their turn; c.mu is held.
func writers(c *mux) (n int) {
	for _, l := range []*line{&c.credit, &c.space} {
		if n += len(l.list); l.turn != nil {
			n++
		}
	}
	return n
}

// echoToken answers with the request's token in head, body and trailers; the
// body is the request's.
func echoToken(s *Stream) {
	token, _ := http.Get(s.Request().Fields, "token")
	mark := []http.Field{{Name: []byte("token"), Value: token}}
	if p, last := s.Peek(); last {
		_, _ = s.WriteResponse(&http.Response{Status: 200, Fields: mark}, p, mark, true)
		return
	}
	if s.WriteHead(&http.Response{Status: 200, Fields: mark}, false) != nil {
		return
	}
	for {
		p, err := s.Next()
		if err == io.EOF {
			_ = s.WriteTrailers(mark)
			return
		}
		if err != nil {
			if errors.Is(err, io.EOF) {
				panic("a failure that looks like the end")
			}
			return
		}
		if _, err := s.Write(p); err != nil {
			return
		}
		s.Consume(len(p))
	}
}

func exchange(t *testing.T, name string, cl *Client, i, j int) (ok bool) {
	token := fmt.Sprintf("%d.%d", i, j)
	body := bytes.Repeat([]byte(token+","), 1+1500*(i%3)*(i%3))
	s, n, err := cl.OpenWith(request("POST", "/", field("token", token)), body, true)
	if err != nil {
		return false
	}
	ref := s.Ref()
	var up sync.WaitGroup
	if n < len(body) {
		up.Go(func() { _, _ = s.WriteEnd(body[n:]) })
	}
	if i == 7 {
		// Given up from outside, at some moment.
		go ref.Reset(CodeCancel)
	}
	var h http.Response
	var got []byte
	p, last, err := s.Receive(&h)
	if err == nil {
		if v := get(t, h.Fields, "token"); v != token {
			t.Errorf("%s: the response of %s went to %s", name, v, token)
		}
		got = append(got, p...)
		s.Consume(len(p))
	}
	for err == nil && !last {
		if p, err = s.Next(); err == nil {
			got = append(got, p...)
			s.Consume(len(p))
		}
	}
	switch {
	case err == io.EOF || err == nil:
		if v := get(t, s.Trailers(), "token"); !bytes.Equal(got, body) || v != token {
			t.Errorf("%s: the end of %s after %d bytes of %d, trailer %q", name, token, len(got), len(body), v)
		}
	case errors.Is(err, io.EOF):
		t.Errorf("%s: %v may be taken for the end", name, err)
	}
	if err != nil && err != io.EOF {
		s.Reset(CodeCancel)
	}
	up.Wait()
	s.Release()
	ref.Reset(CodeInternal) // of a stream that is another's by now
	return err == nil || err == io.EOF
}

// The transport fails at each of its operations in turn.
func TestResetAtEveryOperation(t *testing.T) {
	before := runtime.NumGoroutine()
	for _, o := range []Options{{Plain: true, Window: 1 << 16}, {Window: 1 << 16}} {
		co, so := session(t, o, 0, 0, false, false)
		if co < 30 || so < 30 {
			t.Fatalf("only %d and %d operations", co, so)
		}
		for _, after := range []bool{false, true} {
			for at := int64(1); at <= co+5; at++ {
				session(t, o, at, 0, after, false)
			}
			for at := int64(1); at <= so+5; at++ {
				session(t, o, 0, at, after, false)
			}
		}
	}
	waittest.Until(t, "goroutines gone", func() bool { return runtime.NumGoroutine() <= before })
}

// Reads end anywhere, the socket's buffer is small, and nothing fails; then it
// fails too.
func TestShortReadsAndWrites(t *testing.T) {
	before := runtime.NumGoroutine()
	for _, o := range []Options{{Plain: true}, {}} {
		co, _ := session(t, o, 0, 0, false, true)
		for at := int64(1); at <= co; at += 1 + co/40 {
			session(t, o, at, 0, at%2 == 0, true)
		}
	}
	waittest.Until(t, "goroutines gone", func() bool { return runtime.NumGoroutine() <= before })
}

// A connection that is lost in the middle of a body is never its end, whatever
// the loss looks like: not for the reader of the response, not for that of the
// request.
func TestLostConnectionIsNoEnd(t *testing.T) {
	for _, o := range []Options{{Plain: true}, {}} {
		for _, how := range []string{"end", "reset", "close"} {
			for _, fields := range [][]http.Field{nil, {field("content-length", "1000")}} {
				a, b := memPair(0)
				request1 := make(chan error, 1)
				srv := NewServer(b, o)
				over := make(chan struct{})
				go func() {
					defer close(over)
					_ = srv.Serve(context.Background(), func(s *Stream) {
						_ = s.WriteHead(&http.Response{Status: 200, Fields: fields}, false)
						_, _ = s.Write([]byte("half"))
						_, err := io.ReadAll(s)
						request1 <- err
					})
				}()
				cl := NewClient(a, o)
				s, _, err := cl.OpenWith(request("POST", "/", fields...), []byte("half"), false)
				if err != nil {
					t.Fatal(err)
				}
				var h http.Response
				if err := s.ReadHead(&h); err != nil {
					t.Fatal(err)
				}
				if p, err := s.Next(); string(p) != "half" || err != nil {
					t.Fatalf("%q %v", p, err)
				}
				s.Consume(4)
				switch how {
				case "end": // FIN without a word
					a.in.fail(nil)
					a.out.fail(nil)
				case "reset":
					a.in.fail(syscall.ECONNRESET)
					a.out.fail(syscall.ECONNRESET)
				case "close":
					srv.Close()
				}
				for i := range 2 {
					if p, err := s.Next(); err == nil || errors.Is(err, io.EOF) {
						t.Errorf("%s, response, %d: %q, %v", how, i, p, err)
					}
				}
				if _, last := s.Peek(); last || s.Ended() {
					t.Errorf("%s: the response is called complete", how)
				}
				if err := <-request1; err == nil || errors.Is(err, io.EOF) {
					t.Errorf("%s, request: %v", how, err)
				}
				s.Release()
				cl.Close()
				<-cl.Done()
				srv.Close()
				<-over
			}
		}
	}
}
