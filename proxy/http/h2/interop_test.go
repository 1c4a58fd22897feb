package h2

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	nethttp "net/http"
	"strings"
	"sync"
	"testing"

	"github.com/weftmesh/weft/internal/waittest"
	"github.com/weftmesh/weft/proxy/conn"
	"github.com/weftmesh/weft/proxy/http"
	"golang.org/x/net/http2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// netClient is golang.org/x/net's client on one connection.
func netClient(t testing.TB, nc net.Conn) *http2.ClientConn {
	t.Helper()
	cc, err := (&http2.Transport{AllowHTTP: true, DisableCompression: true}).NewClientConn(nc)
	if err != nil {
		t.Fatal(err)
	}
	return cc
}

// netServer serves h with golang.org/x/net's server, and returns our client.
func netServer(t testing.TB, o Options, conf *http2.Server, h nethttp.HandlerFunc) *Client {
	t.Helper()
	a, b := pair(t)
	if conf == nil {
		conf = &http2.Server{}
	}
	go conf.ServeConn(b, &http2.ServeConnOpts{Handler: h})
	cl := NewClient(conn.New(a), o)
	t.Cleanup(func() { cl.Close(); <-cl.Done() })
	return cl
}

func field(name, value string) http.Field {
	return http.Field{Name: []byte(name), Value: []byte(value)}
}

func request(method, target string, fields ...http.Field) *http.Request {
	return &http.Request{Method: []byte(method), Scheme: []byte("http"), Authority: []byte("x"), Target: []byte(target), Fields: fields}
}

func get(t testing.TB, fields []http.Field, name string) string {
	v, _ := http.Get(fields, name)
	return string(v)
}

func TestServerWithNetClient(t *testing.T) {
	a, b := pair(t)
	serve(t, b, Options{}, func(s *Stream) {
		r := s.Request()
		switch string(r.Target) {
		case "/hints":
			_ = s.WriteHead(&http.Response{Status: 103, Fields: []http.Field{field("link", "a")}}, false)
		case "/none":
			_ = s.WriteHead(&http.Response{Status: 204}, true)
			return
		case "/refuse":
			s.Reset(CodeRefusedStream)
			return
		case "/early":
			_ = s.WriteHead(&http.Response{Status: 200}, false)
			_, _ = s.WriteEnd([]byte("enough"))
			return
		}
		_ = s.WriteHead(&http.Response{Status: 200, Fields: []http.Field{{Name: []byte("X-Method"), Value: r.Method}, field("Connection", "close")}}, false)
		if _, err := io.Copy(s, s); err != nil {
			return
		}
		_ = s.WriteTrailers(append(s.Trailers(), field("t", "done")))
	})
	cc := netClient(t, a)
	do := func(method, path string, body io.Reader) (*nethttp.Response, []byte, error) {
		req, _ := nethttp.NewRequest(method, "http://x"+path, body)
		if body != nil {
			req.Trailer = nethttp.Header{"Sum": {"1"}}
		}
		resp, err := cc.RoundTrip(req)
		if err != nil {
			return nil, nil, err
		}
		defer resp.Body.Close()
		p, err := io.ReadAll(resp.Body)
		return resp, p, err
	}
	// 5 MiB each way, ten at a time: many times every window.
	var wg sync.WaitGroup
	for i := range 10 {
		wg.Go(func() {
			body := bytes.Repeat([]byte{byte(i), 1, 2, 3, 5}, 1<<20)
			resp, got, err := do("POST", "/", bytes.NewReader(body))
			if err != nil || sha256.Sum256(got) != sha256.Sum256(body) {
				t.Errorf("stream %d: %v, %d bytes", i, err, len(got))
				return
			}
			if resp.Header.Get("X-Method") != "POST" || resp.Trailer.Get("T") != "done" || resp.Trailer.Get("Sum") != "1" || resp.Header.Get("Connection") != "" {
				t.Errorf("got %v, trailers %v", resp.Header, resp.Trailer)
			}
		})
	}
	wg.Wait()
	if resp, p, err := do("GET", "/hints", nil); err != nil || resp.StatusCode != 200 || len(p) != 0 {
		t.Errorf("after 103: %v %v", resp, err)
	}
	if resp, _, err := do("GET", "/none", nil); err != nil || resp.StatusCode != 204 {
		t.Errorf("204: %v %v", resp, err)
	}
	if _, _, err := do("POST", "/refuse", strings.NewReader("x")); err == nil || !strings.Contains(err.Error(), "REFUSED_STREAM") {
		t.Errorf("refused: %v", err)
	}
	if resp, p, err := do("POST", "/early", bytes.NewReader(make([]byte, 8<<20))); err != nil || resp.StatusCode != 200 || string(p) != "enough" {
		t.Errorf("early: %v %q %v", resp, p, err)
	}
}

