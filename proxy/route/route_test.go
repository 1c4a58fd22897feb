package route

import (
	"errors"
	"math/rand/v2"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"testing/quick"

	"github.com/weftmesh/weft/internal/seedtest"
	"github.com/weftmesh/weft/proxy/http"
)

func rule(t testing.TB, m MatchSpec) *Rule {
	t.Helper()
	r, err := NewRule(RuleSpec{Match: m})
	if err != nil {
		t.Fatalf("%+v: %v", m, err)
	}
	return r
}

func val(name, value string, regex bool) ValueMatch {
	v := ValueMatch{Name: name, Value: value}
	if regex {
		v.Kind = Regex
	}
	return v
}

func request(method, target string, lines ...string) *http.Request {
	r := &http.Request{Method: []byte(method), Target: []byte(target), Authority: []byte("api"), Scheme: []byte("http")}
	for _, l := range lines {
		n, v, _ := strings.Cut(l, ": ")
		r.Fields = append(r.Fields, http.Field{Name: []byte(n), Value: []byte(v)})
	}
	return r
}

func TestMatches(t *testing.T) {
	h := func(n, v string, re bool) MatchSpec { return MatchSpec{Headers: []ValueMatch{val(n, v, re)}} }
	q := func(n, v string, re bool) MatchSpec { return MatchSpec{Query: []ValueMatch{val(n, v, re)}} }
	p := func(k PathKind, v string) MatchSpec { return MatchSpec{Path: k, PathValue: v} }
	for _, c := range []struct {
		spec MatchSpec
		req  *http.Request
		want bool
	}{
		{MatchSpec{}, request("GET", "/x"), true},
		{p(ExactPath, "/a"), request("GET", "/a?b=c"), true},
		{p(ExactPath, "/a"), request("GET", "/a/"), false},
		{p(SegmentPrefix, "/a"), request("GET", "/a"), true},
		{p(SegmentPrefix, "/a"), request("GET", "/a?x"), true},
		{p(SegmentPrefix, "/a/"), request("GET", "/a/b"), true},
		{p(SegmentPrefix, "/a"), request("GET", "/ab"), false},
		{p(SegmentPrefix, "/"), request("OPTIONS", "*"), true},
		{p(Prefix, "/a"), request("GET", "/ab"), true},
		{p(Prefix, "/a/b"), request("GET", "/a"), false},
		{p(RegexPath, "/a|/b"), request("GET", "/b"), true},
		{p(RegexPath, "/a"), request("GET", "/ab"), false},
		{p(RegexPath, "(?i)/A"), request("GET", "/a?q"), true},
		{h(":method", "GET", false), request("GET", "/"), true},
		{h(":method", "GET", false), request("POST", "/"), false},
		{h("Host", "api", false), request("GET", "/"), true},
		{h("X-User", "a", false), request("GET", "/", "x-uSER: a"), true},
		{h("x-user", "a", false), request("GET", "/", "X-User: A"), false},
		{h("x-user", "a", false), request("GET", "/"), false},
		{h("x-user", "", false), request("GET", "/"), false},
		{h("x-user", "", false), request("GET", "/", "X-User: "), true},
		{h("x-user", "a,b", false), request("GET", "/", "X-User: a", "Z: 1", "x-user: b"), true},
		{h("x-user", ",b", false), request("GET", "/", "X-User: ", "x-user: b"), true},
		{h("x-user", "v[0-9]+", true), request("GET", "/", "X-User: v12"), true},
		{h("x-user", "v[0-9]+", true), request("GET", "/", "X-User: v12x"), false},
		{q("a", "1", false), request("GET", "/?b=2&a=1"), true},
		{q("a", "1", false), request("GET", "/?a=2&a=1"), false}, // the first counts
		{q("a b", "c d/", false), request("GET", "/?a+b=c%20d%2f"), true},
		{q("a", "", false), request("GET", "/?a"), true},
		{q("a", "%zz", false), request("GET", "/?a=%zz"), true},
		{q("a", "1", false), request("GET", "/"), false},
		{q("a", "[12]", true), request("GET", "/?a=2#f"), false},
	} {
		tb := &Table{Rules: []*Rule{rule(t, c.spec)}}
		if got := tb.Match(c.req) != nil; got != c.want {
			t.Errorf("%v on %s %s: %v", c.spec, c.req.Method, c.req.Target, got)
		}
	}
	var none *Table
	if none.Match(request("GET", "/")) != nil {
		t.Error("a nil table matches")
	}
}

