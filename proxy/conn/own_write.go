package conn

import (
	"net"
)

// sealOut makes a record of what was gathered, in place, and gives its buffer to
// the connection below; wmu is held.
func (c *Conn) sealOut() error {
	if c.werr != nil {
		return c.werr
	}
	n := c.pending()
	if n == 0 {
		return nil
	}
	u := c.under
	u.wmu.Lock()
	defer u.wmu.Unlock()
	if err := c.freshKeys(); err != nil {
		return err
	}
	total := c.own.out.seal(c.out.b, n, typeApplication)
	c.countWritten(n)
	if u.out == nil && u.werr == nil {
		u.out, u.sent, u.n = c.out, 0, total
		c.out, c.sent, c.n = nil, 0, 0
		return nil
	}
	_, err := u.write(c.out.b[:total])
	c.drop()
	c.werr = err
	return err
}

// freshKeys replaces the sending key where that is due; wmu is held, here and
// below.
func (c *Conn) freshKeys() error {
	o := c.own
	if o.out.seq < o.out.limit && !o.owes.Load() {
		return nil
	}
	o.owes.Store(false)
	const size = 5 // msg_type, length, update_not_requested
	b := make([]byte, recordHead+size+recordTail)
	copy(b[recordHead:], []byte{msgKeyUpdate, 0, 0, 1, 0})
	o.out.seal(b, size, typeHandshake)
	_, err := c.under.write(b)
	if err == nil {
		err = o.out.update()
	}
	c.werr = err
	return err
}

// sealAll makes records of p in the output of the connection below, which sends
// whatever fills a buffer. mine says that p, and one byte behind it if it has
// room for that, may be written to meanwhile; wmu is held.
func (c *Conn) sealAll(p []byte, mine bool) (done int, err error) {
	u := c.under
	u.wmu.Lock()
	defer u.wmu.Unlock()
	for len(p) > 0 {
		if u.werr != nil {
			c.werr = u.werr
			return done, c.werr
		}
		if err := c.freshKeys(); err != nil {
			return done, err
		}
		n := min(len(p), record)
		if u.out != nil && len(u.out.b)-u.n < recordHead+n+recordTail {
			if c.werr = u.send(); c.werr != nil {
				return done, c.werr
			}
		}
		if u.out == nil {
			all := len(p) + (len(p)+record-1)/record*(recordHead+recordTail)
			u.out, u.n, u.sent = takeMost(classFor(all, classRead)), 0, 0
		}
		to := u.out.b[u.n:]
		if mine && cap(p) > n {
			u.n += c.own.out.sealFrom(to, p[:n])
		} else {
			copy(to[recordHead:], p[:n])
			u.n += c.own.out.seal(to, n, typeApplication)
		}
		c.countWritten(n)
		done += n
		p = p[n:]
	}
	return done, nil
}

// endOwn flushes and sends close_notify.
func (c *Conn) endOwn() error {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	if err := c.sealOut(); err != nil {
		return err
	}
	if !c.own.ended {
		if err := c.under.Flush(); err != nil {
			return err
		}
		c.alert(alertCloseNotify)
	}
	return c.under.Flush()
}

// closeOwn sends what is pending and close_notify as far as the kernel takes it
// at once, and closes.
func (c *Conn) closeOwn() error {
	if c.wmu.TryLock() {
		if c.under.wmu.TryLock() {
			c.under.sendLast()
			quiet := c.under.pending() == 0
			if quiet {
				c.under.drop()
			}
			c.under.wmu.Unlock()
			if quiet {
				_ = c.sealOut()
				c.alert(alertCloseNotify)
			}
		}
		c.drop()
		if c.werr == nil {
			c.werr = net.ErrClosed
		}
		c.wmu.Unlock()
	}
	return c.under.Close()
}
