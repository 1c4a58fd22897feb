package smi

import (
	"fmt"
	"sort"

	"github.com/weftmesh/weft/control/problem"
	"github.com/weftmesh/weft/control/translate/fragment"
	"github.com/weftmesh/weft/control/world"
	"github.com/weftmesh/weft/internal/smiapi"
	"github.com/weftmesh/weft/mesh"
)

// Translate makes a producer route of the TrafficSplits of each root for every
// port of it: weighted requests where the port may be HTTP, weighted
// connections everywhere. Splits with matches come first, the oldest before the
// others, and bind the requests that they describe; then one without matches,
// or else the root itself. It is pure.
func Translate(w *world.World, services fragment.Services) fragment.Fragment {
	t := &translator{w: w, services: services, roots: map[mesh.Ref]*root{}}
	var order []*root
	for _, item := range byAge(w.TrafficSplits) {
		ref := mesh.Ref{Namespace: item.Obj.Namespace, Name: item.Obj.Service}
		r := t.roots[ref]
		if r == nil {
			r = &root{ref: ref, first: item.Origin}
			t.roots[ref] = r
			order = append(order, r)
		}
		switch {
		case len(item.Obj.Matches) > 0:
			r.matched = append(r.matched, item)
		case r.general != nil:
			t.problem(problem.DuplicateSplit, item.Origin, "spec.service", fmt.Sprintf("service %s is split by %s already, which is older or sorts first; this one is not in effect", ref, r.general.Origin), "keep one split a service")
		default:
			r.general = &item
		}
	}
	for _, r := range order {
		t.root(r)
	}
	return t.out
}

// root is a service that is split.
type root struct {
	ref mesh.Ref
	// first is the oldest of its splits.
	first   mesh.Origin
	matched []world.Item[*smiapi.TrafficSplit]
	general *world.Item[*smiapi.TrafficSplit]
}

type translator struct {
	w        *world.World
	services fragment.Services
	roots    map[mesh.Ref]*root
	out      fragment.Fragment
}

func (t *translator) problem(c problem.Code, o mesh.Origin, field, message, remedy string) {
	t.out.Problems = append(t.out.Problems, problem.New(c, o, field, message, remedy))
}

// byAge sorts by age, then namespace and name.
func byAge(splits world.Table[*smiapi.TrafficSplit]) []world.Item[*smiapi.TrafficSplit] {
	out := make([]world.Item[*smiapi.TrafficSplit], 0, len(splits))
	for _, item := range splits {
		out = append(out, item)
	}
	sort.Slice(out, func(i, j int) bool {
		a, b := out[i].Obj, out[j].Obj
		if !a.CreationTimestamp.Equal(&b.CreationTimestamp) {
			return a.CreationTimestamp.Before(&b.CreationTimestamp)
		}
		return a.Namespace < b.Namespace || a.Namespace == b.Namespace && a.Name < b.Name
	})
	return out
}

// root makes the routes of one root.
func (t *translator) root(r *root) {
	type part struct {
		item    world.Item[*smiapi.TrafficSplit]
		matches []mesh.Match
		shares  []share
	}
	var parts []part
	svc := t.services[r.ref]
	for _, item := range r.matched {
		matches, ok := t.matches(item)
		if shares := t.split(item, svc); ok && shares != nil {
			parts = append(parts, part{item, matches, shares})
		}
	}
	if r.general != nil {
		if shares := t.split(*r.general, svc); shares != nil {
			parts = append(parts, part{*r.general, nil, shares})
		}
	}
	if len(parts) == 0 {
		return
	}
	for _, port := range svc.Ports {
		route := fragment.Route{Route: &mesh.Route{Service: r.ref, Port: port.Number}}
		whole := false
		for _, p := range parts {
			if len(p.matches) > 0 && !port.Protocol.MayBeHTTP() {
				continue // connections have no requests to match
			}
			o := p.item.Origin
			backends := t.shared(r.ref, port, p.shares, o)
			if backends == nil {
				continue
			}
			route.Origins = append(route.Origins, o)
			if port.Protocol.MayBeHTTP() {
				route.Rules = append(route.Rules, mesh.Rule{Name: o.Name, Matches: p.matches, Backends: backends, Origin: o.At("spec.backends")})
			}
			if len(p.matches) == 0 {
				whole = true
				route.TCP = []mesh.TCPRule{{Backends: backends, Origin: o.At("spec.backends")}}
			}
		}
		if len(route.Origins) == 0 {
			continue
		}
		if !whole {
			o := route.Origins[0]
			route.Rules = append(route.Rules, mesh.Rule{Name: "default", Backends: []mesh.Backend{{Service: r.ref, Port: port.Number, Weight: 1}}, Origin: o.At("spec.matches")})
		}
		t.out.Routes = append(t.out.Routes, route)
	}
}

