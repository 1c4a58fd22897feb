package istio

import (
	"regexp"
	"sort"
	"strings"

	networking "istio.io/api/networking/v1alpha3"

	"github.com/weftmesh/weft/control/problem"
	"github.com/weftmesh/weft/internal/apifield"
	"github.com/weftmesh/weft/mesh"
)

// maxRegex is what a proxy takes, in bytes.
const maxRegex = 4096

// match reads an HTTPMatchRequest but for its port and gateways; false means
// that it cannot be used, which is reported where that is asked for.
func (t *translator) match(in *networking.HTTPMatchRequest, src httpSource, index int, report bool) (mesh.Match, bool) {
	m := mesh.Match{Name: in.Name, StatPrefix: in.StatPrefix, Source: mesh.ClientMatch{Namespace: in.SourceNamespace, Labels: in.SourceLabels}}
	ok, place := true, src.match(index)
	bad := func(field, message, remedy string) {
		ok = false
		if report {
			t.problem(problem.SchemaInvalid, place.At(""), place.Field+field, message+"; the match is not in effect", remedy)
		}
	}
	if in.Uri != nil {
		v := value("", in.Uri, ".uri", bad)
		m.Path = mesh.PathMatch{Kind: v.Kind, Value: v.Value, IgnoreCase: in.IgnoreUriCase && v.Kind != mesh.Regex}
		if v.Kind == mesh.Present || m.Path.IsAll() {
			m.Path = mesh.PathMatch{}
		} else if why, remedy := neverPath(m.Path); why != "" && ok && report {
			t.problem(problem.SchemaWarning, place.At(""), place.Field+".uri", why+"; the match never holds", remedy)
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

// neverPath says why no path of a request fits, and what to do, or nothing. A
// path begins with a slash, or is the * of OPTIONS, and its query is not
// compared.
func neverPath(p mesh.PathMatch) (why, remedy string) {
	begins := p.Value
	if p.Kind == mesh.Regex {
		re, err := regexp.Compile(p.Value)
		if err != nil {
			return "", ""
		}
		begins, _ = re.LiteralPrefix()
	}
	switch {
	case p.Kind != mesh.Regex && strings.ContainsAny(begins, "?#"):
		return at("%q has a query or fragment, which is no part of the path", p.Value), "compare the query with queryParams"
	case begins != "" && begins[0] != '/' && begins != "*":
		return at("%q does not begin with a slash, as every path does", p.Value), "begin it with /"
	}
	return "", ""
}

func headerMatches(in map[string]*networking.StringMatch, field string, invert bool, bad func(field, message, remedy string)) []mesh.ValueMatch {
	var out []mesh.ValueMatch
	for _, name := range keys(in) {
		if strings.HasPrefix(name, "@request.auth.claims") {
			bad(field+"."+name, "claims of a token can be compared at gateways only", "use an AuthorizationPolicy")
			continue
		}
		if !apifield.Token(strings.TrimPrefix(name, ":")) {
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
		if v.Kind, v.Value = mesh.Exact, m.Exact; m.Exact == "" && (name == "" || name == ":method") {
			bad(field+".exact", "the text is empty, as in no request", "give one, or leave it out")
		}
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
		case len(m.Regex) > maxRegex:
			bad(field+".regex", at("the regular expression has more than %d bytes", maxRegex), "split it into several matches")
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
