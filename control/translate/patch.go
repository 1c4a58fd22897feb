package translate

import (
	"cmp"
	"reflect"
	"slices"

	"github.com/weftmesh/weft/mesh"
)

func compareRefs(a, b mesh.Ref) int {
	return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
}

func compareSets(a, b *mesh.EndpointSet) int {
	return cmp.Or(compareRefs(a.Key.Service, b.Key.Service), cmp.Compare(a.Key.Port, b.Key.Port))
}

func compareRoutes(a, b *mesh.Route) int {
	return cmp.Or(compareRefs(a.Service, b.Service), cmp.Compare(a.Port, b.Port), cmp.Compare(a.Scope, b.Scope))
}

func compareDestinations(a, b *mesh.Destination) int {
	return cmp.Or(compareRefs(a.Service, b.Service), cmp.Compare(a.Scope, b.Scope), cmp.Compare(len(b.Clients), len(a.Clients)), cmp.Compare(mesh.LabelString(a.Clients), mesh.LabelString(b.Clients)))
}

// patch takes from a sorted list what is gone and adds what has come. Where
// nothing changes it is the same list.
func patch[T any](list []*T, gone, come []output, of func(output) []*T, order func(a, b *T) int) []*T {
	less := map[*T]bool{}
	for _, o := range gone {
		for _, v := range of(o) {
			less[v] = true
		}
	}
	var more []*T
	for _, o := range come {
		for _, v := range of(o) {
			if less[v] {
				delete(less, v)
			} else {
				more = append(more, v)
			}
		}
	}
	if len(less)+len(more) == 0 {
		return list
	}
	if len(list)+len(more) == len(less) {
		return nil
	}
	slices.SortStableFunc(more, order)
	out := make([]*T, 0, len(list)+len(more)-len(less))
	for _, v := range list {
		if less[v] {
			continue
		}
		for len(more) > 0 && order(more[0], v) < 0 {
			out, more = append(out, more[0]), more[1:]
		}
		out = append(out, v)
	}
	return append(out, more...)
}

// known finds the parts of outputs by what they are about.
type known struct {
	services     map[mesh.Ref]*mesh.Service
	workloads    map[mesh.Ref]*mesh.Workload
	routes       map[routeKey]*mesh.Route
	destinations map[destinationKey]*mesh.Destination
	sidecars     map[mesh.Ref]*mesh.Sidecar
	telemetries  map[mesh.Ref]*mesh.Telemetry
	endpoints    map[mesh.EndpointKey]*mesh.EndpointSet
	// kept are the services that are the same as before.
	kept map[*mesh.Service]bool
	// rules says of lists of rules, by their first, whether they are equal;
	// instead has the older one of those that are.
	rules   map[[2]*mesh.Rule]bool
	instead map[*mesh.Rule][]mesh.Rule
}

type routeKey struct {
	portKey
	scope string
}

func newKnown(list []output) *known {
	k := &known{map[mesh.Ref]*mesh.Service{}, map[mesh.Ref]*mesh.Workload{}, map[routeKey]*mesh.Route{}, map[destinationKey]*mesh.Destination{}, map[mesh.Ref]*mesh.Sidecar{}, map[mesh.Ref]*mesh.Telemetry{},
		map[mesh.EndpointKey]*mesh.EndpointSet{}, map[*mesh.Service]bool{}, map[[2]*mesh.Rule]bool{}, map[*mesh.Rule][]mesh.Rule{}}
	for _, o := range list {
		for _, v := range o.services {
			k.services[v.Ref] = v
		}
		for _, v := range o.workloads {
			k.workloads[v.Ref] = v
		}
		for _, v := range o.routes {
			k.routes[keyOfRoute(v)] = v
		}
		for _, v := range o.destinations {
			k.destinations[keyOf(v)] = v
		}
		for _, v := range o.sidecars {
			k.sidecars[v.Ref] = v
		}
		for _, v := range o.telemetries {
			k.telemetries[v.Ref] = v
		}
		for _, v := range o.endpoints {
			k.endpoints[v.Key] = v
		}
	}
	return k
}

func keyOfRoute(r *mesh.Route) routeKey { return routeKey{portKey{r.Service, r.Port}, r.Scope} }

// intern replaces what equals its predecessor by it.
func (k *known) intern(o *output) {
	intern(o.services, k.services, func(v *mesh.Service) mesh.Ref { return v.Ref })
	for _, s := range o.services {
		if k.services[s.Ref] == s {
			k.kept[s] = true
		}
	}
	intern(o.workloads, k.workloads, func(v *mesh.Workload) mesh.Ref { return v.Ref })
	k.internRoutes(o.routes)
	intern(o.destinations, k.destinations, keyOf)
	intern(o.sidecars, k.sidecars, func(v *mesh.Sidecar) mesh.Ref { return v.Ref })
	intern(o.telemetries, k.telemetries, func(v *mesh.Telemetry) mesh.Ref { return v.Ref })
	intern(o.endpoints, k.endpoints, func(v *mesh.EndpointSet) mesh.EndpointKey { return v.Key })
}

// internRoutes is intern for routes, which may have their rules in common: these
// are compared once, and those of new routes are the ones that others have.
func (k *known) internRoutes(list []*mesh.Route) {
	for i, v := range list {
		if old := k.routes[keyOfRoute(v)]; old != nil && k.sameRules(old.Rules, v.Rules) && reflect.DeepEqual(old.TCP, v.TCP) {
			list[i] = old
		}
	}
	for _, v := range list {
		if len(v.Rules) > 0 && v != k.routes[keyOfRoute(v)] {
			if rules := k.instead[&v.Rules[0]]; len(rules) == len(v.Rules) {
				v.Rules = rules
			}
		}
	}
}

func (k *known) sameRules(old, now []mesh.Rule) bool {
	if len(old) != len(now) || len(now) == 0 {
		return len(old) == len(now) && (old == nil) == (now == nil)
	}
	pair := [2]*mesh.Rule{&old[0], &now[0]}
	same, known := k.rules[pair]
	if !known {
		same = reflect.DeepEqual(old, now)
		k.rules[pair] = same
		if same {
			k.instead[&now[0]] = old
		}
	}
	return same
}

func intern[T any, K comparable](list []*T, known map[K]*T, key func(*T) K) {
	for i, v := range list {
		if old := known[key(v)]; old != nil && reflect.DeepEqual(old, v) {
			list[i] = old
		}
	}
}
