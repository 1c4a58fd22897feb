package translate

import (
	"reflect"
	"slices"
	"sort"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/weftmesh/weft/control/translate/core"
	"github.com/weftmesh/weft/control/translate/fragment"
	"github.com/weftmesh/weft/control/world"
	"github.com/weftmesh/weft/mesh"
)

// Incremental translates one World after another, and of each only what has
// changed since the last one:
//
//	changed objects ─► names that they mention, before and now
//	                ─► components: all objects that depend on each other
//	                   through names (mention.go, graph.go)
//	                ─► each translated as a World of its own, by the same
//	                   functions as a whole one
//	                ─► what equals its predecessor is replaced by it
//
// The results are those of Build. Parts that mean the same are the same
// pointers, so that whoever has looked at one before need not look again. It is
// for one goroutine.
type Incremental struct {
	settings mesh.Settings
	world    *world.World
	graph    *graph
	groups   map[id]*group
	spaces   map[string]*group // workloads by namespace
	// uncovered are the problems of the same name.
	uncovered []mesh.Problem
	result    Result
	work      Work
}

// Work counts what was done, for metrics and tests.
type Work struct {
	// Runs is how many Worlds were translated, Groups how many components and
	// namespaces of workloads, Objects how many objects were in them.
	Runs, Groups, Objects uint64
}

// group is what follows from the objects of one component.
type group struct {
	ids []id
	out output
}

// output is the part of a Result that a group makes.
type output struct {
	services     []*mesh.Service
	workloads    []*mesh.Workload
	routes       []*mesh.Route
	destinations []*mesh.Destination
	sidecars     []*mesh.Sidecar
	telemetries  []*mesh.Telemetry
	endpoints    []*mesh.EndpointSet
	problems     []mesh.Problem
	statuses     [][]RouteStatus
}

// NewIncremental makes one that has seen nothing yet.
func NewIncremental(settings mesh.Settings) *Incremental {
	return &Incremental{settings: settings, world: &world.World{}, graph: newGraph(), groups: map[id]*group{}, spaces: map[string]*group{}}
}

// Work returns the counts so far.
func (x *Incremental) Work() Work { return x.work }

// Build translates the next World.
func (x *Incremental) Build(w *world.World) Result {
	concerned, spaces := x.concerned(w)
	old := x.world
	x.world = w
	x.work.Runs++
	var gone, come []output
	// The groups that are no more are those of everything concerned.
	dissolved := map[*group]bool{}
	again := map[id]bool{}
	dissolve := func(i id) {
		if g := x.groups[i]; g != nil && !dissolved[g] {
			dissolved[g] = true
			gone = append(gone, g.out)
			for _, member := range g.ids {
				if _, exists := x.graph.tokens[member]; exists {
					again[member] = true
				}
				delete(x.groups, member)
			}
		}
	}
	for i := range concerned {
		dissolve(i)
		if _, exists := x.graph.tokens[i]; exists {
			again[i] = true
		}
	}
	done := map[id]bool{}
	var made []*group
	for i := range again {
		if done[i] || x.graph.isPattern(i) {
			continue
		}
		c := x.graph.walk(i)
		g := &group{ids: make([]id, 0, len(c.ids))}
		for member := range c.ids {
			if x.graph.isPattern(member) {
				continue
			}
			done[member] = true
			dissolve(member)
			g.ids = append(g.ids, member)
			x.groups[member] = g
		}
		g.out = x.group(w, c)
		made = append(made, g)
		x.work.Groups++
		x.work.Objects += uint64(len(c.ids))
	}
	known := newKnown(gone)
	for _, g := range made {
		known.intern(&g.out)
		come = append(come, g.out)
	}
	for _, o := range append(slices.Clone(gone), come...) {
		for _, s := range o.services {
			if !known.kept[s] {
				spaces[s.Namespace] = true
			}
		}
	}
	g, c := x.workloads(w, old, spaces)
	gone, come = append(gone, g...), append(come, c...)
	x.assemble(w, old, gone, come)
	return x.result
}

