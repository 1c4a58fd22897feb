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

// Translate makes a producer route of each TrafficSplit for every port of its
// root: weighted requests where the port may be HTTP, weighted connections
// everywhere. It is pure.
func Translate(w *world.World, services fragment.Services) fragment.Fragment {
	t := &translator{services: services, roots: map[mesh.Ref]world.Item[*smiapi.TrafficSplit]{}}
	for _, item := range byAge(w.TrafficSplits) {
		root := mesh.Ref{Namespace: item.Obj.Namespace, Name: item.Obj.Service}
		if first, taken := t.roots[root]; taken {
			t.problem(problem.DuplicateSplit, item.Origin, "spec.service", fmt.Sprintf("service %s is split by %s already, which is older or sorts first; this one is not in effect", root, first.Origin), "keep one split a service")
			continue
		}
		t.roots[root] = item
		t.accepted = append(t.accepted, item)
	}
	for _, item := range t.accepted {
		t.split(item)
	}
	return t.out
}

type translator struct {
	services fragment.Services
	roots    map[mesh.Ref]world.Item[*smiapi.TrafficSplit]
	accepted []world.Item[*smiapi.TrafficSplit]
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

func (t *translator) split(item world.Item[*smiapi.TrafficSplit]) {
	split, o := item.Obj, item.Origin
	ref := mesh.Ref{Namespace: split.Namespace, Name: split.Service}
	if len(split.Matches) > 0 {
		t.problem(problem.SplitMatchesIgnored, o, "spec.matches", "splits cannot be limited to some requests; this one is not in effect", "use an HTTPRoute for matches, or remove spec.matches")
		return
	}
	root := t.services[ref]
	if root == nil {
		t.problem(problem.RootMissing, o, "spec.service", fmt.Sprintf("service %s does not exist; the split is not in effect", ref), "create the Service or correct the name")
		return
	}
	if root.Kind == mesh.ExternalName || len(root.Ports) == 0 {
		t.problem(problem.SplitWithoutPorts, o, "spec.service", fmt.Sprintf("service %s is an ExternalName or has no TCP port; the split is not in effect", ref), "split a Service with endpoints of its own")
		return
	}
	backends := t.backends(split, o, ref)
	if backends == nil {
		return
	}
	for _, port := range root.Ports {
		if r := t.route(ref, port, backends, o); r != nil {
			t.out.Routes = append(t.out.Routes, fragment.Route{Route: r, Origins: []mesh.Origin{o}})
		}
	}
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
			t.problem(problem.ChainedSplit, o, where+".service", fmt.Sprintf("service %s is itself split by %s, which does not apply to this share", ref, other.Origin), "name the backends of that split here")
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

// route makes the route of one port of the root; the port of a backend has the
// same number.
func (t *translator) route(root mesh.Ref, port mesh.Port, shares []share, o mesh.Origin) *mesh.Route {
	whole, sum, scale := true, int64(0), int64(1)
	var usable []share
	for _, s := range shares {
		if s.service.PortByNumber(port.Number) == nil {
			t.problem(problem.BackendPortMissing, o, fmt.Sprintf("spec.backends[%d].service", s.index), fmt.Sprintf("service %s has no port %d; on that port it receives nothing and the other backends share its part", s.service.Ref, port.Number), "give the backend the ports of the root")
			continue
		}
		whole = whole && s.milli%1000 == 0
		sum += s.milli
		usable = append(usable, s)
	}
	if sum == 0 {
		t.problem(problem.NoBackends, o, "spec.backends", fmt.Sprintf("no backend with a weight has port %d; on that port service %s receives its own traffic", port.Number, root), "give the backends the ports of the root")
		return nil
	}
	// Whole weights stay as they are written, others count thousandths; the
	// sum must fit the 32 bits of xDS.
	if whole {
		scale = 1000
	}
	for sum/scale > 1<<31 {
		scale *= 10
	}
	backends := make([]mesh.Backend, 0, len(usable))
	for _, s := range usable {
		weight := s.milli / scale
		if weight == 0 && s.milli > 0 {
			weight = 1
		}
		backends = append(backends, mesh.Backend{Service: s.service.Ref, Port: port.Number, Weight: uint32(weight)})
	}
	r := &mesh.Route{Service: root, Port: port.Number, TCP: backends}
	if port.Protocol.MayBeHTTP() {
		r.Rules = []mesh.Rule{{Name: o.Name, Backends: backends, Origin: o}}
	}
	return r
}