// split gathers the usable backends of one split; nil means that it cannot be
// in effect, which is then reported.
func (t *translator) split(item world.Item[*smiapi.TrafficSplit], svc *mesh.Service) []share {
	o, ref := item.Origin, mesh.Ref{Namespace: item.Obj.Namespace, Name: item.Obj.Service}
	switch {
	case svc == nil:
		t.problem(problem.RootMissing, o, "spec.service", fmt.Sprintf("service %s does not exist; the split is not in effect", ref), "create the Service or correct the name")
		return nil
	case svc.Kind == mesh.ExternalName || len(svc.Ports) == 0:
		t.problem(problem.SplitWithoutPorts, o, "spec.service", fmt.Sprintf("service %s is an ExternalName or has no TCP port; the split is not in effect", ref), "split a Service with endpoints of its own")
		return nil
	}
	return t.backends(item.Obj, o, ref)
}

// share is a backend that exists.
type share struct {
	index   int
	service *mesh.Service
	milli   int64
}

// backends gathers the usable backends; nil means that the split cannot be in
// effect, which is then reported.
func (t *translator) backends(split *smiapi.TrafficSplit, o mesh.Origin, root mesh.Ref) []share {
	var out []share
	var sum int64
	at := map[mesh.Ref]int{}
	for i, b := range split.Backends {
		ref := mesh.Ref{Namespace: split.Namespace, Name: b.Service}
		where := fmt.Sprintf("spec.backends[%d]", i)
		s := t.services[ref]
		if s == nil {
			t.problem(problem.BackendMissing, o, where+".service", fmt.Sprintf("service %s does not exist; it receives nothing and the other backends share its part", ref), "create the Service or correct the name")
			continue
		}
		if s.Kind == mesh.ExternalName {
			t.problem(problem.BackendMissing, o, where+".service", fmt.Sprintf("service %s is an ExternalName, which cannot be a backend; it receives nothing and the other backends share its part", ref), "name a Service with endpoints of its own")
			continue
		}
		if other, is := t.roots[ref]; ref == root {
			t.problem(problem.SelfReference, o, where+".service", "the root is its own backend; that share goes straight to its own endpoints", "")
		} else if is {
			t.problem(problem.ChainedSplit, o, where+".service", fmt.Sprintf("service %s is itself split by %s, which does not apply to this share", ref, other.first), "name the backends of that split here")
		}
		sum += b.MilliWeight
		if j, dup := at[ref]; dup {
			t.problem(problem.DuplicateBackend, o, where+".service", fmt.Sprintf("service %s is named by spec.backends[%d] too; the weights are added", ref, out[j].index), "name each backend once")
			out[j].milli += b.MilliWeight
			continue
		}
		at[ref] = len(out)
		out = append(out, share{i, s, b.MilliWeight})
	}
	switch {
	case len(out) == 0:
		t.problem(problem.NoBackends, o, "spec.backends", fmt.Sprintf("no backend can be used; service %s receives its own traffic", root), "name Services that exist")
		return nil
	case sum == 0:
		t.problem(problem.AllWeightsZero, o, "spec.backends", fmt.Sprintf("the usable backends have no weight; service %s receives its own traffic", root), "give one of them a weight above 0")
		return nil
	}
	return out
}

// shared are the backends for one port of the root, of which those of the
// backends have the same number; nil means that none can be used.
func (t *translator) shared(root mesh.Ref, port mesh.Port, shares []share, o mesh.Origin) []mesh.Backend {
	var out []mesh.Backend
	var milli []int64
	for _, s := range shares {
		if s.service.PortByNumber(port.Number) == nil {
			t.problem(problem.BackendPortMissing, o, fmt.Sprintf("spec.backends[%d].service", s.index), fmt.Sprintf("service %s has no port %d; on that port it receives nothing and the other backends share its part", s.service.Ref, port.Number), "give the backend the ports of the root")
			continue
		}
		out = append(out, mesh.Backend{Service: s.service.Ref, Port: port.Number})
		milli = append(milli, s.milli)
	}
	weights := fragment.Weights(milli)
	if weights == nil {
		t.problem(problem.NoBackends, o, "spec.backends", fmt.Sprintf("no backend with a weight has port %d; on that port service %s receives its own traffic", port.Number, root), "give the backends the ports of the root")
		return nil
	}
	for i := range out {
		out[i].Weight = weights[i]
	}
	return out
}
