package translate

import (
	"regexp"
	"strings"
	"testing"

	"github.com/weftmesh/weft/mesh"
)

func TestDisjoint(t *testing.T) {
	exact := func(v string) mesh.PathMatch { return mesh.PathMatch{Kind: mesh.Exact, Value: v} }
	prefix := func(v string) mesh.PathMatch { return mesh.PathMatch{Kind: mesh.StringPrefix, Value: v} }
	below := func(v string) mesh.PathMatch { return mesh.PathMatch{Kind: mesh.PathPrefix, Value: v} }
	re := func(v string) mesh.PathMatch { return mesh.PathMatch{Kind: mesh.Regex, Value: v} }
	fold := func(p mesh.PathMatch) mesh.PathMatch {
		p.IgnoreCase = true
		return p
	}
	known := literals{}
	for i, c := range []struct {
		a, b mesh.PathMatch
		want bool
	}{
		{exact("/a"), exact("/b"), true}, {exact("/a"), exact("/a"), false}, {exact("/a"), exact("/A"), true}, {exact("/a"), fold(exact("/A")), false},
		{exact("/a"), prefix("/a"), false}, {exact("/a"), prefix("/ab"), true}, {exact("/ab"), prefix("/a"), false},
		{prefix("/q7/"), re("/r3/.*"), true}, {prefix("/q7/"), re("/q7/x.*"), false}, {prefix("/q7/x/y"), re("/q7/.*"), false},
		{re("/a"), re("/ab"), true}, {re("/a(b)?"), re("/ab"), false}, {re("/a/[^/]*"), re("/b/[^/]*"), true}, {re("(?i)/A/.*"), prefix("/a"), false},
		{re("^/a/.*"), prefix("/b"), true}, {re("^/a/.*$"), prefix("/a/b"), false}, {re("^(/a)$"), re("/a"), false}, {re("^(/a)$"), prefix("/ab"), true},
		{re("/a$/b"), prefix("/a"), false}, {re("(/a/)+b"), prefix("/a/a"), false}, {re("(/a/)+b"), exact("/b"), true}, {re("/a|/b"), exact("/c"), false}, {re("/a/(x|y)"), exact("/b/x"), true},
		{re("/a{2}"), exact("/aa"), false}, {re("/a{2}"), exact("/ab"), true}, {re("/a?b"), exact("/b"), false}, {re("/é.*"), prefix("/ê"), true}, {re("("), prefix("/b"), false}, {below("/a/"), exact("/a"), false}, {below("/a"), prefix("/b"), true},
		{mesh.PathMatch{}, exact("/a"), false}, {mesh.PathMatch{}, mesh.PathMatch{}, false},
	} {
		if known.disjoint(c.a, c.b) != c.want || known.disjoint(c.b, c.a) != c.want {
			t.Errorf("%d: %+v and %+v", i, c.a, c.b)
		}
	}
}

// TestPathExpression: a condition on the path, written as one on :path, takes
// what it takes whatever the query is.
func TestPathExpression(t *testing.T) {
	for _, c := range []struct{ value, path string }{{"/a", "/a"}, {"^/a$", "/a"}, {"/a/[^/]$", "/a/b"}, {"(/a|/b)$", "/b"}, {`/a\$`, "/a$"}, {`/a[$]`, "/a$"}, {`(?:/a|/b)\z`, "/a"}, {"$", ""}} {
		e := regexp.MustCompile("^(?:" + pathExpression(mesh.PathMatch{Kind: mesh.Regex, Value: c.value}) + ")$")
		if !e.MatchString(c.path) || c.value[len(c.value)-1] != 'z' && c.path != "" && !e.MatchString(c.path+"?q=1") || e.MatchString(c.path+"x") {
			t.Errorf("%s: %s", c.value, e)
		}
	}
}

// TestLongPathExpression: a proxy would not take the whole route.
func TestLongPathExpression(t *testing.T) {
	long := []mesh.Match{{Path: mesh.PathMatch{Kind: mesh.Regex, Value: "/a" + strings.Repeat("b", longestExpression-4)}}}
	if out := join([]mesh.Match{{Path: mesh.PathMatch{Kind: mesh.StringPrefix, Value: "/a"}, Method: "GET"}, {Method: "PUT"}}, long, literals{}); len(out) != 1 || out[0].Method != "PUT" {
		t.Errorf("%d matches", len(out))
	}
}
