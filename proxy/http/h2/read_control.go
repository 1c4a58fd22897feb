package h2

func (c *mux) onReset(h frameHeader, code Code) *ConnError {
	s := c.open.get(h.stream)
	if s == nil {
		if c.isIdle(h.stream) {
			return connErr(CodeProtocol, "RST_STREAM on an idle stream")
		}
		return c.calm.wastedFrame()
	}
	s.fail(&StreamError{Code: code, Remote: true, Unprocessed: c.client && code == CodeRefusedStream && !s.headRead})
	c.remove(s)
	if !c.client && !s.headSent {
		return c.calm.wastedStream()
	}
	return nil
}

func (c *mux) onSettings(h frameHeader, p []byte) *ConnError {
	if h.has(flagAck) {
		c.settled()
		return nil
	}
	old := c.peer
	if !c.greeted {
		// Without the setting there is no limit.
		c.peer.maxStreams = 1<<32 - 1
	} else if err := c.calm.wastedFrame(); err != nil {
		return err
	}
	if err := c.peer.apply(p, c.client); err != nil {
		return err
	}
	if c.peer.tableSize != old.tableSize {
		c.codec.setMax(c.peer.tableSize)
	}
	if d := int64(c.peer.window) - int64(old.window); d != 0 {
		if err := c.changeWindows(d); err != nil {
			return err
		}
	}
	if !c.greeted {
		c.greeted = true
		close(c.ready)
	}
	c.out = appendHeader(c.out, 0, frameSettings, flagAck, 0)
	return c.reply(frameHeaderLen)
}

func (c *mux) onPing(h frameHeader, data [8]byte) *ConnError {
	if h.has(flagAck) {
		if data == drainPing {
			c.sayLast()
		}
		return nil
	}
	if err := c.calm.wastedFrame(); err != nil {
		return err
	}
	c.room(controlFrame)
	c.out = appendPing(c.out, flagAck, data)
	return c.reply(frameHeaderLen + 8)
}

func (c *mux) onGoAway(last uint32, code Code, debug string) *ConnError {
	if !c.client {
		// The client opens no more; what it has opened is still answered.
		if code != CodeNo {
			return &ConnError{Code: code, Remote: true, Reason: debug}
		}
		return c.calm.wastedFrame()
	}
	c.peerAway = true
	c.open.each(func(s *Stream) {
		if s.id > last {
			s.fail(&StreamError{Code: CodeRefusedStream, Remote: true, Unprocessed: true, Reason: "the peer is going away: " + code.String()})
			c.remove(s)
		}
	})
	if code != CodeNo && c.open.n == 0 {
		return &ConnError{Code: code, Remote: true, Reason: debug}
	}
	c.finishIfIdle()
	return c.calm.wastedFrame()
}

// remove takes an ended stream out of the table. mu is held.
func (c *mux) remove(s *Stream) {
	if c.open.take(s) && c.open.n == 0 {
		if !c.flushing && len(c.out) == 0 {
			c.rested()
		}
		c.finishIfIdle()
	}
}

// refuse resets a stream that never came to be. mu is held.
func (c *mux) refuse(id uint32, code Code) *ConnError {
	if err := c.decline(id, code); err != nil {
		return err
	}
	return c.calm.wastedStream()
}

// decline is refuse where it is no fault of the peer. mu is held.
func (c *mux) decline(id uint32, code Code) *ConnError {
	c.resets.add(id)
	c.out = appendReset(c.out, id, code)
	return c.reply(frameHeaderLen + 4)
}

// streamError resets a stream for a fault of the peer. mu is held.
func (c *mux) streamError(s *Stream, code Code, reason string) *ConnError {
	c.resets.add(s.id)
	c.out = appendReset(c.out, s.id, code)
	s.fail(&StreamError{Code: code, Reason: reason})
	c.remove(s)
	if err := c.reply(frameHeaderLen + 4); err != nil {
		return err
	}
	return c.calm.wastedStream()
}
