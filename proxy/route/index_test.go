package route

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/weftmesh/weft/proxy/http"
)

// draw makes a random condition out of few words, so that rules overlap.
func draw(r *rand.Rand) MatchSpec {
	words := []string{"a", "b", "ab", "A"}
	path := func() string {
		p := ""
		for range r.IntN(4) {
			p += "/" + words[r.IntN(len(words))]
		}
		if p == "" || r.IntN(5) == 0 {
			p += "/"
		}
		return p
	}
	m := MatchSpec{Path: PathKind(r.IntN(5)), PathValue: path(), IgnoreCase: r.IntN(6) == 0}
	if m.Path == RegexPath {
		m.PathValue = []string{"/.*", "/a.*", "/(a|b)/[a-z]+", "/b"}[r.IntN(4)]
	}
	for range r.IntN(3) {
		m.Headers = append(m.Headers, value(r, []string{"x", "y", "z", ":method", "host"}[r.IntN(5)]))
	}
	if r.IntN(4) == 0 {
		m.Query = append(m.Query, value(r, "q"))
	}
	return m
}

func value(r *rand.Rand, name string) ValueMatch {
	v := ValueMatch{Name: name, Value: []string{"1", "12", "GET", "api", "B"}[r.IntN(5)], Kind: ValueKind(r.IntN(7)),
		IgnoreCase: r.IntN(4) == 0, Invert: r.IntN(4) == 0, MissingIsEmpty: r.IntN(4) == 0, Low: 1, High: 12}
	if v.Kind == Regex {
		v.Value = "[0-9]+"
	}
	return v
}

// The naive twin of the index asks every rule in turn.
func TestIndexAgainstTwin(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 7))
	hits := 0
	for range 300 {
		var rules []*Rule
		for n := r.IntN(40); len(rules) < n; {
			if u, err := NewRule(RuleSpec{Match: draw(r)}); err == nil {
				rules = append(rules, u)
			}
		}
		x := newIndex(rules)
		for range 100 {
			q := request([]string{"GET", "POST"}[r.IntN(2)], draw(r).PathValue+[]string{"", "?q=1", "?q=12&x", "?p=2"}[r.IntN(4)])
			for _, n := range []string{"X", "y", "Z"} {
				for range r.IntN(3) {
					q.Fields = append(q.Fields, http.Field{Name: []byte(n), Value: []byte([]string{"1", "12", "b"}[r.IntN(3)])})
				}
			}
			var want *Rule
			for _, u := range rules {
				if u.match.Match(q) {
					want = u
					break
				}
			}
			got := x.match(q)
			if got != want {
				t.Fatalf("%s %s: got %v, want %v", q.Target, q.Fields, specOf(got), specOf(want))
			}
			if got != nil {
				hits++
			}
		}
	}
	if hits < 1000 {
		t.Errorf("only %d requests matched: the test says little", hits)
	}
}

func specOf(u *Rule) string {
	if u == nil {
		return "none"
	}
	return u.spec.String()
}

func TestConditionsOnValues(t *testing.T) {
	one := func(v ValueMatch) MatchSpec { v.Name = "x"; return MatchSpec{Headers: []ValueMatch{v}} }
	for _, c := range []struct {
		spec MatchSpec
		line string // of the header; empty for none
		want bool
	}{
		{one(ValueMatch{Kind: HasPrefix, Value: "ab"}), "x: abc", true},
		{one(ValueMatch{Kind: HasPrefix, Value: "ab"}), "x: a", false},
		{one(ValueMatch{Kind: HasSuffix, Value: "bc"}), "x: abc", true},
		{one(ValueMatch{Kind: Contains, Value: "B", IgnoreCase: true}), "x: abc", true},
		{one(ValueMatch{Kind: Contains, Value: "B"}), "x: abc", false},
		{one(ValueMatch{Value: "ABC", IgnoreCase: true}), "x: aBc", true},
		{one(ValueMatch{Kind: Present}), "x: ", true},
		{one(ValueMatch{Kind: Present}), "", false},
		{one(ValueMatch{Kind: Present, Invert: true}), "", true},
		{one(ValueMatch{Value: "a", Invert: true}), "", false}, // Envoy: an absent header matches nothing
		{one(ValueMatch{Value: "a", Invert: true, MissingIsEmpty: true}), "", true},
		{one(ValueMatch{Value: "a", Invert: true}), "x: b", true},
		{one(ValueMatch{Kind: Range, Low: -1, High: 3}), "x: 2", true},
		{one(ValueMatch{Kind: Range, Low: -1, High: 3}), "x: 3", false},
		{one(ValueMatch{Kind: Range, Low: -1, High: 3}), "x: 2a", false},
		{MatchSpec{Path: Prefix, PathValue: "/API", IgnoreCase: true}, "", true},
		{MatchSpec{Path: Prefix, PathValue: "/API"}, "", false},
	} {
		q := request("GET", "/api/v1")
		if c.line != "" {
			q = request("GET", "/api/v1", c.line)
		}
		if u := rule(t, c.spec); u.match.Match(q) != c.want || (newIndex([]*Rule{u}).match(q) == u) != c.want {
			t.Errorf("%s on %q: not %v", c.spec, c.line, c.want)
		}
	}
}

