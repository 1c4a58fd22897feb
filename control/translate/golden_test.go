package translate_test

import (
	"flag"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
	"sigs.k8s.io/yaml"

	"github.com/weftmesh/weft/control/translate"
	"github.com/weftmesh/weft/control/world"
	"github.com/weftmesh/weft/mesh"
)

var update = flag.Bool("update", false, "rewrite the expected parts of testdata/*.txtar")

var settings = mesh.Settings{TrustDomain: "cluster.local", ClusterDomain: "cluster.local", RootNamespace: "weft-system", Outbound: mesh.AllowAny, Inbound: mesh.Permissive,
	Tracing: &mesh.TraceSettings{Providers: []mesh.TraceProvider{{Name: "otel", Host: "otel.observe.svc.cluster.local", Port: 4317, Kind: "opentelemetry"}, {Name: "other", Host: "other", Port: 1, Kind: "opentelemetry"}, {Name: "zip", Kind: "zipkin"}}}}

func marshal(t *testing.T, v any) string {
	t.Helper()
	b, err := yaml.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// run translates the input files of a case and prints the results.
func run(t *testing.T, a *txtar.Archive) map[string]string {
	t.Helper()
	w, sets := world.Build(settings.TrustDomain, eventsOf(t, a)...)
	r := translate.Build(w, settings)
	out := map[string]string{"mesh.yaml": marshal(t, struct {
		Services     []*mesh.Service     `json:"services,omitempty"`
		Workloads    []*mesh.Workload    `json:"workloads,omitempty"`
		Routes       []*mesh.Route       `json:"routes,omitempty"`
		Destinations []*mesh.Destination `json:"destinations,omitempty"`
		Sidecars     []*mesh.Sidecar     `json:"sidecars,omitempty"`
		Telemetries  []*mesh.Telemetry   `json:"telemetries,omitempty"`
		Endpoints    []*mesh.EndpointSet `json:"endpoints,omitempty"`
	}{r.Mesh.Services, r.Mesh.Workloads, r.Mesh.Routes, r.Mesh.Destinations, r.Mesh.Sidecars, r.Mesh.Telemetries, r.Mesh.Endpoints})}
	var lines []string
	for _, p := range r.Problems {
		lines = append(lines, p.String()+"\n")
	}
	out["problems.txt"] = strings.Join(lines, "")
	if len(r.Statuses) > 0 {
		out["status.yaml"] = marshal(t, r.Statuses)
	}
	if len(w.EndpointSlices) > 0 {
		var list []*mesh.EndpointSet
		for _, s := range sets {
			list = append(list, s)
		}
		sort.Slice(list, func(i, j int) bool {
			a, b := list[i].Key, list[j].Key
			return a.Service.Less(b.Service) || a.Service == b.Service && a.Port < b.Port
		})
		out["endpoints.yaml"] = marshal(t, list)
	}
	return out
}

func TestGolden(t *testing.T) {
	cases, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(cases) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, name := range cases {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			a, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			got := run(t, a)
			if *update {
				kept := a.Files[:0]
				for _, f := range a.Files {
					if !isExpected(f.Name) {
						kept = append(kept, f)
					}
				}
				a.Files = kept
				for _, e := range expected {
					if text, ok := got[e]; ok {
						a.Files = append(a.Files, txtar.File{Name: e, Data: []byte(text)})
					}
				}
				if err := os.WriteFile(name, txtar.Format(a), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			want := map[string]string{}
			for _, f := range a.Files {
				if isExpected(f.Name) {
					want[f.Name] = string(f.Data)
				}
			}
			for _, e := range expected {
				if got[e] != want[e] {
					t.Errorf("%s differs; run with -update and read the difference.\ngot:\n%s\nwant:\n%s", e, got[e], want[e])
				}
			}
		})
	}
}
