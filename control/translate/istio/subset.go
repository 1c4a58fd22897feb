package istio

import (
	"cmp"

	"github.com/weftmesh/weft/control/problem"
	"github.com/weftmesh/weft/mesh"
)

// subsets reports routes to subsets that nobody has.
func (t *translator) subsets() {
	type key struct {
		service mesh.Ref
		subset  string
	}
	known := map[key]bool{}
	for _, d := range t.out.Destinations {
		for i := range d.Subsets {
			known[key{d.Service, d.Subsets[i].Name}] = true
		}
	}
	check := func(b *mesh.Backend, o mesh.Origin, what string) {
		if b.Subset != "" && b.Invalid == "" && !known[key{b.Service, b.Subset}] {
			t.problem(problem.ReferenceMissing, o, cmp.Or(o.Field, "spec"), at("no DestinationRule has the %s %s of %s; its share of the requests is answered 503", what, b.Subset, b.Service), "add the subset to a DestinationRule of the host")
		}
	}
	for _, r := range t.out.Routes {
		for i := range r.Rules {
			for j := range r.Rules[i].Backends {
				check(&r.Rules[i].Backends[j], r.Rules[i].Origin, "subset")
			}
			for j := range r.Rules[i].Mirrors {
				check(&r.Rules[i].Mirrors[j].Backend, r.Rules[i].Mirrors[j].Origin, "mirror subset")
			}
		}
		for i := range r.TCP {
			for j := range r.TCP[i].Backends {
				check(&r.TCP[i].Backends[j], r.TCP[i].Origin, "subset")
			}
		}
	}
}