func TestFirstRuleWins(t *testing.T) {
	a, b := rule(t, MatchSpec{Path: Prefix, PathValue: "/a"}), rule(t, MatchSpec{})
	tb := &Table{Rules: []*Rule{a, b}}
	if tb.Match(request("GET", "/ab")) != a || tb.Match(request("GET", "/b")) != b {
		t.Error("order")
	}
}

func TestBadRules(t *testing.T) {
	for _, c := range []struct {
		spec RuleSpec
		err  error
		tell string
	}{
		{RuleSpec{Match: MatchSpec{Path: RegexPath, PathValue: "("}}, ErrRegex, "path"},
		{RuleSpec{Match: MatchSpec{Path: RegexPath, PathValue: "a)|(b"}}, ErrRegex, "path"},
		{RuleSpec{Match: MatchSpec{Path: RegexPath, PathValue: strings.Repeat("a", MaxRegex+1)}}, ErrRegex, "limit"},
		{RuleSpec{Match: MatchSpec{Path: ExactPath}}, ErrMatch, "path is empty"},
		{RuleSpec{Match: MatchSpec{Path: 99}}, ErrMatch, "kind"},
		{RuleSpec{Match: MatchSpec{Headers: []ValueMatch{val("x", "[", true)}}}, ErrRegex, `header "x"`},
		{RuleSpec{Match: MatchSpec{Headers: []ValueMatch{val("", "a", false)}}}, ErrMatch, "empty"},
		{RuleSpec{Match: MatchSpec{Headers: []ValueMatch{val(":status", "a", false)}}}, ErrMatch, ":status"},
		{RuleSpec{Match: MatchSpec{Query: []ValueMatch{val("q", "[", true)}}}, ErrRegex, `query parameter "q"`},
		{RuleSpec{Backends: []Backend{{Weight: 0}, {Weight: 0}}}, ErrNoWeight, "zero"},
	} {
		if _, err := NewRule(c.spec); !errors.Is(err, c.err) || !strings.Contains(err.Error(), c.tell) {
			t.Errorf("%+v: %v", c.spec, err)
		}
	}
	if b := rule(t, MatchSpec{}).Pick(5); b.Cluster != nil || b.Status != 500 {
		t.Errorf("no backend: %+v", b)
	}
}

// The naive twin of a split is a list with each backend as often as its weight.
func TestSplitAgainstTwin(t *testing.T) {
	law := func(weights []uint8, random uint64) bool {
		var bs []Backend
		var twin []int
		for i, w := range weights {
			bs = append(bs, Backend{Weight: uint32(w)})
			for ; w > 0; w-- {
				twin = append(twin, i)
			}
		}
		s, err := NewSplit(bs)
		if len(twin) == 0 {
			return errors.Is(err, ErrNoWeight)
		}
		return err == nil && s.Pick(random) == &s.backends[twin[random%uint64(len(twin))]]
	}
	if err := quick.Check(law, &quick.Config{MaxCount: 2000, Rand: seedtest.Rand(t)}); err != nil {
		t.Error(err)
	}
}

func TestSplitDistribution(t *testing.T) {
	s, err := NewSplit([]Backend{{Name: "a", Weight: 90}, {Name: "off"}, {Name: "b", Weight: 10}})
	if err != nil {
		t.Fatal(err)
	}
	r, got := rand.New(rand.NewPCG(1, 1)), map[string]int{}
	for i := 0; i < 10000; i++ {
		got[s.Pick(r.Uint64()).Name]++
	}
	if got["off"] != 0 || got["a"] < 8900 || got["a"] > 9100 {
		t.Errorf("%v", got)
	}
	if big, err := NewSplit([]Backend{{Weight: 1<<32 - 1}, {Weight: 1<<32 - 1}}); err != nil || big.Pick(1<<32) != &big.backends[1] {
		t.Error("large weights overflow")
	}
}

