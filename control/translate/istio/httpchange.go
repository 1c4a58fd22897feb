package istio

import (
	"regexp"
	"strings"

	networking "istio.io/api/networking/v1alpha3"

	"github.com/weftmesh/weft/control/problem"
	"github.com/weftmesh/weft/internal/apifield"
	"github.com/weftmesh/weft/mesh"
)

// headers reads header operations; a new authority is returned for itself,
// since it is no header.
func (t *translator) headers(in *networking.Headers_HeaderOperations, o mesh.Origin, field string) (out mesh.HeaderChanges, host string) {
	if in == nil {
		return out, ""
	}
	good := func(name, value, where string) bool {
		if apifield.Token(name) && apifield.Text(value) {
			return true
		}
		t.problem(problem.SchemaInvalid, o, field+where, at("%q: %q is not a header field; it is ignored", name, value), "correct the name or the value")
		return false
	}
	for _, k := range keys(in.Set) {
		name := strings.ToLower(k)
		if name == "host" || name == ":authority" {
			if host = in.Set[k]; !apifield.Authority(host) {
				t.problem(problem.SchemaInvalid, o, field+".set."+k, at("%q is no authority; the request keeps its own", host), "write a host, with or without a port")
				host = ""
			}
			continue
		}
		if good(name, in.Set[k], ".set."+k) {
			out.Set = append(out.Set, mesh.Header{Name: name, Value: in.Set[k]})
		}
	}
	for _, k := range keys(in.Add) {
		if name := strings.ToLower(k); good(name, in.Add[k], ".add."+k) {
			out.Add = append(out.Add, mesh.Header{Name: name, Value: in.Add[k]})
		}
	}
	for i, k := range in.Remove {
		if name := strings.ToLower(k); good(name, "", at(".remove[%d]", i)) {
			out.Remove = append(out.Remove, name)
		}
	}
	return out, host
}

func (t *translator) rewrite(in *networking.HTTPRewrite, src httpSource) *mesh.Rewrite {
	if in == nil {
		return nil
	}
	out := &mesh.Rewrite{Host: t.authority(in.Authority, src, ".rewrite.authority"), Origin: src.at(".rewrite")}
	switch re := in.UriRegexRewrite; {
	case re != nil && in.Uri != "":
		t.invalid(src, ".rewrite", "uri and uriRegexRewrite cannot both be given; the path is not rewritten", "keep one of them")
	case re != nil:
		x, err := regexp.Compile(re.Match)
		if err != nil || re.Match == "" || len(re.Match) > maxRegex {
			t.invalid(src, ".rewrite.uriRegexRewrite.match", at("%q is not a regular expression; the path is not rewritten", re.Match), "write it in RE2 syntax")
			break
		}
		if why := badSubstitution(re.Rewrite, x.NumSubexp()); why != "" {
			t.invalid(src, ".rewrite.uriRegexRewrite.rewrite", at("%q %s; the path is not rewritten", re.Rewrite, why), `write \1 to \9 for groups of the expression, and \\ for a backslash`)
			break
		}
		out.Regex, out.Substitution = re.Match, re.Rewrite
	case in.Uri != "":
		uri := in.Uri
		if why := badTarget(uri); why != "" {
			t.invalid(src, ".rewrite.uri", at("%q %s; the path is not rewritten", uri, why), "begin it with /")
			break
		}
		out.PrefixPath = &uri
	}
	if out.Host == "" && out.PrefixPath == nil && out.Regex == "" {
		return nil
	}
	return out
}

// badTarget says why a text cannot stand where a path begins, or nothing.
func badTarget(p string) string {
	for i := range len(p) {
		if c := p[i]; c <= ' ' || c >= 0x7f || c == '#' {
			return "has characters that no path has"
		}
	}
	if p == "" || p[0] != '/' {
		return "does not begin with a slash, as every path does"
	}
	return ""
}

// badSubstitution says what is wrong with the replacement of an expression that
// has some groups, or nothing.
func badSubstitution(s string, groups int) string {
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c <= ' ' || c >= 0x7f || c == '#':
			return "has characters that no path has"
		case c != '\\':
		case i+1 == len(s):
			return "ends with a backslash"
		default:
			i++
			if s[i] != '\\' && (s[i] < '0' || s[i] > '9') {
				return "has a backslash before something else than a digit"
			}
			if s[i] != '\\' && int(s[i]-'0') > groups {
				return at("names group %c, of which the expression has %d", s[i], groups)
			}
		}
	}
	return ""
}

// authority is a new authority where it can be one; else it is reported.
func (t *translator) authority(host string, src httpSource, field string) string {
	if host != "" && !apifield.Authority(host) {
		t.invalid(src, field, at("%q is no authority; the request keeps its own", host), "write a host, with or without a port")
		return ""
	}
	return host
}
