package balance

import (
	"math"
	"slices"
	"strconv"
	"strings"
)

// Defaults and limits of Envoy's ring_hash_lb_config and maglev_lb_config.
const (
	DefaultMinRing   = 1024
	DefaultMaxRing   = 8 << 20
	DefaultTableSize = 65537
	MaxTableSize     = 5000011
)

// table finds the member for a hash, and others for when that one is not fit.
type table interface {
	// find calls fit for the members in the order of preference, each perhaps
	// more than once, until it says true or effort is exhausted.
	find(hash uint64, s *Set, q *Query, panicking bool) int
}

// newTable makes the table for the members in index, or nil. It does not depend
// on their order.
func newTable(entries []Entry, index []uint32, o *Options) table {
	if o.Algorithm.hashes() {
		index = slices.Clone(index)
		slices.SortFunc(index, func(a, b uint32) int { return strings.Compare(entries[a].Key, entries[b].Key) })
	}
	switch o.Algorithm {
	case RingHash:
		return newRing(entries, index, o)
	case Maglev:
		return newMaglev(entries, index, o)
	default:
		return nil
	}
}

// hashed looks the hash up; without one it draws.
type hashed struct{ random Random }

func (p *hashed) choose(s *Set, g *group, q *Query) int {
	if !q.Hashed {
		return (&anyMember{p.random}).choose(s, g, q)
	}
	return g.table.find(q.Hash, s, q, g.panic)
}

// point is a place on a ring.
type point struct {
	hash uint64
	i    uint32
}

// ring has for each member a number of points in proportion to its weight, at
// the hashes of its key with 0, 1, 2 … (Ketama). A hash belongs to the point
// that follows it.
//
// Envoy divides the smallest ring that is allowed among the members, so that
// everybody's points are others when one leaves, and twice as many keys move as
// need be. Here the lightest member has half of the smallest ring, which is less
// only where that would be a large ring.
type ring []point

// largeRing is how many points are not exceeded without need.
const largeRing = 32 << 10

func newRing(entries []Entry, index []uint32, o *Options) ring {
	var total, least float64
	least = math.Inf(1)
	for _, i := range index {
		w := float64(entries[i].Weight)
		total += w
		least = min(least, w)
	}
	lower, upper := float64(o.MinRing), float64(o.MaxRing)
	if o.MinRing == 0 {
		lower = DefaultMinRing
	}
	if o.MaxRing == 0 {
		upper = DefaultMaxRing
	}
	// base is the number of points of the lightest member.
	base := math.Exp2(math.Ceil(math.Log2(max(lower/2, 1))))
	if len(index) == 1 {
		base = max(lower, 1)
	}
	units := total / least
	for base*units > max(largeRing, 2*lower) && base*units/2 >= lower && base > 1 || base*units > upper && base > 1 {
		base /= 2
	}
	if base*units > upper {
		base = upper / units
	}
	var r ring
	var key []byte
	for _, i := range index {
		key = append(append(key[:0], entries[i].Key...), '_')
		stem := len(key)
		points := max(1, int(math.Floor(base*float64(entries[i].Weight)/least)))
		for n := range points {
			key = strconv.AppendInt(key[:stem], int64(n), 10)
			r = append(r, point{Hash(key), i})
		}
	}
	slices.SortFunc(r, func(a, b point) int {
		switch {
		case a.hash < b.hash:
			return -1
		case a.hash > b.hash:
			return 1
		}
		return int(a.i) - int(b.i)
	})
	return r
}

func (r ring) find(hash uint64, s *Set, q *Query, panicking bool) int {
	lo, hi := 0, len(r)
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		if r[mid].hash >= hash {
			hi = mid
		} else {
			lo = mid + 1
		}
	}
	last := none
	for range r {
		if lo == len(r) {
			lo = 0
		}
		if i := r[lo].i; i != last {
			if s.fit(i, q, panicking) {
				return int(i)
			}
			last = i
		}
		lo++
	}
	return None
}

// maglev is the table of Eisenbud et al., "Maglev: A Fast and Reliable Software
// Network Load Balancer" (NSDI 2016), section 3.4, with weights as Envoy has them.
type maglev struct {
	slots []uint32
	n     int // members
}

func newMaglev(entries []Entry, index []uint32, o *Options) *maglev {
	size := o.TableSize
	if size == 0 {
		size = DefaultTableSize
	}
	type build struct {
		i, next, offset, skip uint64
		weight, target        float64
	}
	bs := make([]build, len(index))
	var most float64
	for k, i := range index {
		key := []byte(entries[i].Key)
		bs[k] = build{i: uint64(i), offset: Hash(key) % size, skip: hashSeed(key, 1)%(size-1) + 1, weight: float64(entries[i].Weight)}
		most = max(most, bs[k].weight)
	}
	m := &maglev{slots: make([]uint32, size), n: len(index)}
	for i := range m.slots {
		m.slots[i] = none
	}
	if len(bs) == 0 {
		return m
	}
	for filled, round := uint64(0), 1.0; filled < size; round++ {
		for k := range bs {
			b := &bs[k]
			// The heaviest gets a slot in each round, others in their share of rounds.
			if round*b.weight < b.target {
				continue
			}
			b.target += most
			at := (b.offset + b.skip*b.next) % size
			for m.slots[at] != none {
				b.next++
				at = (b.offset + b.skip*b.next) % size
			}
			m.slots[at] = uint32(b.i)
			b.next++
			if filled++; filled == size {
				break
			}
		}
	}
	return m
}

func (m *maglev) find(hash uint64, s *Set, q *Query, panicking bool) int {
	size := uint64(len(m.slots))
	// Of keys whose member is not fit each goes elsewhere by itself.
	for range 64 + 4*m.n {
		if i := m.slots[hash%size]; i != none && s.fit(i, q, panicking) {
			return int(i)
		}
		hash = mix(hash + prime5)
	}
	return None
}

// Prime says whether a table of Maglev may have that size.
func Prime(n uint64) bool {
	if n < 2 || n%2 == 0 {
		return n == 2
	}
	for d := uint64(3); d*d <= n; d += 2 {
		if n%d == 0 {
			return false
		}
	}
	return true
}
