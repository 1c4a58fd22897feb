package gatewayapi

import (
	"regexp"
	"strings"

	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/weftmesh/weft/control/problem"
	"github.com/weftmesh/weft/control/translate/httproute"
	"github.com/weftmesh/weft/mesh"
)

// grpcRules reads the rules of a GRPCRoute. Calls that no rule describes are
// answered UNIMPLEMENTED, those of an invalid backend UNAVAILABLE: what the
// proxies make of 404 and 500 for gRPC.
func (j *judge) grpcRules(list []gwv1.GRPCRouteRule) rules {
	if len(list) == 0 {
		list = []gwv1.GRPCRouteRule{{}}
	}
	out := rules{count: len(list)}
	for i := range list {
		in := &list[i]
		j.rule = i
		where := at("spec.rules[%d]", i)
		entries := j.grpcMatches(in.Matches, where)
		if len(entries) == 0 {
			j.fault(gwv1.RouteReasonUnsupportedValue, "no match can be used", false)
		}
		rule := j.grpcRule(in, where)
		for _, e := range entries {
			e.Rule = rule
			out.http = append(out.http, e)
		}
	}
	return out
}

func (j *judge) grpcRule(in *gwv1.GRPCRouteRule, where string) *mesh.Rule {
	rule := j.newRule(in.Name, where)
	if in.SessionPersistence != nil {
		j.bad(problem.UnsupportedField, where+".sessionPersistence", "the mesh does not keep sessions at one endpoint", "remove the field, or use a consistent hash of a DestinationRule")
	}
	f := &filters{j: j, where: where, request: &rule.RequestHeaders, response: &rule.ResponseHeaders, rule: rule}
	f.read(likeHTTP(in.Filters))
	refs := make([]backendRef, 0, len(in.BackendRefs))
	for i := range in.BackendRefs {
		refs = append(refs, backendRef{&in.BackendRefs[i].BackendRef, likeHTTP(in.BackendRefs[i].Filters)})
	}
	rule.Backends = j.backends(refs, where)
	return j.finish(rule)
}

// likeHTTP gives filters of a GRPCRoute the form of those of an HTTPRoute, of
// which they are a part.
func likeHTTP(list []gwv1.GRPCRouteFilter) []gwv1.HTTPRouteFilter {
	out := make([]gwv1.HTTPRouteFilter, 0, len(list))
	for _, f := range list {
		// What only an HTTPRoute knows has nothing in its own field, and is refused.
		out = append(out, gwv1.HTTPRouteFilter{Type: gwv1.HTTPRouteFilterType(f.Type), RequestHeaderModifier: f.RequestHeaderModifier,
			ResponseHeaderModifier: f.ResponseHeaderModifier, RequestMirror: f.RequestMirror})
	}
	return out
}

// grpcMatches reads the matches of a rule; the precedence is that of
// GRPCRouteRule.matches: characters of the service, of the method, headers.
func (j *judge) grpcMatches(list []gwv1.GRPCRouteMatch, where string) []httproute.Entry {
	if len(list) == 0 {
		return []httproute.Entry{{}}
	}
	var out []httproute.Entry
	for i := range list {
		in := &list[i]
		w := at("%s.matches[%d]", where, i)
		ok := true
		bad := func(field, message, remedy string) {
			ok = false
			j.problem(problem.BadMatch, w+field, message+"; the match is dropped", remedy)
			j.fault(gwv1.RouteReasonUnsupportedValue, w+" cannot be used", true)
		}
		var e httproute.Entry
		if m := in.Method; m != nil {
			service, method := deref(m.Service), deref(m.Method)
			e.Call[0], e.Call[1] = len(service), len(method)
			e.Match.Path = grpcPath(m.Type, service, method, bad)
		}
		seen := map[string]bool{}
		for k, h := range in.Headers {
			name := strings.ToLower(string(h.Name))
			if seen[name] {
				continue
			}
			seen[name] = true
			kind := gwv1.GRPCHeaderMatchExact
			if h.Type != nil {
				kind = *h.Type
			}
			e.Match.Headers = append(e.Match.Headers, httproute.HeaderMatch(name, string(kind), h.Value, at(".headers[%d]", k), bad))
		}
		if ok {
			out = append(out, e)
		}
	}
	return out
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// grpcPath is the path /service/method of a call.
func grpcPath(kind *gwv1.GRPCMethodMatchType, service, method string, bad httproute.Bad) mesh.PathMatch {
	if service == "" && method == "" {
		bad(".method", "neither a service nor a method is named", "name one of them, or remove the field")
		return mesh.PathMatch{}
	}
	if kind != nil && *kind != gwv1.GRPCMethodMatchExact {
		for _, part := range []*string{&service, &method} {
			if *part == "" {
				*part = "[^/]+"
			}
		}
		httproute.Expression(string(*kind), service, ".method.service", bad)
		httproute.Expression(string(*kind), method, ".method.method", bad)
		return mesh.PathMatch{Kind: mesh.Regex, Value: "/(?:" + service + ")/(?:" + method + ")"}
	}
	if strings.ContainsAny(service+method, "/ \t\r\n\x00") {
		bad(".method", at("%q is not a service and method of gRPC", service+"/"+method), "write them without slashes")
	}
	switch {
	case service == "":
		return mesh.PathMatch{Kind: mesh.Regex, Value: "/[^/]+/" + regexp.QuoteMeta(method)}
	case method == "":
		return mesh.PathMatch{Kind: mesh.PathPrefix, Value: "/" + service}
	}
	return mesh.PathMatch{Kind: mesh.Exact, Value: "/" + service + "/" + method}
}
