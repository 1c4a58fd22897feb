package conn

import (
	"io"
	"syscall"
)

// Each calls f whenever bytes are buffered, until f fails or the input ends,
// which is io.EOF. f discards all that Buffered gives. The connection is
// duplex, and nobody else reads meanwhile.
//
// It is Fill in a loop, but for one thing: where the kernel tells that a read
// has emptied the socket, the next one waits for the netpoller at once. That is
// half of all reads where messages are small. It needs one stay inside the
// netpoller's callback, since Fill forgets readiness that was told before it.
func (c *Conn) Each(f func() error) error {
	raw := c
	if c.own != nil {
		raw = c.under
	}
	if raw.rc == nil || c.tls != nil {
		return c.eachSlow(f)
	}
	p := &pump{c: c, raw: raw, f: f}
	p.tells = raw.askInq()
	for {
		if err := p.deliver(); err != nil {
			return err
		}
		if err := raw.rc.Read(p.readable); err != nil {
			c.Release()
			return err
		}
		if raw.late {
			raw.late = false
			lateNews()
			continue
		}
		if p.err != nil {
			c.Release()
			return p.err
		}
	}
}

func (c *Conn) eachSlow(f func() error) error {
	for {
		if len(c.Buffered()) == 0 {
			if err := c.Fill(); err != nil {
				return err
			}
		}
		if err := f(); err != nil {
			return err
		}
	}
}

// pump is one Each.
type pump struct {
	c, raw *Conn
	f      func() error
	tells  bool // the kernel tells what is left
	err    error
	ctl    control
}

// deliver hands over what is at hand, and makes room for what comes next.
func (p *pump) deliver() error {
	c := p.c
	for {
		if len(c.Buffered()) > 0 {
			if err := p.f(); err != nil {
				return err
			}
		}
		if c.own == nil {
			return nil
		}
		if c.inErr != nil {
			return c.inErr
		}
		n, err := c.open()
		c.inErr = err
		if n == 0 && err == nil {
			p.raw.roomForRecord()
			return nil
		}
	}
}

// readable runs inside the netpoller's read lock, as onReadable does, and
// delivers there.
func (p *pump) readable(fd uintptr) bool {
	r := p.raw
	for {
		if r.r == r.w {
			r.r, r.w = 0, 0
			if r.in == nil || r.in.class < r.want {
				give(r.in)
				r.in = takeMost(r.want)
			}
		}
		n, left, e := r.readInq(fd, r.in.b[r.w:r.inEnd()], p)
		if e == syscall.EAGAIN {
			p.c.Release()
			return r.late
		}
		switch {
		case e != 0:
			p.err = r.opError("read", e)
			return true
		case n <= 0:
			p.err = io.EOF
			if p.c.own != nil {
				p.err = io.ErrUnexpectedEOF
			}
			return true
		}
		r.took(n)
		if p.err = p.deliver(); p.err != nil {
			return true
		}
		if left == 0 {
			p.c.Release()
			return false
		}
	}
}

// readInq is read, and how much is left in the socket, the end counting as one
// byte; -1 where that is not known.
func (c *Conn) readInq(fd uintptr, b []byte, p *pump) (n, left int, e syscall.Errno) {
	if !p.tells || faults.Load() != nil {
		n, e = c.read(fd, b)
		return n, -1, e
	}
	return sysReadInq(fd, b, &p.ctl)
}
