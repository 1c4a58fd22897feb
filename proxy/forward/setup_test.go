package forward_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net"
	nethttp "net/http"
	"net/netip"
	"os"
	"runtime"
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

// listenTCP listens on loopback until the test ends. The address is of this
// process alone: the port of an application that was stopped must not become
// that of another test's, which proxies here would then talk to.
func listenTCP(t testing.TB) (net.Listener, netip.AddrPort) {
	t.Helper()
	ip := netip.AddrFrom4([4]byte{127, 0, 0, 1})
	if runtime.GOOS == "linux" { // where all of 127/8 is loopback
		pid := os.Getpid()
		ip = netip.AddrFrom4([4]byte{127, byte(1 + pid>>14&0x7f), byte(pid >> 7 & 0x7f), byte(1 + pid&0x7f)})
	}
	l, err := net.Listen("tcp", netip.AddrPortFrom(ip, 0).String())
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

// reaching repeats something that has a time limit with longer and longer ones,
// until it reached the application: no machine need be fast.
func reaching(t testing.TB, calls func() int64, do func(limit time.Duration)) {
	t.Helper()
	before := calls()
	for limit := 100 * time.Millisecond; calls() == before; limit *= 2 {
		if limit > patience {
			t.Fatal("the application is not reached in ", patience)
		}
		do(limit)
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
