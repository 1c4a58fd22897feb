package h2

import (
	"errors"
	"sync"
	"time"
)

// hearer is a Transport whose system knows when it last heard of the peer's.
type hearer interface {
	// Heard is how long ago anything came from the peer's system, be it only the
	// acknowledgement of bytes; ok is false where that is unknown.
	Heard() (ago time.Duration, ok bool)
}

// silentRounds is for how many periods of PINGs a peer that carries requests may
// be silent where nothing is heard of its system either. With periods of 30 s it
// is longer than the 100 s that TCP has to keep on trying at least (RFC 9293,
// section 3.8.3), and than TCP's longest pause between two tries (120 s).
const silentRounds = 5

var errSilent = errors.New("no answer to PING")

// alive looks after a connection whose peer may be silent.
type alive struct {
	seen   uint32 // frames at the last look
	rounds int    // since when there was none
	doubt  bool
}

// doubted says whether the peer has left a PING without an answer; it is then
// asked for nothing new. mu is held.
func (c *mux) doubted() bool { return c.alive.doubt && c.alive.seen == c.frames }

// keepAlive starts the PINGs of Options.KeepAlive; the result stops them.
func (c *mux) keepAlive() (stop func()) {
	if c.o.KeepAlive <= 0 {
		return func() {}
	}
	var mu sync.Mutex
	var t *time.Timer
	over := false
	tick := func() {
		defer c.guard()
		c.mu.Lock()
		next := c.ask()
		c.unlock()
		mu.Lock()
		defer mu.Unlock()
		if !over {
			t.Reset(next)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	t = time.AfterFunc(c.o.KeepAlive, tick)
	return func() {
		mu.Lock()
		defer mu.Unlock()
		over = true
		t.Stop()
	}
}

// ask asks a silent peer whether it lives, and says when to look again. A
// process that stands still says nothing and loses nothing: as with any TCP
// connection, what was asked of it waits. Whether its machine is there is for TCP
// to find out, which the PINGs give something to send. mu is held.
func (c *mux) ask() (next time.Duration) {
	a := &c.alive
	switch {
	case c.frames != a.seen:
		*a = alive{seen: c.frames}
		return c.o.KeepAlive
	case c.open.n == 0:
		a.rounds = 0
		return c.o.KeepAlive
	}
	asked := a.rounds > 0
	if a.rounds++; asked {
		a.doubt = true
		if c.gone() {
			c.end(&ConnError{Code: CodeInternal, Reason: "peer is silent", Err: errSilent})
			c.after = append(c.after, c.close)
			return c.o.KeepAlive
		}
	}
	if !asked || !c.flushing { // else TCP has something to send
		c.out = appendPing(c.out, 0, alivePing)
		c.kick(false)
	}
	if c.o.PingTimeout > 0 {
		return c.o.PingTimeout
	}
	return c.o.KeepAlive
}

// gone says whether a peer that does not answer is taken for lost. mu is held.
func (c *mux) gone() bool {
	if c.o.PingTimeout > 0 {
		return true
	}
	if c.alive.rounds <= silentRounds {
		return false
	}
	if h, ok := c.t.(hearer); ok {
		if ago, ok := h.Heard(); ok && ago < silentRounds*c.o.KeepAlive {
			return false
		}
	}
	bytes := false
	c.open.each(func(s *Stream) { bytes = bytes || s.bytes })
	return !bytes
}
