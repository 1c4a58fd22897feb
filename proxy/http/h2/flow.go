package h2

// windowUpdate adds to the windows that the peer gives us. mu is held.
func (c *mux) windowUpdate(id, n uint32) *ConnError {
	if err := c.calm.updated(); err != nil {
		return err
	}
	if id == 0 {
		if n == 0 {
			return connErr(CodeProtocol, "WINDOW_UPDATE of 0")
		}
		if c.sendAvail += int64(n); c.sendAvail > maxWindow {
			return connErr(CodeFlowControl, "connection window exceeds 2^31-1")
		}
		if c.sendAvail > 0 {
			c.credit.next()
		}
		return nil
	}
	s := c.open.get(id)
	if s == nil {
		if c.isIdle(id) {
			return connErr(CodeProtocol, "WINDOW_UPDATE for an idle stream")
		}
		return nil
	}
	if n == 0 {
		return c.streamError(s, CodeProtocol, "WINDOW_UPDATE of 0")
	}
	if s.send += int64(n); s.send > maxWindow {
		return c.streamError(s, CodeFlowControl, "stream window exceeds 2^31-1")
	}
	s.wakeWrite()
	return nil
}

// changeWindows applies a new SETTINGS_INITIAL_WINDOW_SIZE to open streams. mu
// is held.
func (c *mux) changeWindows(delta int64) *ConnError {
	over := false
	c.open.each(func(s *Stream) {
		s.send += delta
		over = over || s.send > maxWindow
		if delta > 0 {
			s.wakeWrite()
		}
	})
	if over {
		return connErr(CodeFlowControl, "SETTINGS_INITIAL_WINDOW_SIZE exceeds a stream's window")
	}
	return nil
}
