package conn

import (
	"errors"
	"io"
	"net"
	"syscall"
	"time"
)

// AvailableBuffer returns an empty slice with capacity inside the output buffer,
// to be appended to and then given to Write at once, which then need not copy.
func (c *Conn) AvailableBuffer() []byte {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	c.ensureOut(0)
	return c.out.b[c.n:c.n:c.limit()]
}

// Write gathers p; it is sent by Flush, by Fill, or when too much waits.
func (c *Conn) Write(p []byte) (int, error) {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	return c.write(p)
}

// write is Write; wmu is held.
func (c *Conn) write(p []byte) (int, error) {
	if c.werr != nil {
		return 0, c.werr
	}
	if len(p) == 0 {
		return 0, nil
	}
	if c.own != nil && c.own.ended {
		return 0, errEnded
	}
	if c.out != nil || len(p) <= sizeRead {
		c.ensureOut(len(p))
		if c.n+len(p) <= c.limit() {
			c.n += copy(c.out.b[c.n:], p) // onto itself when p is AvailableBuffer's
			return len(p), nil
		}
	}
	switch {
	case c.under != nil:
		return c.writeLarge(p)
	case c.closed.Load():
		return 0, net.ErrClosed
	}
	c.tail = p
	err := c.send()
	n := len(p) - len(c.tail)
	c.tail = nil
	return n, err
}

// WriteFrom is Write of what src has buffered, which it discards as far as it
// was taken; src's reading side belongs to the caller. The bytes are encrypted
// from where they lie.
func (c *Conn) WriteFrom(src *Conn) (int, error) {
	p := src.Buffered()
	if c.own == nil || len(p) == 0 {
		n, err := c.Write(p)
		src.r += n
		return n, err
	}
	c.wmu.Lock()
	defer c.wmu.Unlock()
	if c.own.ended {
		return 0, errEnded
	}
	if err := c.sealOut(); err != nil {
		return 0, err
	}
	n, err := c.sealAll(p, true)
	src.r += n
	return n, err
}

// WriteMine is Write of memory that the caller does not look at meanwhile: p, and
// the byte behind it, which exists, are written to and restored. It is encrypted
// from where it lies.
func (c *Conn) WriteMine(p []byte) (int, error) {
	if c.own == nil || len(p) <= record {
		return c.Write(p)
	}
	c.wmu.Lock()
	defer c.wmu.Unlock()
	if c.own.ended {
		return 0, errEnded
	}
	if err := c.sealOut(); err != nil {
		return 0, err
	}
	return c.sealAll(p, true)
}

// limit is how much the output buffer gathers: plaintext of one record in front
// of TLS, so that it becomes one record.
func (c *Conn) limit() int {
	switch {
	case c.own != nil:
		return min(len(c.out.b)-recordTail, recordHead+record)
	case c.tls != nil:
		return min(len(c.out.b), record)
	}
	return len(c.out.b)
}

// ensureOut takes an output buffer. Below TLS it grows with what comes, so that
// several records leave in one call.
func (c *Conn) ensureOut(n int) {
	if c.out == nil {
		c.out, c.n, c.sent = take(classRead), 0, 0
		if c.own != nil {
			c.n, c.sent = recordHead, recordHead // the record is made in place
		}
	}
	if !c.below || c.n+n <= len(c.out.b) || c.n+n > sizeMax {
		return
	}
	big := take(classFor(c.n+n, classBulk))
	copy(big.b, c.out.b[:c.n])
	give(c.out)
	c.out = big
}

// Flush sends what was gathered and waits until the kernel has taken it.
func (c *Conn) Flush() error {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	if c.under != nil {
		if err := c.encrypt(); err != nil {
			return err
		}
		return c.under.Flush()
	}
	if c.werr != nil {
		return c.werr
	}
	return c.send()
}

