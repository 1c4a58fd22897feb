package h2

import (
	"encoding/binary"
)

// batch is how much is handled while other goroutines wait for the connection,
// in bytes.
const batch = 32 << 10

// readAll handles frames until the connection is over.
func (c *mux) readAll() error {
	if !c.client {
		if err := c.readPreface(); err != nil {
			return err
		}
	}
	for {
		for b := c.t.Buffered(); ; {
			used, more, err := c.readBatch(b)
			if err != nil {
				return err
			}
			if used < 0 {
				return nil
			}
			c.t.Discard(used)
			if b = b[used:]; !more {
				break
			}
		}
		if err := c.t.Fill(); err != nil {
			return err
		}
	}
}

// readBatch handles the frames at the start of b and says how long they are
// together: -1 when the connection has ended meanwhile. more says that b may
// hold further ones.
func (c *mux) readBatch(b []byte) (used int, more bool, err error) {
	if len(b) < frameHeaderLen {
		return 0, false, nil
	}
	c.mu.Lock()
	defer c.unlock()
	c.gauge()
	defer func() { c.count.received(used) }()
	for used < batch && len(b)-used >= frameHeaderLen {
		if c.ended {
			return -1, false, nil
		}
		h := parseHeader(b[used:])
		if err := h.check(minFrameSize); err != nil {
			return 0, false, err
		}
		n := frameHeaderLen + int(h.length)
		if len(b)-used < n {
			return used, false, nil
		}
		c.frames++
		if err := c.handle(h, b[used+frameHeaderLen:used+n]); err != nil {
			return 0, false, err
		}
		used += n
	}
	if c.ended {
		return -1, false, nil
	}
	return used, len(b)-used >= frameHeaderLen, nil
}

func (c *mux) readPreface() error {
	for {
		b := c.t.Buffered()
		n := min(len(b), len(preface))
		if string(b[:n]) != preface[:n] {
			return connErr(CodeProtocol, "no HTTP/2 preface")
		}
		if n == len(preface) {
			c.t.Discard(n)
			return nil
		}
		if err := c.t.Fill(); err != nil {
			return err
		}
	}
}

// handle dispatches one frame; mu is held.
func (c *mux) handle(h frameHeader, p []byte) *ConnError {
	if c.cont.stream != 0 && (h.typ != frameContinuation || h.stream != c.cont.stream) {
		return connErr(CodeProtocol, "head is interrupted by another frame")
	}
	if !c.greeted && (h.typ != frameSettings || h.has(flagAck)) {
		return connErr(CodeProtocol, "first frame is not SETTINGS")
	}
	switch h.typ {
	case frameData:
		return c.onData(h, p)
	case frameHeaders:
		block, err := h.headersPayload(p)
		if err != nil {
			return err
		}
		if !h.has(flagEndHeaders) {
			c.cont = h
			c.block = append(c.block[:0], block...)
			return nil
		}
		return c.onHead(h, block)
	case frameContinuation:
		return c.onContinuation(h, p)
	case frameReset:
		return c.onReset(h, Code(binary.BigEndian.Uint32(p)))
	case frameSettings:
		return c.onSettings(h, p)
	case framePing:
		return c.onPing(h, [8]byte(p))
	case frameGoAway:
		return c.onGoAway(binary.BigEndian.Uint32(p)&maxWindow, Code(binary.BigEndian.Uint32(p[4:])), string(p[8:min(len(p), 8+256)]))
	case frameWindowUpdate:
		return c.windowUpdate(h.stream, binary.BigEndian.Uint32(p)&maxWindow)
	}
	// PRIORITY is deprecated and unknown types are extensions: both are ignored.
	return c.calm.wastedFrame()
}

// isIdle says whether nobody has opened the stream yet. mu is held.
func (c *mux) isIdle(id uint32) bool {
	if own := id%2 == c.nextOwn%2; own {
		return id >= c.nextOwn
	}
	return id > c.lastPeer
}

// ignored says whether frames of a stream that is not in the table are no
// fault of the peer. A server may be late to hear that any of our streams was
// reset, however many were. mu is held.
func (c *mux) ignored(id uint32) bool {
	return c.client || id > c.goAway || c.resets.has(id)
}

func (c *mux) onData(h frameHeader, p []byte) *ConnError {
	if c.recvAvail -= int64(h.length); c.recvAvail < 0 {
		return connErr(CodeFlowControl, "connection window exceeded")
	}
	c.unacked += int64(h.length)
	defer c.giveConn() // after what is kept of the frame was counted
	data, err := h.unpad(p)
	if err != nil {
		return err
	}
	if end := h.has(flagEndStream); len(data) > 0 || end {
		c.calm.useful(1)
	} else if err := c.calm.wastedFrame(); err != nil {
		return err
	}
	s := c.open.get(h.stream)
	switch {
	case s == nil && c.isIdle(h.stream):
		return connErr(CodeProtocol, "DATA on an idle stream")
	case s == nil && c.ignored(h.stream):
		return nil
	case s == nil:
		return c.refuse(h.stream, CodeStreamClosed)
	case s.remoteEnd:
		return c.streamError(s, CodeStreamClosed, "DATA after the end")
	case c.client && !s.headRead:
		return c.streamError(s, CodeProtocol, "DATA before the head")
	}
	if s.bytes {
		c.count.in += frameHeaderLen + int(h.length)
	}
	if s.recv -= int32(h.length); h.length > 0 && s.exceeded() {
		return c.streamError(s, CodeFlowControl, "stream window exceeded")
	}
	s.got += int64(len(data))
	if s.expect >= 0 && s.got > s.expect {
		return c.streamError(s, CodeProtocol, "body is longer than content-length")
	}
	if len(data) > 0 {
		if s.in.size == 0 {
			c.squeeze.holders++
		}
		s.in.add(data)
		c.hold(len(data))
	}
	if h.has(flagEndStream) {
		return c.remoteEnded(s)
	}
	if pad := int(h.length) - len(data); pad > 0 {
		s.giveBack(pad)
	}
	s.wakeRead()
	return nil
}

// remoteEnded notes END_STREAM. mu is held.
func (c *mux) remoteEnded(s *Stream) *ConnError {
	if s.expect >= 0 && s.got != s.expect {
		return c.streamError(s, CodeProtocol, "body is shorter than content-length")
	}
	s.remoteEnd = true
	s.wakeRead()
	if s.localEnd {
		c.remove(s)
	}
	return nil
}
