package translate

import (
	"github.com/weftmesh/weft/control/translate/core"
	"github.com/weftmesh/weft/control/translate/fragment"
	"github.com/weftmesh/weft/control/world"
	"github.com/weftmesh/weft/mesh"
)

// RouteStatus is what became of one route of the Gateway API, for a status writer.
type RouteStatus = fragment.RouteStatus

// Result is everything that follows from a World.
type Result struct {
	Mesh *mesh.Mesh
	// Problems of the sources and of the translators, in canonical order.
	Problems []mesh.Problem
	// Statuses of the routes of the Gateway API that name a Service as parent,
	// sorted by Ref and kind.
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
	m, problems, statuses := combine(w, settings, core.Translate(w, settings))
	locate(w, problems)
	problems = append(problems, uncovered(w, m.Services)...)
	r := Result{Mesh: m, Problems: canonical(append(append([]mesh.Problem(nil), w.Problems...), problems...))}
	for _, list := range statuses {
		r.Statuses = append(r.Statuses, list...)
	}
	return r
}

// combine asks every family, and merges what they say with what core says. The
// statuses are by family.
func combine(w *world.World, settings mesh.Settings, base fragment.Fragment) (m *mesh.Mesh, problems []mesh.Problem, statuses [][]RouteStatus) {
	services := make(fragment.Services, len(base.Services))
	for _, s := range base.Services {
		services[s.Ref] = s
	}
	m = &mesh.Mesh{Revision: w.Revision, Settings: settings, Services: base.Services, Workloads: base.Workloads}
	problems = append(problems, base.Problems...)
	var routes []fragment.Fragment
	for _, f := range families {
		frag := f.translate(w, services, settings)
		m.Services = append(m.Services, frag.Services...)
		m.Workloads = append(m.Workloads, frag.Workloads...)
		m.Endpoints = append(m.Endpoints, frag.Endpoints...)
		m.Sidecars = append(m.Sidecars, frag.Sidecars...)
		m.Telemetries = append(m.Telemetries, frag.Telemetries...)
		problems = append(problems, frag.Problems...)
		statuses = append(statuses, frag.Statuses)
		routes = append(routes, frag)
	}
	merged, lost := merge(routes)
	m.Routes, problems = merged, append(problems, lost...)
	m.Destinations = mergeDestinations(routes)
	problems = append(problems, detectors(m.Destinations)...)
	m.Sort()
	return m, problems, statuses
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
