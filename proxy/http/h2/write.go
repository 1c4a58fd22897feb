package h2

import (
	"runtime"
	"sync"

	"github.com/weftmesh/weft/proxy/http"
)

// tryFlusher is a Transport that can send without waiting.
type tryFlusher interface {
	// TryFlush is Flush as far as the system takes it at once; done is false
	// where something is left, which Flush then sends.
	TryFlush() (done bool, err error)
}

// mineWriter is a Transport that can do without a copy.
type mineWriter interface {
	// WriteMine is Write; meanwhile p, and the byte behind it, which exists, may
	// be written to.
	WriteMine(p []byte) (int, error)
}

const (
	// fewStreams is how many open streams are too few to gather frames of: the
	// goroutine that queued the last one writes them itself. Above it one flusher
	// lets everybody who is ready queue first.
	fewStreams = 2
	// hereLimit is how much such a goroutine writes, in bytes: as much as the
	// transport takes without waiting for the peer.
	hereLimit = 16 << 10
)

// outBuffer is pooled memory for frames; an idle connection has none.
type outBuffer struct{ b []byte }

// typicalHead is the room that is made before a head is written, controlFrame
// that for a frame of a few bytes.
const (
	typicalHead  = 512
	controlFrame = 32
)

// What the pool takes and gives, in bytes.
const (
	freshOut = 4 << 10
	keepOut  = plainOutLimit + 44<<10
)

// outSizes are the sizes of buffers: one takes what the limit allows, and a
// frame more.
var outSizes = [...]int{20 << 10, outLimit + 20<<10, keepOut}

var outBuffers sync.Pool

// takeOut returns an empty buffer. mu is held.
func (c *mux) takeOut() []byte {
	x, _ := outBuffers.Get().(*outBuffer)
	if x == nil {
		x = &outBuffer{make([]byte, 0, freshOut)}
	}
	b := x.b
	x.b = nil
	c.boxes = append(c.boxes, x)
	return b
}

// room makes space in out for n more bytes, in large steps: append's are small
// ones, and each throws a slice away. mu is held.
func (c *mux) room(n int) {
	if cap(c.out) < freshOut {
		c.out = append(c.takeOut(), c.out...)
	}
	need := len(c.out) + n
	if need <= cap(c.out) {
		return
	}
	size := max(need, 2*cap(c.out))
	for _, s := range outSizes {
		if s >= need {
			size = s
			break
		}
	}
	c.out = append(make([]byte, 0, size), c.out...)
}

// giveOut gives the buffers back, which are empty. mu is held.
func (c *mux) giveOut() {
	for i, b := range [...][]byte{c.out, c.spare} {
		if cap(b) < freshOut || cap(b) > keepOut {
			continue
		}
		for len(c.boxes) <= i {
			c.boxes = append(c.boxes, &outBuffer{})
		}
		c.boxes[i].b = b[:0]
		outBuffers.Put(c.boxes[i])
	}
	clear(c.boxes)
	c.out, c.spare, c.boxes = nil, nil, c.boxes[:0]
}

// rested gives back what a connection without streams and frames does not need.
// mu is held.
func (c *mux) rested() {
	c.giveOut()
	c.codec.trim()
	c.open.trim()
}

// kick has what was queued written once mu is free; later says that more is
// going to be queued at once. mu is held.
func (c *mux) kick(later bool) { c.dirty, c.later = true, later }

// kickLast starts the writer for the last time; it closes the connection's
// outgoing side once everything is written. mu is held.
func (c *mux) kickLast() {
	if !c.flushing {
		c.flushing = true
		c.startFlush()
	}
}

// startFlush has the flusher write; flushing was set for it. mu is held.
func (c *mux) startFlush() {
	c.flusherUsed = true
	if c.flusherRests {
		c.flusherRests = false
		c.wakes = append(c.wakes, c.flusher)
		return
	}
	if c.flusher == nil {
		c.flusher = make(chan struct{}, 1)
	}
	go c.flushFn()
}

// dismissFlusher lets the flusher go if it rests. mu is held.
func (c *mux) dismissFlusher() {
	if c.flusherRests {
		c.flusherRests = false
		close(c.flusher)
		c.flusher = nil
	}
}

// mayFlushHere says whether the goroutine that holds mu may write. mu is held.
func (c *mux) mayFlushHere() bool {
	return c.try != nil && c.open.n <= fewStreams && len(c.out) <= hereLimit
}

// reply notes that n bytes were queued in answer to a frame of the peer. mu is
// held.
func (c *mux) reply(n int) *ConnError {
	if c.replies += n; c.replies > replyLimit {
		return connErr(CodeEnhanceYourCalm, "answers are not read")
	}
	c.kick(false)
	return nil
}

