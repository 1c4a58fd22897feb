package proxytest

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/weftmesh/weft/proxy/config"
	"github.com/weftmesh/weft/proxy/upstream"
)

// h2app is a cleartext HTTP/2 server that also speaks HTTP/1.1.
func h2app(t testing.TB, h http.HandlerFunc) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: h, Protocols: new(http.Protocols)}
	s.Protocols.SetHTTP1(true)
	s.Protocols.SetUnencryptedHTTP2(true)
	go s.Serve(l)
	t.Cleanup(func() { s.Close() })
	return addr(l)
}

func h2client(t testing.TB) *http.Client {
	tr := &http2.Transport{AllowHTTP: true, DialTLSContext: func(ctx context.Context, network, a string, _ *tls.Config) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, network, a)
	}}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: 30 * time.Second}
}

func TestHTTP2Travels(t *testing.T) {
	at := h2app(t, func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		w.Header().Set("Trailer", "X-After")
		fmt.Fprintf(w, "%s %s %d %s", r.Proto, r.URL, len(b), r.Header.Get("l5d-client-id"))
		w.Header().Set("X-After", "yes")
	})
	for _, p := range []config.Protocol{config.HTTP, config.Detect} {
		out, _, _ := tcpPair(t, p, at)
		c := h2client(t)
		var wg sync.WaitGroup
		for i := range 40 {
			wg.Go(func() {
				body := strings.Repeat("x", i*10<<10)
				r, err := c.Post(fmt.Sprintf("http://%s/%d", out, i), "text/plain", strings.NewReader(body))
				if err != nil {
					t.Error(err)
					return
				}
				defer r.Body.Close()
				b, err := io.ReadAll(r.Body)
				if want := fmt.Sprintf("HTTP/2.0 /%d %d web.default.", i, len(body)); err != nil || !strings.HasPrefix(string(b), want) || r.Trailer.Get("X-After") != "yes" {
					t.Errorf("%q, want %s; trailer %v, %v", b, want, r.Trailer, err)
				}
			})
		}
		wg.Wait()
	}
}

// grpcApp is a gRPC server with the health service.
func grpcApp(t testing.TB) (netip.AddrPort, *grpc.Server) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer()
	h := health.NewServer()
	h.SetServingStatus("api", healthpb.HealthCheckResponse_SERVING)
	healthpb.RegisterHealthServer(s, h)
	go s.Serve(l)
	t.Cleanup(s.Stop)
	return addr(l), s
}

func grpcClient(t testing.TB, to netip.AddrPort) healthpb.HealthClient {
	c, err := grpc.NewClient(to.String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return healthpb.NewHealthClient(c)
}

func TestGRPC(t *testing.T) {
	at, _ := grpcApp(t)
	out, _, _ := tcpPair(t, config.HTTP, at)
	c := grpcClient(t, out)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	for range 20 {
		r, err := c.Check(ctx, &healthpb.HealthCheckRequest{Service: "api"})
		if err != nil || r.Status != healthpb.HealthCheckResponse_SERVING {
			t.Fatal(r, err)
		}
	}
	if _, err := c.Check(ctx, &healthpb.HealthCheckRequest{Service: "none"}); status.Code(err) != codes.NotFound {
		t.Errorf("an unknown service is answered %v", err)
	}
	w, err := c.Watch(ctx, &healthpb.HealthCheckRequest{Service: "api"})
	if err != nil {
		t.Fatal(err)
	}
	if r, err := w.Recv(); err != nil || r.Status != healthpb.HealthCheckResponse_SERVING {
		t.Fatal(r, err)
	}
}

func TestGRPCSurvivesAReplica(t *testing.T) {
	ca := NewCA(t)
	client := New(t, ca, ID("web"), Options{})
	var specs []upstream.EndpointSpec
	var servers []*grpc.Server
	var closers []interface{ Close() error }
	for range 2 {
		at, s := grpcApp(t)
		w := New(t, ca, ID("api"), Options{})
		l := w.Listen(w.Inbound.Explicit(at))
		specs = append(specs, Meshed(l.Addr(), ID("api")))
		servers = append(servers, s)
		closers = append(closers, l)
	}
	_, out := client.Destination("api:80", config.HTTP, Share{client.Cluster("api", specs...), 1})
	c := grpcClient(t, out)
	call := func() error {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		_, err := c.Check(ctx, &healthpb.HealthCheckRequest{Service: "api"})
		return err
	}
	for i := range 200 {
		if i == 100 {
			servers[0].Stop()  // the application first: its proxy refuses
			closers[1].Close() // and the other one's proxy, which is dialled anew
			w := New(t, ca, ID("api"), Options{})
			at, _ := grpcApp(t)
			client.Registry.SetEndpoints("api", append(specs, Meshed(w.Before(at), ID("api"))))
		}
		if err := call(); err != nil {
			t.Fatalf("call %d: %v", i, err)
		}
	}
}
