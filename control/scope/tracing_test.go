package scope

import (
	"encoding/json"
	"testing"

	"github.com/weftmesh/weft/mesh"
)

func TestTracers(t *testing.T) {
	ten, all, yes, no := 10.0, 100.0, true, false
	of := func(ns, app string, list ...mesh.Tracing) *mesh.Telemetry {
		tm := &mesh.Telemetry{Ref: mesh.Ref{Namespace: ns, Name: ns + app}, Tracing: list}
		if app != "" {
			tm.Labels = map[string]string{"tier": app}
		}
		return tm
	}
	to := func(names ...string) mesh.Tracing { return mesh.Tracing{Providers: names} }
	const tags = `[{"name":"istio.canonical_service","value":"web"},{"name":"istio.canonical_revision","value":"v2"},{"name":"istio.mesh_id","value":"td"},{"name":"istio.namespace","value":"shop"}]`
	told := func(provider, sampling, tags string) string {
		return `{"provider":"` + provider + `","host":"` + provider + `.obs","port":4317,"service":"web.shop","sampling":` + sampling + `,"tags":` + tags + `}`
	}
	for name, c := range map[string]struct {
		standard       []string
		sampling       *float64
		list           []*mesh.Telemetry
		client, server string // "" for none
	}{
		"nothing":                              {},
		"a percentage alone":                   {list: []*mesh.Telemetry{of("shop", "", mesh.Tracing{Sampling: &all})}},
		"the installation's":                   {standard: []string{"a"}, client: told("a", "1", tags), server: told("a", "1", tags)},
		"the installation's share":             {standard: []string{"a"}, sampling: &ten, client: told("a", "10", tags), server: told("a", "10", tags)},
		"of the mesh":                          {list: []*mesh.Telemetry{of("root", "", to("b"))}, client: told("b", "1", tags), server: told("b", "1", tags)},
		"the namespace's share of the mesh's":  {list: []*mesh.Telemetry{of("root", "", to("b")), of("shop", "", mesh.Tracing{Sampling: &all})}, client: told("b", "100", tags), server: told("b", "100", tags)},
		"the workload before the namespace":    {list: []*mesh.Telemetry{of("shop", "front", mesh.Tracing{Sampling: &ten}), of("shop", "", mesh.Tracing{Providers: []string{"a"}, Sampling: &all})}, client: told("a", "10", tags), server: told("a", "10", tags)},
		"of another workload and namespace":    {list: []*mesh.Telemetry{of("shop", "back", to("a")), of("bank", "", to("a"))}},
		"of one side":                          {list: []*mesh.Telemetry{of("shop", "", mesh.Tracing{Side: mesh.Client, Providers: []string{"a"}})}, client: told("a", "1", tags)},
		"switched off":                         {standard: []string{"a"}, list: []*mesh.Telemetry{of("shop", "", mesh.Tracing{Side: mesh.Client, Disabled: &yes})}, server: told("a", "1", tags)},
		"off for all, on for one":              {standard: []string{"a"}, list: []*mesh.Telemetry{of("root", "", mesh.Tracing{Disabled: &yes}), of("shop", "front", mesh.Tracing{Disabled: &no})}, client: told("a", "1", tags), server: told("a", "1", tags)},
		"a provider that cannot be used":       {list: []*mesh.Telemetry{of("shop", "", to("zip"))}},
		"without Istio's, with one of its own": {standard: []string{"a"}, list: []*mesh.Telemetry{of("shop", "", mesh.Tracing{Plain: &yes, Tags: []mesh.TraceTag{{Name: "x", Field: "y"}}})}, client: told("a", "1", `[{"name":"x","field":"y"}]`), server: told("a", "1", `[{"name":"x","field":"y"}]`)},
	} {
		web := mesh.Ref{Namespace: "shop", Name: "web-1"}
		x := NewIndex(&mesh.Mesh{Telemetries: c.list, Settings: mesh.Settings{RootNamespace: "root", TrustDomain: "td", Tracing: &mesh.TraceSettings{Default: c.standard, Sampling: c.sampling,
			Providers: []mesh.TraceProvider{{Name: "a", Host: "a.obs", Port: 4317}, {Name: "b", Host: "b.obs", Port: 4317}, {Name: "zip", Kind: "zipkin"}}}},
			Workloads: []*mesh.Workload{{Ref: web, Labels: map[string]string{"app": "web", "version": "v2", "tier": "front"}}}})
		v := x.ViewOf("shop", x.Variant(web))
		for side, want := range map[mesh.Side]string{mesh.Client: c.client, mesh.Server: c.server} {
			got := ""
			if tr := v.Tracer(side); tr != nil {
				b, err := json.Marshal(tr)
				if err != nil {
					t.Fatal(err)
				}
				got = string(b)
			}
			if got != want {
				t.Errorf("%s, %s: got\n%s\nwant\n%s", name, side, got, want)
			}
		}
	}
	// Where nothing is traced, labels make no difference.
	x := NewIndex(&mesh.Mesh{Settings: mesh.Settings{Tracing: &mesh.TraceSettings{}}, Workloads: []*mesh.Workload{{Ref: mesh.Ref{Name: "a"}, Labels: map[string]string{"app": "web"}}}})
	if v := x.Variant(mesh.Ref{Name: "a"}); v != "" {
		t.Errorf("variant %q", v)
	}
}