// concerned takes in what has changed, and returns the objects that it
// concerns, and the namespaces whose workloads it concerns.
func (x *Incremental) concerned(w *world.World) (map[id]bool, map[string]bool) {
	tokens, objects, spaces := map[token]bool{}, map[id]bool{}, map[string]bool{}
	type change struct {
		i      id
		now    []token
		exists bool
	}
	var list []change
	compareTables(x.world, w, x.settings.ClusterDomain, func(i id, now []token, exists bool) {
		list = append(list, change{i, now, exists})
	})
	reach := func(i id) { objects[i] = true }
	note := func(i id) {
		objects[i] = true
		for _, t := range x.graph.tokens[i] {
			// Whoever else is in a namespace is concerned by some kinds alone.
			if k := t.kind(); k == 'n' && i.kind != world.KindServer || k == 'e' && i.kind != world.KindWorkloadEntry && i.kind != world.KindWorkloadGroup || k == 'p' || k == 'r' {
				continue
			}
			tokens[t] = true
		}
	}
	for _, c := range list {
		note(c.i)
	}
	for t := range tokens {
		x.graph.starts(t, reach)
	}
	for _, c := range list {
		x.graph.set(c.i, c.now, c.exists)
		if c.i.kind == world.KindService || c.i.kind == world.KindServer {
			spaces[c.i.ref.Namespace] = true
		}
	}
	for _, c := range list {
		note(c.i)
	}
	changes(x.world.Namespaces, w.Namespaces, func(ref mesh.Ref, _, _ *corev1.Namespace, _ bool) {
		tokens[token("n"+ref.Name)], spaces[ref.Name] = true, true
	})
	changes(x.world.ReferenceGrants, w.ReferenceGrants, func(ref mesh.Ref, _, _ *gwv1.ReferenceGrant, _ bool) {
		tokens[token("r"+ref.Namespace)] = true
	})
	moved := false
	changes(x.world.Pods, w.Pods, func(ref mesh.Ref, _, _ *corev1.Pod, _ bool) {
		moved = true
		tokens[token("p"+ref.Namespace)], spaces[ref.Namespace] = true, true
		if x.graph.servers[ref.Namespace] > 0 {
			tokens[token("n"+ref.Namespace)] = true
		}
	})
	if moved {
		// A pod on its way out loses an address that another has now, anywhere.
		for ref, item := range w.Pods {
			if item.Obj.DeletionTimestamp != nil {
				spaces[ref.Namespace] = true
				if x.graph.servers[ref.Namespace] > 0 {
					tokens[token("n"+ref.Namespace)] = true
				}
			}
		}
	}
	changes(x.world.EndpointSlices, w.EndpointSlices, func(ref mesh.Ref, before, now *discoveryv1.EndpointSlice, _ bool) {
		if !selects(w, before) || !selects(w, now) {
			spaces[ref.Namespace] = true
			if x.graph.servers[ref.Namespace] > 0 {
				tokens[token("n"+ref.Namespace)] = true
			}
		}
	})
	for t := range tokens {
		x.graph.starts(t, reach)
	}
	return objects, spaces
}

// selects says whether the service of a slice finds its pods by labels, so that
// the slice tells the translators nothing.
func selects(w *world.World, s *discoveryv1.EndpointSlice) bool {
	if s == nil {
		return true
	}
	svc, ok := w.Services[mesh.Ref{Namespace: s.Namespace, Name: s.Labels[discoveryv1.LabelServiceName]}]
	return ok && len(svc.Obj.Spec.Selector) > 0
}

// group translates one component.
func (x *Incremental) group(w *world.World, c component) output {
	part := &world.World{
		Revision: w.Revision, Namespaces: w.Namespaces, EndpointSlices: w.EndpointSlices, Pods: w.Pods, ReferenceGrants: w.ReferenceGrants,
		Services:         restricted(w.Services, world.KindService, c.ids),
		TrafficSplits:    restricted(w.TrafficSplits, world.KindTrafficSplit, c.ids),
		HTTPRoutes:       restricted(w.HTTPRoutes, world.KindHTTPRoute, c.ids),
		GRPCRoutes:       restricted(w.GRPCRoutes, world.KindGRPCRoute, c.ids),
		TLSRoutes:        restricted(w.TLSRoutes, world.KindTLSRoute, c.ids),
		TCPRoutes:        restricted(w.TCPRoutes, world.KindTCPRoute, c.ids),
		VirtualServices:  restricted(w.VirtualServices, world.KindVirtualService, c.ids),
		DestinationRules: restricted(w.DestinationRules, world.KindDestinationRule, c.ids),
		ServiceEntries:   restricted(w.ServiceEntries, world.KindServiceEntry, c.ids),
		WorkloadGroups:   restricted(w.WorkloadGroups, world.KindWorkloadGroup, c.ids),
		WorkloadEntries:  restricted(w.WorkloadEntries, world.KindWorkloadEntry, c.ids),
		Sidecars:         restricted(w.Sidecars, world.KindSidecar, c.ids),
		Telemetries:      restricted(w.Telemetries, world.KindTelemetry, c.ids),
		HTTPRouteGroups:  restricted(w.HTTPRouteGroups, world.KindHTTPRouteGroup, c.ids),
		ServiceProfiles:  restricted(w.ServiceProfiles, world.KindServiceProfile, c.ids),
		Servers:          restricted(w.Servers, world.KindServer, c.ids),
		PolicyRoutes:     restricted(w.PolicyRoutes, world.KindPolicyRoute, c.ids),
	}
	// Servers tell the protocols of services by their pods: there the workloads
	// are made together with the services.
	served := map[string]bool{}
	for i := range c.ids {
		if i.kind == world.KindServer {
			served[i.ref.Namespace] = true
		}
	}
	own := *part
	own.Pods, own.EndpointSlices = within(w.Pods, served), within(w.EndpointSlices, served)
	base := core.Part(&own, w.Pods, x.settings)
	return x.families(w, part, base)
}

