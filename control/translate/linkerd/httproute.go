package linkerd

import (
	"sort"

	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/weftmesh/weft/control/problem"
	"github.com/weftmesh/weft/control/translate/annotation"
	"github.com/weftmesh/weft/control/translate/fragment"
	"github.com/weftmesh/weft/control/translate/httproute"
	"github.com/weftmesh/weft/control/world"
	"github.com/weftmesh/weft/internal/apifield"
	"github.com/weftmesh/weft/internal/linkerdapi"
	"github.com/weftmesh/weft/mesh"
)

// policyRoutes merges the HTTPRoutes of policy.linkerd.io of each service port
// and scope, as the Gateway API says of its own: one in the namespace of the
// service binds all clients, one elsewhere the clients of its own namespace.
// Those whose parents are Servers are for authorization and route nothing.
func (t *translator) policyRoutes() {
	entries, origins := map[target][]httproute.Entry{}, map[target][]mesh.Origin{}
	for _, item := range byAge(t.w.PolicyRoutes) {
		targets, parents := t.parents(item)
		if len(parents) == 0 {
			continue
		}
		list, refs := t.rules(item)
		for i := range parents {
			parents[i].ResolvedRefs = refs
		}
		t.out.Statuses = append(t.out.Statuses, fragment.RouteStatus{Kind: string(world.KindPolicyRoute), Route: mesh.Ref{Namespace: item.Obj.Namespace, Name: item.Obj.Name},
			Generation: item.Obj.Generation, UID: string(item.Obj.UID), Parents: parents})
		for _, tg := range targets {
			if _, known := t.routed[tg]; !known {
				t.routed[tg] = item.Origin
			}
			entries[tg] = append(entries[tg], list...)
			origins[tg] = append(origins[tg], item.Origin)
		}
	}
	sort.Slice(t.out.Statuses, func(i, j int) bool { return t.out.Statuses[i].Route.Less(t.out.Statuses[j].Route) })
	for _, tg := range fragment.Targets(origins) {
		r := &mesh.Route{Service: tg.Service, Port: tg.Port, Scope: tg.Scope, Rules: httproute.Order(entries[tg])}
		t.out.Routes = append(t.out.Routes, fragment.Route{Route: r, Origins: origins[tg]})
	}
}

// noMatchingParent is why Linkerd does not accept a route.
const noMatchingParent = "NoMatchingParent"

// parents finds the service ports to which a route is attached, and what becomes
// of each parent that is a Service.
func (t *translator) parents(item world.Item[*linkerdapi.HTTPRoute]) (out []target, parents []fragment.ParentStatus) {
	seen := map[target]bool{}
	for i := range item.Obj.Spec.ParentRefs {
		ref, where := &item.Obj.Spec.ParentRefs[i], at("spec.parentRefs[%d]", i)
		if ref.Kind == nil || *ref.Kind != "Service" || ref.Group != nil && !core(*ref.Group) {
			continue
		}
		svc := mesh.Ref{Namespace: item.Obj.Namespace, Name: string(ref.Name)}
		if ref.Namespace != nil && *ref.Namespace != "" {
			svc.Namespace = string(*ref.Namespace)
		}
		parents = append(parents, fragment.ParentStatus{Index: i, Service: svc, Accepted: fragment.Condition{Status: true, Reason: string(gwv1.RouteReasonAccepted)}})
		status := &parents[len(parents)-1]
		if ref.Port != nil && *ref.Port > 0 && *ref.Port <= 65535 {
			status.Port = uint16(*ref.Port)
		}
		if ref.SectionName != nil {
			status.SectionName = string(*ref.SectionName)
		}
		deny := func(c problem.Code, field, message, remedy string) {
			status.Accepted = fragment.Condition{Reason: noMatchingParent, Message: message}
			t.problem(c, item.Origin, where+field, message+"; the route is not in effect there", remedy)
		}
		s := t.services[svc]
		switch {
		case s == nil:
			deny(problem.ParentMissing, ".name", at("service %s does not exist", svc), "create the Service or correct the name")
			continue
		case s.Kind != mesh.ClusterIP:
			deny(problem.ParentUnsupported, ".name", at("service %s is of kind %s, to which routes cannot be attached", svc, s.Kind), "attach the route to a Service with a cluster address")
			continue
		}
		scope := ""
		if item.Obj.Namespace != svc.Namespace {
			scope = item.Obj.Namespace
		}
		named, http := false, false
		for _, p := range s.Ports {
			if ref.Port != nil && int32(p.Number) != *ref.Port || ref.SectionName != nil && p.Name != string(*ref.SectionName) {
				continue
			}
			named = true
			if tg := (target{Service: svc, Port: p.Number, Scope: scope}); p.Protocol.MayBeHTTP() {
				http = true
				if !seen[tg] {
					seen[tg] = true
					out = append(out, tg)
				}
			}
		}
		switch {
		case !named:
			deny(problem.ParentPortMissing, ".port", at("service %s has no such port", svc), "name a port of the Service, or none for all")
		case !http:
			deny(problem.ParentPortNotHTTP, "", at("no such port of service %s can be HTTP as its protocol is declared", svc), "declare the port with appProtocol: http")
		}
	}
	if len(out) > 0 && len(item.Obj.Spec.Hostnames) > 0 {
		t.problem(problem.HostnamesIgnored, item.Origin, "spec.hostnames", "routes of a Service apply to all requests to it; the hostnames are ignored", "remove spec.hostnames")
	}
	return out, parents
}