// send writes everything pending; wmu is held.
func (c *Conn) send() error {
	if c.pending() == 0 {
		return nil
	}
	var err error
	if c.rc == nil {
		err = c.sendSlow()
	} else {
		for again := true; again; {
			c.werrno, again = 0, false
			err = c.rc.Write(c.writeFn)
			switch {
			case err != nil:
			case c.wlate:
				c.wlate, again = false, true
				lateNews()
			case c.werrno != 0:
				err = c.opError("write", c.werrno)
			}
		}
	}
	c.drop()
	if err != nil && c.werr == nil {
		c.werr = err
	}
	return err
}

// Taken is how many bytes the system has accepted so far, encrypted ones where
// the connection is TLS. What was not taken has certainly not reached the peer.
func (c *Conn) Taken() uint64 {
	if c.under != nil {
		return c.under.Taken()
	}
	c.wmu.Lock()
	defer c.wmu.Unlock()
	return c.taken
}

func (c *Conn) pending() int { return c.n - c.sent + len(c.tail) }

// drop gives the output buffer back.
func (c *Conn) drop() {
	give(c.out)
	c.out, c.n, c.sent = nil, 0, 0
}

// onWritable runs inside the netpoller's write lock.
func (c *Conn) onWritable(fd uintptr) bool {
	for c.pending() > 0 {
		e := c.step(fd)
		if e == syscall.EAGAIN {
			return c.wlate
		}
		if e != 0 {
			c.werrno = e
			return true
		}
	}
	return true
}

// step makes one write call.
func (c *Conn) step(fd uintptr) syscall.Errno {
	var head []byte
	if c.out != nil {
		head = c.out.b[c.sent:c.n]
	}
	n, e := c.writev(fd, head)
	if e != 0 {
		return e
	}
	c.countWritten(n)
	c.taken += uint64(n)
	m := min(n, len(head))
	c.sent += m
	c.tail = c.tail[n-m:]
	return 0
}

func (c *Conn) writev(fd uintptr, head []byte) (int, syscall.Errno) {
	if f := faults.Load(); f != nil {
		return f.write(fd, &c.iov, head, c.tail, &c.wlate)
	}
	return sysWrite(fd, &c.iov, head, c.tail)
}

// flushNow sends pending output from within Fill, as far as the kernel takes it
// at once. When somebody else is writing, they flush.
func (c *Conn) flushNow(fd uintptr) (wrote, stalled bool) {
	if c.duplex.Load() || !c.wmu.TryLock() {
		return false, false
	}
	defer c.wmu.Unlock()
	if c.pending() == 0 || c.werr != nil {
		return false, false
	}
	for c.pending() > 0 {
		e := c.step(fd)
		if e == syscall.EAGAIN {
			c.wlate = false
			return true, true
		}
		if e != 0 {
			// The peer may have answered before it refused our bytes: the
			// read that follows finds out.
			c.werr = c.opError("write", e)
			break
		}
	}
	wrote = c.werr == nil
	c.drop()
	return wrote, false
}

// sendLast is the last attempt to send, when closing; it does not wait.
func (c *Conn) sendLast() {
	if c.pending() == 0 || c.werr != nil {
		return
	}
	if c.rc == nil {
		_ = c.nc.SetWriteDeadline(time.Now().Add(closeWait))
		_ = c.sendSlow()
		return
	}
	_ = c.rc.Control(func(fd uintptr) {
		for c.pending() > 0 && c.step(fd) == 0 {
		}
	})
}

func (c *Conn) sendSlow() error {
	if c.out != nil && c.n > c.sent {
		n, err := c.nc.Write(c.out.b[c.sent:c.n])
		c.countWritten(n)
		c.taken += uint64(n)
		if err != nil {
			return err
		}
		c.sent = c.n
	}
	if len(c.tail) > 0 {
		n, err := c.nc.Write(c.tail)
		c.countWritten(n)
		c.taken += uint64(n)
		c.tail = c.tail[n:]
		return err
	}
	return nil
}

// broken tells errors of a peer that does not take bytes any more, behind which
// there may still be an answer to read.
func broken(err error) bool {
	return errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, io.ErrClosedPipe)
}
