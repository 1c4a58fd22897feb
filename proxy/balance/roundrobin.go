package balance

import (
	"math/bits"
	"sync/atomic"
)

// roundRobin needs two counters: one walks over the whole set, the other over
// what is fit whenever the first falls on a member that is not. So the share
// of an unfit member is spread evenly, and does not all fall to its neighbour.
type roundRobin struct {
	turn, spare atomic.Uint64
}

// NewRoundRobin returns the picker that takes members in turn, in proportion
// to their weights.
func NewRoundRobin() Picker { return &roundRobin{} }

func (p *roundRobin) Pick(s *Set, now int64, skip *Skip) int {
	n := len(s.entries)
	switch n {
	case 0:
		return None
	case 1:
		return 0
	}
	var i int
	if t := p.turn.Add(1) - 1; s.sum == nil {
		i = int(t % uint64(n))
	} else {
		i = s.at(golden(t, s.total()))
	}
	if s.fit(i, now, skip, first) {
		return i
	}
	r, total, _ := s.fittest(now, skip)
	t := p.spare.Add(1) - 1
	if s.sum == nil {
		return s.drawFit(t%total, now, skip, r, None)
	}
	return s.drawFit(golden(t, total), now, skip, r, None)
}

// golden is term t of the golden-ratio sequence, scaled to [0, n): of any run
// of terms each interval gets its share, to within a few terms.
func golden(t, n uint64) uint64 {
	hi, _ := bits.Mul64(t*0x9e3779b97f4a7c15, n)
	return hi
}