func TestClientWithNetServer(t *testing.T) {
	cl := netServer(t, Options{}, nil, func(w nethttp.ResponseWriter, r *nethttp.Request) {
		switch r.URL.Path {
		case "/hints":
			w.Header().Set("Link", "a")
			w.WriteHeader(103)
			w.WriteHeader(103)
		case "/head":
			w.Header().Set("Content-Length", "10")
			return
		case "/panic":
			panic(nethttp.ErrAbortHandler)
		case "/early":
			_, _ = io.WriteString(w, "enough")
			return
		}
		w.Header().Set("X-Host", r.Host)
		w.Header().Set("Trailer", "T")
		_, _ = io.Copy(w, r.Body)
		w.Header().Set("T", "done"+r.Trailer.Get("Sum"))
	})
	var wg sync.WaitGroup
	for i := range 10 {
		wg.Go(func() {
			body := bytes.Repeat([]byte{byte(i), 1, 2, 3, 5}, 1<<20)
			s, err := cl.Open(request("POST", "/", field("trailer", "sum")), false)
			if err != nil {
				t.Error(err)
				return
			}
			defer s.Close()
			go func() {
				_, _ = s.Write(body)
				_ = s.WriteTrailers([]http.Field{field("Sum", "5")})
			}()
			var r http.Response
			if err := s.ReadHead(&r); err != nil || r.Status != 200 || get(t, r.Fields, "x-host") != "x" {
				t.Errorf("head: %v %v", r, err)
			}
			got, err := io.ReadAll(s)
			if err != nil || sha256.Sum256(got) != sha256.Sum256(body) {
				t.Errorf("stream %d: %v, %d bytes", i, err, len(got))
			}
			if get(t, s.Trailers(), "t") != "done5" {
				t.Errorf("trailers: %v", s.Trailers())
			}
		})
	}
	wg.Wait()
	do := func(method, path string) (statuses []int, body string, err error) {
		s, err := cl.Open(request(method, path), true)
		if err != nil {
			return nil, "", err
		}
		defer s.Close()
		for {
			var r http.Response
			if err := s.ReadHead(&r); err != nil {
				return statuses, "", err
			}
			if statuses = append(statuses, r.Status); r.Status >= 200 {
				break
			}
		}
		p, err := io.ReadAll(s)
		return statuses, string(p), err
	}
	if got, _, err := do("GET", "/hints"); fmt.Sprint(got) != "[103 103 200]" || err != nil {
		t.Errorf("hints: %v %v", got, err)
	}
	if got, _, err := do("HEAD", "/head"); fmt.Sprint(got) != "[200]" || err != nil {
		t.Errorf("HEAD: %v %v", got, err)
	}
	var se *StreamError
	if _, _, err := do("GET", "/panic"); !errors.As(err, &se) || !se.Remote || se.Code != CodeInternal || Unprocessed(err) {
		t.Errorf("panic: %v", err)
	}
	if cl.Active() != 0 {
		t.Errorf("%d streams are still open", cl.Active())
	}
	// A response that does not wait for the request.
	s, err := cl.Open(request("POST", "/early"), false)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var r http.Response
	if err := s.ReadHead(&r); err != nil || r.Status != 200 {
		t.Fatal(err)
	}
	for err = nil; err == nil; {
		_, err = s.Write(make([]byte, 1<<20))
	}
	if got, err := io.ReadAll(s); string(got) != "enough" || err != nil {
		t.Errorf("early: %q %v", got, err)
	}
}

