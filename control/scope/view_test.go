package scope

import (
	"net/netip"
	"testing"

	"github.com/weftmesh/weft/mesh"
)

func TestViews(t *testing.T) {
	api := mesh.Ref{Namespace: "shop", Name: "api"}
	addr, podAddr := netip.MustParseAddr("10.96.0.1"), netip.MustParseAddr("10.0.0.1")
	producer, consumer := &mesh.Route{Service: api, Port: 80}, &mesh.Route{Service: api, Port: 80, Scope: "client"}
	m := &mesh.Mesh{
		Services:  []*mesh.Service{{Ref: api, Host: "api.shop.svc.cluster.local", Addresses: []netip.Addr{addr}}},
		Workloads: []*mesh.Workload{{Ref: mesh.Ref{Namespace: "shop", Name: "p1"}, Addresses: []netip.Addr{podAddr}}, {Ref: mesh.Ref{Namespace: "shop", Name: "p2"}, Addresses: []netip.Addr{podAddr}}},
		Routes:    []*mesh.Route{producer, consumer},
	}
	x := NewIndex(m)
	for ns, want := range map[string]*mesh.Route{"client": consumer, "shop": producer, "other": producer, "": producer} {
		if got := x.View(ns).Route(api, 80); got != want {
			t.Errorf("clients of %q get %+v", ns, got)
		}
	}
	v := New(m, "client")
	if v.Route(api, 81) != nil || v.Route(mesh.Ref{Name: "none"}, 80) != nil {
		t.Error("a route from nowhere")
	}
	mapped := netip.MustParseAddr("::ffff:10.96.0.1")
	if v.ServiceByHost("api.shop.svc.cluster.local") == nil || v.ServiceByAddress(mapped) == nil || v.Service(api) == nil || len(v.Services()) != 1 || v.Namespace() != "client" {
		t.Error("the service is not found")
	}
	if v.ServiceByHost("api") != nil || v.ServiceByAddress(podAddr) != nil {
		t.Error("a service is found that is not there")
	}
	if len(v.WorkloadsByAddress(podAddr)) != 2 || v.Workload(mesh.Ref{Namespace: "shop", Name: "p2"}) == nil || v.Workload(api) != nil {
		t.Error("the workloads are not found")
	}
	// A client of a namespace named as the producers' scope is no consumer.
	if New(&mesh.Mesh{Routes: []*mesh.Route{consumer}}, "").Route(api, 80) != nil {
		t.Error("a consumer route binds a foreign client")
	}
}

// TestOneHostInSeveralNamespaces: clients have their own namespace's service, else
// the one of the lowest rank that they see; rules that lead to one lead to it.
func TestOneHostInSeveralNamespaces(t *testing.T) {
	a, b, all := mesh.Ref{Namespace: "a", Name: "x.example"}, mesh.Ref{Namespace: "b", Name: "x.example"}, mesh.Ref{Namespace: "z", Name: "x.example"}
	addr := []netip.Addr{netip.MustParseAddr("192.0.2.1")}
	m := &mesh.Mesh{
		Services: []*mesh.Service{
			{Ref: a, Host: "x.example", Rank: 1, ExportTo: []string{"a", "c"}, Addresses: addr},
			{Ref: b, Host: "x.example", Rank: 0, ExportTo: []string{"b", "c"}, Addresses: addr},
			{Ref: all, Host: "x.example", Rank: 2, Addresses: addr},
		},
		Routes:       []*mesh.Route{{Service: a, Port: 80}, {Service: b, Port: 80}, {Service: all, Port: 80}},
		Destinations: []*mesh.Destination{{Service: a}, {Service: b}, {Service: all}},
		Sidecars:     []*mesh.Sidecar{{Ref: mesh.Ref{Namespace: "d", Name: "only"}, Egress: []mesh.Egress{{Hosts: []mesh.EgressHost{{Namespace: "b", Host: "*"}}}}}},
	}
	x := NewIndex(m)
	for ns, want := range map[string]mesh.Ref{"a": a, "b": b, "c": b, "z": all, "other": all, "": all} {
		v := x.View(ns)
		for _, from := range []mesh.Ref{a, b, all} {
			if s := v.Service(from); s.Ref != want || v.Route(from, 80).Service != want || v.Destination(from).Service != want {
				t.Errorf("clients of %q that are led to %s have %s", ns, from, s.Ref)
			}
		}
		if s := v.ServiceByHost("x.example"); s == nil || s.Ref != want || v.ServiceByAddress(addr[0]) != s || v.Backend("x.example") != s {
			t.Errorf("clients of %q find %+v", ns, s)
		}
		if list := v.Services(); len(list) != 1 || list[0].Ref != want {
			t.Errorf("clients of %q see %d services", ns, len(list))
		}
	}
	// A Sidecar that lets see another namespace's only, which is not exported.
	if s := x.View("d").ServiceByHost("x.example"); s != nil {
		t.Errorf("seen in spite of the Sidecar: %s", s.Ref)
	}
}

