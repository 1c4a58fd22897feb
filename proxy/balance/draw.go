package balance

import "math/bits"

// none is an index that stands for nobody.
const none = ^uint32(0)

func toIndex(i uint32) int {
	if i == none {
		return None
	}
	return int(i)
}

// below scales a uniformly distributed number to [0, n); n must not be 0.
func below(random, n uint64) uint64 {
	hi, _ := bits.Mul64(random, n)
	return hi
}

// search returns the first interval of a cumulative sum that ends above x.
func search(sum []uint64, x uint64) int {
	lo, hi := 0, len(sum)
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		if x < sum[mid] {
			hi = mid
		} else {
			lo = mid + 1
		}
	}
	return lo
}

// total is the weight of all members.
func (g *group) total() uint64 {
	if g.sum == nil {
		return uint64(len(g.index))
	}
	return g.sum[len(g.sum)-1]
}

// at returns the place whose interval of weights holds x.
func (g *group) at(x uint64) int {
	if g.sum == nil {
		return int(x)
	}
	return search(g.sum, x)
}

// share is a place's weight as drawing counts it: 1 where all weigh the same.
func (g *group) share(k int) uint64 {
	if g.sum == nil {
		return 1
	}
	if k == 0 {
		return g.sum[0]
	}
	return g.sum[k] - g.sum[k-1]
}

// draw returns a random place by weight. Where all weigh the same, not may name
// one that is left out.
func (g *group) draw(random uint64, not int) int {
	if not == None {
		return g.at(below(random, g.total()))
	}
	i := int(below(random, uint64(len(g.index)-1)))
	if i >= not {
		i++
	}
	return i
}

// two draws two places with one number: two different ones where all weigh the
// same. Where weights differ the same may be drawn twice, so that members of
// equal cost are used in proportion to their weights even when they are two.
func (g *group) two(random uint64) (a, b int) {
	a = g.draw(random, None)
	// The product has used up the upper bits.
	random = mix(random)
	if g.sum == nil {
		return a, g.draw(random, a)
	}
	return a, g.draw(random, None)
}

// only is the choice from a group of one.
func (s *Set) only(g *group, q *Query) int {
	if s.fit(g.index[0], q, g.panic) {
		return int(g.index[0])
	}
	return None
}

// fitting is the weight and the number of the members of g that are fit.
func (s *Set) fitting(g *group, q *Query) (total uint64, count int) {
	for k, i := range g.index {
		if s.fit(i, q, g.panic) {
			total += g.share(k)
			count++
		}
	}
	return total, count
}

// nth returns the member whose interval holds x, counting just what is fit,
// without not. A member whose penalty ended meanwhile can make the sum differ:
// then it is the last one that is fit.
func (s *Set) nth(g *group, q *Query, x uint64, not uint32) uint32 {
	last := none
	for k, i := range g.index {
		if i == not || !s.fit(i, q, g.panic) {
			continue
		}
		last = i
		w := g.share(k)
		if x < w {
			return i
		}
		x -= w
	}
	return last
}

// drawFit draws one of the members that are fit by weight, or None.
func (s *Set) drawFit(g *group, q *Query, random uint64) int {
	total, count := s.fitting(g, q)
	if count == 0 {
		return None
	}
	return toIndex(s.nth(g, q, below(random, total), none))
}

// twoFit draws two of the members that are fit, as two does; b is none where
// there is just one, and both are where there is none.
func (s *Set) twoFit(g *group, q *Query, r1, r2 uint64) (a, b uint32) {
	total, count := s.fitting(g, q)
	if count == 0 {
		return none, none
	}
	a = s.nth(g, q, below(r1, total), none)
	switch {
	case count == 1:
		return a, none
	case g.sum == nil:
		return a, s.nth(g, q, below(r2, total-1), a)
	}
	return a, s.nth(g, q, below(r2, total), none)
}