func TestClientKeepsToMaxStreams(t *testing.T) {
	free := make(chan struct{})
	cl := netServer(t, Options{}, &http2.Server{MaxConcurrentStreams: 3}, func(w nethttp.ResponseWriter, r *nethttp.Request) { <-free })
	<-cl.c.ready
	var open []*Stream
	for cl.CanOpen() {
		s, err := cl.Open(request("GET", "/"), true)
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, s)
	}
	if len(open) != 3 || cl.Closing() {
		t.Errorf("%d streams were opened, want 3", len(open))
	}
	if _, err := cl.Open(request("GET", "/"), true); !errors.Is(err, ErrBusy) || !Unprocessed(err) {
		t.Errorf("got %v, want ErrBusy", err)
	}
	open[0].Close()
	waittest.Until(t, "a free place", cl.CanOpen)
	close(free)
	if _, err := cl.Open(&http.Request{Method: []byte("CONNECT"), Protocol: []byte("websocket"), Target: []byte("/")}, false); !errors.Is(err, ErrExtendedConnect) {
		t.Errorf("got %v, want ErrExtendedConnect", err)
	}
}

// relay copies a stream to an upstream and back, as the proxy does.
func relay(down *Stream, cl *Client) {
	up, err := cl.Open(down.Request(), down.Ended())
	if err != nil {
		down.Reset(CodeRefusedStream)
		return
	}
	defer up.Close()
	down.OnAbort(AbortFunc(func(error) { up.Reset(CodeCancel) }))
	done := make(chan struct{})
	defer func() { <-done }()
	go func() {
		defer close(done)
		if err := copyBody(up, down); err != nil {
			up.Reset(CodeCancel)
		}
	}()
	for {
		var r http.Response
		if err := up.ReadHead(&r); err != nil {
			down.Reset(CodeOf(err))
			return
		}
		if err := down.WriteHead(&r, r.Status >= 200 && up.Ended() && len(up.Trailers()) == 0); err != nil {
			up.Reset(CodeCancel)
			return
		}
		if r.Status >= 200 {
			break
		}
	}
	if err := copyBody(down, up); err != nil {
		down.Reset(CodeOf(err))
		up.Reset(CodeCancel)
	}
}

func copyBody(dst, src *Stream) error {
	for {
		p, err := src.Next()
		if err == io.EOF {
			err = dst.WriteTrailers(src.Trailers())
			if errors.Is(err, ErrStreamDone) {
				return nil
			}
			return err
		}
		if err != nil {
			return err
		}
		if _, err := dst.Write(p); err != nil {
			return err
		}
		src.Consume(len(p))
	}
}

// bytesCodec lets gRPC carry []byte.
type bytesCodec struct{}

func (bytesCodec) Marshal(v any) ([]byte, error)   { return *v.(*[]byte), nil }
func (bytesCodec) Unmarshal(p []byte, v any) error { *v.(*[]byte) = bytes.Clone(p); return nil }
func (bytesCodec) Name() string                    { return "bytes" }

// grpcServer answers every method: each message comes back; "fail" ends with a
// status, "wait" waits for the deadline.
func grpcServer(t testing.TB) (*grpc.Server, string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer(grpc.ForceServerCodec(bytesCodec{}), grpc.MaxRecvMsgSize(64<<20),
		grpc.UnknownServiceHandler(func(_ any, st grpc.ServerStream) error {
			md, _ := metadata.FromIncomingContext(st.Context())
			_ = st.SetHeader(metadata.Pairs("seen", strings.Join(md.Get("x-test"), ",")))
			st.SetTrailer(metadata.Pairs("last", "1"))
			for {
				var m []byte
				if err := st.RecvMsg(&m); err == io.EOF {
					return nil
				} else if err != nil {
					return err
				}
				switch string(m) {
				case "fail":
					return status.Error(codes.FailedPrecondition, "as asked: ü")
				case "wait":
					<-st.Context().Done()
					return st.Context().Err()
				}
				if err := st.SendMsg(&m); err != nil {
					return err
				}
			}
		}))
	go s.Serve(l)
	t.Cleanup(s.Stop)
	return s, l.Addr().String()
}

