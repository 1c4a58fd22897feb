package proxytest

import (
	"bytes"
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

	"github.com/weftmesh/weft/internal/waittest"
	"github.com/weftmesh/weft/proxy/conn"
)

// Whatever short and late calls do, bytes arrive whole and in order, also of
// flows that move.
func TestBytesThroughShortAndLateCalls(t *testing.T) {
	c := newCarried(t, echo)
	c.dial().says("first")
	f := &conn.Faults{
		Decide: func(_ conn.Op, size int) conn.Fault {
			switch r := mrand.Float64(); {
			case r < 0.2:
				return conn.Fault{Errno: syscall.EAGAIN}
			case r < 0.4:
				return conn.Fault{Most: 1 + mrand.IntN(min(size, 9000))}
			}
			return conn.Fault{}
		},
		Late: runtime.Gosched,
	}
	defer f.Inject()()
	var wg sync.WaitGroup
	for i := range 12 {
		wg.Go(func() {
			data := make([]byte, 1+mrand.IntN(100<<10))
			if i%3 == 0 {
				data = make([]byte, 5<<20)
			}
			rand.Read(data)
			w := c.dial()
			go func() {
				w.Write(data)
				w.Conn.(*net.TCPConn).CloseWrite()
			}()
			if b, err := io.ReadAll(w.in); err != nil || !bytes.Equal(b, data) {
				t.Errorf("%d of %d bytes come back, %v", len(b), len(data), err)
			}
		})
	}
	wg.Wait()
	if c.hops.Load() < 2 {
		t.Error("nothing has moved")
	}
}

// A reset at any call ends what it concerns, tells both ends, and leaves nothing
// behind; what comes afterwards is served.
func TestBytesAndAResetAtAnyCall(t *testing.T) {
	c := newCarried(t, echo)
	c.dial().says("first")
	var left atomic.Int64
	left.Store(1 << 40)
	f := &conn.Faults{Decide: func(conn.Op, int) conn.Fault {
		if left.Add(-1) == 0 {
			return conn.Fault{Errno: syscall.ECONNRESET}
		}
		return conn.Fault{}
	}}
	defer f.Inject()()
	data := make([]byte, 3<<20)
	rand.Read(data)
	for at := int64(1); at < 400; at += 1 + at/8 {
		left.Store(at)
		raw, err := net.Dial("tcp", c.out.String())
		if errors.Is(err, syscall.ECONNRESET) {
			continue // told already
		}
		if err != nil {
			t.Fatal(err)
		}
		raw.SetDeadline(time.Now().Add(20 * time.Second))
		wrote := make(chan error, 1)
		go func() {
			_, err := raw.Write(data)
			raw.(*net.TCPConn).CloseWrite()
			wrote <- err
		}()
		b, err := io.ReadAll(raw)
		if err == nil {
			err = <-wrote // the system tells of a reset once
		}
		switch {
		case isTimeout(err):
			t.Fatalf("call %d was reset, and nobody says so", at)
		case err == nil && !bytes.Equal(b, data), !bytes.HasPrefix(data, b):
			t.Fatalf("call %d was reset: %d of %d bytes are there, %v", at, len(b), len(data), err)
		}
		raw.Close()
		left.Store(1 << 40)
		c.dial().says("afterwards")
	}
	waittest.Until(t, "only what is open is carried", func() bool {
		return c.server.Activity.Carried() <= c.client.Activity.Carried()
	})
}
