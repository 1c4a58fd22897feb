package snapshot

import (
	"log/slog"
	"net/netip"
	"strings"
	"testing"

	"github.com/weftmesh/weft/control/xds"
	"github.com/weftmesh/weft/mesh"
)

// TestASubnetIsADestination: an address in the subnet of a service is its, unless
// it is a pod's.
func TestASubnetIsADestination(t *testing.T) {
	m := testMesh(1, 1)
	m.Services = append(m.Services, &mesh.Service{Ref: mesh.Ref{Namespace: "ns", Name: "net.example.com"}, Host: "net.example.com", Kind: mesh.Original,
		Subnets: []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")}, Ports: []mesh.Port{{Number: 9000, Protocol: mesh.TCP}, {Number: 80, Protocol: mesh.HTTP}}})
	m.Workloads = []*mesh.Workload{{Ref: mesh.Ref{Namespace: "ns", Name: "pod"}, Addresses: []netip.Addr{netip.MustParseAddr("203.0.113.5")}, Ports: []mesh.Port{{Number: 9000, Protocol: mesh.HTTP}}}}
	m.Sort()
	s := New(slog.New(slog.DiscardHandler))
	s.SetMesh(m)
	h := s.Attach(Client{Kind: xds.Weft, Namespace: "ns"}, func() {})
	defer h.Close()
	versions := map[string]string{}
	for name, exists := range map[string]bool{"203.0.113.9_9000": true, "203.0.113.5_9000": true, "203.0.113.9_81": false, "203.0.114.1_9000": false} {
		h.Hold(xds.ListenerType, name)
		r := h.Get(xds.ListenerType, name)
		if (r != nil) != exists {
			t.Errorf("%s: %v", name, r)
		}
		if r != nil {
			versions[name] = string(r.Resource.Value)
		}
	}
	if v := versions["203.0.113.9_9000"]; len(v) == 0 || !strings.Contains(v, "outbound|9000||net.example.com") {
		t.Errorf("the subnet leads to %q", v)
	}
	if strings.Contains(versions["203.0.113.5_9000"], "net.example.com") {
		t.Error("the address of a pod leads to the subnet's service")
	}
}
