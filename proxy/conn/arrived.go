package conn

import "io"

// Mark is a moment in what was sent on a connection.
type Mark struct{ taken uint64 }

// Mark notes how much was sent so far. Nothing may be pending.
func (c *Conn) Mark() Mark { return Mark{c.Taken()} }

// Arrived says whether anything that was sent since m may have been received by
// the other side's system. It is false only where that is certain: nothing left
// this one, or the peer had ended the connection (err, which reading met, is its
// end) before any of it came: then its FIN acknowledges none of it, and whatever
// comes behind that is not read any more (RFC 9112, section 9.6). It must be
// asked before the connection is closed, and says nothing certain of TLS.
func (c *Conn) Arrived(m Mark, err error) bool {
	n := c.Taken() - m.taken
	if n == 0 {
		return false
	}
	if err != io.EOF || c.under != nil || c.rc == nil { //nolint:errorlint // a wrapped one is not the peer's FIN
		return true
	}
	left := 0
	if c.rc.Control(func(fd uintptr) { left = sysUnacknowledged(fd) }) != nil {
		return true
	}
	return uint64(left) < n
}

// Acknowledged is up to where, counted as Taken counts, the peer's system has
// what was sent; ok is false where that is unknown, and for TLS, whose end
// anybody on the way can feign. What Arrived says of the peer's FIN holds for
// what lies behind.
func (c *Conn) Acknowledged() (n uint64, ok bool) {
	if c.under != nil || c.rc == nil {
		return 0, false
	}
	n = c.Taken()
	if c.rc.Control(func(fd uintptr) { n -= min(n, uint64(sysUnacknowledged(fd))) }) != nil {
		return 0, false
	}
	return n, true
}
