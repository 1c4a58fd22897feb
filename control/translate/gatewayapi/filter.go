package gatewayapi

import (
	"strings"

	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/weftmesh/weft/control/problem"
	"github.com/weftmesh/weft/mesh"
)

// filters reads the filters of a rule or a backend; false means that one of
// them cannot be done, which is then reported.
func (j *judge) filters(list []gwv1.HTTPRouteFilter, where string, request, response *mesh.HeaderChanges) bool {
	ok := true
	for i := range list {
		f := &list[i]
		fw := at("%s.filters[%d]", where, i)
		var into *mesh.HeaderChanges
		var change *gwv1.HTTPHeaderFilter
		switch f.Type {
		case gwv1.HTTPRouteFilterRequestHeaderModifier:
			into, change = request, f.RequestHeaderModifier
		case gwv1.HTTPRouteFilterResponseHeaderModifier:
			into, change = response, f.ResponseHeaderModifier
		default:
			j.problem(problem.UnsupportedFilter, fw+".type", at("the mesh cannot do the filter %s yet; requests that would pass it are answered 500", f.Type), "remove the filter")
			ok = false
			continue
		}
		if change == nil {
			j.problem(problem.UnsupportedFilter, fw, at("the filter %s says nothing of what to change; requests that would pass it are answered 500", f.Type), "give it its own field")
			ok = false
			continue
		}
		if !into.IsZero() {
			j.problem(problem.UnsupportedFilter, fw+".type", at("the filter %s may be given once only; requests that would pass it are answered 500", f.Type), "join the two filters")
			ok = false
			continue
		}
		*into = mesh.HeaderChanges{Set: headers(change.Set), Add: headers(change.Add)}
		for _, name := range change.Remove {
			into.Remove = append(into.Remove, strings.ToLower(name))
		}
		for _, h := range append(append([]mesh.Header(nil), into.Set...), into.Add...) {
			ok = j.header(h.Name, h.Value, fw) && ok
		}
		for _, name := range into.Remove {
			ok = j.header(name, "", fw) && ok
		}
	}
	return ok
}

// headers lowers the names; the first entry of a name counts (HTTPHeader.name).
func headers(in []gwv1.HTTPHeader) []mesh.Header {
	var out []mesh.Header
	seen := map[string]bool{}
	for _, h := range in {
		name := strings.ToLower(string(h.Name))
		if !seen[name] {
			seen[name] = true
			out = append(out, mesh.Header{Name: name, Value: h.Value})
		}
	}
	return out
}

// header checks a field (RFC 9110, section 5): a malformed one could split the
// request in two.
func (j *judge) header(name, value, where string) bool {
	if token(name) && !strings.ContainsAny(value, "\r\n\x00") {
		return true
	}
	j.problem(problem.BadHeaderChange, where, at("%q: %q is not a header field; requests that would pass the filter are answered 500", name, value), "correct the name or the value")
	return false
}
