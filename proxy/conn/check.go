package conn

import "syscall"

func (c *Conn) onPeek(fd uintptr) { c.peekN, c.peekE = sysPeek(fd, &c.peeked) }

// Alive is a cheap check that an idle connection is open and silent: no unread
// byte, no end of stream, no error. Only its owner may call it.
func (c *Conn) Alive() bool {
	if c.closed.Load() || c.inErr != nil || c.r != c.w {
		return false
	}
	if c.under != nil {
		return c.aliveTLS()
	}
	if c.rc == nil {
		return true // nothing can be known without reading
	}
	return c.rc.Control(c.peekFn) == nil && c.peekE == syscall.EAGAIN
}

// Readable tells whether Fill would return without waiting (bytes, an end, or
// an error). For TLS it errs on the side of true: the record that has arrived
// may carry no application data.
func (c *Conn) Readable() bool {
	if c.r != c.w || c.inErr != nil {
		return true
	}
	if c.own != nil && !c.own.waiting(c.under) {
		return c.under.readableNow() // a record that has begun is nothing to read yet
	}
	if c.under != nil {
		return c.under.Readable()
	}
	return c.readableNow()
}

// readableNow looks at the socket alone.
func (c *Conn) readableNow() bool {
	if c.rc == nil {
		return false
	}
	return c.rc.Control(c.peekFn) != nil || c.peekE != syscall.EAGAIN
}

// PeerGone tells whether the connection was reset, or has failed. A peer that
// merely ended its sending side (FIN) may still wait for what it is owed, and
// is not gone. Unread bytes hide nothing. It may be called while another
// goroutine reads.
func (c *Conn) PeerGone() bool { return c.peerGone(false) }

// PeerEnded is PeerGone, and true for a peer that ended its sending side too.
func (c *Conn) PeerEnded() bool { return c.peerGone(true) }

func (c *Conn) peerGone(ended bool) bool {
	if c.closed.Load() {
		return true
	}
	if c.under != nil {
		return c.under.peerGone(ended)
	}
	if c.rc == nil {
		return false
	}
	failed := false
	if c.rc.Control(func(fd uintptr) { failed = sysFailed(fd, ended) }) != nil {
		return true
	}
	return failed
}
