package forward_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	nethttp "net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weftmesh/weft/proxy/config"
	"github.com/weftmesh/weft/proxy/conn"
	"github.com/weftmesh/weft/proxy/http"
	"github.com/weftmesh/weft/proxy/http/h2"
	"github.com/weftmesh/weft/proxy/proxytest"
	"github.com/weftmesh/weft/proxy/upstream"
	"golang.org/x/net/http2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

const patience = 10 * time.Second

type bytesCodec struct{}

func (bytesCodec) Marshal(v any) ([]byte, error)   { return *v.(*[]byte), nil }
func (bytesCodec) Unmarshal(p []byte, v any) error { *v.(*[]byte) = bytes.Clone(p); return nil }
func (bytesCodec) Name() string                    { return "bytes" }

// listenTCP listens on loopback until the test ends.
func listenTCP(t testing.TB) (net.Listener, netip.AddrPort) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l, netip.MustParseAddrPort(l.Addr().String())
}

// app is a gRPC application that echoes messages; some are commands.
type app struct {
	*grpc.Server
	addr  netip.AddrPort
	calls atomic.Int64
	ended chan error // how the calls that wait or flood ended
	flood atomic.Int64
}

func newApp(t testing.TB, name string) *app {
	t.Helper()
	l, addr := listenTCP(t)
	a := &app{addr: addr, ended: make(chan error, 100)}
	a.Server = grpc.NewServer(grpc.ForceServerCodec(bytesCodec{}), grpc.MaxRecvMsgSize(64<<20),
		grpc.UnknownServiceHandler(func(_ any, st grpc.ServerStream) error {
			a.calls.Add(1)
			md, _ := metadata.FromIncomingContext(st.Context())
			_ = st.SetHeader(metadata.Pairs("app", name, "seen", strings.Join(md.Get("l5d-client-id"), ",")))
			st.SetTrailer(metadata.Pairs("last", "1"))
			for {
				var m []byte
				if err := st.RecvMsg(&m); err == io.EOF {
					return nil
				} else if err != nil {
					a.ended <- err
					return err
				}
				switch string(m) {
				case "fail":
					return status.Error(codes.FailedPrecondition, "as asked")
				case "wait":
					<-st.Context().Done()
					a.ended <- st.Context().Err()
					return st.Context().Err()
				case "flood":
					for big := make([]byte, 16<<10); ; a.flood.Add(1) {
						if err := st.SendMsg(&big); err != nil {
							a.ended <- err
							return err
						}
					}
				}
				if err := st.SendMsg(&m); err != nil {
					return err
				}
			}
		}))
	go a.Server.Serve(l)
	t.Cleanup(a.Server.Stop)
	return a
}

func grpcTo(t testing.TB, a netip.AddrPort) *grpc.ClientConn {
	t.Helper()
	cc, err := grpc.NewClient(a.String(), grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDisableRetry(),
		grpc.WithDefaultCallOptions(grpc.ForceCodec(bytesCodec{}), grpc.MaxCallRecvMsgSize(64<<20)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cc.Close() })
	return cc
}

func call(ctx context.Context, cc *grpc.ClientConn, msg string, o ...grpc.CallOption) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	in, out := []byte(msg), []byte(nil)
	err := cc.Invoke(ctx, "/a.B/C", &in, &out, o...)
	return string(out), err
}

// meshed puts proxies before two applications, and one before a client.
func meshed(t testing.TB, apps ...netip.AddrPort) (out netip.AddrPort, client *proxytest.Workload, servers []*proxytest.Workload) {
	t.Helper()
	ca := proxytest.NewCA(t)
	client = proxytest.New(t, ca, proxytest.ID("web"), proxytest.Options{})
	var to []upstream.EndpointSpec
	for _, a := range apps {
		s := proxytest.New(t, ca, proxytest.ID("api"), proxytest.Options{})
		servers = append(servers, s)
		to = append(to, proxytest.Meshed(s.Before(a), proxytest.ID("api")))
	}
	c := client.Cluster("api", to...)
	_, out = client.Destination("api:80", config.HTTP, proxytest.Share{Cluster: c, Weight: 1})
	return out, client, servers
}

func eventually(t testing.TB, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !f(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}

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
			eventually(t, want, func() bool {
				text.Reset()
				_ = w.Telemetry.WriteLinkerd(&text)
				return strings.Contains(text.String(), want)
			})
		}
		eventually(t, "nothing carried", func() bool { return w.Activity.Carried() == 0 })
	}
}

