package tcp

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/weftmesh/weft/proxy/conn"
	"github.com/weftmesh/weft/proxy/conntest"
)

const patience = 10 * time.Second

type result struct {
	ab, ba int64
	err    error
}

// piped returns the outer ends of a running pipe, and its result.
func piped(ctx context.Context, t *testing.T, o Options) (client, server *net.TCPConn, done chan result) {
	client, a := conntest.TCP(t)
	server, b := conntest.TCP(t)
	done = make(chan result, 1)
	go func() {
		ab, ba, err := Pipe(ctx, conn.New(a), conn.New(b), o)
		done <- result{ab, ba, err}
	}()
	return client, server, done
}

func wait(t *testing.T, done chan result) result {
	t.Helper()
	select {
	case r := <-done:
		return r
	case <-time.After(patience):
		t.Fatal("the pipe does not end")
		return result{}
	}
}

func TestBothDirections(t *testing.T) {
	var counted atomic.Int64
	client, server, done := piped(context.Background(), t, Options{OnBytes: func(a, b int) { counted.Add(int64(a + b)) }})
	up, down := make([]byte, 5<<20), make([]byte, 3<<20)
	rand.Read(up)
	rand.Read(down)
	send := func(c *net.TCPConn, p []byte) {
		c.Write(p)
		c.CloseWrite()
	}
	go send(client, up)
	go send(server, down)
	got := make(chan []byte, 1)
	go func() { p, _ := io.ReadAll(server); got <- p }()
	if p, err := io.ReadAll(client); err != nil || !bytes.Equal(p, down) {
		t.Errorf("down: %d bytes, %v", len(p), err)
	}
	if p := <-got; !bytes.Equal(p, up) {
		t.Errorf("up: %d bytes", len(p))
	}
	if r := wait(t, done); r.err != nil || r.ab != int64(len(up)) || r.ba != int64(len(down)) || counted.Load() != r.ab+r.ba {
		t.Errorf("%+v, counted %d", r, counted.Load())
	}
}

func TestHalfCloseIsPassedOn(t *testing.T) {
	client, server, done := piped(context.Background(), t, Options{})
	client.Write([]byte("ask"))
	client.CloseWrite()
	if p, err := io.ReadAll(server); err != nil || string(p) != "ask" {
		t.Fatalf("%q %v", p, err)
	}
	server.Write([]byte("answer"))
	server.Close()
	if p, err := io.ReadAll(client); err != nil || string(p) != "answer" {
		t.Fatalf("%q %v", p, err)
	}
	if r := wait(t, done); r.err != nil || r.ab != 3 || r.ba != 6 {
		t.Errorf("%+v", r)
	}
}

func TestServerFirst(t *testing.T) {
	client, server, _ := piped(context.Background(), t, Options{})
	server.Write([]byte("220 hi"))
	p := make([]byte, 6)
	if _, err := io.ReadFull(client, p); err != nil {
		t.Fatal(err)
	}
}

func TestBufferedBytesGoFirst(t *testing.T) {
	client, x := conntest.TCP(t)
	server, y := conntest.TCP(t)
	a, b := conn.New(x), conn.New(y)
	client.Write([]byte("first"))
	if err := a.Fill(); err != nil {
		t.Fatal(err)
	}
	done := make(chan result, 1)
	go func() { ab, ba, err := Pipe(context.Background(), a, b, Options{}); done <- result{ab, ba, err} }()
	p := make([]byte, 5)
	if _, err := io.ReadFull(server, p); err != nil || string(p) != "first" {
		t.Fatal(err)
	}
	client.Close()
	server.Close()
	wait(t, done)
}

func TestResetIsPassedOn(t *testing.T) {
	client, server, done := piped(context.Background(), t, Options{})
	client.Write([]byte("x"))
	if _, err := io.ReadFull(server, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	client.SetLinger(0)
	client.Close()
	server.SetDeadline(time.Now().Add(patience))
	if _, err := server.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the other side is told %v", err)
	}
	if r := wait(t, done); !errors.Is(r.err, syscall.ECONNRESET) {
		t.Errorf("%+v", r)
	}
}

func TestIdleTimeout(t *testing.T) {
	client, _, done := piped(context.Background(), t, Options{Idle: 50 * time.Millisecond})
	if r := wait(t, done); !errors.Is(r.err, ErrIdle) {
		t.Errorf("%+v", r)
	}
	if _, err := client.Read(make([]byte, 1)); err == nil {
		t.Error("still open")
	}
}

// One direction that moves keeps the silent one alive. That is tried with longer
// and longer limits where the bytes themselves do not come in time.
func TestActivityIsNotIdle(t *testing.T) {
	moves := func(idle time.Duration) bool {
		client, server, done := piped(context.Background(), t, Options{Idle: idle})
		defer func() {
			client.Close()
			server.Close()
			wait(t, done)
		}()
		b := make([]byte, 1)
		for end := time.Now().Add(4 * idle); time.Now().Before(end); time.Sleep(idle / 20) {
			if _, err := client.Write(b); err != nil {
				return false
			}
			if _, err := io.ReadFull(server, b); err != nil {
				return false
			}
		}
		return true
	}
	for idle := 100 * time.Millisecond; !moves(idle); idle *= 2 {
		if idle > patience/4 {
			t.Fatal("cut while active, however long it may be idle")
		}
	}
}

func TestContextEndsIt(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	_, _, done := piped(ctx, t, Options{})
	cancel()
	if r := wait(t, done); !errors.Is(r.err, context.Canceled) {
		t.Errorf("%+v", r)
	}
}

// A reader that does not read stops the writer: the pipe does not store.
func TestBackpressure(t *testing.T) {
	client, server, done := piped(context.Background(), t, Options{})
	client.SetWriteDeadline(time.Now().Add(300 * time.Millisecond))
	n, err := client.Write(make([]byte, 256<<20))
	if err == nil || n > 64<<20 {
		t.Errorf("%d bytes were taken: %v", n, err)
	}
	client.CloseWrite()
	server.SetDeadline(time.Now().Add(patience))
	if m, err := io.Copy(io.Discard, server); err != nil || m != int64(n) {
		t.Errorf("%d of %d bytes arrive: %v", m, n, err)
	}
	server.Close()
	wait(t, done)
}

func TestNothingIsLeft(t *testing.T) {
	before := runtime.NumGoroutine()
	for range 50 {
		client, server, done := piped(context.Background(), t, Options{Idle: time.Hour})
		client.Write([]byte(strings.Repeat("x", 1000)))
		client.CloseWrite()
		io.ReadAll(server)
		server.Close()
		wait(t, done)
	}
	for end := time.Now().Add(patience); runtime.NumGoroutine() > before; runtime.Gosched() {
		if time.Now().After(end) {
			t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), before)
		}
	}
}

func BenchmarkPipe(b *testing.B) {
	for _, size := range []int{1 << 10, 1 << 20} {
		b.Run(map[int]string{1 << 10: "1KiB", 1 << 20: "1MiB"}[size], func(b *testing.B) {
			client, x := conntest.TCP(b)
			server, y := conntest.TCP(b)
			client.SetDeadline(time.Time{})
			server.SetDeadline(time.Time{})
			go Pipe(context.Background(), conn.New(x), conn.New(y), Options{})
			p, q := make([]byte, size), make([]byte, size)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				go client.Write(p)
				if _, err := io.ReadFull(server, q); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