// flush is the flusher; flushing was set for it. It is one goroutine and not a
// new one for each batch, whose stack would have to grow each time.
func (c *mux) flush() {
	defer c.guard()
	c.mu.Lock()
	for wake := c.flusher; ; c.mu.Lock() {
		if c.open.n > fewStreams && !c.left {
			// Whoever is ready to send adds its frames to this batch first.
			c.unlock()
			runtime.Gosched()
			c.mu.Lock()
		}
		if !c.writeOut(false) {
			return
		}
		if _, more := <-wake; !more {
			return
		}
	}
}

// writeOut writes what is queued until nothing is. The caller has set flushing,
// so that there is one at a time. With here it never waits for the peer, and
// leaves what is too much to the flusher; else rests says that the flusher is to
// wait for more. mu is held, and free afterwards.
func (c *mux) writeOut(here bool) (rests bool) {
	var err error
	var taken uint64
	for err == nil && (c.left || len(c.out) > 0) {
		if here && (c.ended || len(c.out) > hereLimit) {
			break
		}
		var buf []byte
		counts := 0
		handed := c.handed
		if !c.left {
			if c.spare == nil {
				c.spare = c.takeOut()
			}
			buf, c.out, c.spare = c.out, c.spare[:0], nil
			c.replies = 0
			counts = c.count.taken(len(buf))
			if c.client && !c.ended {
				c.handed = max(c.nextOwn, 2) - 2
			}
		}
		c.unlock()
		if c.client {
			taken = c.t.Taken()
		}
		switch {
		case len(buf) == 0:
		case c.mine != nil && len(buf) < cap(buf):
			_, err = c.mine.WriteMine(buf)
		default:
			_, err = c.t.Write(buf)
		}
		done := true
		if err == nil && here {
			done, err = c.try.TryFlush()
		} else if err == nil {
			err = c.t.Flush()
		}
		nothing := err != nil && c.client && c.t.Taken() == taken
		c.mu.Lock()
		if err == nil {
			c.count.sent(counts)
		}
		if buf != nil {
			c.spare = buf[:0]
		}
		if c.left = !done && err == nil; nothing {
			c.handed = handed
		} else if c.handed > handed {
			c.recent.note(taken, handed)
		}
		c.space.next()
		if c.left {
			break
		}
	}
	switch {
	case err != nil && c.leaveToReader(err):
	case err != nil:
		c.end(&ConnError{Code: CodeInternal, Reason: "write failed", Err: notEOF(err)})
		c.after = append(c.after, c.close)
	case here && (c.left || c.ended || len(c.out) > 0):
		c.startFlush() // it goes on in our place
		c.unlock()
		return false
	case c.ended:
		c.after = append(c.after, c.closeWrite)
	case c.open.n == 0:
		c.rested()
	}
	c.flushing = false
	switch {
	case c.ended:
		c.dismissFlusher()
	case !here:
		rests, c.flusherRests = true, true
		c.rest()
	}
	c.idle.Broadcast()
	c.unlock()
	return rests
}

func (c *mux) closeWrite() { _ = c.t.CloseWrite() }

// frameLimit is how large a payload may be that we send, in bytes. A peer's
// larger limit is not used: frames of one stream must not hold up others.
func (c *mux) frameLimit() int { return min(int(c.peer.frameSize), minFrameSize) }

// beginHead makes room for a frame's header; endHead fills it in. In between a
// codec appends the block to out. mu is held all the time, since heads must
// leave in the order encoded.
func (c *mux) beginHead() int {
	c.room(typicalHead)
	at := len(c.out)
	c.out = append(c.out, 0, 0, 0, 0, 0, 0, 0, 0, 0)
	return at
}

func (c *mux) endHead(at int, id uint32, end bool) {
	block := c.out[at+frameHeaderLen:]
	if len(block) > c.frameLimit() {
		// Rare: frames above the peer's size.
		c.out = appendBlock(c.out[:at], append([]byte(nil), block...), id, end, c.frameLimit())
		return
	}
	flags := uint8(flagEndHeaders)
	if end {
		flags |= flagEndStream
	}
	appendHeader(c.out[at:at], len(block), frameHeaders, flags, id)
}

// tooLarge says whether the peer's limit forbids a head, of which other bytes
// are not in fields.
func (c *mux) tooLarge(other int, fields []http.Field) bool {
	return c.peer.headerList != 1<<32-1 && uint64(other+headSize(fields)) > uint64(c.peer.headerList)
}
