package explain

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"

	"github.com/weftmesh/weft/control/xds"
	"github.com/weftmesh/weft/mesh"
	"github.com/weftmesh/weft/proxy/http"
	"github.com/weftmesh/weft/proxy/route"
)

// asProxy gives the proxy's route table for rules, as they are sent to it.
func asProxy(t *testing.T, rules []mesh.Rule) *route.Table {
	t.Helper()
	c := xds.RouteConfiguration("api.shop.svc.cluster.local", 80, rules, nil, func(mesh.Backend) xds.Target { return xds.Target{Cluster: "c"} }, xds.Weft)
	var out []*route.Rule
	for _, r := range c.GetVirtualHosts()[0].GetRoutes() {
		u, err := route.NewRule(route.RuleSpec{Name: r.GetName(), Match: spec(t, r.GetMatch()), Backends: []route.Backend{{Weight: 1}}})
		if err != nil {
			t.Fatalf("%v: %v", r.GetMatch(), err)
		}
		out = append(out, u)
	}
	return route.NewTable("x", out)
}

func spec(t *testing.T, m *routev3.RouteMatch) route.MatchSpec {
	t.Helper()
	s := route.MatchSpec{IgnoreCase: m.GetCaseSensitive() != nil && !m.GetCaseSensitive().GetValue()}
	switch p := m.GetPathSpecifier().(type) {
	case *routev3.RouteMatch_Prefix:
		s.Path, s.PathValue = route.Prefix, p.Prefix
	case *routev3.RouteMatch_Path:
		s.Path, s.PathValue = route.ExactPath, p.Path
	case *routev3.RouteMatch_PathSeparatedPrefix:
		s.Path, s.PathValue = route.SegmentPrefix, p.PathSeparatedPrefix
	case *routev3.RouteMatch_SafeRegex:
		s.Path, s.PathValue = route.RegexPath, p.SafeRegex.GetRegex()
	default:
		t.Fatalf("path %T", p)
	}
	for _, h := range m.GetHeaders() {
		v := route.ValueMatch{Name: h.GetName(), Invert: h.GetInvertMatch(), MissingIsEmpty: h.GetTreatMissingHeaderAsEmpty(), Kind: route.Present}
		if sm := h.GetStringMatch(); sm != nil {
			text(t, sm, &v)
		}
		s.Headers = append(s.Headers, v)
	}
	for _, q := range m.GetQueryParameters() {
		v := route.ValueMatch{Name: q.GetName(), Kind: route.Present}
		if sm := q.GetStringMatch(); sm != nil {
			text(t, sm, &v)
		}
		s.Query = append(s.Query, v)
	}
	return s
}

func text(t *testing.T, m *matcherv3.StringMatcher, v *route.ValueMatch) {
	t.Helper()
	v.IgnoreCase = m.GetIgnoreCase()
	switch p := m.GetMatchPattern().(type) {
	case *matcherv3.StringMatcher_Exact:
		v.Kind, v.Value = route.Exact, p.Exact
	case *matcherv3.StringMatcher_Prefix:
		v.Kind, v.Value = route.HasPrefix, p.Prefix
	case *matcherv3.StringMatcher_Suffix:
		v.Kind, v.Value = route.HasSuffix, p.Suffix
	case *matcherv3.StringMatcher_SafeRegex:
		v.Kind, v.Value = route.Regex, p.SafeRegex.GetRegex()
	default:
		t.Fatalf("value %T", p)
	}
}

func pick[T any](r *rand.Rand, list ...T) T { return list[r.IntN(len(list))] }

func somePath(r *rand.Rand) string {
	out := ""
	for range r.IntN(4) {
		out += "/" + pick(r, "a", "b", "ab", "A")
	}
	if out == "" || r.IntN(6) == 0 {
		out += "/"
	}
	return out
}

