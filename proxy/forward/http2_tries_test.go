package forward_test

import (
	"bytes"
	"io"
	nethttp "net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/weftmesh/weft/internal/porttest"
	"github.com/weftmesh/weft/internal/waittest"
	"github.com/weftmesh/weft/proxy/config"
	"github.com/weftmesh/weft/proxy/http"
	"github.com/weftmesh/weft/proxy/http/h2"
	"github.com/weftmesh/weft/proxy/proxytest"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

func TestProxyMadeErrors(t *testing.T) {
	ca := proxytest.NewCA(t)
	w := proxytest.New(t, ca, proxytest.ID("web"), proxytest.Options{})
	closed := porttest.Nobody(t)
	none, noRoute := w.Destination("none:80", config.HTTP)
	none.Rules()
	_, noBackend := w.Destination("bad:80", config.HTTP, proxytest.Share{Cluster: nil, Weight: 1})
	_, noEndpoint := w.Destination("empty:80", config.HTTP, proxytest.Share{Cluster: w.Cluster("empty"), Weight: 1})
	_, noConnect := w.Destination("closed:80", config.HTTP, proxytest.Share{Cluster: w.Cluster("closed", proxytest.Plain(closed)), Weight: 1})
	for _, c := range []struct {
		name   string
		to     netip.AddrPort
		grpc   codes.Code
		status int
		reason string
	}{
		{"no route", noRoute, codes.Unimplemented, 404, "no route"},
		{"no backend", noBackend, codes.Unavailable, 500, "no backend"},
		{"no endpoint", noEndpoint, codes.Unavailable, 503, "no endpoint"},
		{"no connection", noConnect, codes.Unavailable, 503, "connect failed"},
	} {
		var head metadata.MD
		if _, err := call(t.Context(), grpcTo(t, c.to), "x", grpc.Trailer(&head)); status.Code(err) != c.grpc {
			t.Errorf("%s: %v, want %v", c.name, err, c.grpc)
		} else if got := head.Get("weft-proxy-error"); len(got) != 1 || got[0] != c.reason {
			t.Errorf("%s: reason %v", c.name, got)
		}
		resp, err := plainClient(t).Post("http://"+c.to.String(), "text/plain", strings.NewReader("x"))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != c.status || resp.Header.Get("weft-proxy-error") != c.reason || len(body) < 2 {
			t.Errorf("%s: %d %v %q", c.name, resp.StatusCode, resp.Header, body)
		}
	}
	waittest.Until(t, "nothing carried", func() bool { return w.Activity.Carried() == 0 })
}

// What an endpoint certainly did not process goes to another one, body and all.
func TestRetriesElsewhere(t *testing.T) {
	closed := porttest.Nobody(t)
	for _, c := range []struct {
		name string
		bad  func(t testing.TB) netip.AddrPort
	}{
		{"connect failed", func(testing.TB) netip.AddrPort { return closed }},
		{"refused at once", func(t testing.TB) netip.AddrPort {
			return rawApp(t, func(s *h2.Stream) { s.Reset(h2.CodeRefusedStream) })
		}},
		{"refused after the body", func(t testing.TB) netip.AddrPort {
			return rawApp(t, func(s *h2.Stream) { _, _ = io.ReadAll(s); s.Reset(h2.CodeRefusedStream) })
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, size := range []int{0, 1, 10 << 10} {
				good := newApp(t, "good")
				ca := proxytest.NewCA(t)
				w := proxytest.New(t, ca, proxytest.ID("web"), proxytest.Options{})
				cl := w.Cluster("api", proxytest.Plain(c.bad(t)), proxytest.Plain(good.addr))
				_, out := w.Destination("api:80", config.HTTP, proxytest.Share{Cluster: cl, Weight: 1})
				cc := grpcTo(t, out)
				for i := range 10 {
					msg := strings.Repeat("x", size)
					if got, err := call(t.Context(), cc, msg); err != nil || got != msg {
						t.Errorf("call %d of %d bytes: %d bytes, %v", i, size, len(got), err)
					}
				}
			}
		})
	}
}

// The application behind one proxy is down: its proxy says that it did not
// process the request.
func TestRetriesWhatPeerDidNotProcess(t *testing.T) {
	closed := porttest.Nobody(t)
	good := newApp(t, "good")
	out, _, _ := meshed(t, closed, good.addr)
	cc := grpcTo(t, out)
	for range 20 {
		if got, err := call(t.Context(), cc, "hello"); err != nil || got != "hello" {
			t.Errorf("got %q %v", got, err)
		}
	}
	if good.calls.Load() != 20 {
		t.Errorf("%d calls arrived", good.calls.Load())
	}
}

// What may have been processed is not sent twice, unless its method allows it.
func TestDoesNotRepeatWhatMayHaveHappened(t *testing.T) {
	var seen atomic.Int64
	bad := rawApp(t, func(s *h2.Stream) { seen.Add(1); _, _ = io.ReadAll(s); s.Reset(h2.CodeInternal) })
	ca := proxytest.NewCA(t)
	w := proxytest.New(t, ca, proxytest.ID("web"), proxytest.Options{})
	_, out := w.Destination("api:80", config.HTTP, proxytest.Share{Cluster: w.Cluster("api", proxytest.Plain(bad)), Weight: 1})
	if _, err := call(t.Context(), grpcTo(t, out), "x"); status.Code(err) != codes.Unavailable || seen.Load() != 1 {
		t.Errorf("%v, and the application saw %d", err, seen.Load())
	}
	seen.Store(0)
	resp, err := plainClient(t).Get("http://" + out.String())
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 503 || seen.Load() != 3 {
		t.Errorf("GET: %d, and the application saw %d, want 503 and 3", resp.StatusCode, seen.Load())
	}
	seen.Store(0)
	// A body that is too large to be held is sent once.
	req, _ := nethttp.NewRequest("PUT", "http://"+out.String(), bytes.NewReader(make([]byte, 100<<10)))
	if resp, err = plainClient(t).Do(req); err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 503 || seen.Load() != 1 {
		t.Errorf("PUT: %d, and the application saw %d, want 503 and 1", resp.StatusCode, seen.Load())
	}
}

// A response that is cut off is not taken for a whole one.
func TestCutOff(t *testing.T) {
	kill := make(chan struct{})
	bad := rawApp(t, func(s *h2.Stream) {
		ct := "text/plain"
		if v, ok := http.Get(s.Request().Fields, "content-type"); ok {
			ct = string(v)
		}
		_ = s.WriteHead(&http.Response{Status: 200, Fields: []http.Field{field("content-type", ct)}}, false)
		_, _ = s.Write([]byte("half"))
		<-kill
		s.Reset(h2.CodeEnhanceYourCalm)
	})
	close(kill)
	out, _, _ := meshed(t, bad)
	cl := h2To(t, out)
	for _, r := range []*http.Request{grpcRequest(), {Method: []byte("GET"), Authority: []byte("x"), Target: []byte("/")}} {
		s, err := cl.Open(r, true)
		if err != nil {
			t.Fatal(err)
		}
		var h http.Response
		if err := s.ReadHead(&h); err == nil {
			_, err = io.ReadAll(s)
			if h2.CodeOf(err) != h2.CodeEnhanceYourCalm {
				t.Errorf("got %v, want the application's own reset", err)
			}
		} else if h2.CodeOf(err) != h2.CodeEnhanceYourCalm {
			t.Error(err)
		}
		s.Close()
	}
}

// An application that refuses a stream on a connection that was used before is
// asked once more by its own proxy, since nobody else may be there to do it.
func TestServersProxyTriesARefusedStreamOnce(t *testing.T) {
	var calls, refuse atomic.Int64
	a := rawApp(t, func(s *h2.Stream) {
		calls.Add(1)
		if refuse.Add(-1) >= 0 {
			s.Reset(h2.CodeRefusedStream)
			return
		}
		_ = s.WriteHead(&http.Response{Status: 200}, true)
	})
	w := proxytest.New(t, proxytest.NewCA(t), proxytest.ID("api"), proxytest.Options{})
	at := w.Before(a)
	cl := plainClient(t)
	for _, c := range []struct {
		refuse, calls int64
		status        int
	}{{0, 1, 200}, {1, 2, 200}, {5, 2, 503}} {
		calls.Store(0)
		refuse.Store(c.refuse)
		resp, err := cl.Post("http://"+at.String(), "text/plain", strings.NewReader("body"))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != c.status || calls.Load() != c.calls {
			t.Errorf("refused %d times: %d after %d calls, want %d after %d", c.refuse, resp.StatusCode, calls.Load(), c.status, c.calls)
		}
	}
}
