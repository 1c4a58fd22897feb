package scope_test

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/weftmesh/weft/control/scope"
	"github.com/weftmesh/weft/mesh"
)

// TestNames: listed is what has no address and what the client sees.
func TestNames(t *testing.T) {
	service := func(host string, kind mesh.ServiceKind, p mesh.Protocol, change func(*mesh.Service)) *mesh.Service {
		s := &mesh.Service{Ref: mesh.Ref{Namespace: "a", Name: host}, Host: host, Kind: kind, Ports: []mesh.Port{{Number: 443, Protocol: p}}}
		if change != nil {
			change(s)
		}
		return s
	}
	x := scope.NewIndex(&mesh.Mesh{
		Services: []*mesh.Service{
			service("address.org", mesh.DNS, mesh.TLS, func(s *mesh.Service) { s.Addresses = []netip.Addr{netip.MustParseAddr("240.0.0.1")} }),
			service("any.org", mesh.OneOfDNS, mesh.Detect, nil),
			service("bytes.org", mesh.Static, mesh.TCP, nil),
			service("external.svc", mesh.ExternalName, mesh.HTTP, nil),
			service("http.org", mesh.Static, mesh.GRPC, nil),
			service("own.org", mesh.DNS, mesh.HTTP, func(s *mesh.Service) { s.ExportTo = []string{"a"} }),
			service("port.org", mesh.DNS, mesh.HTTP, func(s *mesh.Service) { s.Ports[0].Number = 80 }),
			service("subnet.org", mesh.Original, mesh.TLS, func(s *mesh.Service) { s.Subnets = []netip.Prefix{netip.MustParsePrefix("240.1.0.0/16")} }),
			service("tls.org", mesh.Original, mesh.TLS, nil),
		},
		Sidecars: []*mesh.Sidecar{{Ref: mesh.Ref{Namespace: "c", Name: "c"}, Egress: []mesh.Egress{{Hosts: []mesh.EgressHost{{Namespace: "*", Host: "tls.org"}}}}}},
	})
	for namespace, want := range map[string][2][]string{
		"a": {{"any.org", "http.org", "own.org"}, {"any.org", "tls.org"}},
		"b": {{"any.org", "http.org"}, {"any.org", "tls.org"}},
		"c": {nil, {"tls.org"}},
	} {
		hosts, snis := x.View(namespace).Names(443)
		if !slices.Equal(hosts, want[0]) || !slices.Equal(snis, want[1]) {
			t.Errorf("%s: %v %v, want %v", namespace, hosts, snis, want)
		}
	}
	if hosts, snis := x.View("a").Names(80); !slices.Equal(hosts, []string{"port.org"}) || snis != nil {
		t.Errorf("80: %v %v", hosts, snis)
	}
}
