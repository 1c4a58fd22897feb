package httproute

import (
	"slices"
	"sort"

	"github.com/weftmesh/weft/mesh"
)

// Entry is one match of one rule.
type Entry struct {
	Match mesh.Match
	Rule  *mesh.Rule
	// Call are the characters of the service and of the method that a GRPCRoute
	// names, which it counts in place of a path's.
	Call [2]int
}

// Order makes the rules of a service port: all matches in the order of
// precedence, neighbours of the same rule together again. Entries that are
// alike stay in the order in which they come: oldest route, namespace/name,
// position. The slice is sorted.
func Order(entries []Entry) []mesh.Rule {
	sort.SliceStable(entries, func(i, j int) bool { return before(&entries[i], &entries[j]) })
	rules := []mesh.Rule{}
	var last *mesh.Rule
	for i := range entries {
		e := &entries[i]
		if last == e.Rule && len(rules) > 0 {
			n := len(rules) - 1
			rules[n].Matches = append(rules[n].Matches, e.Match)
			continue
		}
		rule := *e.Rule
		rule.Matches = []mesh.Match{e.Match}
		rules = append(rules, rule)
		last = e.Rule
	}
	for i := range rules {
		rules[i].Matches = simplify(rules[i].Matches)
	}
	return rules
}

// before is the precedence of the API's HTTPRouteRule.matches. Regular
// expressions, which it leaves open, stand between exact paths and prefixes. For
// calls it is that of GRPCRouteRule.matches.
func before(x, y *Entry) bool {
	if c := slices.Compare(x.Call[:], y.Call[:]); c != 0 {
		return c > 0
	}
	a, b := &x.Match, &y.Match
	if x.Call == [2]int{} {
		if x, y := pathRank(a.Path), pathRank(b.Path); x != y {
			return x > y
		}
		if x, y := len(a.Path.Value), len(b.Path.Value); a.Path.Kind != mesh.Exact && x != y {
			return x > y
		}
	}
	if x, y := a.Method != "", b.Method != ""; x != y {
		return x
	}
	if x, y := len(a.Headers), len(b.Headers); x != y {
		return x > y
	}
	return len(a.Query) > len(b.Query)
}

func pathRank(p mesh.PathMatch) int {
	switch p.Kind {
	case mesh.Exact:
		return 2
	case mesh.Regex:
		return 1
	}
	return 0
}

// simplify drops alternatives that hold always: none means every request.
func simplify(ms []mesh.Match) []mesh.Match {
	for i := range ms {
		if ms[i].Path == (mesh.PathMatch{}) && ms[i].Method == "" && len(ms[i].Headers)+len(ms[i].Query) == 0 {
			return nil
		}
	}
	return ms
}
