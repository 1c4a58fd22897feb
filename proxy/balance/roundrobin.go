package balance

import (
	"math/bits"
	"sync/atomic"
)

// roundRobin needs two counters: one walks over the whole group, the other over
// what is fit whenever the first falls on a member that is not. So the share
// of an unfit member is spread evenly, and does not all fall to its neighbour.
type roundRobin struct {
	turn, spare atomic.Uint64
}

func (p *roundRobin) choose(s *Set, g *group, q *Query) int {
	n := len(g.index)
	if n == 1 {
		return s.only(g, q)
	}
	var i uint32
	if t := p.turn.Add(1) - 1; g.sum == nil {
		i = g.index[t%uint64(n)]
	} else {
		i = g.index[g.at(golden(t, g.total()))]
	}
	if s.fit(i, q, g.panic) {
		return int(i)
	}
	total, count := s.fitting(g, q)
	if count == 0 {
		return None
	}
	t := p.spare.Add(1) - 1
	if g.sum == nil {
		return toIndex(s.nth(g, q, t%total, none))
	}
	return toIndex(s.nth(g, q, golden(t, total), none))
}

// golden is term t of the golden-ratio sequence, scaled to [0, n): of any run
// of terms each interval gets its share, to within a few terms.
func golden(t, n uint64) uint64 {
	hi, _ := bits.Mul64(t*0x9e3779b97f4a7c15, n)
	return hi
}
