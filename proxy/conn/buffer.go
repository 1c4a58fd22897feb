package conn

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// Sizes of buffers. A TLS record is at most 16 KiB and some 270 bytes, so that
// each size but the first holds a whole number of them.
const (
	sizeSmall = 4 << 10   // what most heads need: held while a request is under way
	sizeRead  = 17 << 10  // one read, one TLS record
	sizeBulk  = 68 << 10  // four records; a head at its limit
	sizeMax   = 136 << 10 // eight records; bodies that keep filling the size below
	sizeHuge  = 544 << 10 // 33 records; streams that keep filling the size below
)

const (
	classSmall = iota
	classRead
	classBulk
	classMax
	classHuge
	classes
)

var sizes = [classes]int{sizeSmall, sizeRead, sizeBulk, sizeMax, sizeHuge}

// record is the most plaintext that one TLS record carries (RFC 8446 section 5.1).
const record = 16 << 10

// readMost is how much one read of plaintext takes: what it becomes in records
// fits a buffer of the same size.
const readMost = sizeHuge - record

// largeBudget bounds the memory of all buffers above sizeBulk. Beyond it streams
// go on in smaller pieces, which costs CPU, not memory: readers that are slow,
// however many, hold no more than this and a bulk buffer each.
const largeBudget = 16 << 20

// large is how much memory they have, in use and in the pools.
var large atomic.Int64

type buffer struct {
	b     []byte
	class int
}

// pools hold memory, not state: sharing them among connections is their point.
var pools [classes]sync.Pool

// take returns a buffer of the class.
func take(class int) *buffer {
	b, ok := pools[class].Get().(*buffer)
	if !ok {
		b = &buffer{b: make([]byte, sizes[class]), class: class}
		if class > classBulk {
			large.Add(int64(sizes[class]))
			// However it goes: by the pool's hand, or with its connection.
			runtime.AddCleanup(b, func(n int64) { large.Add(-n) }, int64(sizes[class]))
		}
	}
	return counted(b)
}

func counted(b *buffer) *buffer {
	if f := faults.Load(); f != nil {
		f.buffers.Add(1)
	}
	return b
}

// takeMost returns a buffer of the class, or of classBulk where a larger one
// would exceed the budget.
func takeMost(class int) *buffer {
	if class > classBulk && large.Load()+int64(sizes[class]) > largeBudget {
		b, ok := pools[class].Get().(*buffer)
		if !ok {
			return take(classBulk)
		}
		return counted(b)
	}
	return take(class)
}

func give(b *buffer) {
	if b == nil {
		return
	}
	if f := faults.Load(); f != nil {
		f.buffers.Add(-1)
	}
	pools[b.class].Put(b)
}

// classFor is the smallest class from min on that holds n bytes; the largest
// when none does.
func classFor(n, min int) int {
	for c := min; c < classHuge; c++ {
		if sizes[c] >= n {
			return c
		}
	}
	return classHuge
}
