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
