package file_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/weftmesh/weft/control/source/file"
	"github.com/weftmesh/weft/control/translate"
	"github.com/weftmesh/weft/control/world"
	"github.com/weftmesh/weft/mesh"
)

const split = `apiVersion: v1
kind: Service
metadata: {name: api}
spec: {clusterIP: 10.96.0.5, ports: [{port: 80}]}
---
apiVersion: split.smi-spec.io/v1alpha4
kind: TrafficSplit
metadata:
  name: api
spec:
  service: api
  backends:
  - service: api
    weight: 1
  - service: gone
    weight: 1
`

// TestProblemsOfTranslatorsHaveTheLineOfTheField, also after lines have been
// put in above it and the object itself is as it was.
func TestProblemsOfTranslatorsHaveTheLineOfTheField(t *testing.T) {
	dir := t.TempDir()
	f := file.OpenFolder(dir)
	var events []world.Event
	line := func(text string) int {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, "a.yaml"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		more, err := f.Scan()
		if err != nil {
			t.Fatal(err)
		}
		events = append(events, more...)
		w, _ := world.Build("cluster.local", events...)
		r := translate.Build(w, mesh.Settings{TrustDomain: "cluster.local", ClusterDomain: "cluster.local"})
		// What is in effect still comes from the object.
		if len(r.Mesh.Routes) != 1 || r.Mesh.Routes[0].Rules[0].Origin.Line != 6 {
			t.Errorf("routes: %+v", r.Mesh.Routes)
		}
		for _, p := range r.Problems {
			if p.Code == "WEFT0204" && p.Field == "spec.backends[1].service" {
				return p.Origin.Line
			}
		}
		t.Fatalf("problems: %v", r.Problems)
		return 0
	}
	if got := line(split); got != 15 {
		t.Errorf("line %d, want 15: spec.backends[1].service", got)
	}
	more := split[:len(split)-len("  - service: gone\n    weight: 1\n")] + "  # a remark\n  - service: gone\n    weight: 1\n"
	if got := line(more); got != 16 {
		t.Errorf("with a remark above: line %d, want 16", got)
	}
}
