package conn

import (
	"io"
	"time"
)

// Mark is a moment in what was sent on a connection.
type Mark struct{ taken uint64 }

// Mark notes how much was sent so far. Nothing may be pending.
func (c *Conn) Mark() Mark { return Mark{c.Taken()} }

// Arrived says whether anything that was sent since m may have been received by
// the other side. It is false only where that is certain: nothing left this one,
// or the peer had closed the connection (err, which reading met, is its end)
// before any of it came. It must be asked before the connection is closed, may
// take a moment, and says nothing certain of TLS.
func (c *Conn) Arrived(m Mark, err error) bool {
	n := c.Taken() - m.taken
	if n == 0 {
		return false
	}
	if err != io.EOF { //nolint:errorlint // a wrapped one is not the peer's FIN
		return true
	}
	from, ok := c.Lost()
	return !ok || from > m.taken
}

// verdictWithin is how long it may take until a peer has refused what came
// behind its end. It is looked for again and again: there is no event to wait for
// when an acknowledgement arrives.
const verdictWithin = 50 * time.Millisecond

// Lost is from where on, counted as Taken counts, nothing of what was sent was
// acknowledged by the peer, on a connection whose end reading has met and that a
// reset has ended then. A peer that has closed answers what comes behind its FIN
// with a reset and reads none of it. One that has closed its side alone may still
// read, and acknowledges: no reset comes. If it resets later, what it read within
// the time that it may delay an acknowledgement (RFC 1122, section 4.2.3.2: below
// 500 ms) counts as lost although it was read, since TCP does not tell. ok is false where nothing is lost for
// certain, and for TLS, whose end anybody on the way can feign.
func (c *Conn) Lost() (from uint64, ok bool) {
	if c.under != nil || c.rc == nil {
		return 0, false
	}
	for end := time.Now().Add(verdictWithin); ; time.Sleep(time.Millisecond) { //nolint:forbidigo // bounded, and there is no event
		left, reset := 0, false
		if c.rc.Control(func(fd uintptr) { left, reset = sysUnacknowledged(fd) }) != nil {
			return 0, false
		}
		switch {
		case left == 0 || time.Now().After(end):
			return 0, false
		case reset:
			taken := c.Taken()
			return taken - min(taken, uint64(left)), true
		}
	}
}
