package gatewayapi

import (
	"slices"
	"sort"

	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/weftmesh/weft/control/problem"
	"github.com/weftmesh/weft/control/translate/fragment"
	"github.com/weftmesh/weft/control/translate/httproute"
	"github.com/weftmesh/weft/control/world"
	"github.com/weftmesh/weft/mesh"
)

// Translate merges the routes of each service port and scope: a route in the
// namespace of its parent is a producer route and binds all clients, one
// elsewhere is a consumer route and binds the clients of its own namespace. Of
// several kinds on one port and scope the first of kinds is in effect. It is
// pure.
func Translate(w *world.World, services fragment.Services) fragment.Fragment {
	t := &translator{w: w, services: services, won: map[target]world.Kind{}, effects: map[target]*effect{}}
	objects := t.objects()
	for _, o := range objects {
		t.attach(o)
	}
	for _, o := range objects {
		t.judge(o)
	}
	t.merge()
	sort.SliceStable(t.out.Statuses, func(i, j int) bool {
		a, b := &t.out.Statuses[i], &t.out.Statuses[j]
		return a.Route.Less(b.Route) || a.Route == b.Route && a.Kind < b.Kind
	})
	return t.out
}

// kinds in the order in which they win a port (GEP-1294): the more they know of
// a request, the sooner.
var kinds = []world.Kind{world.KindGRPCRoute, world.KindHTTPRoute, world.KindTLSRoute, world.KindTCPRoute}

// target is where rules are in effect.
type target = fragment.Target

// effect is what the routes of the winning kind say of a target, the first
// object first.
type effect struct {
	protocol mesh.Protocol
	entries  []httproute.Entry
	tcp      []tcpEntry
	origins  []mesh.Origin
}

type translator struct {
	w        *world.World
	services fragment.Services
	won      map[target]world.Kind
	effects  map[target]*effect
	out      fragment.Fragment
}

// judge gathers the problems and conditions of one object for the parents of one
// namespace.
type judge struct {
	t *translator
	o *object
	// parent is the namespace of the Service that the route hangs on.
	parent string
	rules  rules
	// refs is the first reason for which a backend cannot be used.
	refs fragment.Condition
	// faults are of rules, by their index.
	faults map[int]ruleFault
	// rule is the index of the one that is read.
	rule int
}

// ruleFault says why a rule is not in effect as written.
type ruleFault struct {
	reason  gwv1.RouteConditionReason
	message string
	// part of the rule is in effect.
	part bool
}

func (j *judge) problem(c problem.Code, field, message, remedy string) {
	j.o.tell(j.t, c, field, message, remedy)
}

func (j *judge) unresolved(reason gwv1.RouteConditionReason, message string) {
	if j.refs.Reason == "" {
		j.refs = fragment.Condition{Reason: string(reason), Message: message}
	}
}

// fault notes what is wrong with the rule that is read.
func (j *judge) fault(reason gwv1.RouteConditionReason, message string, part bool) {
	if f, had := j.faults[j.rule]; had && !f.part {
		return
	}
	j.faults[j.rule] = ruleFault{reason, message, part}
}

// bad reports a value that cannot be acted on; requests of the rule are
// answered 500, since nothing that is asked for may be passed over silently.
func (j *judge) bad(c problem.Code, field, message, remedy string) {
	j.problem(c, field, message+"; the requests of the rule are answered 500", remedy)
	j.fault(gwv1.RouteReasonUnsupportedValue, field+": "+message, false)
}

// judge reads the rules of an object for each of its parents.
func (t *translator) judge(o *object) {
	status := fragment.RouteStatus{Kind: string(o.kind), Route: o.ref, Generation: o.generation, UID: o.uid}
	done := map[target]bool{}
	// What rules come to depends on the namespace of the parent alone.
	judged := map[string]*judge{}
	for i := range o.attached {
		a := &o.attached[i]
		j := judged[a.status.Service.Namespace]
		if j == nil {
			j = &judge{t: t, o: o, parent: a.status.Service.Namespace, faults: map[int]ruleFault{}}
			// Rules are judged even where the parent is not accepted, so that
			// everything wrong is told at once.
			j.rules = o.read(j)
			judged[j.parent] = j
		}
		rules, ps := j.rules, a.status
		if ps.Accepted.Status {
			ps.Accepted, ps.PartiallyInvalid = j.accepted(rules.count)
		}
		ps.ResolvedRefs = fragment.Condition{Status: true, Reason: string(gwv1.RouteReasonResolvedRefs)}
		if j.refs.Reason != "" {
			ps.ResolvedRefs = j.refs
		}
		lost := 0
		for _, tg := range a.targets {
			if t.won[tg] != o.kind {
				lost++
				o.tell(t, problem.RouteKindConflict, at("spec.parentRefs[%d]", a.status.Index),
					at("port %d of service %s follows a %s, which outranks it; the route is not in effect there", tg.Port, tg.Service, t.won[tg]), "remove one of the two")
				continue
			}
			if e := t.effects[tg]; !done[tg] {
				done[tg] = true
				e.entries, e.tcp = append(e.entries, rules.http...), append(e.tcp, rules.tcp...)
				e.origins = append(e.origins, o.origin)
			}
		}
		if lost > 0 && lost == len(a.targets) {
			ps.Accepted = refused(conflicted, at("a route of another kind is in effect on every port of service %s that is meant", a.status.Service))
			ps.PartiallyInvalid = fragment.Condition{}
		}
		status.Parents = append(status.Parents, ps)
	}
	if len(status.Parents) > 0 {
		t.out.Statuses = append(t.out.Statuses, status)
	}
}

// conflicted is the reason of GEP-1294 for a route of a kind that loses.
const conflicted gwv1.RouteConditionReason = "Conflicted"

// accepted draws the conclusion of the faults: a route all of whose rules are
// invalid is not accepted; one of which some are is partially invalid
// (RouteConditionPartiallyInvalid, which also prescribes how the message begins).
func (j *judge) accepted(rules int) (accepted, partial fragment.Condition) {
	accepted = fragment.Condition{Status: true, Reason: string(gwv1.RouteReasonAccepted)}
	if len(j.faults) == 0 {
		return accepted, partial
	}
	var list []int
	whole := 0
	for i, f := range j.faults {
		list = append(list, i)
		if !f.part {
			whole++
		}
	}
	slices.Sort(list)
	message := ""
	for n, i := range list {
		if n > 0 {
			message += "; "
		}
		message += at("rule %d: %s", i, j.faults[i].message)
	}
	first := j.faults[list[0]]
	if whole == rules {
		return refused(first.reason, message), partial
	}
	return accepted, fragment.Condition{Status: true, Reason: string(first.reason), Message: "Dropped Rule(s), " + message}
}

// merge makes the routes of the targets.
func (t *translator) merge() {
	for _, tg := range fragment.Targets(t.effects) {
		e := t.effects[tg]
		r := &mesh.Route{Service: tg.Service, Port: tg.Port, Scope: tg.Scope}
		switch t.won[tg] {
		case world.KindTLSRoute, world.KindTCPRoute:
			t.connections(r, e)
		default:
			// Without a usable rule requests are answered 404 all the same.
			r.Rules = httproute.Order(e.entries)
		}
		t.out.Routes = append(t.out.Routes, fragment.Route{Route: r, Origins: e.origins})
	}
}
