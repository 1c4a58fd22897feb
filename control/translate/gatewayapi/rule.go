package gatewayapi

import (
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/weftmesh/weft/control/problem"
	"github.com/weftmesh/weft/mesh"
)

// rules reads the rules of a route as they apply to a parent of a namespace.
func (j *judge) rules(r *gwv1.HTTPRoute, parentNamespace string) []entry {
	list := r.Spec.Rules
	if len(list) == 0 {
		// The API's default: one rule that holds always and has no backend.
		list = []gwv1.HTTPRouteRule{{}}
	}
	var out []entry
	for i := range list {
		in := &list[i]
		rule := j.rule(r, in, i, parentNamespace)
		for _, m := range j.matches(in.Matches, i) {
			out = append(out, entry{m, rule})
		}
	}
	return out
}

// rule reads one rule but for its matches. A rule with a filter that cannot be
// done has no backends, so that its requests are answered 500: a filter that
// is not applied must never be passed (HTTPRouteRule.filters).
func (j *judge) rule(r *gwv1.HTTPRoute, in *gwv1.HTTPRouteRule, i int, parentNamespace string) *mesh.Rule {
	rule := &mesh.Rule{Name: r.Name, Origin: j.origin}
	if in.Name != nil && *in.Name != "" {
		rule.Name = string(*in.Name)
	}
	where := at("spec.rules[%d]", i)
	for _, f := range []struct {
		set  bool
		name string
	}{{in.Timeouts != nil, "timeouts"}, {in.Retry != nil, "retry"}, {in.SessionPersistence != nil, "sessionPersistence"}} {
		if f.set {
			j.problem(problem.UnsupportedField, where+"."+f.name, "the mesh does not act on "+f.name+" yet; the rest of the rule is in effect", "remove the field, or do not rely on it")
		}
	}
	ok := j.filters(in.Filters, where, &rule.RequestHeaders, &rule.ResponseHeaders)
	backends := j.backends(r, in, i, parentNamespace)
	if !ok {
		j.invalid(i, "a filter is not supported; its requests are answered 500")
		rule.RequestHeaders, rule.ResponseHeaders = mesh.HeaderChanges{}, mesh.HeaderChanges{}
		return rule
	}
	rule.Backends = backends
	return rule
}

func (j *judge) backends(r *gwv1.HTTPRoute, in *gwv1.HTTPRouteRule, ri int, parentNamespace string) []mesh.Backend {
	where := at("spec.rules[%d].backendRefs", ri)
	if len(in.BackendRefs) == 0 {
		j.problem(problem.RuleWithoutBackend, where, "the rule names no backend; its requests are answered 500", "name a Service")
		return nil
	}
	var out []mesh.Backend
	var sum uint64
	for i := range in.BackendRefs {
		b := j.backend(r, &in.BackendRefs[i], at("%s[%d]", where, i), parentNamespace)
		sum += uint64(b.Weight)
		out = append(out, b)
	}
	if sum == 0 {
		j.problem(problem.RouteWeightsZero, where, "no backend has a weight above 0; the requests are answered 500", "give one of them a weight")
	}
	return out
}

// maxWeight is the API's (BackendRef.weight).
const maxWeight = 1_000_000

func (j *judge) backend(r *gwv1.HTTPRoute, in *gwv1.HTTPBackendRef, where, parentNamespace string) mesh.Backend {
	b := mesh.Backend{Service: mesh.Ref{Namespace: r.Namespace, Name: string(in.Name)}, Weight: 1}
	if in.Namespace != nil && *in.Namespace != "" {
		b.Service.Namespace = string(*in.Namespace)
	}
	if in.Port != nil && *in.Port > 0 && *in.Port <= 65535 {
		b.Port = uint16(*in.Port)
	}
	if in.Weight != nil {
		if w := *in.Weight; w < 0 || w > maxWeight {
			j.problem(problem.RouteWeight, where+".weight", at("the weight %d is not between 0 and %d; the backend receives nothing", w, maxWeight), "correct the weight")
			b.Weight = 0
		} else {
			b.Weight = uint32(w)
		}
	}
	j.resolve(r, in, where, parentNamespace, &b)
	if !j.filters(in.Filters, where, &b.RequestHeaders, &b.ResponseHeaders) {
		b.RequestHeaders, b.ResponseHeaders = mesh.HeaderChanges{}, mesh.HeaderChanges{}
		if b.Invalid == "" {
			b.Invalid = string(gwv1.RouteReasonUnsupportedValue)
		}
	}
	return b
}

