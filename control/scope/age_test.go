package scope

import (
	"testing"
	"time"

	"github.com/weftmesh/weft/mesh"
)

// TestTheOldestSelectsAWorkload: of several Sidecars, and Telemetries, that
// select a workload the oldest is in effect, then the one whose name sorts first.
func TestTheOldestSelectsAWorkload(t *testing.T) {
	now := time.Unix(1e9, 0)
	web := mesh.Ref{Namespace: "shop", Name: "web-1"}
	for want, ages := range map[string][3]time.Duration{"a": {0, 0, 0}, "b": {2, 1, 3}, "c": {2, 2, 1}} {
		m := &mesh.Mesh{Workloads: []*mesh.Workload{{Ref: web, Labels: map[string]string{"app": "web", "tier": "front"}}}}
		for i, name := range []string{"c", "b", "a"} {
			labels := []map[string]string{{"app": "web"}, {"tier": "front"}, {"app": "web", "tier": "front"}}[i]
			ref, created := mesh.Ref{Namespace: "shop", Name: name}, now.Add(ages[name[0]-'a']*time.Second)
			m.Sidecars = append(m.Sidecars, &mesh.Sidecar{Ref: ref, Labels: labels, Created: created})
			m.Telemetries = append(m.Telemetries, &mesh.Telemetry{Ref: ref, Labels: labels, Created: created})
		}
		x := NewIndex(m)
		v := x.ViewOf("shop", x.Variant(web))
		if got := v.sidecar.Name; got != want {
			t.Errorf("Sidecar %s, want %s", got, want)
		}
		if got := v.telemetries()[0].Name; got != want {
			t.Errorf("Telemetry %s, want %s", got, want)
		}
	}
}