// core says whether a group is that of Services, which policy.linkerd.io lets
// be written as core.
func core(g gwv1.Group) bool { return g == "" || g == "core" }

// rules reads the rules, and whether all that they name is there.
func (t *translator) rules(item world.Item[*linkerdapi.HTTPRoute]) ([]httproute.Entry, fragment.Condition) {
	refs := fragment.Condition{Status: true, Reason: string(gwv1.RouteReasonResolvedRefs)}
	report := func(c problem.Code, field, message, remedy string) {
		if reason := unresolved[c]; reason != "" && refs.Status {
			refs = fragment.Condition{Reason: string(reason), Message: field + ": " + message}
		}
		t.problem(c, item.Origin, field, message, remedy)
	}
	annotated, _, problems := annotation.Policy(item.Obj.Annotations, item.Origin)
	for _, p := range problems {
		report(problem.Code(p.Code), p.Field, p.Message, p.Remedy)
	}
	list := item.Obj.Spec.Rules
	if len(list) == 0 {
		list = []gwv1.HTTPRouteRule{{}}
	}
	var out []httproute.Entry
	for i := range list {
		rule := t.rule(item, &list[i], at("spec.rules[%d]", i), annotated, report)
		matches, _ := httproute.Matches(list[i].Matches, at("spec.rules[%d]", i), report)
		for _, m := range matches {
			out = append(out, httproute.Entry{Match: m, Rule: rule})
		}
	}
	return out, refs
}

// unresolved are the problems of what a rule names.
var unresolved = map[problem.Code]gwv1.RouteConditionReason{problem.RouteBackend: gwv1.RouteReasonBackendNotFound, problem.RouteBackendKind: gwv1.RouteReasonInvalidKind}

// rule reads one rule but for its matches. One with a filter that cannot be
// done has no backends, so that its requests are answered 500.
func (t *translator) rule(item world.Item[*linkerdapi.HTTPRoute], in *gwv1.HTTPRouteRule, where string, annotated mesh.RoutePolicy, report httproute.Report) *mesh.Rule {
	rule := &mesh.Rule{Name: item.Obj.Name, Origin: item.Origin.At(where), RoutePolicy: annotated}
	// Annotations win over the fields of the rule.
	own := httproute.Timeouts(in.Timeouts, where, item.Origin.At(where+".timeouts"), report)
	if rule.Timeouts.Request == nil {
		rule.Timeouts.Request = own.Request
	}
	if rule.Timeouts.Backend = own.Backend; rule.Timeouts.Origin == (mesh.Origin{}) {
		rule.Timeouts.Origin = own.Origin
	}
	ok := t.filters(in.Filters, where, report, &rule.RequestHeaders, &rule.ResponseHeaders, &rule.Redirect)
	if !ok {
		rule.RequestHeaders, rule.ResponseHeaders, rule.Redirect = mesh.HeaderChanges{}, mesh.HeaderChanges{}, nil
		return rule
	}
	if rule.Redirect != nil {
		rule.Timeouts, rule.Retry = mesh.Timeouts{}, nil
		return rule
	}
	if len(in.BackendRefs) == 0 {
		report(problem.RuleWithoutBackend, where+".backendRefs", "the rule names no backend; its requests are answered 500", "name a Service")
	}
	sum := uint64(0)
	for i := range in.BackendRefs {
		b := t.backend(item, &in.BackendRefs[i], at("%s.backendRefs[%d]", where, i), report)
		sum += uint64(b.Weight)
		rule.Backends = append(rule.Backends, b)
	}
	if sum == 0 && len(in.BackendRefs) > 0 {
		report(problem.RouteWeightsZero, where+".backendRefs", "no backend has a weight above 0; the requests are answered 500", "give one of them a weight")
	}
	return rule
}

