package linkerd

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"testing"

	"github.com/weftmesh/weft/internal/linkerdapi"
	"github.com/weftmesh/weft/mesh"
)

type request struct{ method, path, query string }

// fits is what a proxy does with a match.
func fits(t *testing.T, m mesh.Match, r request) bool {
	t.Helper()
	whole := func(e, v string) bool { return regexp.MustCompile(`^(?:` + e + `)$`).MatchString(v) }
	ok := m.Method == "" || m.Method == r.method
	switch m.Path.Kind {
	case "":
	case mesh.Exact:
		ok = ok && m.Path.Value == r.path
	case mesh.Regex:
		ok = ok && whole(m.Path.Value, r.path)
	default:
		t.Fatalf("path of kind %s", m.Path.Kind)
	}
	for _, h := range m.Headers {
		var held bool
		switch h.Name {
		case ":method":
			held = h.Value == r.method
		case ":path":
			held = whole(h.Value, r.path+r.query)
		default:
			t.Fatalf("header %s", h.Name)
		}
		ok = ok && held != h.Invert
	}
	return ok
}

// naive is what Linkerd documents of a condition.
func naive(m *linkerdapi.RequestMatch, r request) bool {
	ok := (m.Method == "" || m.Method == r.method) && (m.PathRegex == "" || regexp.MustCompile(`^(?:`+m.PathRegex+`)$`).MatchString(r.path))
	for _, x := range m.All {
		ok = ok && naive(x, r)
	}
	if len(m.Any) > 0 {
		ok = ok && slices.ContainsFunc(m.Any, func(x *linkerdapi.RequestMatch) bool { return naive(x, r) })
	}
	return ok && (m.Not == nil || !naive(m.Not, r))
}

var (
	methods = []string{"GET", "PUT", "HEAD"}
	paths   = []string{"/", "/a", "/a/b", "/b", "/a.b", "/a$"}
	regexes = []string{"/a", "^/a$", "/a.*", ".*", "/.*b", "/|/b", "/a.b", `/a\$`, "^/a|/b$"}
)

func random(rnd *rand.Rand, depth int) *linkerdapi.RequestMatch {
	m := &linkerdapi.RequestMatch{}
	if rnd.IntN(2) == 0 {
		m.Method = methods[rnd.IntN(len(methods))]
	}
	if rnd.IntN(2) == 0 || m.Method == "" {
		m.PathRegex = regexes[rnd.IntN(len(regexes))]
	}
	if depth == 0 {
		return m
	}
	for range rnd.IntN(3) {
		m.All = append(m.All, random(rnd, depth-1))
	}
	for range rnd.IntN(3) {
		m.Any = append(m.Any, random(rnd, depth-1))
	}
	if rnd.IntN(3) == 0 {
		m.Not = random(rnd, depth-1)
	}
	if rnd.IntN(2) == 0 {
		m.Method, m.PathRegex = "", ""
		if len(m.All)+len(m.Any) == 0 && m.Not == nil {
			m.Not = random(rnd, depth-1)
		}
	}
	return m
}

// TestAlternativesMeanTheCondition compares with a naive twin.
func TestAlternativesMeanTheCondition(t *testing.T) {
	rnd := rand.New(rand.NewPCG(7, 7))
	taken := 0
	for range 400 {
		c := random(rnd, 2)
		list, ok := expand(c, false)
		if !ok {
			continue
		}
		taken++
		for _, method := range methods {
			for _, path := range paths {
				for _, query := range []string{"", "?x=/a"} {
					r := request{method, path, query}
					got := slices.ContainsFunc(list, func(m mesh.Match) bool { return fits(t, m, r) })
					if want := naive(c, r); got != want {
						t.Fatalf("%+v: %v, want %v\n%s", r, got, want, fmt.Sprintf("%+v", list))
					}
				}
			}
		}
	}
	if taken < 250 {
		t.Errorf("only %d of the conditions were taken", taken)
	}
}

// TestClasses: the first class that holds decides, else 5xx are failures.
func TestClasses(t *testing.T) {
	list := []linkerdapi.ResponseClass{
		{Condition: &linkerdapi.ResponseMatch{Status: &linkerdapi.Range{Min: 503, Max: 503}}},
		{Condition: &linkerdapi.ResponseMatch{Any: []*linkerdapi.ResponseMatch{{Status: &linkerdapi.Range{Min: 429, Max: 429}}, {Status: &linkerdapi.Range{Min: 500}}}}, IsFailure: true},
	}
	on, statuses := failures(list)
	if slices.Contains(on, mesh.On5xx) || slices.Contains(statuses, 503) || !slices.Contains(statuses, 429) || len(statuses) != 100 {
		t.Errorf("%v, %d statuses", on, len(statuses))
	}
	if on, statuses = failures(nil); !slices.Contains(on, mesh.On5xx) || statuses != nil {
		t.Errorf("%v %v", on, statuses)
	}
	if got := classes(list, mesh.Origin{}); len(got) != 2 || len(got[1].Statuses) != 2 || got[1].Statuses[1] != (mesh.StatusRange{Min: 500, Max: 599}) {
		t.Errorf("%+v", got)
	}
}
