package balance

// Entry is one member of a set.
type Entry struct {
	Member *Member
	// Weight is relative to the other entries; 0 means 1.
	Weight uint32
	// Draining members take no new work while another is fit.
	Draining bool
}

// Set is an immutable list of members. A pick is an index into the entries
// that it was made of.
type Set struct {
	entries []Entry
	// sum[i] is the weight of entries 0 to i; nil when all weigh the same.
	sum []uint64
	// spent is true when any entry drains.
	spent bool
}

// NewSet makes a set; the caller must not change entries afterwards.
func NewSet(entries []Entry) *Set {
	s := &Set{entries: entries}
	even := true
	for i := range entries {
		if entries[i].Weight == 0 {
			entries[i].Weight = 1
		}
		even = even && entries[i].Weight == entries[0].Weight
		s.spent = s.spent || entries[i].Draining
	}
	if !even {
		s.sum = make([]uint64, len(entries))
		var total uint64
		for i := range entries {
			total += uint64(entries[i].Weight)
			s.sum[i] = total
		}
	}
	return s
}

// Len is the number of entries.
func (s *Set) Len() int { return len(s.entries) }

// Entry returns the entry at an index.
func (s *Set) Entry(i int) Entry { return s.entries[i] }

// fit says whether the entry may be chosen in the given round.
func (s *Set) fit(i int, now int64, skip *Skip, r round) bool {
	e := &s.entries[i]
	if skip.Has(e.Member) != (r == skipped) {
		return false
	}
	switch r {
	case first:
		return !e.Draining && !e.Member.Penalised(now)
	case penalised:
		return !e.Draining
	}
	return true
}

// round is how far a pick has come down. Each round admits all that the ones
// before it did, but skipped, which admits just what was skipped.
type round int

const (
	first     round = iota // neither draining, penalised nor skipped
	penalised              // neither draining nor skipped
	draining               // not skipped
	skipped                // tried before: there is no other
	rounds
)

// MaxSkip is how many members one request can have tried and want to avoid.
const MaxSkip = 4

// Skip is the members that a request has tried already. The zero value is
// empty; a nil Skip is empty too.
type Skip struct {
	n   int
	arr [MaxSkip]*Member
}

// Add puts a member in; beyond MaxSkip the oldest is forgotten.
func (k *Skip) Add(m *Member) {
	if k.Has(m) {
		return
	}
	if k.n == MaxSkip {
		copy(k.arr[:], k.arr[1:])
		k.n--
	}
	k.arr[k.n] = m
	k.n++
}

// Has says whether a member was put in.
func (k *Skip) Has(m *Member) bool {
	if k == nil {
		return false
	}
	for _, s := range k.arr[:k.n] {
		if s == m {
			return true
		}
	}
	return false
}

// Len is the number of members put in.
func (k *Skip) Len() int {
	if k == nil {
		return 0
	}
	return k.n
}

// Reset empties the set.
func (k *Skip) Reset() { *k = Skip{} }
