package gatewayapi

import (
	"regexp"
	"strings"

	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/weftmesh/weft/control/problem"
	"github.com/weftmesh/weft/mesh"
)

// entry is one match of one rule. Entries that are alike stay in the order in
// which they came: oldest route, namespace/name, position.
type entry struct {
	match mesh.Match
	rule  *mesh.Rule
}

// before is the precedence of the API's HTTPRouteRule.matches. Regular
// expressions, which it leaves open, stand between exact paths and prefixes.
func (e *entry) before(o *entry) bool {
	a, b := &e.match, &o.match
	if x, y := pathRank(a.Path), pathRank(b.Path); x != y {
		return x > y
	}
	if x, y := len(a.Path.Value), len(b.Path.Value); a.Path.Kind != mesh.Exact && x != y {
		return x > y
	}
	if x, y := a.Method != "", b.Method != ""; x != y {
		return x
	}
	if x, y := len(a.Headers), len(b.Headers); x != y {
		return x > y
	}
	return len(a.Query) > len(b.Query)
}

func pathRank(p mesh.PathMatch) int {
	switch p.Kind {
	case mesh.Exact:
		return 2
	case mesh.Regex:
		return 1
	}
	return 0
}

// matches reads the matches of a rule; one that cannot be used is reported and
// left out. No matches at all means one that holds always.
func (j *judge) matches(list []gwv1.HTTPRouteMatch, ri int) []mesh.Match {
	if len(list) == 0 {
		return []mesh.Match{{}}
	}
	var out []mesh.Match
	for i := range list {
		where := at("spec.rules[%d].matches[%d]", ri, i)
		if m, ok := j.match(&list[i], where); ok {
			out = append(out, m)
		} else {
			j.invalid(ri, at("%s cannot be used", where))
		}
	}
	return out
}

func (j *judge) match(in *gwv1.HTTPRouteMatch, where string) (mesh.Match, bool) {
	var m mesh.Match
	ok := true
	bad := func(field, message, remedy string) {
		ok = false
		j.problem(problem.BadMatch, where+field, message+"; the match is dropped", remedy)
	}
	if in.Path != nil {
		m.Path = j.path(in.Path, bad)
	}
	if in.Method != nil {
		m.Method = string(*in.Method)
	}
	seen := map[string]bool{}
	for i, h := range in.Headers {
		name := strings.ToLower(string(h.Name))
		if seen[name] {
			continue // the first entry of a name counts (HTTPHeaderMatch.name)
		}
		seen[name] = true
		v := mesh.ValueMatch{Name: name, Kind: mesh.Exact, Value: h.Value}
		if h.Type != nil && *h.Type != gwv1.HeaderMatchExact {
			v.Kind = mesh.Regex
			regex(string(*h.Type), h.Value, at(".headers[%d]", i), bad)
		}
		if !token(name) {
			bad(at(".headers[%d].name", i), at("%q is not a header name", h.Name), "use letters, digits and dashes")
		}
		m.Headers = append(m.Headers, v)
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
			regex(string(*q.Type), q.Value, at(".queryParams[%d]", i), bad)
		}
		m.Query = append(m.Query, v)
	}
	return m, ok
}

func (j *judge) path(in *gwv1.HTTPPathMatch, bad func(field, message, remedy string)) mesh.PathMatch {
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
	regex(string(kind), value, ".path", bad)
	return mesh.PathMatch{Kind: mesh.Regex, Value: value}
}

func regex(kind, value, field string, bad func(field, message, remedy string)) {
	if kind != string(gwv1.PathMatchRegularExpression) {
		bad(field+".type", at("%q is not a kind of match", kind), "use one that the Gateway API knows")
		return
	}
	if _, err := regexp.Compile(value); err != nil {
		bad(field+".value", at("%q is not a regular expression: %s", value, err), "write it in RE2 syntax")
	}
}

// token says whether s is a token of RFC 9110, section 5.6.2.
func token(s string) bool {
	for _, r := range s {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', strings.ContainsRune("!#$%&'*+-.^_`|~", r):
		default:
			return false
		}
	}
	return s != ""
}
