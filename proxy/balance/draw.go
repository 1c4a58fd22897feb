package balance

import (
	"math/bits"
	"sort"
)

// below scales a uniformly distributed number to [0, n); n must not be 0.
func below(random, n uint64) uint64 {
	hi, _ := bits.Mul64(random, n)
	return hi
}

// total is the weight of all entries.
func (s *Set) total() uint64 {
	if s.sum == nil {
		return uint64(len(s.entries))
	}
	return s.sum[len(s.sum)-1]
}

// at returns the entry whose interval of weights holds x.
func (s *Set) at(x uint64) int {
	if s.sum == nil {
		return int(x)
	}
	return sort.Search(len(s.sum), func(i int) bool { return x < s.sum[i] })
}

// draw returns a random entry by weight. Where all weigh the same, not may
// name one that is left out.
func (s *Set) draw(random uint64, not int) int {
	if not == None {
		return s.at(below(random, s.total()))
	}
	i := int(below(random, uint64(len(s.entries)-1)))
	if i >= not {
		i++
	}
	return i
}

// share is an entry's weight as drawing counts it: 1 where all weigh the same.
func (s *Set) share(i int) uint64 {
	if s.sum == nil {
		return 1
	}
	return uint64(s.entries[i].Weight)
}

// fittest returns the first round that admits any entry, with the weight and
// the number of those that it admits. The set must not be empty.
func (s *Set) fittest(now int64, skip *Skip) (r round, total uint64, count int) {
	for r = first; r < rounds; r++ {
		total, count = 0, 0
		for i := range s.entries {
			if s.fit(i, now, skip, r) {
				total += s.share(i)
				count++
			}
		}
		if count > 0 {
			break
		}
	}
	return r, total, count
}

// drawFit returns the entry whose interval holds x, counting just what the
// round admits, without not. A member whose penalty ended meanwhile can make
// the sum differ: then it is the last one admitted.
func (s *Set) drawFit(x uint64, now int64, skip *Skip, r round, not int) int {
	last := 0
	for i := range s.entries {
		if i == not || !s.fit(i, now, skip, r) {
			continue
		}
		last = i
		if w := s.share(i); x < w {
			return i
		} else {
			x -= w
		}
	}
	return last
}
