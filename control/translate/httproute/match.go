package httproute

import (
	"fmt"
	"strings"

	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/weftmesh/weft/control/problem"
	"github.com/weftmesh/weft/internal/apifield"
	"github.com/weftmesh/weft/mesh"
)

// Report takes what is wrong with a field of the route.
type Report func(c problem.Code, field, message, remedy string)

func at(format string, args ...any) string { return fmt.Sprintf(format, args...) }

// Matches reads the matches of a rule; one that cannot be used is reported,
// left out and named in dropped. No matches at all means one that holds always.
func Matches(list []gwv1.HTTPRouteMatch, where string, report Report) (out []mesh.Match, dropped []string) {
	if len(list) == 0 {
		return []mesh.Match{{}}, nil
	}
	for i := range list {
		field := at("%s.matches[%d]", where, i)
		if m, ok := match(&list[i], field, report); ok {
			out = append(out, m)
		} else {
			dropped = append(dropped, field)
		}
	}
	return out, dropped
}

func match(in *gwv1.HTTPRouteMatch, where string, report Report) (mesh.Match, bool) {
	var m mesh.Match
	ok := true
	bad := func(field, message, remedy string) {
		ok = false
		report(problem.BadMatch, where+field, message+"; the match is dropped", remedy)
	}
	if in.Path != nil {
		m.Path = path(in.Path, bad)
	}
	if in.Method != nil {
		if m.Method = string(*in.Method); !apifield.Token(m.Method) {
			bad(".method", at("%q is not a method", m.Method), "use one of HTTP, such as GET")
		}
	}
	seen := map[string]bool{}
	for i, h := range in.Headers {
		name := strings.ToLower(string(h.Name))
		if seen[name] {
			continue // the first entry of a name counts (HTTPHeaderMatch.name)
		}
		seen[name] = true
		kind := gwv1.HeaderMatchExact
		if h.Type != nil {
			kind = *h.Type
		}
		m.Headers = append(m.Headers, HeaderMatch(name, string(kind), h.Value, at(".headers[%d]", i), bad))
	}
	seen = map[string]bool{}
	for i, q := range in.QueryParams {
		name := string(q.Name)
		if seen[name] {
			continue
		}
		seen[name] = true
		v := mesh.ValueMatch{Name: name, Kind: mesh.Exact, Value: q.Value}
		if q.Type != nil && *q.Type != gwv1.QueryParamMatchExact {
			v.Kind = mesh.Regex
			Expression(string(*q.Type), q.Value, at(".queryParams[%d]", i), bad)
		}
		m.Query = append(m.Query, v)
	}
	return m, ok
}

// Bad takes what is wrong with a field of a match.
type Bad func(field, message, remedy string)

// HeaderMatch makes the comparison with a header field; the kind is Exact or
// RegularExpression.
func HeaderMatch(name, kind, value, field string, bad Bad) mesh.ValueMatch {
	v := mesh.ValueMatch{Name: name, Kind: mesh.Exact, Value: value}
	if kind != string(gwv1.HeaderMatchExact) {
		v.Kind = mesh.Regex
		Expression(kind, value, field, bad)
	}
	if !apifield.Token(name) {
		bad(field+".name", at("%q is not a header name", name), "use letters, digits and dashes")
	}
	return v
}

func path(in *gwv1.HTTPPathMatch, bad Bad) mesh.PathMatch {
	value := "/"
	if in.Value != nil {
		value = *in.Value
	}
	kind := gwv1.PathMatchPathPrefix
	if in.Type != nil {
		kind = *in.Type
	}
	if kind != gwv1.PathMatchRegularExpression && !strings.HasPrefix(value, "/") {
		bad(".path.value", at("%q does not begin with a slash", value), "write an absolute path")
	}
	switch kind {
	case gwv1.PathMatchExact:
		return mesh.PathMatch{Kind: mesh.Exact, Value: value}
	case gwv1.PathMatchPathPrefix:
		// A trailing slash means nothing in a prefix; / holds always.
		if value = strings.TrimRight(value, "/"); value == "" {
			return mesh.PathMatch{}
		}
		return mesh.PathMatch{Kind: mesh.PathPrefix, Value: value}
	}
	Expression(string(kind), value, ".path", bad)
	return mesh.PathMatch{Kind: mesh.Regex, Value: value}
}

// Expression checks the value of a match that is neither exact nor a prefix.
func Expression(kind, value, field string, bad Bad) {
	if kind != string(gwv1.PathMatchRegularExpression) {
		bad(field+".type", at("%q is not a kind of match", kind), "use one that the Gateway API knows")
		return
	}
	if err := apifield.Expression(value); err != nil {
		bad(field+".value", at("%.100q is not a regular expression: %s", value, err), "write it in RE2 syntax")
	}
}
