package conn

import (
	"io"
	"syscall"
)

// Buffered returns the bytes that were read and not yet discarded.
func (c *Conn) Buffered() []byte {
	if c.in == nil {
		return nil
	}
	return c.in.b[c.r:c.w]
}

// Discard drops the first n bytes of Buffered; their views stay valid until
// the next Fill, Read or Release.
func (c *Conn) Discard(n int) {
	if n < 0 || n > c.w-c.r {
		panic("conn: discard of bytes that are not buffered")
	}
	c.r += n
}

// Release gives an empty input buffer back. Fill does so before it waits; call
// it when a connection is put aside, as into a pool.
func (c *Conn) Release() {
	if c.in != nil && c.r == c.w {
		give(c.in)
		c.in, c.r, c.w = nil, 0, 0
	}
	if c.under != nil {
		c.under.Release()
	}
}

// Free gives all buffers back, with what they hold. The connection is closed,
// and nobody reads or writes any more.
func (c *Conn) Free() {
	c.wmu.Lock()
	c.drop()
	c.wmu.Unlock()
	give(c.in)
	c.in, c.r, c.w = nil, 0, 0
	if c.under != nil {
		c.under.Free()
	}
}

// Read implements net.Conn.
func (c *Conn) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if c.r == c.w {
		if err := c.Fill(); err != nil {
			return 0, err
		}
	}
	n := copy(p, c.in.b[c.r:c.w])
	c.r += n
	return n, nil
}

// Fill blocks until at least one new byte is buffered. Pending writes are
// flushed before it waits. The end of the stream is io.EOF; a TLS stream that
// ends without close_notify is io.ErrUnexpectedEOF.
func (c *Conn) Fill() error { return c.fill(false) }

// FillReply is Fill for the moment after a request was written to a peer that
// does not speak first: it does not try to read before it waits. Without
// pending output it is Fill.
func (c *Conn) FillReply() error { return c.fill(true) }

func (c *Conn) fill(skip bool) error {
	switch {
	case c.own != nil:
		return c.fillOwn(skip)
	case c.tls != nil:
		return c.fillTLS(skip)
	case c.rc == nil:
		return c.fillSlow()
	}
	if err := c.room(1); err != nil {
		return err
	}
	for {
		c.first, c.skip, c.stalled, c.rn, c.rerrno = true, skip, false, 0, 0
		err := c.rc.Read(c.readFn)
		switch {
		case err != nil:
			c.Release()
			return err
		case c.stalled:
			if err := c.Flush(); err != nil && !broken(err) {
				return err
			}
			continue
		case c.late:
			c.late = false
			lateNews()
			continue
		case c.rerrno != 0:
			return c.opError("read", c.rerrno)
		case c.rn == 0:
			return c.endOfInput()
		}
		return nil
	}
}

// endOfInput prefers the reason that the writing side has met: a peer that
// refused our bytes and one that closed in peace both end in zero bytes.
func (c *Conn) endOfInput() error {
	if c.duplex.Load() {
		return io.EOF
	}
	c.wmu.Lock()
	defer c.wmu.Unlock()
	if c.werr != nil {
		return c.werr
	}
	return io.EOF
}

// onReadable runs inside the netpoller's read lock: at once, and then at each
// readiness until it returns true.
func (c *Conn) onReadable(fd uintptr) bool {
	if c.first {
		c.first = false
		wrote, stalled := c.flushNow(fd)
		if stalled {
			c.stalled = true
			return true
		}
		if wrote && c.skip {
			c.Release()
			return false
		}
	}
	if c.r == c.w {
		c.r, c.w = 0, 0
		if c.in == nil || c.in.class < c.want {
			give(c.in)
			c.in = takeMost(c.want)
		}
	}
	n, e := c.read(fd, c.in.b[c.w:c.inEnd()])
	if e == syscall.EAGAIN {
		c.Release()
		return c.late
	}
	if e != 0 || n <= 0 {
		c.Release()
		c.rn, c.rerrno = 0, e
		return true
	}
	c.rn = n
	c.took(n)
	return true
}

func (c *Conn) read(fd uintptr, p []byte) (int, syscall.Errno) {
	if f := faults.Load(); f != nil {
		return f.read(fd, p, &c.late)
	}
	return sysRead(fd, p)
}

// inEnd is where the input buffer ends for a read.
func (c *Conn) inEnd() int {
	if c.in.class == classHuge && !c.below {
		return max(readMost, c.w+1)
	}
	return len(c.in.b)
}

// took accounts for n new bytes, and fits the buffers to the traffic: short
// input moves to a small buffer, input that fills its buffer asks for more.
func (c *Conn) took(n int) {
	whole := c.w == 0
	c.w += n
	c.countRead(n)
	switch {
	case c.w == c.inEnd() && c.want < classHuge:
		c.want = max(c.want, min(c.in.class+1, classHuge))
	case n < len(c.in.b)/4 && c.want > classRead:
		c.want--
	}
	if whole {
		c.shrink()
	}
}

func (c *Conn) shrink() {
	if c.in.class != classSmall && c.w <= sizeSmall/2 {
		small := take(classSmall)
		copy(small.b, c.in.b[:c.w])
		give(c.in)
		c.in = small
	}
}

// room makes space for min more bytes behind those that are unread. An empty
// buffer is left to the moment when bytes have arrived.
func (c *Conn) room(min int) error {
	if c.r == c.w {
		return nil
	}
	held := c.w - c.r
	if held >= MaxBuffered {
		return ErrBufferFull
	}
	if len(c.in.b)-c.w >= min {
		return nil
	}
	if c.r > 0 && len(c.in.b)-held >= max(min, len(c.in.b)/2) {
		copy(c.in.b, c.in.b[c.r:c.w])
	} else {
		big := take(classFor(held+max(min, held), c.in.class))
		copy(big.b, c.in.b[c.r:c.w])
		give(c.in)
		c.in = big
	}
	c.r, c.w = 0, held
	return nil
}

// fillSlow reads from a transport that has no descriptor.
func (c *Conn) fillSlow() error {
	if !c.duplex.Load() {
		if err := c.Flush(); err != nil && !broken(err) {
			return err
		}
	}
	if err := c.room(1); err != nil {
		return err
	}
	if c.r == c.w {
		c.Release()
		c.in = takeMost(c.want)
	}
	n, err := c.nc.Read(c.in.b[c.w:c.inEnd()])
	if n > 0 {
		c.took(n)
		return nil
	}
	c.Release()
	if err == nil {
		err = io.ErrNoProgress
	}
	return err
}
