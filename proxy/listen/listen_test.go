package listen

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"sync"
	"syscall"
	"testing"
	"time"
)

const patience = 10 * time.Second

var quiet = slog.New(slog.DiscardHandler)

func start(t *testing.T, h Handler) (*Listener, chan error) {
	t.Helper()
	l, err := Listen(context.Background(), "127.0.0.1:0", quiet)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- l.Serve(h) }()
	t.Cleanup(func() { l.Close() })
	return l, done
}

func echo(_ context.Context, a Accepted) {
	for a.Conn.Fill() == nil {
		p := a.Conn.Buffered()
		a.Conn.Write(p)
		a.Conn.Discard(len(p))
	}
}

func dial(t *testing.T, l *Listener) *net.TCPConn {
	t.Helper()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	return c.(*net.TCPConn)
}

func ping(t *testing.T, c net.Conn) {
	t.Helper()
	if _, err := c.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
}

func TestServe(t *testing.T) {
	got := make(chan Accepted, 1)
	l, _ := start(t, func(ctx context.Context, a Accepted) { got <- a; echo(ctx, a) })
	c := dial(t, l)
	ping(t, c)
	a := <-got
	if a.Redirected || a.Original != l.Addr() || a.Conn.Remote().String() != c.LocalAddr().String() {
		t.Errorf("%+v", a)
	}
	if n := l.Active(); n != 1 {
		t.Errorf("%d active", n)
	}
}

func TestDrainWaitsForHandlers(t *testing.T) {
	l, done := start(t, echo)
	c := dial(t, l)
	ping(t, c)
	drained := make(chan error, 1)
	go func() { drained <- l.Drain(context.Background()) }()
	<-l.Draining()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if _, err := net.Dial("tcp", l.Addr().String()); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("a draining listener accepts: %v", err)
	}
	ping(t, c)
	select {
	case err := <-drained:
		t.Fatalf("drained with a connection open: %v", err)
	default:
	}
	c.Close()
	if err := <-drained; err != nil {
		t.Error(err)
	}
	if l.Active() != 0 {
		t.Error("something is active")
	}
}

func TestDrainGivesUp(t *testing.T) {
	l, _ := start(t, echo)
	c := dial(t, l)
	ping(t, c)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	if err := l.Drain(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	if _, err := c.Read(make([]byte, 1)); err == nil || errors.Is(err, syscall.ETIMEDOUT) {
		t.Errorf("still open: %v", err)
	}
}

func TestCloseEndsHandlers(t *testing.T) {
	ended := make(chan struct{})
	l, done := start(t, func(ctx context.Context, a Accepted) { echo(ctx, a); <-ctx.Done(); close(ended) })
	c := dial(t, l)
	ping(t, c)
	l.Close()
	l.Close()
	<-ended
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// refusing fails a few times before it accepts.
type refusing struct {
	net.Listener
	mu   sync.Mutex
	left int
}

func (r *refusing) Accept() (net.Conn, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.left > 0 {
		r.left--
		return nil, &net.OpError{Op: "accept", Err: syscall.EMFILE}
	}
	return r.Listener.Accept()
}

func TestOutOfDescriptorsIsWaitedOut(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := New(&refusing{Listener: ln, left: 3}, quiet)
	go l.Serve(echo)
	ping(t, dial(t, l))
	l.Close()
}

func TestListenNamesTheAddress(t *testing.T) {
	l, _ := start(t, echo)
	_, err := Listen(context.Background(), l.Addr().String(), quiet)
	if !errors.Is(err, syscall.EADDRINUSE) {
		t.Error(err)
	}
}