func TestShares(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, s := range []Share{0, 1, 300_000, Million} {
		n := 0
		for range 100_000 {
			if s.Draws(r.Uint64()) {
				n++
			}
		}
		if want := int(s) / 10; n < want-600 || n > want+600 || s == 0 && n > 0 || s == Million && n < 100_000 {
			t.Errorf("share %d: %d of 100000", s, n)
		}
	}
}

func tables() map[string]*Table {
	out := map[string]*Table{}
	make200 := func(name string, spec func(i int) MatchSpec) {
		var rules []*Rule
		for i := range 200 {
			u, err := NewRule(RuleSpec{Match: spec(i)})
			if err != nil {
				panic(err)
			}
			rules = append(rules, u)
		}
		out[name] = NewTable(name, rules)
	}
	make200("exact", func(i int) MatchSpec { return MatchSpec{Path: ExactPath, PathValue: fmt.Sprintf("/shop/items/%d", i)} })
	make200("prefix", func(i int) MatchSpec {
		return MatchSpec{Path: SegmentPrefix, PathValue: fmt.Sprintf("/shop/items/%d", i)}
	})
	make200("header", func(i int) MatchSpec {
		return MatchSpec{Path: Prefix, PathValue: "/", Headers: []ValueMatch{{Name: "x-user", Value: fmt.Sprintf("user-%d", i)}}}
	})
	make200("mixed", func(i int) MatchSpec {
		m := MatchSpec{Path: Prefix, PathValue: fmt.Sprintf("/shop/v%d/", i/2)}
		if i%2 == 0 {
			m.Headers = []ValueMatch{{Name: "x-user", Value: "tester"}}
		}
		if i == 199 {
			m.PathValue = "/shop/items/199"
		}
		return m
	})
	return out
}

func last() *http.Request {
	return request("GET", "/shop/items/199", "accept: */*", "user-agent: curl/8.5.0", "x-request-id: 1234", "X-User: user-199", "cookie: a=b")
}

func TestIndexAllocatesNothing(t *testing.T) {
	for name, tb := range tables() {
		r := last()
		if n := testing.AllocsPerRun(100, func() {
			if tb.Match(r) != tb.Rules[199] {
				t.Fatal(name)
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

// BenchmarkMatch matches the last of 200 rules.
func BenchmarkMatch(b *testing.B) {
	for name, tb := range tables() {
		b.Run(name, func(b *testing.B) {
			r := last()
			b.ReportAllocs()
			for b.Loop() {
				if tb.Match(r) == nil {
					b.Fatal("no match")
				}
			}
		})
	}
}

func TestHash(t *testing.T) {
	policies := []HashPolicy{{Kind: HashHeader, Name: "x-user", Terminal: true}, {Kind: HashCookie, Name: "session", Generate: true, Path: "/a"}, {Kind: HashQuery, Name: "q"}}
	of := func(q *http.Request) (uint64, bool, string) {
		h, ok, cookie, p := Hash(policies, q, netip.Addr{}, 255)
		if p == nil {
			return h, ok, ""
		}
		return h, ok, string(p.SetCookie(cookie))
	}
	a, ok, set := of(request("GET", "/?q=1", "x-user: u"))
	if b, _, _ := of(request("GET", "/?q=2", "x-user: u")); a != b || !ok || set != "" {
		t.Error("a terminal policy that found something does not end the list")
	}
	if b, _, _ := of(request("GET", "/?q=1", "x-user: v")); a == b {
		t.Error("two users, one hash")
	}
	c, ok, set := of(request("GET", "/"))
	if !ok || set != `session="ff"; Path=/a; HttpOnly` {
		t.Errorf("generated: %v %q", ok, set)
	}
	if d, _, set := of(request("GET", "/", "cookie: x=1; session=ff")); d != c || set != "" {
		t.Errorf("the cookie does not bring the client back: %q", set)
	}
	if d, _, _ := of(request("GET", "/?q=1", "cookie: session=ff")); d == c {
		t.Error("the second contribution is lost")
	}
}