func TestMatchingAllocatesNothing(t *testing.T) {
	tb := &Table{Rules: []*Rule{
		rule(t, MatchSpec{Path: ExactPath, PathValue: "/x", Headers: []ValueMatch{val("x-user", "a", false)}}),
		rule(t, MatchSpec{Path: SegmentPrefix, PathValue: "/api", Query: []ValueMatch{val("q", "1", false)}}),
	}}
	r := request("GET", "/api/v1?p=2&q=1", "Accept: x", "X-User: b")
	if n := testing.AllocsPerRun(100, func() {
		if tb.Match(r) == nil {
			t.Fatal("no match")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// FuzzMatch compares the matcher with a naive twin on strings.
func FuzzMatch(f *testing.F) {
	f.Add(uint8(2), "/a", "q", "1", "/a/b?q=1&q=2")
	f.Add(uint8(3), "/", "a b", "", "/?a%20b")
	f.Add(uint8(4), "/[a-z]+", "", "", "/abc")
	f.Fuzz(func(t *testing.T, kind uint8, path, name, value, target string) {
		s := MatchSpec{Path: PathKind(kind % 6), PathValue: path}
		if name != "" {
			s.Query = []ValueMatch{{Name: name, Value: value}}
		}
		r, err := NewRule(RuleSpec{Match: s})
		if err != nil {
			return
		}
		p, _, _ := strings.Cut(target, "#")
		p, _, _ = strings.Cut(p, "?")
		var want bool
		switch s.Path {
		case AnyPath:
			want = true
		case ExactPath:
			want = p == path
		case Prefix:
			want = strings.HasPrefix(p, path) || path == "/"
		case SegmentPrefix:
			trimmed := strings.TrimSuffix(path, "/")
			want = trimmed == "" || p == trimmed || strings.HasPrefix(p, trimmed+"/")
		case RegexPath:
			m := regexp.MustCompile(path)
			m.Longest()
			loc := regexp.MustCompile(`\A(?:` + path + `)\z`).FindStringIndex(p)
			want = loc != nil
		}
		if name != "" && want {
			query := ""
			if i := strings.IndexAny(target, "?#"); i >= 0 && target[i] == '?' {
				query = target[i+1:]
			}
			found := false
			for _, pair := range strings.Split(query, "&") {
				k, v, _ := strings.Cut(pair, "=")
				uk, err1 := url.QueryUnescape(k)
				uv, err2 := url.QueryUnescape(v)
				if err1 != nil || err2 != nil {
					return // malformed escapes are not the twin's business
				}
				if pair != "" && uk == name {
					found = uv == value
					break
				}
			}
			want = found
		}
		if got := r.match.Match(&http.Request{Target: []byte(target)}); got != want {
			t.Errorf("%+v on %q: %v", s, target, got)
		}
	})
}

// A path without a slash before it is no error: it takes nothing, and leaves
// the other rules alone.
func TestPathsWithoutSlash(t *testing.T) {
	get := func(target string) *http.Request {
		return &http.Request{Method: []byte("GET"), Target: []byte(target)}
	}
	for _, k := range []PathKind{Prefix, ExactPath, SegmentPrefix} {
		for _, extra := range []int{0, indexed} {
			odd, star, rest := rule(t, MatchSpec{Path: k, PathValue: "api"}), rule(t, MatchSpec{Path: ExactPath, PathValue: "*"}), rule(t, MatchSpec{Path: Prefix, PathValue: "/"})
			list := []*Rule{odd, star}
			for range extra {
				list = append(list, rule(t, MatchSpec{Path: ExactPath, PathValue: "/never"}))
			}
			table := NewTable("t", append(list, rest))
			for target, want := range map[string]*Rule{"/api": rest, "/": rest, "/api/x?api": rest, "*": star} {
				if got := table.Match(get(target)); got != want {
					t.Errorf("kind %v, %d rules more, %s: %+v", k, extra, target, got)
				}
			}
		}
	}
}