// grpcThrough is a gRPC client whose calls go through our server and client.
func grpcThrough(t testing.TB, target string) *grpc.ClientConn {
	t.Helper()
	unc, err := net.Dial("tcp", target)
	if err != nil {
		t.Fatal(err)
	}
	up := NewClient(conn.New(unc), Options{})
	t.Cleanup(up.Close)
	cc, err := grpc.NewClient("passthrough:///x", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) {
			a, b := pair(t)
			serve(t, b, Options{}, func(s *Stream) { relay(s, up) })
			return a, nil
		}),
		grpc.WithDefaultCallOptions(grpc.ForceCodec(bytesCodec{}), grpc.MaxCallRecvMsgSize(64<<20)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cc.Close() })
	return cc
}

func TestGRPCThroughBoth(t *testing.T) {
	_, addr := grpcServer(t)
	cc := grpcThrough(t, addr)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()

	in, out := []byte("hello"), []byte(nil)
	var head, last metadata.MD
	if err := cc.Invoke(metadata.AppendToOutgoingContext(ctx, "x-test", "y"), "/a.B/C", &in, &out, grpc.Header(&head), grpc.Trailer(&last)); err != nil || string(out) != "hello" {
		t.Fatalf("unary: %q %v", out, err)
	}
	if head.Get("seen")[0] != "y" || last.Get("last")[0] != "1" {
		t.Errorf("metadata: %v %v", head, last)
	}
	in = []byte("fail")
	if err := cc.Invoke(ctx, "/a.B/C", &in, &out); status.Code(err) != codes.FailedPrecondition || !strings.Contains(err.Error(), "as asked: ü") {
		t.Errorf("status: %v", err)
	}
	in = bytes.Repeat([]byte("0123456789abcdef"), 1<<20)
	if err := cc.Invoke(ctx, "/a.B/C", &in, &out); err != nil || !bytes.Equal(in, out) {
		t.Errorf("16 MiB: %d bytes, %v", len(out), err)
	}
	short, stop := context.WithTimeout(ctx, 100e6)
	defer stop()
	in = []byte("wait")
	if err := cc.Invoke(short, "/a.B/C", &in, &out); status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("deadline: %v", err)
	}
	// Bidirectional: each message is answered before the next is sent.
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
}

func TestOverTLS(t *testing.T) {
	a, b := pair(t)
	cert := selfSigned(t)
	go func() {
		c, err := conn.Server(t.Context(), conn.New(b), &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"weft-h2"}})
		if err != nil {
			t.Error(err)
			return
		}
		_ = NewServer(c, Options{}).Serve(t.Context(), echo)
	}()
	c, err := conn.Client(t.Context(), conn.New(a), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"weft-h2"}})
	if err != nil {
		t.Fatal(err)
	}
	cl := NewClient(c, Options{})
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			s, err := cl.Open(request("POST", "/"), false)
			if err != nil {
				t.Error(err)
				return
			}
			defer s.Close()
			body := bytes.Repeat([]byte{byte(i), 7}, 1<<20)
			go func() { _, _ = s.WriteEnd(body) }()
			var r http.Response
			if err := s.ReadHead(&r); err != nil {
				t.Error(err)
				return
			}
			if got, err := io.ReadAll(s); err != nil || !bytes.Equal(got, body) {
				t.Errorf("%d bytes, %v", len(got), err)
			}
		})
	}
	wg.Wait()
	cl.Drain()
	select {
	case <-cl.Done():
	case <-t.Context().Done():
	}
	if cl.Err() != nil {
		t.Error(cl.Err())
	}
}
