package controltest_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/xds"

	"github.com/weftmesh/weft/control"
	"github.com/weftmesh/weft/control/controltest"
	"github.com/weftmesh/weft/control/push"
)

// backend is a gRPC server that says its name in a header.
type backend struct {
	healthpb.UnimplementedHealthServer
	name string
}

func (b backend) Check(ctx context.Context, _ *healthpb.HealthCheckRequest) (*healthpb.HealthCheckResponse, error) {
	return &healthpb.HealthCheckResponse{Status: healthpb.HealthCheckResponse_SERVING}, grpc.SetHeader(ctx, metadata.Pairs("backend", b.name))
}

func startBackend(t *testing.T, name string) (port string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer()
	healthpb.RegisterHealthServer(s, backend{name: name})
	go func() { _ = s.Serve(l) }()
	t.Cleanup(s.Stop)
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
}

// bootstrap is the configuration of a proxyless client, with its certificate
// from the mesh's authority.
func bootstrap(t *testing.T, m *controltest.Mesh, cert *tls.Certificate) []byte {
	t.Helper()
	dir := t.TempDir()
	var chain []byte
	for _, der := range cert.Certificate {
		chain = append(chain, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	der, err := x509.MarshalECPrivateKey(cert.PrivateKey.(*ecdsa.PrivateKey))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{"cert.pem": chain, "key.pem": pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der})}
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	_, port, err := net.SplitHostPort(m.Control.Address().String())
	if err != nil {
		t.Fatal(err)
	}
	type object = map[string]any
	b, err := json.Marshal(object{
		"xds_servers": []object{{
			"server_uri": "localhost:" + port,
			"channel_creds": []object{{"type": "tls", "config": object{
				"certificate_file": filepath.Join(dir, "cert.pem"), "private_key_file": filepath.Join(dir, "key.pem"),
				"ca_certificate_file": filepath.Join(m.State, control.TrustAnchorsFile),
			}}},
			"server_features": []string{"xds_v3"},
		}},
		"node": object{
			"id":       "sidecar~127.0.0.1~web-0.default~default.svc.cluster.local",
			"metadata": object{"NAMESPACE": "default", "SERVICE_ACCOUNT": "web", "POD_NAME": "web-0"},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func grpcService(name, address string) string {
	return `
---
apiVersion: v1
kind: Service
metadata: {name: ` + name + `, namespace: default}
spec:
  clusterIP: ` + address + `
  ports: [{name: grpc, port: 80}]
`
}

func TestProxylessGRPC(t *testing.T) {
	loopback := `{addresses: [127.0.0.1], conditions: {ready: true}}`
	stable, canary := startBackend(t, "stable"), startBackend(t, "canary")
	route := func(weightStable, weightCanary string) string {
		return `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: api, namespace: default}
spec:
  parentRefs: [{group: "", kind: Service, name: api, port: 80}]
  rules:
  - matches: [{path: {type: PathPrefix, value: /grpc.health.v1.Health}}]
    backendRefs:
    - {name: api-stable, port: 80, weight: ` + weightStable + `}
    - {name: api-canary, port: 80, weight: ` + weightCanary + `}
`
	}
	m := controltest.Start(t, map[string]string{
		"services.yaml": grpcService("api", "10.96.0.1") + grpcService("api-stable", "10.96.0.2") + grpcService("api-canary", "10.96.0.3"),
		"stable.yaml":   slice("api-stable", "grpc", stable, loopback),
		"canary.yaml":   slice("api-canary", "grpc", canary, loopback),
		"route.yaml":    route("90", "10"),
	})
	resolver, err := xds.NewXDSResolverWithConfigForTesting(bootstrap(t, m, m.Certificate("default", "web")))
	if err != nil {
		t.Fatal(err)
	}
	conn, err := grpc.NewClient("xds:///"+apiName, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithResolvers(resolver))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	client := healthpb.NewHealthClient(conn)
	call := func() string {
		ctx, cancel := context.WithTimeout(context.Background(), controltest.Deadline)
		defer cancel()
		var header metadata.MD
		if _, err := client.Check(ctx, &healthpb.HealthCheckRequest{}, grpc.Header(&header), grpc.WaitForReady(true)); err != nil {
			t.Fatal(err)
		}
		return header.Get("backend")[0]
	}
	got := map[string]int{}
	const calls = 1000
	for range calls {
		got[call()]++
	}
	// Six and a half standard deviations of a binomial distribution round 100.
	if got["canary"] < 38 || got["canary"] > 162 || got["stable"]+got["canary"] != calls {
		t.Errorf("90/10 was split as %v", got)
	}
	// Another path matches no rule and is refused.
	ctx, cancel := context.WithTimeout(context.Background(), controltest.Deadline)
	defer cancel()
	if err := conn.Invoke(ctx, "/other.Service/Call", &healthpb.HealthCheckRequest{}, &healthpb.HealthCheckResponse{}); status.Code(err) != codes.Unavailable {
		t.Errorf("a call without a route: %v", err)
	}
	// A changed weight moves the calls.
	m.Write("route.yaml", route("0", "1"))
	m.Eventually("all calls at the canary", func() bool {
		for range 4 {
			if call() != "canary" {
				return false
			}
		}
		return true
	})
	for _, p := range m.Control.Proxies() {
		for typ, s := range p.Types {
			if s.State == push.Refused || s.Error != "" {
				t.Errorf("%s refused: %s", typ, s.Error)
			}
		}
	}
	if p := m.Control.Proxies(); len(p) != 1 || p[0].Protocol != "sotw" || p[0].Kind != "grpc" {
		t.Errorf("recorded as %+v", p)
	}
}