func TestGRPCDeadlineAndCancel(t *testing.T) {
	a := newApp(t, "one")
	out, client, servers := meshed(t, a.addr)
	cc := grpcTo(t, out)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := call(ctx, cc, "wait"); status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("deadline: %v", err)
	}
	if err := <-a.ended; err == nil {
		t.Error("the application saw no end")
	}
	ctx, cancel = context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	if _, err := call(ctx, cc, "wait"); status.Code(err) != codes.Canceled {
		t.Errorf("cancel: %v", err)
	}
	if err := <-a.ended; err == nil {
		t.Error("the application saw no end")
	}
	for _, w := range append(servers, client) {
		eventually(t, "nothing carried", func() bool { return w.Activity.Carried() == 0 })
	}
}

// The proxy keeps the deadline for a client, and an application, that do not.
func TestProxyEnforcesDeadline(t *testing.T) {
	ended := make(chan error, 1)
	a := rawApp(t, func(s *h2.Stream) {
		over := make(chan error, 1)
		s.OnAbort(h2.AbortFunc(func(err error) { over <- err }))
		ended <- <-over
	})
	out, client, servers := meshed(t, a)
	cl := h2To(t, out)
	s, err := cl.Open(grpcRequest(field("grpc-timeout", "100m")), false)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	_, _ = s.WriteEnd([]byte("\x00\x00\x00\x00\x04wait"))
	if code := grpcCode(t, s); code != "4" {
		t.Errorf("grpc-status %s, want 4", code)
	}
	eventually(t, "the flag of a timeout", func() bool {
		// Both proxies keep the time; either may be first.
		var b strings.Builder
		return client.Telemetry.WriteIstio(&b) == nil && servers[0].Telemetry.WriteIstio(&b) == nil && strings.Contains(b.String(), `response_flags="UT"`)
	})
	if err := <-ended; err == nil {
		t.Error("the application saw no end")
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
	eventually(t, "standstill", func() bool {
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
		eventually(t, "nothing carried", func() bool { return w.Activity.Carried() == 0 })
	}
}

func field(name, value string) http.Field {
	return http.Field{Name: []byte(name), Value: []byte(value)}
}

func grpcRequest(more ...http.Field) *http.Request {
	return &http.Request{Method: []byte("POST"), Scheme: []byte("http"), Authority: []byte("api"), Target: []byte("/a.B/C"),
		Fields: append([]http.Field{field("content-type", "application/grpc"), field("te", "trailers")}, more...)}
}

func h2To(t testing.TB, a netip.AddrPort) *h2.Client {
	t.Helper()
	nc, err := net.Dial("tcp", a.String())
	if err != nil {
		t.Fatal(err)
	}
	cl := h2.NewClient(conn.New(nc), h2.Options{})
	t.Cleanup(func() { cl.Close(); <-cl.Done() })
	return cl
}

// grpcCode reads a response to its end and returns its grpc-status.
func grpcCode(t testing.TB, s *h2.Stream) string {
	t.Helper()
	var r http.Response
	for r.Status < 200 {
		if err := s.ReadHead(&r); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := io.Copy(io.Discard, s); err != nil {
		t.Fatal(err)
	}
	v, ok := http.Get(s.Trailers(), "grpc-status")
	if !ok {
		v, _ = http.Get(r.Fields, "grpc-status")
	}
	return string(v)
}

// plainClient speaks HTTP/2 without TLS by golang.org/x/net.
func plainClient(t testing.TB) *nethttp.Client {
	tr := &http2.Transport{AllowHTTP: true, DialTLSContext: func(ctx context.Context, network, addr string, _ *tls.Config) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, addr)
	}}
	t.Cleanup(tr.CloseIdleConnections)
	return &nethttp.Client{Transport: tr, Timeout: patience}
}

func TestProxyMadeErrors(t *testing.T) {
	ca := proxytest.NewCA(t)
	w := proxytest.New(t, ca, proxytest.ID("web"), proxytest.Options{})
	l, closed := listenTCP(t)
	l.Close()
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
	eventually(t, "nothing carried", func() bool { return w.Activity.Carried() == 0 })
}

// rawApp is an application that handles HTTP/2 streams as given.
func rawApp(t testing.TB, h func(*h2.Stream)) netip.AddrPort {
	l, addr := listenTCP(t)
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	t.Cleanup(func() { cancel(); l.Close(); wg.Wait() })
	wg.Go(func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { _ = h2.NewServer(conn.New(nc), h2.Options{}).Serve(ctx, h) })
		}
	})
	return addr
}

