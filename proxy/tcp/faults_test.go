package tcp

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	mrand "math/rand/v2"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/weftmesh/weft/proxy/conn"
)

// misbehave makes each system call short, late or broken with some probability.
func misbehave(short, late, broken float64) *conn.Faults {
	return &conn.Faults{
		Decide: func(_ conn.Op, size int) conn.Fault {
			switch r := mrand.Float64(); {
			case r < broken:
				return conn.Fault{Errno: syscall.ECONNRESET}
			case r < broken+late:
				return conn.Fault{Errno: syscall.EAGAIN}
			case r < broken+late+short:
				return conn.Fault{Most: 1 + mrand.IntN(min(size, 3000))}
			}
			return conn.Fault{}
		},
		Late: func() {
			if mrand.IntN(8) == 0 {
				time.Sleep(time.Duration(mrand.IntN(200)) * time.Microsecond)
				return
			}
			runtime.Gosched()
		},
	}
}

// settle waits until nothing of what ran is left.
func settle(t *testing.T, f *conn.Faults, goroutines int) {
	t.Helper()
	for end := time.Now().Add(patience); runtime.NumGoroutine() > goroutines || f.Buffers() != 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d goroutines (%d before), %d buffers are left", runtime.NumGoroutine(), goroutines, f.Buffers())
		}
	}
}

// Whatever short and late calls do, bytes arrive in order and the ends are
// passed on, over plaintext and through mutual TLS.
func TestShortAndLateCalls(t *testing.T) {
	sc, cc := mutual(t)
	before := runtime.NumGoroutine()
	f := misbehave(0.3, 0.3, 0)
	defer f.Inject()()
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			up, down := make([]byte, 1+mrand.IntN(400<<10)), make([]byte, 1+mrand.IntN(400<<10))
			rand.Read(up)
			rand.Read(down)
			var client, server *net.TCPConn
			var ends []chan result
			if i%2 == 0 {
				h := newHop(t, sc, cc, Options{Idle: time.Minute})
				client, server, ends = h.client, h.server, h.done[:]
			} else {
				c, s, done := piped(context.Background(), t, Options{})
				client, server, ends = c, s, []chan result{done}
			}
			client.SetDeadline(time.Now().Add(3 * patience))
			server.SetDeadline(time.Now().Add(3 * patience))
			got := make(chan []byte, 1)
			go func() { client.Write(up); client.CloseWrite() }()
			go func() { p, _ := io.ReadAll(server); server.Write(down); server.CloseWrite(); got <- p }()
			if p, err := io.ReadAll(client); err != nil || !bytes.Equal(p, down) {
				t.Errorf("down: %d of %d bytes, %v", len(p), len(down), err)
			}
			if p := <-got; !bytes.Equal(p, up) {
				t.Errorf("up: %d of %d bytes", len(p), len(up))
			}
			for _, done := range ends {
				if r := wait(t, done); r.err != nil {
					t.Error(r.err)
				}
			}
			client.Close()
			server.Close()
		})
	}
	wg.Wait()
	settle(t, f, before)
}

// A reset at any call ends everything, and both ends are told.
func TestResetAtAnyCall(t *testing.T) {
	sc, cc := mutual(t)
	before := runtime.NumGoroutine()
	var left atomic.Int64
	left.Store(1 << 40)
	f := &conn.Faults{Decide: func(conn.Op, int) conn.Fault {
		if left.Add(-1) == 0 {
			return conn.Fault{Errno: syscall.ECONNRESET}
		}
		return conn.Fault{}
	}}
	defer f.Inject()()
	for at := int64(1); at < 60; at++ {
		h := newHop(t, sc, cc, Options{})
		left.Store(at)
		go func() { h.server.Write(make([]byte, 300<<10)); h.server.CloseWrite() }()
		go func() { h.client.Write(make([]byte, 100<<10)); h.client.CloseWrite() }()
		go io.Copy(io.Discard, h.server)
		_, err := io.Copy(io.Discard, h.client)
		a, b := wait(t, h.done[0]), wait(t, h.done[1])
		if left.Load() <= 0 && a.err == nil && b.err == nil {
			t.Fatalf("call %d was reset, and nobody says so: %v", at, err)
		}
		left.Store(1 << 40)
		h.client.Close()
		h.server.Close()
	}
	settle(t, f, before)
}

// Readers that stop hold no more than the budget of large buffers and a bulk
// buffer each, however much is sent to them.
func TestSlowReadersHoldLittle(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector's own memory")
	}
	sc, cc := mutual(t)
	const n = 60
	h0, _ := memory()
	var hops []*hop
	var senders sync.WaitGroup // whose memory must not be counted by another test
	defer senders.Wait()
	for range n {
		h := newHop(t, sc, cc, Options{})
		hops = append(hops, h)
		senders.Go(func() { h.server.Write(make([]byte, 16<<20)) }) // nobody reads it
	}
	grown := uint64(0)
	for range 20 {
		time.Sleep(20 * time.Millisecond)
		h1, _ := memory()
		// The senders' own memory is 16 MiB each.
		grown = max(grown, max(h1, h0+n*16<<20)-h0-n*16<<20)
	}
	if grown > 48<<20 {
		t.Errorf("%d MiB are held", grown>>20)
	}
	for _, h := range hops {
		h.client.Close()
		h.server.Close()
		wait(t, h.done[0])
		wait(t, h.done[1])
	}
}

func TestServerFirstThroughTLS(t *testing.T) {
	sc, cc := mutual(t)
	h := newHop(t, sc, cc, Options{})
	h.server.Write([]byte("220 hi"))
	p := make([]byte, 6)
	if _, err := io.ReadFull(h.client, p); err != nil || string(p) != "220 hi" {
		t.Fatal(err)
	}
	// A half-close passes, and the answer still comes.
	h.client.Write([]byte("bye"))
	h.client.CloseWrite()
	h.server.SetDeadline(time.Now().Add(patience))
	if p, err := io.ReadAll(h.server); err != nil || string(p) != "bye" {
		t.Fatalf("%q %v", p, err)
	}
	h.server.Write([]byte("221"))
	h.server.Close()
	if p, err := io.ReadAll(h.client); err != nil || string(p) != "221" {
		t.Fatalf("%q %v", p, err)
	}
	for _, done := range h.done {
		if r := wait(t, done); r.err != nil && !errors.Is(r.err, io.EOF) {
			t.Error(r.err)
		}
	}
}
