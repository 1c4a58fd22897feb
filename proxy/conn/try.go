package conn

import "syscall"

// TryFlush is Flush as far as the system takes it at once: it never waits for
// the peer. done is false where something is left, which Flush then sends.
func (c *Conn) TryFlush() (done bool, err error) {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	if c.under != nil {
		if err := c.encrypt(); err != nil {
			return false, err
		}
		return c.under.TryFlush()
	}
	switch {
	case c.werr != nil:
		return false, c.werr
	case c.pending() == 0:
		return true, nil
	case c.rc == nil:
		return false, nil
	}
	if c.tryFn == nil {
		c.tryFn = c.onTry
	}
	c.werrno = 0
	if err = c.rc.Write(c.tryFn); err == nil && c.werrno != 0 {
		err = c.opError("write", c.werrno)
	}
	if err == nil && c.pending() > 0 {
		return false, nil
	}
	c.drop()
	c.werr = err
	return err == nil, err
}

// onTry runs inside the netpoller's write lock, and does not wait there.
func (c *Conn) onTry(fd uintptr) bool {
	for c.pending() > 0 {
		if e := c.step(fd); e == syscall.EAGAIN {
			c.wlate = false // whoever waits next finds out
			break
		} else if e != 0 {
			c.werrno = e
			break
		}
	}
	return true
}
