package gatewayapi

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/weftmesh/weft/control/translate/httproute"
	"github.com/weftmesh/weft/mesh"
)

// naive is the precedence of HTTPRouteRule.matches, sentence by sentence.
func naive(a, b mesh.Match) int {
	kind := func(m mesh.Match) int {
		return slices.Index([]mesh.MatchKind{"", mesh.PathPrefix, mesh.Regex, mesh.Exact}, m.Path.Kind)
	}
	class := func(m mesh.Match) int { return max(kind(m), 1) }
	if class(a) != class(b) {
		return class(a) - class(b)
	}
	if a.Path.Kind != mesh.Exact && len(a.Path.Value) != len(b.Path.Value) {
		return len(a.Path.Value) - len(b.Path.Value)
	}
	if (a.Method != "") != (b.Method != "") {
		if a.Method != "" {
			return 1
		}
		return -1
	}
	if len(a.Headers) != len(b.Headers) {
		return len(a.Headers) - len(b.Headers)
	}
	return len(a.Query) - len(b.Query)
}

// TestOrderIsTheSpecifications: of any two rules that Order puts in an order
// the first is the more special one, or came first.
func TestOrderIsTheSpecifications(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	pick := func(list ...string) string { return list[r.IntN(len(list))] }
	for range 500 {
		var entries []httproute.Entry
		for i := range 2 + r.IntN(10) {
			var m mesh.Match
			switch r.IntN(4) {
			case 0:
				m.Path = mesh.PathMatch{Kind: mesh.Exact, Value: pick("/a", "/a/b", "/c")}
			case 1:
				m.Path = mesh.PathMatch{Kind: mesh.PathPrefix, Value: pick("/a", "/a/b", "/c")}
			case 2:
				m.Path = mesh.PathMatch{Kind: mesh.Regex, Value: pick("/a", "/.*")}
			}
			m.Method = pick("", "", "GET")
			for range r.IntN(3) {
				m.Headers = append(m.Headers, mesh.ValueMatch{Name: fmt.Sprintf("h%d", len(m.Headers)), Kind: mesh.Exact, Value: "v"})
			}
			for range r.IntN(3) {
				m.Query = append(m.Query, mesh.ValueMatch{Name: fmt.Sprintf("q%d", len(m.Query)), Kind: mesh.Exact, Value: "v"})
			}
			entries = append(entries, httproute.Entry{Match: m, Rule: &mesh.Rule{Name: fmt.Sprintf("%02d", i)}})
		}
		matches := map[string]mesh.Match{}
		for _, e := range entries {
			matches[e.Rule.Name] = e.Match
		}
		rules := httproute.Order(entries)
		if len(rules) != len(matches) {
			t.Fatalf("%d rules became %d", len(matches), len(rules))
		}
		for i := range rules {
			for j := range i {
				first, second := rules[j].Name, rules[i].Name
				if c := naive(matches[first], matches[second]); c < 0 || c == 0 && strings.Compare(first, second) > 0 {
					t.Fatalf("%s stands before %s:\n%+v\n%+v", first, second, matches[first], matches[second])
				}
			}
		}
	}
}

// TestOrigins compares what the expressions of origins hold.
func TestOrigins(t *testing.T) {
	for _, c := range []struct {
		written string
		want    mesh.ValueMatch
		ok      bool
	}{
		{"*", mesh.ValueMatch{Kind: mesh.Present}, true},
		{"https://a.example:443", mesh.ValueMatch{Kind: mesh.Exact, Value: "https://a.example", IgnoreCase: true}, true},
		{"http://a.example:443", mesh.ValueMatch{Kind: mesh.Exact, Value: "http://a.example:443", IgnoreCase: true}, true},
		{"https://*.a.example", mesh.ValueMatch{Kind: mesh.Regex, Value: `(?i)https://[^/:]+\.a\.example`}, true},
		{"https://*:8443", mesh.ValueMatch{Kind: mesh.Regex, Value: `(?i)https://[^/:]+:8443`}, true},
		{"ftp://a", mesh.ValueMatch{}, false}, {"a.example", mesh.ValueMatch{}, false}, {"https://", mesh.ValueMatch{}, false}, {"https://a/b", mesh.ValueMatch{}, false},
	} {
		if got, ok := origin(c.written); got != c.want || ok != c.ok {
			t.Errorf("%s: %+v %v", c.written, got, ok)
		}
	}
}
