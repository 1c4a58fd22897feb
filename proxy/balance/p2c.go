package balance

import "math"

// peakEWMA draws two members and prefers the cheaper one: at random, but the
// more surely the more they differ. Latency counts by its square and load by its
// fourth power. So equal members get equal shares however their estimates
// flicker, and one that is ten times slower than the other gets a hundredth.
type peakEWMA struct{ random Random }

func (p *peakEWMA) choose(s *Set, g *group, q *Query) int {
	if len(g.index) == 1 {
		return s.only(g, q)
	}
	r := p.random()
	a, b := g.two(r)
	i, j := g.index[a], g.index[b]
	if !s.fit(i, q, g.panic) || !s.fit(j, q, g.panic) {
		if i, j = s.twoFit(g, q, r, p.random()); i == j || j == none {
			return toIndex(i)
		}
	}
	if i != j && p.second(s.entries[i].Member, s.entries[j].Member, q.Now) {
		return int(j)
	}
	return int(i)
}

// second says whether b is to be taken rather than a.
func (p *peakEWMA) second(a, b *Member, now int64) bool {
	x := preference(a, b, now)
	// 53 bits are what a float64 holds.
	return float64(p.random()>>11)/(1<<53)*(1+x) < x
}

// preference is how many times as often b is to be taken as a. Of a member
// that was never measured load alone is known.
func preference(a, b *Member, now int64) float64 {
	load := float64(a.Pending()+1) / float64(b.Pending()+1)
	x := load * load
	if la, lb := a.Latency(now), b.Latency(now); la > 0 && lb > 0 {
		x *= la / lb
	}
	return math.Min(x*x, 1e12)
}

// leastRequest takes the one with the fewest requests in flight. Where weights
// differ it draws in proportion to weight / (requests + 1) ^ bias, as Envoy's
// scheduler does, which is approached by drawing some by weight first.
type leastRequest struct {
	random Random
	count  int
	bias   float64
}

// resamples is how many are drawn by weight before load decides. Groups that are
// no larger are looked at whole.
const resamples = 16

func (p *leastRequest) choose(s *Set, g *group, q *Query) int {
	if len(g.index) == 1 {
		return s.only(g, q)
	}
	if g.sum != nil {
		return p.weighted(s, g, q)
	}
	r := p.random()
	if p.count == 2 {
		a, b := g.two(r)
		i, j := g.index[a], g.index[b]
		if !s.fit(i, q, g.panic) || !s.fit(j, q, g.panic) {
			if i, j = s.twoFit(g, q, r, p.random()); i == none {
				return None
			}
		}
		return p.fewer(s, i, j)
	}
	best, n := none, min(p.count, len(g.index))
	at := int(below(r, uint64(len(g.index))))
	for k := range n {
		if n < len(g.index) && k > 0 {
			at = int(below(p.random(), uint64(len(g.index))))
		}
		if i := g.index[at]; s.fit(i, q, g.panic) {
			best = uint32(p.fewer(s, i, best))
		}
		if at++; at == len(g.index) {
			at = 0
		}
	}
	if best == none {
		return s.drawFit(g, q, p.random())
	}
	return int(best)
}

// fewer returns the one with fewer requests; b may be none.
func (p *leastRequest) fewer(s *Set, a, b uint32) int {
	if b != none && s.entries[b].Member.Pending() < s.entries[a].Member.Pending() {
		return int(b)
	}
	return int(a)
}

func (p *leastRequest) weighted(s *Set, g *group, q *Query) int {
	var drawn [resamples]uint32
	var sum [resamples]float64
	n, total := 0, 0.0
	whole := len(g.index) <= resamples
	for k := range min(resamples, len(g.index)) {
		share := 1.0
		if whole {
			share = float64(g.share(k))
		} else {
			k = g.at(below(p.random(), g.total()))
		}
		i := g.index[k]
		if !s.fit(i, q, g.panic) {
			continue
		}
		if load := float64(s.entries[i].Member.Pending() + 1); p.bias == 1 {
			share /= load
		} else if p.bias > 0 {
			share *= math.Pow(load, -p.bias)
		}
		total += share
		drawn[n], sum[n] = i, total
		n++
	}
	if n == 0 {
		return s.drawFit(g, q, p.random())
	}
	x := float64(p.random()>>11) / (1 << 53) * total
	for k := range n - 1 {
		if x < sum[k] {
			return int(drawn[k])
		}
	}
	return int(drawn[n-1])
}
