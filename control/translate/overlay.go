package translate

import (
	"regexp"
	"regexp/syntax"
	"slices"
	"sort"
	"strings"

	"github.com/weftmesh/weft/control/translate/fragment"
	"github.com/weftmesh/weft/mesh"
)

// sortOverlays brings the oldest object to the front.
func sortOverlays(list []fragment.Overlay) {
	sort.SliceStable(list, func(i, j int) bool {
		a, b := &list[i], &list[j]
		if !a.Created.Equal(b.Created) {
			return a.Created.Before(b.Created)
		}
		return a.Origin.Name < b.Origin.Name || a.Origin.Name == b.Origin.Name && a.Origin.Namespace < b.Origin.Namespace
	})
}

// baseRule leads to the service itself, where there are overlays and no route;
// it is named after the first that holds for all requests.
func baseRule(k portKey, overlays []fragment.Overlay) (mesh.Rule, mesh.RoutePolicy) {
	name, from := "default", &overlays[0]
	for i := range overlays {
		if len(overlays[i].Matches) == 0 {
			if from = &overlays[i]; from.Name == "" {
				name = from.Origin.Name
			} else {
				name = from.Name
			}
			break
		}
	}
	return mesh.Rule{Name: name, Origin: from.Origin.At(from.Field), Backends: []mesh.Backend{{Service: k.service, Port: k.port, Weight: 1}}}, from.Defaults
}

// said lists the parts of a policy that something is said of, by the names that
// Istio's fields have.
func said(p mesh.RoutePolicy) []string {
	var r mesh.Rule
	r.Backends = []mesh.Backend{{}}
	return fill(&r, p)
}

// fill takes from a policy what the rule does not say, and returns the parts
// that it took. Rules that answer themselves have no use for most of it.
func fill(r *mesh.Rule, p mesh.RoutePolicy) (taken []string) {
	take := func(name string, yes bool) bool {
		if yes {
			taken = append(taken, name)
		}
		return yes
	}
	if r.Redirect == nil && r.Direct == nil {
		t := &r.Timeouts
		for _, d := range []struct {
			name     string
			to, from **mesh.Duration
		}{{"timeout", &t.Request, &p.Timeouts.Request}, {"timeouts.backendRequest", &t.Backend, &p.Timeouts.Backend},
			{"timeouts.response", &t.Response, &p.Timeouts.Response}, {"timeouts.idle", &t.Idle, &p.Timeouts.Idle}} {
			if take(d.name, *d.to == nil && *d.from != nil) {
				*d.to = *d.from
				if t.Origin == (mesh.Origin{}) || d.name == "timeout" {
					t.Origin = p.Timeouts.Origin
				}
			}
		}
		if take("retries", r.Retry == nil && p.Retry != nil) {
			r.Retry = p.Retry
		}
		if take("mirrors", len(r.Mirrors) == 0 && len(p.Mirrors) > 0) {
			r.Mirrors = p.Mirrors
		}
		if take("rewrite", r.Rewrite == nil && p.Rewrite != nil) {
			r.Rewrite = p.Rewrite
		}
		if take("responseClasses", len(r.Classes) == 0 && len(p.Classes) > 0) {
			r.Classes = p.Classes
		}
	}
	if take("fault", r.Fault == nil && p.Fault != nil) {
		r.Fault = p.Fault
	}
	if take("corsPolicy", r.CORS == nil && p.CORS != nil) {
		r.CORS = p.CORS
	}
	if take("statPrefix", r.StatPrefix == "" && p.StatPrefix != "") {
		r.StatPrefix = p.StatPrefix
	}
	take("headers.request", fillHeaders(&r.RequestHeaders, p.RequestHeaders))
	take("headers.response", fillHeaders(&r.ResponseHeaders, p.ResponseHeaders))
	return taken
}

// fillHeaders adds the changes of fields that are not changed yet.
func fillHeaders(to *mesh.HeaderChanges, from mesh.HeaderChanges) bool {
	known := map[string]bool{}
	for _, h := range slices.Concat(to.Set, to.Add) {
		known[h.Name] = true
	}
	for _, n := range to.Remove {
		known[n] = true
	}
	took := false
	add := func(list []mesh.Header, more []mesh.Header) []mesh.Header {
		list = slices.Clip(list)
		for _, h := range more {
			if !known[h.Name] {
				list, took = append(list, h), true
			}
		}
		return list
	}
	to.Set, to.Add = add(to.Set, from.Set), add(to.Add, from.Add)
	to.Remove = slices.Clip(to.Remove)
	for _, n := range from.Remove {
		if !known[n] {
			to.Remove, took = append(to.Remove, n), true
		}
	}
	return took
}

// join makes the matches that hold where one of either list does.
func join(a, b []mesh.Match, known literals) []mesh.Match {
	if len(a) == 0 {
		return b
	}
	var out []mesh.Match
	for _, x := range a {
		for _, y := range b {
			if known.disjoint(x.Path, y.Path) || otherMethod(&x, &y) || otherMethod(&y, &x) {
				continue
			}
			if m, ok := both(x, y); ok {
				out = append(out, m)
			}
		}
	}
	return out
}

// longestExpression is what a proxy takes, in bytes.
const longestExpression = 4096

// both makes one match of two; false where nothing can fit both.
func both(x, y mesh.Match) (mesh.Match, bool) {
	m := x
	m.Headers, m.Query = slices.Concat(x.Headers, y.Headers), slices.Concat(x.Query, y.Query)
	switch {
	case y.Path.IsAll() || x.Path == y.Path:
	case x.Path.IsAll():
		m.Path = y.Path
	default:
		// The second condition is on :path, which has the query with it.
		expression := pathExpression(y.Path)
		if len(expression) > longestExpression {
			return m, false
		}
		m.Headers = append(m.Headers, mesh.ValueMatch{Name: ":path", Kind: mesh.Regex, Value: expression})
	}
	switch {
	case y.Method == "" || x.Method == y.Method:
	case x.Method == "":
		m.Method = y.Method
	default:
		return m, false
	}
	if y.Source.Namespace != "" {
		if x.Source.Namespace != "" && x.Source.Namespace != y.Source.Namespace {
			return m, false
		}
		m.Source.Namespace = y.Source.Namespace
	}
	if len(y.Source.Labels) > 0 {
		labels := map[string]string{}
		for _, l := range []map[string]string{x.Source.Labels, y.Source.Labels} {
			for k, v := range l {
				if have, known := labels[k]; known && have != v {
					return m, false
				}
				labels[k] = v
			}
		}
		m.Source.Labels = labels
	}
	if m.StatPrefix == "" {
		m.StatPrefix = y.StatPrefix
	}
	return m, true
}

func pathExpression(p mesh.PathMatch) string {
	flag := ""
	if p.IgnoreCase {
		flag = "(?i)"
	}
	switch p.Kind {
	case mesh.Exact:
		return flag + regexp.QuoteMeta(p.Value) + `(\?.*)?`
	case mesh.StringPrefix:
		return flag + regexp.QuoteMeta(p.Value) + `.*`
	case mesh.PathPrefix:
		return flag + regexp.QuoteMeta(strings.TrimRight(p.Value, "/")) + `([/?].*)?`
	}
	value := p.Value
	if re, err := syntax.Parse(value, syntax.Perl); err == nil && re.Op == syntax.OpConcat && re.Sub[len(re.Sub)-1].Op == syntax.OpEndText {
		value = strings.TrimSuffix(value, "$") // the query is behind the end of the path
	}
	return `(?:` + value + `)(\?.*)?`
}
