package translate

import (
	"github.com/weftmesh/weft/control/translate/core"
	"github.com/weftmesh/weft/control/translate/fragment"
	"github.com/weftmesh/weft/control/world"
	"github.com/weftmesh/weft/mesh"
)

// RouteStatus is what became of one HTTPRoute, for a status writer.
type RouteStatus = fragment.RouteStatus

// Result is everything that follows from a World.
type Result struct {
	Mesh *mesh.Mesh
	// Problems of the sources and of the translators, in canonical order.
	Problems []mesh.Problem
	// Statuses of the HTTPRoutes that name a Service as parent, sorted by Ref.
	Statuses []RouteStatus
}

// Translate is Build without the statuses.
func Translate(w *world.World, settings mesh.Settings) (*mesh.Mesh, []mesh.Problem) {
	r := Build(w, settings)
	return r.Mesh, r.Problems
}

// Build translates a World. It is pure: equal inputs give equal results. The
// Mesh has the revision of the World.
func Build(w *world.World, settings mesh.Settings) Result {
	base := core.Translate(w, settings)
	services := make(fragment.Services, len(base.Services))
	for _, s := range base.Services {
		services[s.Ref] = s
	}
	m := &mesh.Mesh{Revision: w.Revision, Settings: settings, Services: base.Services, Workloads: base.Workloads}
	r := Result{Mesh: m, Problems: append(append([]mesh.Problem(nil), w.Problems...), base.Problems...)}
	found := len(w.Problems)
	var routes []fragment.Fragment
	for _, f := range families {
		frag := f.translate(w, services)
		r.Problems = append(r.Problems, frag.Problems...)
		r.Statuses = append(r.Statuses, frag.Statuses...)
		routes = append(routes, frag)
	}
	merged, lost := merge(routes)
	m.Routes, r.Problems = merged, append(r.Problems, lost...)
	m.Sort()
	locate(w, r.Problems[found:])
	mesh.SortProblems(r.Problems)
	return r
}

// locate gives problems with a field the line of that field, where it is known.
func locate(w *world.World, problems []mesh.Problem) {
	for i := range problems {
		p := &problems[i]
		if p.Origin.File == "" || p.Field == "" {
			continue
		}
		if place := w.Place(p.Origin); place != nil {
			if line := place.Line(p.Field); line > 0 {
				p.Origin.Line = line
			}
		}
	}
}
