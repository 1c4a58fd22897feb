package forward_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weftmesh/weft/internal/waittest"
	"github.com/weftmesh/weft/proxy/config"
	"github.com/weftmesh/weft/proxy/http"
	"github.com/weftmesh/weft/proxy/http/h2"
	"github.com/weftmesh/weft/proxy/proxytest"
)

func TestDrain(t *testing.T) {
	a := newApp(t, "one")
	out, client, servers := meshed(t, a.addr)
	cl := h2To(t, out)
	s, err := cl.Open(grpcRequest(), false)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	_, _ = s.Write([]byte("\x00\x00\x00\x00\x02hi"))
	var r http.Response
	if err := s.ReadHead(&r); err != nil || r.Status != 200 {
		t.Fatal(r, err)
	}
	client.Activity.Drain()
	servers[0].Activity.Drain()
	waittest.Until(t, "GOAWAY", cl.Closing)
	_, _ = s.WriteEnd([]byte("\x00\x00\x00\x00\x02ho"))
	got, err := io.ReadAll(s)
	if err != nil || string(got) != "\x00\x00\x00\x00\x02hi\x00\x00\x00\x00\x02ho" {
		t.Errorf("got %q %v", got, err)
	}
	select {
	case <-cl.Done():
	case <-time.After(patience):
		t.Fatal("the connection does not end")
	}
	if cl.Err() != nil {
		t.Error(cl.Err())
	}
	// Whoever comes later is still served.
	if got, err := call(t.Context(), grpcTo(t, out), "late"); err != nil || got != "late" {
		t.Errorf("got %q %v", got, err)
	}
}

// One of two applications restarts in order while calls go on: none is lost.
func TestGracefulRestartLosesNothing(t *testing.T) {
	one, two := newApp(t, "one"), newApp(t, "two")
	out, _, _ := meshed(t, one.addr, two.addr)
	cc := grpcTo(t, out)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	var done atomic.Int64
	for range 8 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if got, err := call(t.Context(), cc, "hello"); err != nil || got != "hello" {
					t.Errorf("got %q %v", got, err)
					return
				}
				done.Add(1)
			}
		})
	}
	waittest.Until(t, "traffic on both", func() bool { return one.calls.Load() > 20 && two.calls.Load() > 20 })
	one.GracefulStop()
	n := done.Load()
	waittest.Until(t, "traffic after the stop", func() bool { return done.Load() > n+200 })
	close(stop)
	wg.Wait()
}

func TestIdleConnectionEnds(t *testing.T) {
	a := newApp(t, "one")
	ca := proxytest.NewCA(t)
	o := proxytest.Options{}
	o.Limits.Idle = time.Second // what is opened at once is not idle
	w := proxytest.New(t, ca, proxytest.ID("web"), o)
	_, out := w.Destination("api:80", config.HTTP, proxytest.Share{Cluster: w.Cluster("api", proxytest.Plain(a.addr)), Weight: 1})
	cl := h2To(t, out)
	s, err := cl.Open(grpcRequest(), false)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = s.WriteEnd([]byte("\x00\x00\x00\x00\x02hi"))
	if code := grpcCode(t, s); code != "0" {
		t.Errorf("grpc-status %s", code)
	}
	s.Close()
	select {
	case <-cl.Done():
	case <-time.After(patience):
		t.Fatal("an idle connection stays")
	}
	if err := cl.Err(); err != nil && !errors.Is(err, h2.ErrClosed) {
		t.Error(err)
	}
}

// Calls that end at any moment, in any way, leave nothing behind.
func TestCancelStorm(t *testing.T) {
	one, two := newApp(t, "one"), newApp(t, "two")
	out, client, servers := meshed(t, one.addr, two.addr)
	cc := grpcTo(t, out)
	go func() { // what ends is of no interest here
		for {
			select {
			case <-one.ended:
			case <-two.ended:
			case <-t.Context().Done():
				return
			}
		}
	}()
	var wg sync.WaitGroup
	var good atomic.Int64
	msgs := []string{"hello", "wait", "flood", "fail", strings.Repeat("x", 300<<10)}
	for g := range 40 {
		wg.Go(func() {
			for i := range 15 {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration((g*7+i*13)%50)*time.Millisecond)
				if _, err := call(ctx, cc, msgs[(g+i)%len(msgs)]); err == nil {
					good.Add(1)
				}
				cancel()
			}
		})
	}
	wg.Wait()
	for _, w := range append(servers, client) {
		waittest.Until(t, "nothing carried", func() bool { return w.Activity.Carried() == 0 })
		if n := w.Activity.Panics(); n != 0 {
			t.Errorf("%d panics", n)
		}
	}
	if got, err := call(t.Context(), cc, "after"); err != nil || got != "after" {
		t.Errorf("after the storm: %q %v", got, err)
	}
}
