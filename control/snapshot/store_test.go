package snapshot

import (
	"fmt"
	"log/slog"
	"net/netip"
	"testing"

	"github.com/weftmesh/weft/control/xds"
	"github.com/weftmesh/weft/mesh"
)

func testMesh(revision uint64, services int, routes ...*mesh.Route) *mesh.Mesh {
	m := &mesh.Mesh{Revision: revision, Settings: mesh.Settings{TrustDomain: "cluster.local", ClusterDomain: "cluster.local", Outbound: mesh.AllowAny, Inbound: mesh.Permissive}, Routes: routes}
	for i := range services {
		name := fmt.Sprintf("s%d", i)
		m.Services = append(m.Services, &mesh.Service{Ref: mesh.Ref{Namespace: "ns", Name: name}, Host: name + ".ns.svc.cluster.local",
			Addresses: []netip.Addr{netip.AddrFrom4([4]byte{10, 0, 0, byte(i + 1)})}, Ports: []mesh.Port{{Number: 80, Protocol: mesh.HTTP}}})
	}
	m.Sort()
	return m
}

func routeTo(scope, service string, weight uint32) *mesh.Route {
	return &mesh.Route{Service: mesh.Ref{Namespace: "ns", Name: "s0"}, Port: 80, Scope: scope, Rules: []mesh.Rule{{
		Backends: []mesh.Backend{{Service: mesh.Ref{Namespace: "ns", Name: service}, Port: 80, Weight: weight}, {Service: mesh.Ref{Namespace: "ns", Name: "s2"}, Port: 80, Weight: 1}}}}}
}

func routeName(i int) string { return fmt.Sprintf("s%d.ns.svc.cluster.local:80", i) }

func TestEqualResourcesAreMadeOnce(t *testing.T) {
	s := New(slog.New(slog.DiscardHandler))
	s.SetMesh(testMesh(1, 10))
	var holders []*Holder
	for i := range 20 {
		h := s.Attach(Client{Kind: xds.Weft, Namespace: fmt.Sprintf("ns%d", i)}, func() {})
		h.Hold(xds.RouteType, routeName(0), routeName(1))
		holders = append(holders, h)
	}
	if st := s.Stats(); st.Generated != 2 || st.Held != 2 {
		t.Errorf("20 clients in 20 namespaces: %+v", st)
	}
	if holders[0].Get(xds.RouteType, routeName(0)) != holders[19].Get(xds.RouteType, routeName(0)) {
		t.Error("not the same bytes")
	}
	for _, h := range holders {
		h.Close()
	}
	if st := s.Stats(); st.Held != 0 || len(s.held) != 0 || len(s.holders) != 0 {
		t.Errorf("something is kept for nobody: %+v, %d, %d", st, len(s.held), len(s.holders))
	}
}

func TestOnlyChangedResourcesAreMadeAndMarked(t *testing.T) {
	s := New(slog.New(slog.DiscardHandler))
	s.SetMesh(testMesh(1, 10, routeTo("", "s1", 1)))
	woken := 0
	h := s.Attach(Client{Kind: xds.Weft, Namespace: "a"}, func() { woken++ })
	other := s.Attach(Client{Kind: xds.Weft, Namespace: "a"}, func() { t.Error("woken though nothing of its own changed") })
	for i := range 10 {
		h.Hold(xds.RouteType, routeName(i))
	}
	other.Hold(xds.RouteType, routeName(1))
	made := s.Stats().Generated

	// The same content in new objects makes nothing and wakes nobody.
	s.SetMesh(testMesh(2, 10, routeTo("", "s1", 1)))
	if s.Stats().Generated != made || woken != 0 || h.TakeDirty() != nil {
		t.Fatalf("an equal mesh made %d and woke %d", s.Stats().Generated-made, woken)
	}
	s.SetMesh(testMesh(3, 10, routeTo("", "s1", 5)))
	if s.Stats().Generated != made+1 || woken != 1 {
		t.Errorf("one weight made %d and woke %d", s.Stats().Generated-made, woken)
	}
	if d := h.TakeDirty(); len(d) != 1 || len(d[xds.RouteType]) != 1 || d[xds.RouteType][0] != routeName(0) {
		t.Errorf("dirty: %v", d)
	}
	// A consumer route concerns its namespace alone.
	b := s.Attach(Client{Kind: xds.Weft, Namespace: "b"}, func() {})
	b.Hold(xds.RouteType, routeName(0))
	s.SetMesh(testMesh(4, 10, routeTo("", "s1", 5), routeTo("b", "s3", 5)))
	if woken != 1 || len(b.TakeDirty()[xds.RouteType]) != 1 {
		t.Errorf("a consumer route of another namespace woke %d", woken)
	}
	// A backend that disappears changes the route, though the route is the same.
	gone := testMesh(5, 2, routeTo("", "s1", 5))
	s.SetMesh(gone)
	if got := h.TakeDirty()[xds.RouteType]; len(got) != 9 {
		t.Errorf("after services went: %v", got)
	}
}

func TestEndpointsTouchTheirOwnNamesOnly(t *testing.T) {
	s := New(slog.New(slog.DiscardHandler))
	s.SetMesh(testMesh(1, 10))
	h := s.Attach(Client{Kind: xds.Weft, Namespace: "a"}, func() {})
	for i := range 10 {
		name := fmt.Sprintf("outbound|80||s%d.ns.svc.cluster.local", i)
		h.Hold(xds.ClusterType, name)
		h.Hold(xds.EndpointType, name)
	}
	made := s.Stats().Generated
	key := mesh.EndpointKey{Service: mesh.Ref{Namespace: "ns", Name: "s4"}, Port: 80}
	set := &mesh.EndpointSet{Key: key, Endpoints: []mesh.Endpoint{{Address: netip.MustParseAddrPort("10.1.0.1:8080"), Health: mesh.Ready}}}
	s.SetEndpoints(map[mesh.EndpointKey]*mesh.EndpointSet{key: set})
	if d := h.TakeDirty(); s.Stats().Generated != made+1 || len(d[xds.EndpointType]) != 1 || len(d[xds.ClusterType]) != 0 {
		t.Errorf("made %d, dirty %v", s.Stats().Generated-made, d)
	}
	// A pod that can be dialled comes and goes with the endpoint.
	h.Hold(xds.ListenerType, "10.1.0.1_8080")
	if h.Get(xds.ListenerType, "10.1.0.1_8080") == nil {
		t.Error("the endpoint's address is not known")
	}
	s.SetEndpoints(map[mesh.EndpointKey]*mesh.EndpointSet{key: nil})
	if d := h.TakeDirty(); len(d[xds.ListenerType]) != 1 || h.Get(xds.ListenerType, "10.1.0.1_8080") != nil {
		t.Errorf("the address is still known; dirty %v", d)
	}
}
