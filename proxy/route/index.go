package route

import (
	"bytes"
	"math"
	"sort"
	"strings"

	"github.com/weftmesh/weft/proxy/http"
)

// index finds the first rule that matches without looking at those whose path
// cannot. Rules are divided by their path:
//
//   - exact ones are in a map by their path;
//   - prefixes are in order, each with its longest prefix among them: the
//     prefixes of a path are the nearest entry that does not come after it, and
//     what hangs on that;
//   - all others (any path, expressions, paths without their case) are asked in
//     turn.
//
// The three lists of candidates are merged by the rules' order. Values of
// headers that several rules look at are searched for once for each request.
type index struct {
	rules    []indexedRule
	exact    map[string][]int32
	guards   []guard // of rules
	prefixes []prefixNode
	rest     []int32
	names    []string // of the headers that are remembered
}

type indexedRule struct {
	rule *Rule
	// slots are the places of the header conditions' names; -1 for none.
	slots []int8
}

type prefixNode struct {
	text string
	// parent is the longest prefix of text among the others; -1 for none.
	parent int32
	// rules are those of text and of all its parents, in order.
	rules []int32
}

// maxNames is how many headers are remembered while one request is matched.
const maxNames = 8

func newIndex(rules []*Rule) *index {
	x := &index{exact: map[string][]int32{}}
	own := map[string][]int32{}
	uses := map[string]int{}
	for i, u := range rules {
		n, m := int32(i), &u.match
		switch {
		case m.kind == ExactPath && !m.fold:
			x.exact[m.path] = append(x.exact[m.path], n)
		case (m.kind == Prefix || m.kind == SegmentPrefix) && !m.fold:
			own[m.path] = append(own[m.path], n)
		default:
			x.rest = append(x.rest, n)
		}
		for j := range m.header {
			uses[m.header[j].name]++
		}
	}
	for name, n := range uses {
		if n > 1 && name[0] != ':' && name != "host" {
			x.names = append(x.names, name)
		}
	}
	sort.Slice(x.names, func(i, j int) bool {
		a, b := x.names[i], x.names[j]
		return uses[a] > uses[b] || uses[a] == uses[b] && a < b
	})
	x.names = x.names[:min(len(x.names), maxNames)]
	for _, u := range rules {
		r, g := indexedRule{rule: u}, guard{slot: -1}
		for j := range u.match.header {
			slot := int8(-1)
			for k, name := range x.names {
				if name == u.match.header[j].name {
					slot = int8(k)
				}
			}
			r.slots = append(r.slots, slot)
			if v := &u.match.header[j]; slot >= 0 && g.slot < 0 && v.kind == Exact && !v.fold && !v.invert && !v.empty {
				g = guard{slot, digest(v.value)}
			}
		}
		x.rules, x.guards = append(x.rules, r), append(x.guards, g)
	}
	x.order(own)
	return x
}

// order builds the prefixes.
func (x *index) order(own map[string][]int32) {
	texts := make([]string, 0, len(own))
	for t := range own {
		texts = append(texts, t)
	}
	sort.Strings(texts)
	for i, t := range texts {
		n := prefixNode{text: t, parent: int32(i) - 1}
		for n.parent >= 0 && !strings.HasPrefix(t, x.prefixes[n.parent].text) {
			n.parent = x.prefixes[n.parent].parent
		}
		n.rules = own[t]
		if n.parent >= 0 {
			n.rules = append(append([]int32(nil), n.rules...), x.prefixes[n.parent].rules...)
			sort.Slice(n.rules, func(a, b int) bool { return n.rules[a] < n.rules[b] })
		}
		x.prefixes = append(x.prefixes, n)
	}
}

// under are the rules whose prefix the path has.
func (x *index) under(path []byte) []int32 {
	lo, hi := 0, len(x.prefixes)
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		if string(path) < x.prefixes[mid].text {
			hi = mid
		} else {
			lo = mid + 1
		}
	}
	for i := int32(lo) - 1; i >= 0; i = x.prefixes[i].parent {
		if n := &x.prefixes[i]; len(n.text) <= len(path) && string(path[:len(n.text)]) == n.text {
			return n.rules
		}
	}
	return nil
}

// seen are the values of headers that were looked for.
type seen struct {
	known, found uint8 // bits of slots
	value        [maxNames][]byte
	sum          [maxNames]uint32
}

// look searches for a header, once.
func (s *seen) look(v *valueMatcher, slot int8, r *http.Request) (found bool) {
	bit := uint8(1) << slot
	if s.known&bit == 0 {
		s.known |= bit
		var there bool
		if s.value[slot], there = v.header(r); there {
			s.found |= bit
			s.sum[slot] = digest(s.value[slot])
		}
	}
	return s.found&bit != 0
}

// guard is a condition of a rule that is quickly seen not to hold: that a header
// has one exact value. Rules that differ in nothing else are passed over by it.
type guard struct {
	slot int8 // -1 for none
	sum  uint32
}

// digest is FNV-1a.
func digest[T string | []byte](v T) uint32 {
	h := uint32(2166136261)
	for i := range len(v) {
		h = (h ^ uint32(v[i])) * 16777619
	}
	return h
}

func (x *index) match(r *http.Request) *Rule {
	path := r.Path()
	lists := [...][]int32{x.exact[string(path)], x.under(path), x.rest}
	var s seen
	for {
		// The list with the first rule is asked until another one is next.
		next, from, until := int32(math.MaxInt32), -1, int32(math.MaxInt32)
		for i := range lists {
			if l := lists[i]; len(l) == 0 {
				continue
			} else if l[0] < next {
				next, from, until = l[0], i, next
			} else {
				until = min(until, l[0])
			}
		}
		if from < 0 {
			return nil
		}
		l, n := lists[from], 0
		for ; n < len(l) && l[n] < until; n++ {
			if g := x.guards[l[n]]; g.slot >= 0 && s.known>>g.slot&1 != 0 && (s.found>>g.slot&1 == 0 || s.sum[g.slot] != g.sum) {
				continue
			}
			if u := &x.rules[l[n]]; x.holds(u, r, path, from == 0, &s) {
				return u.rule
			}
		}
		lists[from] = l[n:]
	}
}

// holds asks one rule; exact says that its path has been compared already.
func (x *index) holds(u *indexedRule, r *http.Request, path []byte, exact bool, s *seen) bool {
	m := &u.rule.match
	if !exact && !m.matchPath(path) {
		return false
	}
	return (len(m.header) == 0 || x.headers(u, r, s)) && m.matchQueryShare(r)
}

func (x *index) headers(u *indexedRule, r *http.Request, s *seen) bool {
	h := u.rule.match.header
	for i := range h {
		v, slot := &h[i], u.slots[i]
		if slot < 0 {
			if !v.matchHeader(r) {
				return false
			}
			continue
		}
		switch {
		case !s.look(v, slot, r):
			if !v.absent() {
				return false
			}
		case v.kind == Exact && !v.fold:
			if bytes.Equal(s.value[slot], v.value) == v.invert {
				return false
			}
		case v.accepts(s.value[slot]) == v.invert:
			return false
		}
	}
	return true
}