// resolve checks that the backend can be used, and says in Invalid why not.
func (j *judge) resolve(r *gwv1.HTTPRoute, in *gwv1.HTTPBackendRef, where, parentNamespace string, b *mesh.Backend) {
	fail := func(c problem.Code, reason gwv1.RouteConditionReason, field, message, remedy string) {
		j.problem(c, where+field, message+"; its share of the requests is answered 500", remedy)
		j.unresolved(reason, at("%s: %s", where+field, message))
		b.Invalid = string(reason)
	}
	if in.Kind != nil && *in.Kind != "Service" || in.Group != nil && !coreGroup(*in.Group) {
		fail(problem.RouteBackendKind, gwv1.RouteReasonInvalidKind, ".kind", "the backend is not a Service", "name a Service")
		return
	}
	if !j.permitted(r.Namespace, parentNamespace, b.Service) {
		fail(problem.RefNotPermitted, gwv1.RouteReasonRefNotPermitted, ".namespace", at("no ReferenceGrant in namespace %s allows HTTPRoutes of namespace %s to send to service %s", b.Service.Namespace, r.Namespace, b.Service), "make a ReferenceGrant there")
		return
	}
	s := j.t.services[b.Service]
	switch {
	case s == nil:
		fail(problem.RouteBackend, gwv1.RouteReasonBackendNotFound, ".name", at("service %s does not exist", b.Service), "create the Service or correct the name")
	case s.Kind == mesh.ExternalName:
		fail(problem.RouteBackendKind, gwv1.RouteReasonInvalidKind, ".name", at("service %s is an ExternalName, which cannot be a backend", b.Service), "name a Service with endpoints of its own")
	case in.Port == nil:
		fail(problem.RouteBackend, gwv1.RouteReasonBackendNotFound, ".port", "the port is missing, which a Service needs", "give the port of the Service")
	case s.PortByNumber(b.Port) == nil:
		fail(problem.RouteBackend, gwv1.RouteReasonBackendNotFound, ".port", at("service %s has no port %d", b.Service, *in.Port), "name a port of the Service")
	case s.PortByNumber(b.Port).Protocol == mesh.TLS:
		fail(problem.BackendProtocol, gwv1.RouteReasonUnsupportedProtocol, ".port", at("port %d of service %s is declared as TLS, which the mesh does not originate", b.Port, b.Service), "name a port that speaks HTTP in the clear")
	}
}

// permitted says whether a route may send to a service. Its own namespace is
// always open to it, and so is that of its parent, whose clients reach its
// services anyway; others must grant it (ReferenceGrant).
func (j *judge) permitted(from, parent string, to mesh.Ref) bool {
	if to.Namespace == from || to.Namespace == parent {
		return true
	}
	for _, g := range j.t.w.ReferenceGrants {
		if g.Obj.Namespace != to.Namespace {
			continue
		}
		source, dest := false, false
		for _, f := range g.Obj.Spec.From {
			source = source || f.Group == gwv1.GroupName && f.Kind == "HTTPRoute" && string(f.Namespace) == from
		}
		for _, d := range g.Obj.Spec.To {
			dest = dest || coreGroup(d.Group) && d.Kind == "Service" && (d.Name == nil || *d.Name == "" || string(*d.Name) == to.Name)
		}
		if source && dest {
			return true
		}
	}
	return false
}
