package forward_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weftmesh/weft/internal/waittest"
	"github.com/weftmesh/weft/proxy/http"
	"github.com/weftmesh/weft/proxy/http/h2"
	"github.com/weftmesh/weft/proxy/proxytest"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

func TestGRPCTravels(t *testing.T) {
	a := newApp(t, "one")
	out, client, servers := meshed(t, a.addr)
	cc := grpcTo(t, out)
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()

	var head, last metadata.MD
	got, err := call(metadata.AppendToOutgoingContext(ctx, "l5d-client-id", "forged"), cc, "hello", grpc.Header(&head), grpc.Trailer(&last))
	if err != nil || got != "hello" {
		t.Fatalf("got %q %v", got, err)
	}
	if head.Get("seen")[0] != "web.default.serviceaccount.identity.weft-system.cluster.local" || last.Get("last")[0] != "1" {
		t.Errorf("metadata %v, %v", head, last)
	}
	if _, err := call(ctx, cc, "fail"); status.Code(err) != codes.FailedPrecondition || !strings.Contains(err.Error(), "as asked") {
		t.Errorf("status: %v", err)
	}
	big := strings.Repeat("0123456789abcdef", 1<<20)
	if got, err := call(ctx, cc, big); err != nil || got != big {
		t.Errorf("16 MiB: %d bytes, %v", len(got), err)
	}
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			st, err := cc.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, "/a.B/D")
			if err != nil {
				t.Error(err)
				return
			}
			for i := range 50 {
				in, out := fmt.Appendf(nil, "message %d", i), []byte(nil)
				if err := st.SendMsg(&in); err != nil {
					t.Error(err)
					return
				}
				if err := st.RecvMsg(&out); err != nil || !bytes.Equal(in, out) {
					t.Errorf("got %q, %v", out, err)
					return
				}
			}
			_ = st.CloseSend()
			var out []byte
			if err := st.RecvMsg(&out); err != io.EOF {
				t.Errorf("got %v, want EOF", err)
			}
		})
	}
	wg.Wait()
	for _, w := range []*proxytest.Workload{client, servers[0]} {
		var text bytes.Buffer
		if err := w.Telemetry.WriteLinkerd(&text); err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{`grpc_status="0"`, `grpc_status="9"`} {
			waittest.Until(t, want, func() bool {
				text.Reset()
				_ = w.Telemetry.WriteLinkerd(&text)
				return strings.Contains(text.String(), want)
			})
		}
		waittest.Until(t, "nothing carried", func() bool { return w.Activity.Carried() == 0 })
	}
}

func TestGRPCDeadlineAndCancel(t *testing.T) {
	a := newApp(t, "one")
	out, client, servers := meshed(t, a.addr)
	cc := grpcTo(t, out)
	ended := int64(0)
	ends := func() {
		t.Helper()
		for ; ended < a.calls.Load(); ended++ {
			select {
			case err := <-a.ended:
				if err == nil {
					t.Error("the application saw no end")
				}
			case <-time.After(patience):
				t.Fatal("the application still works for nobody")
			}
		}
	}
	reaching(t, a.calls.Load, func(limit time.Duration) {
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		defer cancel()
		if _, err := call(ctx, cc, "wait"); status.Code(err) != codes.DeadlineExceeded {
			t.Errorf("deadline: %v", err)
		}
	})
	ends()
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		for before := ended; a.calls.Load() == before && t.Context().Err() == nil; {
			time.Sleep(time.Millisecond)
		}
		cancel()
	}()
	if _, err := call(ctx, cc, "wait"); status.Code(err) != codes.Canceled {
		t.Errorf("cancel: %v", err)
	}
	ends()
	for _, w := range append(servers, client) {
		waittest.Until(t, "nothing carried", func() bool { return w.Activity.Carried() == 0 })
	}
}

// The proxy keeps the deadline for a client, and an application, that do not.
func TestProxyEnforcesDeadline(t *testing.T) {
	var calls atomic.Int64
	ended := make(chan error, 10)
	a := rawApp(t, func(s *h2.Stream) {
		over := make(chan error, 1)
		s.OnAbort(h2.AbortFunc(func(err error) { over <- err }))
		calls.Add(1)
		ended <- <-over
	})
	out, client, servers := meshed(t, a)
	cl := h2To(t, out)
	reaching(t, calls.Load, func(limit time.Duration) {
		s, err := cl.Open(grpcRequest(field("grpc-timeout", fmt.Sprint(limit.Milliseconds(), "m"))), false)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		_, _ = s.WriteEnd([]byte("\x00\x00\x00\x00\x04wait"))
		if code := grpcCode(t, s); code != "4" {
			t.Errorf("grpc-status %s, want 4", code)
		}
	})
	waittest.Until(t, "the flag of a timeout", func() bool {
		// Both proxies keep the time; either may be first.
		var b strings.Builder
		return client.Telemetry.WriteIstio(&b) == nil && servers[0].Telemetry.WriteIstio(&b) == nil && strings.Contains(b.String(), `response_flags="UT"`)
	})
	select {
	case err := <-ended:
		if err == nil {
			t.Error("the application saw no end")
		}
	case <-time.After(patience):
		t.Fatal("the application still works for nobody")
	}
}

// A client that does not read stops the application, through both proxies.
func TestBackpressureEndToEnd(t *testing.T) {
	a := newApp(t, "one")
	out, client, servers := meshed(t, a.addr)
	cl := h2To(t, out)
	s, err := cl.Open(grpcRequest(), false)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = s.Write([]byte("\x00\x00\x00\x00\x05flood"))
	var r http.Response
	if err := s.ReadHead(&r); err != nil || r.Status != 200 {
		t.Fatal(r, err)
	}
	last := int64(-1)
	waittest.Until(t, "standstill", func() bool {
		time.Sleep(50 * time.Millisecond)
		was := last
		last = a.flood.Load()
		return last > 0 && was == last
	})
	// Three connections with a window of 256 KiB, and what lies in sockets.
	if n := last * 16 << 10; n > 16<<20 {
		t.Errorf("the application sent %d bytes to nobody", n)
	}
	// Others are not held up.
	if got, err := call(t.Context(), grpcTo(t, out), "hello"); err != nil || got != "hello" {
		t.Errorf("beside it: %q %v", got, err)
	}
	s.Close()
	if err := <-a.ended; err == nil {
		t.Error("the application saw no end")
	}
	for _, w := range append(servers, client) {
		waittest.Until(t, "nothing carried", func() bool { return w.Activity.Carried() == 0 })
	}
}