// What an endpoint certainly did not process goes to another one, body and all.
func TestRetriesElsewhere(t *testing.T) {
	l, closed := listenTCP(t)
	l.Close()
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
	l, closed := listenTCP(t)
	l.Close()
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

func TestPlainHTTP2Travels(t *testing.T) {
	l, addr := listenTCP(t)
	srv := &nethttp.Server{Protocols: new(nethttp.Protocols), Handler: nethttp.HandlerFunc(func(w nethttp.ResponseWriter, r *nethttp.Request) {
		switch r.URL.Path {
		case "/hints":
			w.Header().Set("Link", "a")
			w.WriteHeader(103)
		case "/none":
			w.WriteHeader(204)
			return
		case "/early":
			_, _ = io.WriteString(w, "enough")
			return
		}
		w.Header().Set("X-Got", r.Method+" "+r.Host+" "+r.URL.String()+" "+r.Proto)
		_, _ = io.Copy(w, r.Body)
	})}
	srv.Protocols.SetUnencryptedHTTP2(true)
	go srv.Serve(l)
	t.Cleanup(func() { srv.Close() })
	out, _, _ := meshed(t, addr)
	cl := plainClient(t)
	do := func(method, path string, body io.Reader) (*nethttp.Response, []byte) {
		t.Helper()
		req, _ := nethttp.NewRequest(method, "http://"+out.String()+path, body)
		resp, err := cl.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		got, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp, got
	}
	body := bytes.Repeat([]byte("abcdefgh"), 1<<20)
	if resp, got := do("POST", "/a?b=c", bytes.NewReader(body)); resp.StatusCode != 200 || !bytes.Equal(got, body) || resp.Header.Get("X-Got") != "POST "+out.String()+" /a?b=c HTTP/2.0" {
		t.Errorf("%d, %d bytes, %v", resp.StatusCode, len(got), resp.Header)
	}
	for path, want := range map[string]int{"/hints": 200, "/none": 204, "/": 200} {
		if resp, got := do("GET", path, nil); resp.StatusCode != want || len(got) != 0 {
			t.Errorf("%s: %d %q", path, resp.StatusCode, got)
		}
	}
	if resp, _ := do("HEAD", "/", nil); resp.StatusCode != 200 {
		t.Errorf("HEAD: %d", resp.StatusCode)
	}
	if resp, got := do("POST", "/early", bytes.NewReader(body)); resp.StatusCode != 200 || string(got) != "enough" {
		t.Errorf("early: %d %q", resp.StatusCode, got)
	}
}

// Extended CONNECT (RFC 8441) passes through to applications that offer it.
func TestExtendedConnect(t *testing.T) {
	a := rawApp(t, func(s *h2.Stream) {
		if string(s.Request().Protocol) != "websocket" {
			return
		}
		_ = s.WriteHead(&http.Response{Status: 200}, false)
		_, _ = io.Copy(s, s)
		_ = s.End()
	})
	out, _, _ := meshed(t, a)
	cl := h2To(t, out)
	s, err := cl.Open(&http.Request{Method: []byte("CONNECT"), Protocol: []byte("websocket"), Scheme: []byte("http"), Authority: []byte("x"), Target: []byte("/chat")}, false)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var r http.Response
	if err := s.ReadHead(&r); err != nil || r.Status != 200 {
		t.Fatal(r, err)
	}
	for i := range 3 {
		want := fmt.Sprintf("frame %d", i)
		if _, err := s.Write([]byte(want)); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, len(want))
		if _, err := io.ReadFull(s, got); err != nil || string(got) != want {
			t.Fatalf("got %q %v", got, err)
		}
	}
	_ = s.End()
	if _, err := s.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("got %v, want EOF", err)
	}
}

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
	eventually(t, "GOAWAY", cl.Closing)
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
	eventually(t, "traffic on both", func() bool { return one.calls.Load() > 20 && two.calls.Load() > 20 })
	one.GracefulStop()
	n := done.Load()
	eventually(t, "traffic after the stop", func() bool { return done.Load() > n+200 })
	close(stop)
	wg.Wait()
}

func TestIdleConnectionEnds(t *testing.T) {
	a := newApp(t, "one")
	ca := proxytest.NewCA(t)
	o := proxytest.Options{}
	o.Limits.Idle = 200 * time.Millisecond
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
		eventually(t, "nothing carried", func() bool { return w.Activity.Carried() == 0 })
		if n := w.Activity.Panics(); n != 0 {
			t.Errorf("%d panics", n)
		}
	}
	if got, err := call(t.Context(), cc, "after"); err != nil || got != "after" {
		t.Errorf("after the storm: %q %v", got, err)
	}
}
