package balance

import "math/rand/v2"

// None is the index that a Picker returns when a set is empty.
const None = -1

// Picker chooses one entry of a set, or None when the set is empty. Members in
// skip are chosen only when there is no other. It is safe for concurrent use.
type Picker interface {
	Pick(s *Set, now int64, skip *Skip) int
}

// Random is a source of uniformly distributed numbers; it must be safe for
// concurrent use.
type Random func() uint64

func (r Random) orDefault() Random {
	if r == nil {
		return rand.Uint64
	}
	return r
}
