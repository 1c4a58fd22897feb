package h2

import "sync"

const (
	smallChunk = 4 << 10
	largeChunk = 16 << 10
	hugeChunk  = 64 << 10
)

var (
	smallChunks = sync.Pool{New: func() any { return new([smallChunk]byte) }}
	largeChunks = sync.Pool{New: func() any { return new([largeChunk]byte) }}
	hugeChunks  = sync.Pool{New: func() any { return new([hugeChunk]byte) }}
)

// chunk is pooled memory with unread bytes at [off:end].
type chunk struct {
	mem      []byte
	off, end int
}

// chunks is a queue of bytes in pooled memory. Bytes are added behind views
// that were handed out and never move.
type chunks struct {
	list []chunk
	size int // bytes unread
}

func newChunk(n int) chunk {
	switch {
	case n <= smallChunk:
		return chunk{mem: smallChunks.Get().(*[smallChunk]byte)[:]}
	case n <= largeChunk:
		return chunk{mem: largeChunks.Get().(*[largeChunk]byte)[:]}
	}
	return chunk{mem: hugeChunks.Get().(*[hugeChunk]byte)[:]}
}

func (k chunk) free() {
	switch len(k.mem) {
	case smallChunk:
		smallChunks.Put((*[smallChunk]byte)(k.mem))
	case largeChunk:
		largeChunks.Put((*[largeChunk]byte)(k.mem))
	default:
		hugeChunks.Put((*[hugeChunk]byte)(k.mem))
	}
}

// add copies p to the end.
func (q *chunks) add(p []byte) {
	q.size += len(p)
	for len(p) > 0 {
		if n := len(q.list); n > 0 {
			k := &q.list[n-1]
			m := copy(k.mem[k.end:], p)
			k.end += m
			if p = p[m:]; len(p) == 0 {
				return
			}
			// Pieces that pile up get larger chunks.
			q.list = append(q.list, newChunk(len(k.mem)+1))
			continue
		}
		q.list = append(q.list, newChunk(len(p)))
	}
}

// front returns unread bytes of the first chunk; empty where there are none.
func (q *chunks) front() []byte {
	if len(q.list) == 0 {
		return nil
	}
	k := &q.list[0]
	return k.mem[k.off:k.end]
}

// discard drops n bytes, at most what front returned.
func (q *chunks) discard(n int) {
	if n == 0 {
		return
	}
	k := &q.list[0]
	k.off += n
	q.size -= n
	if k.off == k.end {
		k.free()
		q.list = q.list[:copy(q.list, q.list[1:])]
	}
}

func (q *chunks) free() {
	for i := range q.list {
		q.list[i].free()
	}
	clear(q.list)
	*q = chunks{list: q.list[:0]}
}