// families is the part of the translation that follows core.
func (x *Incremental) families(whole, part *world.World, base fragment.Fragment) output {
	m, problems, statuses := combine(part, x.settings, base)
	locate(whole, problems)
	return output{m.Services, m.Workloads, m.Routes, m.Destinations, m.Sidecars, m.Telemetries, m.Endpoints, problems, statuses}
}

// assemble puts the result together.
func (x *Incremental) assemble(w, old *world.World, gone, come []output) {
	before := x.result.Mesh
	if before == nil {
		before = &mesh.Mesh{}
	}
	m := &mesh.Mesh{Revision: w.Revision, Settings: x.settings}
	m.Services = patch(before.Services, gone, come, func(o output) []*mesh.Service { return o.services }, func(a, b *mesh.Service) int { return compareRefs(a.Ref, b.Ref) })
	m.Workloads = patch(before.Workloads, gone, come, func(o output) []*mesh.Workload { return o.workloads }, func(a, b *mesh.Workload) int { return compareRefs(a.Ref, b.Ref) })
	m.Routes = patch(before.Routes, gone, come, func(o output) []*mesh.Route { return o.routes }, compareRoutes)
	m.Destinations = patch(before.Destinations, gone, come, func(o output) []*mesh.Destination { return o.destinations }, compareDestinations)
	m.Sidecars = patch(before.Sidecars, gone, come, func(o output) []*mesh.Sidecar { return o.sidecars }, func(a, b *mesh.Sidecar) int { return compareRefs(a.Ref, b.Ref) })
	m.Telemetries = patch(before.Telemetries, gone, come, func(o output) []*mesh.Telemetry { return o.telemetries }, func(a, b *mesh.Telemetry) int { return compareRefs(a.Ref, b.Ref) })
	m.Endpoints = patch(before.Endpoints, gone, come, func(o output) []*mesh.EndpointSet { return o.endpoints }, compareSets)
	x.result.Mesh = m
	patterns := x.uncovered
	if !sameTable(old.DestinationRules, w.DestinationRules) || slices.ContainsFunc(slices.Concat(gone, come), func(o output) bool { return len(o.services) > 0 }) {
		x.uncovered = uncovered(w, m.Services)
		mesh.SortProblems(x.uncovered)
	}
	if said, saidBefore := problemsOf(come), problemsOf(gone); x.work.Runs == 1 || !slices.Equal(patterns, x.uncovered) || !slices.Equal(said, saidBefore) || !slices.Equal(w.Problems, old.Problems) {
		x.result.Problems = x.problems(w)
	}
	if x.work.Runs == 1 || !reflect.DeepEqual(statusesOf(gone), statusesOf(come)) {
		x.result.Statuses = nil
		for _, list := range statusesOf(x.outputs()) {
			x.result.Statuses = append(x.result.Statuses, list...)
		}
	}
}

// outputs are those of all groups.
func (x *Incremental) outputs() []output {
	var out []output
	seen := map[*group]bool{}
	for _, g := range x.groups {
		if !seen[g] {
			seen[g] = true
			out = append(out, g.out)
		}
	}
	for _, g := range x.spaces {
		out = append(out, g.out)
	}
	return out
}

func (x *Incremental) problems(w *world.World) []mesh.Problem {
	out := append(slices.Clone(w.Problems), x.uncovered...)
	for _, o := range x.outputs() {
		out = append(out, o.problems...)
	}
	return canonical(out)
}

// canonical sorts problems; what several parts of the mesh tell is told once.
func canonical(list []mesh.Problem) []mesh.Problem {
	mesh.SortProblems(list)
	return slices.Compact(list)
}

func problemsOf(list []output) []mesh.Problem {
	var out []mesh.Problem
	for _, o := range list {
		out = append(out, o.problems...)
	}
	return canonical(out)
}

// statusesOf are the statuses by family, sorted.
func statusesOf(list []output) [][]RouteStatus {
	out := make([][]RouteStatus, len(families))
	for _, o := range list {
		for f, s := range o.statuses {
			out[f] = append(out[f], s...)
		}
	}
	for _, l := range out {
		sort.SliceStable(l, func(i, j int) bool {
			return l[i].Route.Less(l[j].Route) || l[i].Route == l[j].Route && l[i].Kind < l[j].Kind
		})
	}
	return out
}