// filters reads those that policy.linkerd.io knows; redirect is nil where none
// is allowed.
func (t *translator) filters(list []gwv1.HTTPRouteFilter, where string, report httproute.Report, request, response *mesh.HeaderChanges, redirect **mesh.Redirect) bool {
	ok := true
	for i := range list {
		f, fw := &list[i], at("%s.filters[%d]", where, i)
		change, into, name := f.RequestHeaderModifier, request, ".requestHeaderModifier"
		if f.Type == gwv1.HTTPRouteFilterResponseHeaderModifier {
			change, into, name = f.ResponseHeaderModifier, response, ".responseHeaderModifier"
		}
		switch {
		case f.Type == gwv1.HTTPRouteFilterRequestRedirect && f.RequestRedirect != nil && redirect != nil:
			r := httproute.Redirect(f.RequestRedirect)
			if why := badRedirect(r); why != "" {
				report(problem.UnsupportedFilter, fw+".requestRedirect", why+"; requests that would pass the filter are answered 500", "correct the filter")
				ok = false
				continue
			}
			*redirect = r
		case (f.Type == gwv1.HTTPRouteFilterRequestHeaderModifier || f.Type == gwv1.HTTPRouteFilterResponseHeaderModifier) && change != nil && into.IsZero():
			h, good := httproute.Headers(change, fw+name, report)
			*into, ok = h, ok && good
		default:
			report(problem.UnsupportedFilter, fw+".type", at("the filter %s cannot be done here, says nothing, or is given twice; requests that would pass it are answered 500", f.Type), "remove the filter, or use an HTTPRoute of the Gateway API")
			ok = false
		}
	}
	return ok
}

// badRedirect says why nobody could follow a redirect, or nothing.
func badRedirect(r *mesh.Redirect) string {
	path := r.Path
	if r.PrefixPath != nil {
		path = *r.PrefixPath
	}
	switch {
	case r.Host != "" && !apifield.Authority(r.Host):
		return at("%q is not a host name", r.Host)
	case r.Scheme != "" && r.Scheme != "http" && r.Scheme != "https":
		return at("%q is no scheme that can be redirected to", r.Scheme)
	case !apifield.Target(path):
		return at("%q is not a path", path)
	}
	return ""
}

// maxWeight is the API's (BackendRef.weight).
const maxWeight = 1_000_000

func (t *translator) backend(item world.Item[*linkerdapi.HTTPRoute], in *gwv1.HTTPBackendRef, where string, report httproute.Report) mesh.Backend {
	b := mesh.Backend{Service: mesh.Ref{Namespace: item.Obj.Namespace, Name: string(in.Name)}, Weight: 1}
	if in.Namespace != nil && *in.Namespace != "" {
		b.Service.Namespace = string(*in.Namespace)
	}
	if in.Port != nil && *in.Port > 0 && *in.Port <= 65535 {
		b.Port = uint16(*in.Port)
	}
	if w := in.Weight; w != nil {
		if b.Weight = uint32(*w); *w < 0 || *w > maxWeight {
			report(problem.RouteWeight, where+".weight", at("the weight %d is not between 0 and %d; the backend receives nothing", *w, maxWeight), "correct the weight")
			b.Weight = 0
		}
	}
	fail := func(c problem.Code, reason gwv1.RouteConditionReason, field, message, remedy string) {
		report(c, where+field, message+"; its share of the requests is answered 500", remedy)
		b.Invalid = string(reason)
	}
	s := t.services[b.Service]
	switch {
	case in.Kind != nil && *in.Kind != "Service" || in.Group != nil && !core(*in.Group):
		fail(problem.RouteBackendKind, gwv1.RouteReasonInvalidKind, ".kind", "the backend is not a Service", "name a Service")
	case s == nil:
		fail(problem.RouteBackend, gwv1.RouteReasonBackendNotFound, ".name", at("service %s does not exist", b.Service), "create the Service or correct the name")
	case s.Kind == mesh.ExternalName:
		fail(problem.RouteBackendKind, gwv1.RouteReasonInvalidKind, ".name", at("service %s is an ExternalName, which cannot be a backend", b.Service), "name a Service with endpoints of its own")
	case s.PortByNumber(b.Port) == nil:
		fail(problem.RouteBackend, gwv1.RouteReasonBackendNotFound, ".port", at("service %s has no port %d", b.Service, b.Port), "name a port of the Service")
	}
	if !t.filters(in.Filters, where, report, &b.RequestHeaders, &b.ResponseHeaders, nil) {
		b.RequestHeaders, b.ResponseHeaders = mesh.HeaderChanges{}, mesh.HeaderChanges{}
		if b.Invalid == "" {
			b.Invalid = string(gwv1.RouteReasonUnsupportedValue)
		}
	}
	return b
}
