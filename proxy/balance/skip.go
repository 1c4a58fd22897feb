package balance

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
