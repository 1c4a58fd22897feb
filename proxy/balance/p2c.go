package balance

// twoChoices draws two members at random and takes the cheaper one.
type twoChoices struct {
	random Random
	cost   func(*Member, int64) float64
}

// NewPeakEWMA returns power of two choices by peak EWMA: of two members drawn
// at random, the one with the lower Cost. random may be nil.
func NewPeakEWMA(random Random) Picker {
	return &twoChoices{random.orDefault(), (*Member).Cost}
}

// NewLeastLoaded returns power of two choices by what is in flight alone: for
// connections, whose latency nobody knows. random may be nil.
func NewLeastLoaded(random Random) Picker {
	return &twoChoices{random.orDefault(), func(m *Member, _ int64) float64 { return float64(m.Pending()) }}
}

// Pick draws two different members where all weigh the same. Where weights
// differ it draws by weight and may draw the same twice, so that members of
// equal cost are used in proportion to their weights even when they are two.
func (p *twoChoices) Pick(s *Set, now int64, skip *Skip) int {
	n := len(s.entries)
	switch n {
	case 0:
		return None
	case 1:
		return 0
	}
	a := s.draw(p.random(), None)
	var b int
	if s.sum == nil {
		b = s.draw(p.random(), a)
	} else {
		b = s.draw(p.random(), None)
	}
	if s.fit(a, now, skip, first) && s.fit(b, now, skip, first) {
		return p.cheaper(s, a, b, now)
	}
	r, total, count := s.fittest(now, skip)
	a = s.drawFit(below(p.random(), total), now, skip, r, None)
	if count == 1 {
		return a
	}
	if s.sum == nil {
		b = s.drawFit(below(p.random(), total-1), now, skip, r, a)
	} else {
		b = s.drawFit(below(p.random(), total), now, skip, r, None)
	}
	return p.cheaper(s, a, b, now)
}

func (p *twoChoices) cheaper(s *Set, a, b int, now int64) int {
	if a != b && p.cost(s.entries[b].Member, now) < p.cost(s.entries[a].Member, now) {
		return b
	}
	return a
}
