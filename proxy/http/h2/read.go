package h2

import (
	"encoding/binary"

	"github.com/weftmesh/weft/proxy/http"
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
	if s.recv -= int32(h.length); s.recv < 0 {
		return c.streamError(s, CodeFlowControl, "stream window exceeded")
	}
	s.got += int64(len(data))
	if s.expect >= 0 && s.got > s.expect {
		return c.streamError(s, CodeProtocol, "body is longer than content-length")
	}
	if len(data) > 0 {
		s.in.add(data)
		c.buffered += len(data)
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

func (c *mux) onContinuation(h frameHeader, p []byte) *ConnError {
	if c.cont.stream == 0 {
		return connErr(CodeProtocol, "CONTINUATION without HEADERS")
	}
	if len(p) == 0 {
		if err := c.calm.wastedFrame(); err != nil {
			return err
		}
	}
	if len(c.block)+len(p) > blockLimit {
		return connErr(CodeEnhanceYourCalm, "head is too large")
	}
	c.block = append(c.block, p...)
	if !h.has(flagEndHeaders) {
		return nil
	}
	first := c.cont
	c.cont = frameHeader{}
	err := c.onHead(first, c.block)
	c.block = nil
	return err
}

// onHead handles a complete header block.
func (c *mux) onHead(h frameHeader, block []byte) *ConnError {
	s := c.open.get(h.stream)
	var fresh *Stream
	mem := &c.lost
	switch {
	case s != nil:
		mem = &s.mem
	case !c.client:
		fresh = c.takeStream(h.stream)
		mem = &fresh.mem
	}
	c.head.reset(mem, c.o.MaxHead)
	err := c.codec.decode(&c.head, block)
	if err == nil {
		err = c.onDecoded(h, s, fresh)
	}
	c.head.mem = nil
	c.lost.clear()
	if fresh != nil && !fresh.used {
		fresh.recycle()
	}
	return err
}

// onDecoded handles the head in c.head, which came for s; where there is no such
// stream, fresh may become one. mu is held.
func (c *mux) onDecoded(h frameHeader, s, fresh *Stream) *ConnError {
	c.calm.useful(1)
	end := h.has(flagEndStream)
	switch {
	case s != nil && s.remoteEnd:
		return c.streamError(s, CodeStreamClosed, "HEADERS after the end")
	case s != nil && (!c.client || s.headRead):
		return c.onTrailers(s, end)
	case s != nil:
		return c.onResponse(s, end)
	case !c.isIdle(h.stream):
		if c.ignored(h.stream) {
			return nil
		}
		return connErr(CodeStreamClosed, "HEADERS on a closed stream")
	case c.client:
		return connErr(CodeProtocol, "HEADERS on an idle stream")
	case h.stream%2 == 0:
		return connErr(CodeProtocol, "client opened an even stream")
	}
	return c.onRequest(fresh, end)
}

// onRequest opens a stream of the client's.
func (c *mux) onRequest(s *Stream, end bool) *ConnError {
	id := s.id
	c.lastPeer = id
	if id > c.goAway {
		return nil
	}
	if c.open.n >= int(c.o.MaxStreams) || c.handlers >= 2*int(c.o.MaxStreams) {
		return c.refuse(id, CodeRefusedStream)
	}
	if c.head.large {
		return c.answerTooLarge(s, end)
	}
	if why := c.head.request(&s.req); why != "" {
		return c.refuse(id, CodeProtocol)
	}
	n, ok := contentLength(s.req.Fields)
	if !ok || (end && n > 0) {
		return c.refuse(id, CodeProtocol)
	}
	s.used, s.expect, s.remoteEnd = true, n, end
	s.head, s.connect = string(s.req.Method) == "HEAD", string(s.req.Method) == "CONNECT"
	c.open.put(s)
	c.dispatch(s)
	return nil
}

// answerTooLarge answers a request whose head exceeds the limit (RFC 9113,
// section 10.5.1). mu is held.
func (c *mux) answerTooLarge(s *Stream, end bool) *ConnError {
	c.open.put(s)
	s.remoteEnd, s.headSent = end, true
	at := c.beginHead()
	c.out = c.codec.appendResponse(c.out, &http.Response{Status: 431})
	c.endHead(at, s.id, true)
	s.ended()
	s.reset(CodeNo, "head is too large")
	c.kick(false)
	return c.calm.wastedStream()
}

// onResponse stores a head of the response.
func (c *mux) onResponse(s *Stream, end bool) *ConnError {
	var r http.Response
	why := c.head.response(&r)
	if c.head.large {
		return c.streamError(s, CodeEnhanceYourCalm, "head is too large")
	}
	if why != "" {
		return c.streamError(s, CodeProtocol, why)
	}
	if r.Status < 200 {
		if end || len(s.heads) >= maxInformational {
			return c.streamError(s, CodeProtocol, "informational response ends the stream, or too many of them")
		}
		s.heads = append(s.heads, r)
		s.wakeRead()
		return nil
	}
	n, ok := contentLength(r.Fields)
	if !ok {
		return c.streamError(s, CodeProtocol, "invalid content-length")
	}
	if s.head || r.Status == 304 || r.Status == 204 || (s.connect && r.Status < 300) {
		// content-length says nothing about the frames that follow.
		if n = -1; s.head || r.Status == 304 || r.Status == 204 {
			n = 0
		}
	}
	s.expect, s.headRead = n, true
	s.heads = append(s.heads, r)
	s.wakeRead()
	c.calm.answered(1)
	if end {
		return c.remoteEnded(s)
	}
	return nil
}

func (c *mux) onTrailers(s *Stream, end bool) *ConnError {
	why := c.head.trailers()
	switch {
	case !end:
		why = "second head does not end the stream"
	case c.head.large:
		return c.streamError(s, CodeEnhanceYourCalm, "trailers are too large")
	}
	if why != "" {
		return c.streamError(s, CodeProtocol, why)
	}
	s.trailers = c.head.fields()
	return c.remoteEnded(s)
}

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
	c.resets.add(id)
	c.out = appendReset(c.out, id, code)
	if err := c.reply(frameHeaderLen + 4); err != nil {
		return err
	}
	return c.calm.wastedStream()
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
