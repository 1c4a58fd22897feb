package gatewayapi

import (
	"sort"

	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/weftmesh/weft/control/problem"
	"github.com/weftmesh/weft/control/translate/fragment"
	"github.com/weftmesh/weft/control/world"
	"github.com/weftmesh/weft/mesh"
)

// Translate merges the HTTPRoutes of each service port and scope: a route in
// the namespace of its parent is a producer route and binds all clients, one
// elsewhere is a consumer route and binds the clients of its own namespace. It
// is pure.
func Translate(w *world.World, services fragment.Services) fragment.Fragment {
	t := &translator{w: w, services: services, entries: map[target][]entry{}, origins: map[target][]mesh.Origin{}}
	for _, item := range ordered(w.HTTPRoutes) {
		t.route(item)
	}
	t.merge()
	sort.SliceStable(t.out.Statuses, func(i, j int) bool { return t.out.Statuses[i].Route.Less(t.out.Statuses[j].Route) })
	return t.out
}

// target is where rules are in effect.
type target struct {
	service mesh.Ref
	port    uint16
	scope   string
}

type translator struct {
	w        *world.World
	services fragment.Services
	entries  map[target][]entry
	origins  map[target][]mesh.Origin
	out      fragment.Fragment
}

// ordered sorts by age, then namespace and name: the order in which routes
// win when their matches are alike.
func ordered(routes world.Table[*gwv1.HTTPRoute]) []world.Item[*gwv1.HTTPRoute] {
	out := make([]world.Item[*gwv1.HTTPRoute], 0, len(routes))
	for _, item := range routes {
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

// judge gathers the problems and conditions of one route.
type judge struct {
	t      *translator
	origin mesh.Origin
	// told keeps a problem of a rule, which is read for each parent, to one.
	told map[string]bool
	// refs is the first reason for which a backend cannot be used.
	refs fragment.Condition
	// partial is set when rules are dropped or answered with an error.
	partial fragment.Condition
}

func (j *judge) problem(c problem.Code, field, message, remedy string) {
	key := string(c) + field + message
	if j.told[key] {
		return
	}
	j.told[key] = true
	j.t.out.Problems = append(j.t.out.Problems, problem.New(c, j.origin, field, message, remedy))
}

func (j *judge) unresolved(reason gwv1.RouteConditionReason, message string) {
	if j.refs.Reason == "" {
		j.refs = fragment.Condition{Reason: string(reason), Message: message}
	}
}

// invalid notes that a rule is not in effect as written. The message begins as
// the API demands (RouteConditionPartiallyInvalid).
func (j *judge) invalid(rule int, message string) {
	if !j.partial.Status {
		j.partial = fragment.Condition{Status: true, Reason: string(gwv1.RouteReasonUnsupportedValue), Message: at("Dropped Rule %d: %s", rule, message)}
	}
}

func (t *translator) route(item world.Item[*gwv1.HTTPRoute]) {
	r := item.Obj
	j := &judge{t: t, origin: item.Origin, told: map[string]bool{}}
	status := fragment.RouteStatus{Route: mesh.Ref{Namespace: r.Namespace, Name: r.Name}, Generation: r.Generation}
	done := map[target]bool{}
	for i := range r.Spec.ParentRefs {
		ref := &r.Spec.ParentRefs[i]
		if !isService(ref) {
			continue
		}
		ps, targets := j.parent(r, ref, i)
		j.refs, j.partial = fragment.Condition{}, fragment.Condition{}
		if len(targets) > 0 && len(r.Spec.Hostnames) > 0 {
			j.problem(problem.HostnamesIgnored, "spec.hostnames", "routes of a Service apply to all requests to it; the hostnames are ignored", "remove spec.hostnames")
		}
		// Rules are judged even where the parent is not accepted, so that
		// everything wrong is told at once.
		entries := j.rules(r, ps.Service.Namespace)
		for _, tg := range targets {
			if !done[tg] {
				done[tg] = true
				t.entries[tg] = append(t.entries[tg], entries...)
				t.origins[tg] = append(t.origins[tg], item.Origin)
			}
		}
		ps.ResolvedRefs = fragment.Condition{Status: true, Reason: string(gwv1.RouteReasonResolvedRefs)}
		if j.refs.Reason != "" {
			ps.ResolvedRefs = j.refs
		}
		if ps.Accepted.Status {
			ps.PartiallyInvalid = j.partial
		}
		status.Parents = append(status.Parents, ps)
	}
	if len(status.Parents) > 0 {
		t.out.Statuses = append(t.out.Statuses, status)
	}
}

// merge makes the routes: all matches of a target in the order of precedence,
// neighbours of the same rule together again.
func (t *translator) merge() {
	targets := make([]target, 0, len(t.entries))
	for tg := range t.entries {
		targets = append(targets, tg)
	}
	// A target without a usable rule still answers 404, as the API demands.
	for tg := range t.origins {
		if _, ok := t.entries[tg]; !ok {
			targets = append(targets, tg)
		}
	}
	sort.Slice(targets, func(i, j int) bool {
		a, b := targets[i], targets[j]
		switch {
		case a.service != b.service:
			return a.service.Less(b.service)
		case a.port != b.port:
			return a.port < b.port
		}
		return a.scope < b.scope
	})
	for _, tg := range targets {
		entries := t.entries[tg]
		sort.SliceStable(entries, func(i, j int) bool { return entries[i].before(&entries[j]) })
		r := &mesh.Route{Service: tg.service, Port: tg.port, Scope: tg.scope, Rules: []mesh.Rule{}}
		var last *mesh.Rule
		for i := range entries {
			e := &entries[i]
			if last == e.rule && len(r.Rules) > 0 {
				n := len(r.Rules) - 1
				r.Rules[n].Matches = append(r.Rules[n].Matches, e.match)
				continue
			}
			rule := *e.rule
			rule.Matches = []mesh.Match{e.match}
			r.Rules = append(r.Rules, rule)
			last = e.rule
		}
		for i := range r.Rules {
			r.Rules[i].Matches = simplify(r.Rules[i].Matches)
		}
		t.out.Routes = append(t.out.Routes, fragment.Route{Route: r, Origins: t.origins[tg]})
	}
}

// simplify drops alternatives that hold always: none means every request.
func simplify(ms []mesh.Match) []mesh.Match {
	for i := range ms {
		if ms[i].Path == (mesh.PathMatch{}) && ms[i].Method == "" && len(ms[i].Headers)+len(ms[i].Query) == 0 {
			return nil
		}
	}
	return ms
}
