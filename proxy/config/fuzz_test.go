package config

import (
	"testing"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/weftmesh/weft/proxy/upstream"
)

// FuzzDecode gives every decoder arbitrary bytes: none may panic, and what is
// accepted must compile.
func FuzzDecode(f *testing.F) {
	seeds := []proto.Message{
		detectListener("x", "x", "c"), httpListener("x", "h"), tcpListener("x", "h", "a", "b"),
		inboundListener(inboundChains(80, "http", false), inboundChains(0, "detect", true)), tcpListener(virtualOutbound, "o", upstream.PassthroughCluster),
		routesTo("x", map[string]uint32{"a": 1, "b": 2}), routesWith("x", everything()), edsCluster("x"), assignmentOf("x", "10.0.0.1", "fd00::1"), rootsSecret([]byte("x")),
		namesListener("*_80", "a.b *.c.d", "e.f"), specialListener(tcpListener("x", "h:1", "c")), specialListener(detectListener("x", "h:1", "c")), renamed(originating("MUTUAL", nil)), renamed(originating("SIMPLE", nil)),
		&discovery.DeltaDiscoveryResponse{TypeUrl: urlCluster, Nonce: "n", Resources: []*discovery.Resource{{Name: "x", Version: "1", Resource: pack(edsCluster("x"))}}, RemovedResources: []string{"y"}},
		&structpb.Struct{Fields: map[string]*structpb.Value{"a": structpb.NewStringValue("b")}},
	}
	for _, m := range seeds {
		b := wire(f, m)
		f.Add(b)
		f.Add(b[:len(b)/2])
		f.Add(append(b[:len(b):len(b)], 0xff))
	}
	f.Add([]byte{0x0b, 0x0b, 0x0b, 0x0b}) // groups in groups
	f.Fuzz(func(t *testing.T, b []byte) {
		_, _ = decodeResponse(b)
		for _, name := range []string{"x", "*_80", virtualInbound, virtualOutbound, siblings} {
			if l, err := readListener(name, b); err == nil && (name == "x" || name == "*_80") {
				if l.http == nil && l.tcp == nil && l.byName == nil {
					t.Error("an accepted listener leads nowhere")
				}
				if _, err := compile(&inputs{listener: l, routes: &routes{}}, &Options{}); err != nil {
					t.Errorf("accepted but not compiled: %v", err)
				}
			}
		}
		if r, err := readRoutes("x", b); err == nil {
			l := &listener{http: &httpManager{}}
			st, err := compile(&inputs{listener: l, routes: r}, &Options{})
			if err != nil {
				t.Fatalf("accepted but not compiled: %v", err)
			}
			for _, u := range st.routes.Rules {
				shortPolicies(u)
			}
		}
		if c, err := readCluster("x", b); err == nil && c.spec.Kind == upstream.Pushed && c.eds == "" && c.static == nil {
			t.Log("a static cluster without endpoints")
		} else if err == nil {
			if o := c.spec.Originate; o != nil && !o.Insecure && len(o.Names) == 0 {
				t.Errorf("TLS with anybody: %+v", o)
			}
			shortSettings(&c.spec)
		}
		if a, err := readAssignment("x", b); err == nil {
			for _, e := range a.endpoints {
				if !e.Address.IsValid() || e.Address.Port() == 0 || e.Weight == 0 {
					t.Errorf("endpoint %+v", e)
				}
			}
		}
		_, _ = readSecret("x", b)
		_, _, _ = weftMetadata(b)
	})
}

// renamed calls a cluster x.
func renamed(c *clusterv3.Cluster) *clusterv3.Cluster { c.Name = "x"; return c }
