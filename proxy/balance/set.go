package balance

import (
	"sync"
	"sync/atomic"
	"time"
)

// SlowStart lets the share of a new member grow
// (envoy.config.cluster.v3.Cluster.SlowStartConfig). The zero value is off.
type SlowStart struct {
	// Window is how long it grows; 0 switches it off.
	Window time.Duration
	// Aggression above 1 grows fast at first, below it late; 0 means 1.
	Aggression float64
	// MinPercent of its weight is what a member begins with.
	MinPercent float64
}

// Options of a set and its picker. They are comparable.
type Options struct {
	Algorithm Algorithm
	// ChoiceCount is how many LeastRequest compares; 0 means 2.
	ChoiceCount uint32
	// ActiveRequestBias is how much load counts for LeastRequest where weights
	// differ: weight / (requests + 1) ^ bias.
	ActiveRequestBias float64
	// MinRing and MaxRing bound the points of RingHash's ring; 0 means 1024 and
	// 8 Mi.
	MinRing, MaxRing uint64
	// TableSize of Maglev is a prime; 0 means 65537.
	TableSize uint64
	SlowStart SlowStart
	// PanicPercent: where fewer members of a priority are healthy, health is
	// ignored. 0 never ignores it.
	PanicPercent float64
	// Overprovisioning is how far a priority's share of healthy members counts
	// for more than it is, in percent; 0 means 140.
	Overprovisioning uint32
	// LocalityWeighted divides a priority's traffic by the weights of localities.
	LocalityWeighted bool
	// ZonePercent of the traffic prefers members of the zone Zone, as far as its
	// share of the members allows; from MinZoneSize members of the first priority on.
	ZonePercent float64
	MinZoneSize uint64
	Zone        Locality
}

// Locality is where a member, or the proxy itself, is.
type Locality struct{ Region, Zone, SubZone string }

// Entry is one member of a set.
type Entry struct {
	Member *Member
	// Health is what a Detector thinks of the member; nil means that none watches.
	Health *Health
	// Weight is relative to the other entries; 0 means 1.
	Weight uint32
	// Draining members take no new work while another is fit, and count for
	// nothing.
	Draining bool
	// Unhealthy members get traffic in panic only.
	Unhealthy bool
	// Priority 0 comes first; the others take over when it lacks healthy members.
	Priority uint32
	Locality Locality
	// LocalityWeight is that of all members of the locality together.
	LocalityWeight uint32
	// Key is what places a member on a ring or in a table: its address.
	Key string
	// Joined is when it became a member, for slow start.
	Joined int64
}

// Set is a list of members. A pick is an index into the entries that it was
// made of.
type Set struct {
	entries []Entry
	options Options
	parts   []part
	mu      sync.Mutex // of Refresh
	view    atomic.Pointer[view]
}

// part is what is chosen as a whole before a member is: the members of a
// priority, or those of one locality in it.
type part struct {
	priority uint32
	locality Locality
	weight   uint32
	index    []uint32
	table    table // where the algorithm hashes
}

// NewSet makes a set; the caller must not change entries afterwards.
func NewSet(entries []Entry, o Options, now int64) *Set {
	for i := range entries {
		if entries[i].Weight == 0 {
			entries[i].Weight = 1
		}
	}
	s := &Set{entries: entries, options: o}
	s.divide()
	s.Refresh(now)
	return s
}

// Len is the number of entries.
func (s *Set) Len() int { return len(s.entries) }

// Entry returns the entry at an index.
func (s *Set) Entry(i int) Entry { return s.entries[i] }

// divide makes the parts, in the order of priorities.
func (s *Set) divide() {
	split := s.options.LocalityWeighted || s.options.ZonePercent > 0 && !s.options.Algorithm.hashes()
	type key struct {
		priority uint32
		locality Locality
	}
	at := map[key]int{}
	for i := range s.entries {
		e := &s.entries[i]
		if e.Draining {
			continue
		}
		k := key{priority: e.Priority}
		if split {
			k.locality = e.Locality
		}
		n, ok := at[k]
		if !ok {
			n = len(s.parts)
			at[k] = n
			s.parts = append(s.parts, part{priority: e.Priority, locality: k.locality, weight: e.LocalityWeight})
		}
		s.parts[n].index = append(s.parts[n].index, uint32(i))
	}
	sortParts(s.parts)
	for i := range s.parts {
		s.parts[i].table = newTable(s.entries, s.parts[i].index, &s.options)
	}
}

// sortParts orders by priority and keeps the order of localities. There are few.
func sortParts(ps []part) {
	for i := 1; i < len(ps); i++ {
		for j := i; j > 0 && ps[j].priority < ps[j-1].priority; j-- {
			ps[j], ps[j-1] = ps[j-1], ps[j]
		}
	}
}

// healthy says whether an entry counts as healthy.
func (s *Set) healthy(i uint32) bool {
	e := &s.entries[i]
	return !e.Unhealthy && !e.Health.Out()
}

// fit says whether an entry of a group may be chosen in the first place.
func (s *Set) fit(i uint32, q *Query, panicking bool) bool {
	e := &s.entries[i]
	return (panicking || s.healthy(i)) && !e.Member.Penalised(q.Now) && (q.Skip.n == 0 || !q.Skip.Has(e.Member))
}

// claim makes a choice final. A member on probation is given to one request.
func (s *Set) claim(i int, q *Query) bool {
	h := s.entries[i].Health
	return h == nil || h.state.Load() != onProbation || h.probe(q.Now)
}

// last chooses among all entries when the group has none that is fit: first
// one of another priority, then a penalised one, then a draining one, then one
// that was tried before.
func (s *Set) last(v *view, q *Query, random uint64) int {
	const classes = 4
	class := func(i int) (n int, priority uint32) {
		e := &s.entries[i]
		switch {
		case !s.healthy(uint32(i)) && !v.inPanic(e.Priority):
			return classes, 0
		case q.Skip.Has(e.Member):
			n = 3
		case e.Draining:
			n = 2
		case e.Member.Penalised(q.Now):
			n = 1
		}
		return n, e.Priority
	}
	best, first, total := classes, uint32(0), uint64(0)
	for i := range s.entries {
		switch n, p := class(i); {
		case n < best || n == best && p < first:
			best, first, total = n, p, uint64(s.entries[i].Weight)
		case n == best && p == first:
			total += uint64(s.entries[i].Weight)
		}
	}
	if best == classes {
		return None
	}
	x, at := below(random, total), None
	for i := range s.entries {
		if n, p := class(i); n != best || p != first {
			continue
		}
		at = i
		w := uint64(s.entries[i].Weight)
		if x < w {
			break
		}
		x -= w
	}
	return at
}
