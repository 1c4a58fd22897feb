package conn

import "sync"

// Sizes of buffers. A TLS record is at most 16 KiB and some 270 bytes, so that
// each size but the first holds a whole number of them.
const (
	sizeSmall = 4 << 10   // what most heads need: held while a request is under way
	sizeRead  = 17 << 10  // one read, one TLS record
	sizeBulk  = 68 << 10  // four records; a head at its limit
	sizeMax   = 136 << 10 // eight records; bodies that keep filling the size below
)

const (
	classSmall = iota
	classRead
	classBulk
	classMax
	classes
)

var sizes = [classes]int{sizeSmall, sizeRead, sizeBulk, sizeMax}

// record is the most plaintext that one TLS record carries (RFC 8446 section 5.1).
const record = 16 << 10

type buffer struct {
	b     []byte
	class int
}

// pools hold memory, not state: sharing them among connections is their point.
var pools [classes]sync.Pool

func take(class int) *buffer {
	if b, ok := pools[class].Get().(*buffer); ok {
		return b
	}
	return &buffer{b: make([]byte, sizes[class]), class: class}
}

func give(b *buffer) {
	if b != nil {
		pools[b.class].Put(b)
	}
}

// classFor is the smallest class from min on that holds n bytes; the largest
// when none does.
func classFor(n, min int) int {
	for c := min; c < classMax; c++ {
		if sizes[c] >= n {
			return c
		}
	}
	return classMax
}
