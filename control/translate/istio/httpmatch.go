package istio

import (
	"regexp"
	"sort"
	"strings"

	networking "istio.io/api/networking/v1alpha3"

	"github.com/weftmesh/weft/control/problem"
	"github.com/weftmesh/weft/mesh"
)

// match reads an HTTPMatchRequest but for its port and gateways; false means
// that it cannot be used, which is reported where that is asked for.
func (t *translator) match(in *networking.HTTPMatchRequest, src httpSource, index int, report bool) (mesh.Match, bool) {
	m := mesh.Match{Name: in.Name, StatPrefix: in.StatPrefix, Source: mesh.ClientMatch{Namespace: in.SourceNamespace, Labels: in.SourceLabels}}
	ok := true
	bad := func(field, message, remedy string) {
		ok = false
		if report {
			t.problem(problem.SchemaInvalid, src.origin, at("%s.match[%d]%s", src.field, index, field), message+"; the match is not in effect", remedy)
		}
	}
	if in.Uri != nil {
		v := value("", in.Uri, ".uri", bad)
		m.Path = mesh.PathMatch{Kind: v.Kind, Value: v.Value, IgnoreCase: in.IgnoreUriCase && v.Kind != mesh.Regex}
		if v.Kind == mesh.Present || m.Path.IsAll() {
			m.Path = mesh.PathMatch{}
		}
	}
	for _, p := range []struct {
		name, field string
		in          *networking.StringMatch
	}{{":method", ".method", in.Method}, {":scheme", ".scheme", in.Scheme}, {":authority", ".authority", in.Authority}} {
		if p.in == nil {
			continue
		}
		v := value(p.name, p.in, p.field, bad)
		switch {
		case v.Kind == mesh.Present:
		case p.name == ":method" && v.Kind == mesh.Exact:
			m.Method = v.Value
		default:
			v.IgnoreCase = p.name == ":authority" && v.Kind != mesh.Regex
			m.Headers = append(m.Headers, v)
		}
	}
	m.Headers = append(m.Headers, headerMatches(in.Headers, ".headers", false, bad)...)
	m.Headers = append(m.Headers, headerMatches(in.WithoutHeaders, ".withoutHeaders", true, bad)...)
	for _, name := range keys(in.QueryParams) {
		m.Query = append(m.Query, value(name, in.QueryParams[name], ".queryParams."+name, bad))
	}
	return m, ok
}

func headerMatches(in map[string]*networking.StringMatch, field string, invert bool, bad func(field, message, remedy string)) []mesh.ValueMatch {
	var out []mesh.ValueMatch
	for _, name := range keys(in) {
		if strings.HasPrefix(name, "@request.auth.claims") {
			bad(field+"."+name, "claims of a token can be compared at gateways only", "use an AuthorizationPolicy")
			continue
		}
		if !token(strings.TrimPrefix(name, ":")) {
			bad(field+"."+name, "it is no header name", "use letters, digits and dashes")
			continue
		}
		v := value(strings.ToLower(name), in[name], field+"."+name, bad)
		v.Invert = invert
		out = append(out, v)
	}
	return out
}

// value reads a StringMatch; an empty one asks for presence.
func value(name string, in *networking.StringMatch, field string, bad func(field, message, remedy string)) mesh.ValueMatch {
	v := mesh.ValueMatch{Name: name}
	switch m := in.GetMatchType().(type) {
	case *networking.StringMatch_Exact:
		v.Kind, v.Value = mesh.Exact, m.Exact
	case *networking.StringMatch_Prefix:
		v.Kind, v.Value = mesh.StringPrefix, m.Prefix
		if m.Prefix == "" {
			bad(field+".prefix", "the prefix is empty", "give one, or leave it out")
		}
	case *networking.StringMatch_Regex:
		v.Kind, v.Value = mesh.Regex, m.Regex
		switch {
		case m.Regex == "":
			bad(field+".regex", "the regular expression is empty", "give one, or leave it out")
		case m.Regex == "*":
			// Istio takes a lone asterisk for presence.
			v.Kind, v.Value = mesh.Present, ""
		default:
			if _, err := regexp.Compile(m.Regex); err != nil {
				bad(field+".regex", at("%q is not a regular expression: %s", m.Regex, err), "write it in RE2 syntax")
			}
		}
	default:
		v.Kind = mesh.Present
	}
	return v
}

func keys[T any](m map[string]T) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	sort.Strings(out)
	return out
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
