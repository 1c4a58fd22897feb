package snapshot

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/weftmesh/weft/control/xds"
	"github.com/weftmesh/weft/mesh"
)

// TestServersLogByTheirTelemetry: what a Telemetry of a namespace or workload says
// of the requests that are served is in effect for the inbound listener, and a
// change of the labels that it selects too.
func TestServersLogByTheirTelemetry(t *testing.T) {
	ref := mesh.Ref{Namespace: "ns", Name: "w"}
	world := func(logging mesh.Logging, selected, label string) *mesh.Mesh {
		m := testMesh(1, 1)
		m.Workloads = []*mesh.Workload{{Ref: ref, Labels: map[string]string{"app": label}}}
		telemetry := &mesh.Telemetry{Ref: mesh.Ref{Namespace: "ns", Name: "t"}, Logging: []mesh.Logging{logging}}
		if selected != "" {
			telemetry.Labels = map[string]string{"app": selected}
		}
		m.Telemetries = []*mesh.Telemetry{telemetry}
		m.Sort()
		return m
	}
	on := mesh.Logging{Providers: []string{mesh.EnvoyProvider}}
	s := New(slog.New(slog.DiscardHandler))
	s.SetMesh(world(on, "", "a"))
	h := s.Attach(Client{Kind: xds.Weft, Namespace: "ns", Workload: ref}, func() {})
	defer h.Close()
	for _, name := range []string{xds.VirtualInbound, xds.VirtualOutbound} {
		h.Hold(xds.ListenerType, name)
	}
	for _, c := range []struct {
		name    string
		mesh    *mesh.Mesh
		in, out bool
	}{
		{"of the namespace", world(on, "", "a"), true, true},
		{"of servers", world(mesh.Logging{Side: mesh.Server, Providers: on.Providers}, "", "a"), true, false},
		{"of clients", world(mesh.Logging{Side: mesh.Client, Providers: on.Providers}, "", "a"), false, true},
		{"of the workload", world(on, "a", "a"), true, true},
		{"of another workload", world(on, "b", "a"), false, false},
		{"the labels change", world(on, "b", "b"), true, true},
	} {
		s.SetMesh(c.mesh)
		for name, want := range map[string]bool{xds.VirtualInbound: c.in, xds.VirtualOutbound: c.out} {
			r := h.Get(xds.ListenerType, name)
			if got := r != nil && strings.Contains(string(r.Resource.Value), mesh.DefaultLogFile); got != want {
				t.Errorf("%s: %s logs: %v", c.name, name, got)
			}
		}
	}
}