func TestClientsInASubnet(t *testing.T) {
	in, out := mesh.Ref{Namespace: "shop", Name: "in"}, mesh.Ref{Namespace: "shop", Name: "out"}
	db := mesh.Ref{Namespace: "shop", Name: "db"}
	x := NewIndex(&mesh.Mesh{
		Workloads: []*mesh.Workload{{Ref: in, Addresses: []netip.Addr{netip.MustParseAddr("10.1.0.1")}}, {Ref: out, Addresses: []netip.Addr{netip.MustParseAddr("10.2.0.1")}}},
		Routes: []*mesh.Route{{Service: db, Port: 5432, TCP: []mesh.TCPRule{
			{Matches: []mesh.TCPMatch{{Source: mesh.ClientMatch{Subnet: netip.MustParsePrefix("10.1.0.0/16")}}}},
			{Matches: []mesh.TCPMatch{{SNI: []string{"a"}}}},
		}}},
	})
	for ref, want := range map[mesh.Ref]int{in: 2, out: 1, {Name: "nobody"}: 1} {
		r := x.ViewOf("shop", x.Variant(ref)).Route(db, 5432)
		if len(r.TCP) != want || !r.TCP[0].Matches[0].Source.IsZero() {
			t.Errorf("%s gets %+v", ref, r.TCP)
		}
	}
}

func TestSubnetsOfServices(t *testing.T) {
	s := func(name, subnet string) *mesh.Service {
		return &mesh.Service{Ref: mesh.Ref{Namespace: "shop", Name: name}, Host: name, Subnets: []netip.Prefix{netip.MustParsePrefix(subnet)}}
	}
	hidden := s("hidden", "10.1.1.0/24")
	hidden.ExportTo = []string{}
	v := New(&mesh.Mesh{Services: []*mesh.Service{s("wide", "10.0.0.0/8"), hidden, s("narrow", "10.1.0.0/16")}}, "shop")
	for a, want := range map[string]string{"10.1.1.1": "narrow", "10.9.0.1": "wide", "::ffff:10.9.0.1": "wide", "11.0.0.1": ""} {
		got := ""
		if s := v.ServiceBySubnet(netip.MustParseAddr(a)); s != nil {
			got = s.Name
		}
		if got != want {
			t.Errorf("%s is of %q", a, got)
		}
	}
}

func TestPortsOfASidecar(t *testing.T) {
	ref := mesh.Ref{Namespace: "shop", Name: "w"}
	v := New(&mesh.Mesh{
		Workloads: []*mesh.Workload{{Ref: ref, Labels: map[string]string{"app": "w"}, Ports: []mesh.Port{{Number: 80, Protocol: mesh.Detect}, {Number: 90, Protocol: mesh.HTTP}}}},
		Sidecars:  []*mesh.Sidecar{{Ref: ref, Labels: map[string]string{"app": "w"}, Ingress: []mesh.Port{{Number: 80, Protocol: mesh.TCP}, {Number: 70, Protocol: mesh.GRPC}}}},
	}, "shop")
	w := v.Inbound(ref)
	if len(w.Ports) != 3 || w.Ports[0].Protocol != mesh.GRPC || w.Ports[1].Protocol != mesh.TCP || w.Ports[2].Protocol != mesh.HTTP || len(v.Workload(ref).Ports) != 2 {
		t.Errorf("%+v", w.Ports)
	}
	if v.Inbound(mesh.Ref{Name: "nobody"}) != nil {
		t.Error("a workload from nowhere")
	}
}
