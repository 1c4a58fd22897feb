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

// giveConn gives the connection's window back by halves, unless too much lies
// unread. mu is held.
func (c *mux) giveConn() {
	if c.ended || c.unacked < int64(c.o.ConnWindow)/2 || c.buffered >= c.o.MaxBuffered {
		return
	}
	c.room(controlFrame)
	c.out = appendWindowUpdate(c.out, 0, uint32(c.unacked))
	c.recvAvail += c.unacked
	c.unacked = 0
	c.kick(false)
}

// unbuffer notes that n bytes are no longer held for streams. mu is held.
func (c *mux) unbuffer(n int) {
	if n > 0 {
		c.buffered -= n
		c.giveConn()
	}
}

// largestWindow is what a stream's window may grow to between two of our
// proxies, for a reader that keeps up.
func largestWindow(first int32) int32 { return 4 * first }

// giveBack gives the stream's window back by halves. mu is held.
func (s *Stream) giveBack(n int) {
	s.unacked += int32(n)
	if s.remoteEnd || s.err != nil || s.unacked < s.window/2 {
		return
	}
	if s.c.o.Plain && s.in.size == 0 && s.window < largestWindow(s.c.o.Window) {
		// The reader keeps up, and waits for the peer.
		s.unacked += s.window
		s.window *= 2
	}
	s.c.room(controlFrame)
	s.c.out = appendWindowUpdate(s.c.out, s.id, uint32(s.unacked))
	s.recv += s.unacked
	s.unacked = 0
	s.c.kick(false)
}

// windowUpdate adds to the windows that the peer gives us. mu is held.
func (c *mux) windowUpdate(id, n uint32) *ConnError {
	if id == 0 {
		if n == 0 {
			return connErr(CodeProtocol, "WINDOW_UPDATE of 0")
		}
		if c.sendAvail += int64(n); c.sendAvail > maxWindow {
			return connErr(CodeFlowControl, "connection window exceeds 2^31-1")
		}
		c.wakeBlocked()
		return nil
	}
	s := c.open.get(id)
	if s == nil {
		if c.isIdle(id) {
			return connErr(CodeProtocol, "WINDOW_UPDATE for an idle stream")
		}
		return nil
	}
	if n == 0 {
		return c.streamError(s, CodeProtocol, "WINDOW_UPDATE of 0")
	}
	if s.send += int64(n); s.send > maxWindow {
		return c.streamError(s, CodeFlowControl, "stream window exceeds 2^31-1")
	}
	s.wakeWrite()
	return nil
}

// changeWindows applies a new SETTINGS_INITIAL_WINDOW_SIZE to open streams. mu
// is held.
func (c *mux) changeWindows(delta int64) *ConnError {
	over := false
	c.open.each(func(s *Stream) {
		s.send += delta
		over = over || s.send > maxWindow
		s.wakeWrite()
	})
	if over {
		return connErr(CodeFlowControl, "SETTINGS_INITIAL_WINDOW_SIZE exceeds a stream's window")
	}
	return nil
}
