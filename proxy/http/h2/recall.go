package h2

import (
	"errors"
	"syscall"
	"time"
)

// loser is a Transport that knows what has not reached the peer.
type loser interface {
	// Lost is from where on, counted as Taken counts, nothing of what was sent has
	// reached a peer that has closed; ok is false where that is unknown.
	Lost() (from uint64, ok bool)
}

// batches are the last few writes of a client that had heads of new streams
// among them.
type batches struct {
	last [4]struct {
		at     uint64 // where it begins, as Taken counts
		before uint32 // the last stream before it
	}
	n int
}

func (b *batches) note(at uint64, before uint32) {
	l := &b.last[b.n%len(b.last)]
	l.at, l.before = at, before
	b.n++
}

// leaveToReader leaves the end of a client's connection, which writing has met as
// err, to the reader, where recall may follow: with EPIPE the system says that the
// peer had closed the connection before it refused what came. A mere reset
// (ECONNRESET) proves nothing. mu is held.
func (c *mux) leaveToReader(err error) bool {
	if _, ok := c.t.(loser); !ok || !c.client || c.ended || !errors.Is(err, syscall.EPIPE) {
		return false
	}
	c.deaf, c.peerAway = true, true
	// The end is there to be read, unless somebody feigns the error.
	time.AfterFunc(linger, func() {
		defer c.guard()
		c.mu.Lock()
		defer c.unlock()
		if !c.ended {
			c.end(&ConnError{Code: CodeInternal, Reason: "write failed", Err: notEOF(err)})
			c.after = append(c.after, c.close)
		}
	})
	return true
}

// recall takes back streams of a client whose heads begin behind what the peer
// got before it closed the connection. mu is held, but for the moment in which
// the transport is asked.
func (c *mux) recall() {
	t, ok := c.t.(loser)
	if !ok {
		return
	}
	c.peerAway = true // it takes no more streams
	c.mu.Unlock()
	from, ok := t.Lost()
	c.mu.Lock()
	for i := range min(c.recent.n, len(c.recent.last)) {
		if l := c.recent.last[i]; ok && l.at >= from {
			c.handed = min(c.handed, l.before)
		}
	}
}