func someMatch(r *rand.Rand) mesh.Match {
	var m mesh.Match
	if r.IntN(4) > 0 {
		m.Path = mesh.PathMatch{Kind: pick(r, mesh.Exact, mesh.PathPrefix, mesh.StringPrefix, mesh.Regex), Value: somePath(r)}
		if m.Path.Kind == mesh.Regex {
			m.Path.Value = pick(r, "/.*", "/a.*", "/(a|b)/[a-z]+", "/b", "/a|/b")
		} else {
			m.Path.IgnoreCase = r.IntN(4) == 0
		}
	}
	m.Method = pick(r, "", "", "", "GET", "POST")
	for range r.IntN(3) {
		m.Headers = append(m.Headers, someValue(r, pick(r, "x", "y", ":authority", ":path", ":method", ":scheme"), true))
	}
	if r.IntN(4) == 0 {
		m.Query = append(m.Query, someValue(r, pick(r, "q", "p"), false))
	}
	return m
}

func someValue(r *rand.Rand, name string, header bool) mesh.ValueMatch {
	v := mesh.ValueMatch{Name: name, Kind: pick(r, mesh.Exact, mesh.StringPrefix, mesh.Suffix, mesh.Regex, mesh.Present), Value: pick(r, "1", "12", "GET", "api", "B", "/a", "1,12")}
	switch v.Kind {
	case mesh.Regex:
		v.Value = pick(r, "[0-9]+", ".*", "1?", "a|b", ".+")
	case mesh.Present:
		v.Value = ""
	default:
		v.IgnoreCase = r.IntN(3) == 0
	}
	v.Invert = header && r.IntN(3) == 0
	return v
}

// TestMatcherAgainstProxy: what is explained is what the proxies do.
func TestMatcherAgainstProxy(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 5))
	held, none := 0, 0
	for range 400 {
		var rules []mesh.Rule
		for i := range r.IntN(8) {
			rule := mesh.Rule{Name: fmt.Sprintf("r%d", i), Backends: []mesh.Backend{{Weight: 1}}}
			for range 1 + r.IntN(2) {
				rule.Matches = append(rule.Matches, someMatch(r))
			}
			rules = append(rules, rule)
		}
		table := asProxy(t, append([]mesh.Rule{}, rules...))
		for range 60 {
			q := Request{Method: pick(r, "GET", "POST"), Scheme: pick(r, "http", "https"), Authority: pick(r, "api", "b", "API", "12"),
				Target: somePath(r) + pick(r, "", "", "?q=1", "?q=12&x", "?p=2&q=B", "?q=%31&q=2", "?q=a+b%2", "?", "?=1")}
			for range r.IntN(4) {
				q.Headers = append(q.Headers, mesh.Header{Name: pick(r, "x", "X", "y"), Value: pick(r, "1", "12", "b", "", "api")})
			}
			in := &http.Request{Method: []byte(q.Method), Scheme: []byte(q.Scheme), Authority: []byte(q.Authority), Target: []byte(q.Target)}
			for _, h := range q.Headers {
				in.Fields = append(in.Fields, http.Field{Name: []byte(h.Name), Value: []byte(h.Value)})
			}
			want := ""
			if u := table.Match(in); u != nil {
				want = u.Name
			}
			got := ""
			for i := range rules {
				if m, why := first(&rules[i], &q); m != nil {
					got = rules[i].Name
					break
				} else if len(why) != len(rules[i].Matches) || strings.Contains(strings.Join(why, ""), "%!") {
					t.Fatalf("reasons %q for %+v", why, rules[i].Matches)
				}
			}
			if got != want {
				t.Fatalf("%+v: explained %q, the proxy takes %q of %+v", q, got, want, rules)
			}
			if got == "" {
				none++
			} else {
				held++
			}
		}
	}
	if held < 1000 || none < 1000 {
		t.Errorf("%d requests held and %d did not: the draw is too one-sided to show anything", held, none)
	}
}
