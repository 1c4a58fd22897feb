package linkerd

import (
	"regexp"
	"slices"
	"strings"

	"github.com/weftmesh/weft/internal/linkerdapi"
	"github.com/weftmesh/weft/mesh"
)

// maxAlternatives of one condition; each is a route of every proxy.
const maxAlternatives = 64

// alternatives brings a condition into the form in which one of several matches
// holds; false where they are too many or none.
func alternatives(m *linkerdapi.RequestMatch) ([]mesh.Match, bool) {
	out, ok := expand(m, false)
	return out, ok && len(out) > 0
}

// expand writes a condition, or its contrary, as alternatives. No alternative
// means that nothing can fit.
func expand(m *linkerdapi.RequestMatch, contrary bool) ([]mesh.Match, bool) {
	// parts must all hold; of the contrary, one of the parts' contraries.
	var parts [][]mesh.Match
	if m.PathRegex != "" {
		parts = append(parts, []mesh.Match{pathMatch(m.PathRegex, contrary)})
	}
	if m.Method != "" {
		parts = append(parts, []mesh.Match{methodMatch(m.Method, contrary)})
	}
	for _, x := range m.All {
		p, ok := expand(x, contrary)
		if !ok {
			return nil, false
		}
		parts = append(parts, p)
	}
	if len(m.Any) > 0 {
		var inner [][]mesh.Match
		for _, x := range m.Any {
			p, ok := expand(x, contrary)
			if !ok {
				return nil, false
			}
			inner = append(inner, p)
		}
		p, ok := slices.Concat(inner...), true
		if contrary {
			p, ok = product(inner)
		}
		if !ok {
			return nil, false
		}
		parts = append(parts, p)
	}
	if m.Not != nil {
		p, ok := expand(m.Not, !contrary)
		if !ok {
			return nil, false
		}
		parts = append(parts, p)
	}
	if contrary {
		all := slices.Concat(parts...)
		return all, len(all) <= maxAlternatives
	}
	return product(parts)
}

// product makes the alternatives in which one of each list holds.
func product(lists [][]mesh.Match) ([]mesh.Match, bool) {
	out := []mesh.Match{{}}
	for _, l := range lists {
		var next []mesh.Match
		for _, a := range out {
			for _, b := range l {
				if m, ok := and(a, b); ok {
					next = append(next, m)
				}
			}
		}
		if len(next) > maxAlternatives {
			return nil, false
		}
		out = next
	}
	return out, true
}

// and joins two matches; false where nothing can fit both.
func and(a, b mesh.Match) (mesh.Match, bool) {
	a.Headers = slices.Concat(a.Headers, b.Headers)
	switch {
	case a.Method == "":
		a.Method = b.Method
	case b.Method != "" && a.Method != b.Method:
		return a, false
	}
	switch {
	case a.Path.IsAll():
		a.Path = b.Path
	case b.Path.IsAll() || a.Path == b.Path:
	case a.Path.Kind == mesh.Exact && b.Path.Kind == mesh.Exact:
		return a, false
	default:
		v := b.Path.Value
		if b.Path.Kind == mesh.Exact {
			v = regexp.QuoteMeta(v)
		}
		a.Headers = append(a.Headers, mesh.ValueMatch{Name: ":path", Kind: mesh.Regex, Value: withQuery(v)})
	}
	return a, true
}

// pathMatch compares the whole path, without its query. An expression that is
// plain text is compared as such, which costs less.
func pathMatch(expression string, contrary bool) mesh.Match {
	plain := strings.TrimSuffix(strings.TrimPrefix(expression, "^"), "$")
	literal := plain != "" && regexp.QuoteMeta(plain) == plain
	switch {
	case contrary:
		return mesh.Match{Headers: []mesh.ValueMatch{{Name: ":path", Kind: mesh.Regex, Value: withQuery(expression), Invert: true}}}
	case literal:
		return mesh.Match{Path: mesh.PathMatch{Kind: mesh.Exact, Value: plain}}
	case expression == ".*" || expression == "/.*":
		return mesh.Match{}
	}
	return mesh.Match{Path: mesh.PathMatch{Kind: mesh.Regex, Value: expression}}
}

// withQuery lets an expression for a path hold for :path, which has the query.
func withQuery(expression string) string {
	plain := strings.TrimSuffix(strings.TrimPrefix(expression, "^"), "$")
	if _, err := regexp.Compile("(?:" + plain + ")"); err != nil {
		plain = expression // such as one that ends in \$
	}
	return "(?:" + plain + `)(\?.*)?`
}

func methodMatch(method string, contrary bool) mesh.Match {
	method = strings.ToUpper(method)
	if contrary {
		return mesh.Match{Headers: []mesh.ValueMatch{{Name: ":method", Kind: mesh.Exact, Value: method, Invert: true}}}
	}
	return mesh.Match{Method: method}
}
