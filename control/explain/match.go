package explain

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"github.com/weftmesh/weft/mesh"
)

// holds says whether a match describes a request, and if not, the first part of
// it that does not.
func holds(m *mesh.Match, r *Request) (ok bool, why string) {
	path, query, _ := strings.Cut(r.Target, "?")
	if !pathHolds(m.Path, path) {
		return false, "path is not " + describePath(m.Path)
	}
	if m.Method != "" && m.Method != r.Method {
		return false, "method is not " + m.Method
	}
	for i := range m.Headers {
		h := &m.Headers[i]
		value, present := header(r, h.Name)
		if !headerHolds(h, value, present) {
			return false, differs("header "+h.Name, h, value, present)
		}
	}
	for i := range m.Query {
		q := &m.Query[i]
		value, present := parameter(query, q.Name)
		if !present || !valueHolds(q, value) {
			return false, differs("query parameter "+q.Name, q, value, present)
		}
	}
	return true, ""
}

// pathHolds compares the path without its query.
func pathHolds(p mesh.PathMatch, path string) bool {
	want := p.Value
	if p.IgnoreCase && p.Kind != mesh.Regex {
		path, want = lower(path), lower(want)
	}
	switch p.Kind {
	case mesh.Exact:
		return path == want
	case mesh.StringPrefix:
		return strings.HasPrefix(path, want)
	case mesh.PathPrefix:
		want = strings.TrimRight(want, "/")
		return path == want || strings.HasPrefix(path, want+"/") || want == ""
	case mesh.Regex:
		return whole(want, path)
	}
	return true
}

// headerHolds compares a field, or its absence: what must not be is not there
// where the field is not.
func headerHolds(m *mesh.ValueMatch, value string, present bool) bool {
	if !present {
		return m.Invert
	}
	return valueHolds(m, value) != m.Invert
}

// valueHolds compares a value that is there.
func valueHolds(m *mesh.ValueMatch, value string) bool {
	want := m.Value
	if m.IgnoreCase && m.Kind != mesh.Regex {
		value, want = lower(value), lower(want)
	}
	switch m.Kind {
	case mesh.Present:
		return true
	case mesh.StringPrefix, mesh.PathPrefix:
		return strings.HasPrefix(value, want)
	case mesh.Suffix:
		return strings.HasSuffix(value, want)
	case mesh.Regex:
		return whole(want, value)
	}
	return value == want
}

func whole(expr, value string) bool {
	re, err := regexp.Compile(`\A(?:` + expr + `)\z`)
	return err == nil && re.MatchString(value)
}

// lower changes ASCII letters only, as proxies do.
func lower(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}

// header returns a field, or a part of the head. A field that is given more
// than once is its values with commas between (RFC 9110, section 5.3).
func header(r *Request, name string) (value string, present bool) {
	switch name {
	case ":method":
		return r.Method, true
	case ":scheme":
		return r.Scheme, true
	case ":authority", "host":
		return r.Authority, true
	case ":path":
		return r.Target, true
	}
	var values []string
	for _, h := range r.Headers {
		if strings.EqualFold(h.Name, name) {
			values = append(values, h.Value)
		}
	}
	return strings.Join(values, ","), len(values) > 0
}

// parameter returns the first of a name.
func parameter(query, name string) (value string, present bool) {
	for _, pair := range strings.Split(query, "&") {
		k, v, _ := strings.Cut(pair, "=")
		if query != "" && unescape(k) == name {
			return unescape(v), true
		}
	}
	return "", false
}

// unescape decodes what it can; a malformed escape stands for itself.
func unescape(s string) string {
	if out, err := url.QueryUnescape(s); err == nil {
		return out
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '+':
			b.WriteByte(' ')
		case s[i] == '%' && i+2 < len(s):
			if out, err := url.QueryUnescape(s[i : i+3]); err == nil {
				b.WriteString(out)
				i += 2
				continue
			}
			fallthrough
		default:
			b.WriteByte(s[i])
		}
	}
	return b.String()
}

// differs says what stands where something else is asked for.
func differs(what string, m *mesh.ValueMatch, value string, present bool) string {
	is := "absent"
	if present {
		is = fmt.Sprintf("%q", value)
	}
	want := "wanted " + describeValue(m)
	if m.Kind == mesh.Present && m.Invert {
		want = "wanted absent"
	}
	return what + " is " + is + ", " + want
}

// describe writes a match in words.
func describe(m *mesh.Match) string {
	var parts []string
	if !m.Path.IsAll() {
		parts = append(parts, "path "+describePath(m.Path))
	}
	if m.Method != "" {
		parts = append(parts, "method "+m.Method)
	}
	for i := range m.Headers {
		parts = append(parts, "header "+m.Headers[i].Name+" "+describeValue(&m.Headers[i]))
	}
	for i := range m.Query {
		parts = append(parts, "query "+m.Query[i].Name+" "+describeValue(&m.Query[i]))
	}
	if len(parts) == 0 {
		return "every request"
	}
	return strings.Join(parts, " and ")
}

func describePath(p mesh.PathMatch) string {
	word := map[mesh.MatchKind]string{mesh.Exact: "exactly", mesh.PathPrefix: "below", mesh.StringPrefix: "beginning with", mesh.Regex: "like"}[p.Kind]
	out := word + " " + p.Value
	if p.IgnoreCase {
		out += " in any case"
	}
	return out
}

func describeValue(m *mesh.ValueMatch) string {
	out := fmt.Sprintf("%s %q", map[mesh.MatchKind]string{mesh.Exact: "exactly", mesh.StringPrefix: "beginning with", mesh.PathPrefix: "beginning with", mesh.Suffix: "ending in", mesh.Regex: "like"}[m.Kind], m.Value)
	if m.Kind == mesh.Present {
		out = "present"
	}
	if m.IgnoreCase && m.Kind != mesh.Present && m.Kind != mesh.Regex {
		out += " in any case"
	}
	if m.Invert {
		out = "not " + out
	}
	return out
}
