package h2

import (
	"github.com/weftmesh/weft/proxy/http"
)

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
	limit, full := c.o.MaxHead, fresh != nil && !c.admits()
	if full {
		limit = 0 // it is decoded for HPACK's state, and not kept
	}
	c.head.reset(mem, limit)
	err := c.codec.decode(&c.head, block)
	if full {
		fresh.mem.clear()
		c.head.full = true
	}
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
	c.calm.opened()
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
	if c.head.full {
		return c.decline(id, CodeRefusedStream)
	}
	if c.head.large {
		return c.answerTooLarge(s, end)
	}
	if why := c.head.request(&s.req); why != "" {
		return c.refuse(id, CodeProtocol)
	}
	if s.req.Major == http.Bytes && !c.o.Bytes {
		return c.refuse(id, CodeProtocol)
	}
	n, ok := contentLength(s.req.Fields)
	if !ok || (end && n > 0) {
		return c.refuse(id, CodeProtocol)
	}
	s.used, s.expect, s.remoteEnd = true, n, end
	s.head, s.connect = string(s.req.Method) == "HEAD", string(s.req.Method) == "CONNECT"
	s.bytes = s.req.Major == http.Bytes
	c.count.begin(&c.o, s.req.Major)
	c.open.put(s)
	s.weigh(streamWeight + headWeight(c.head.size))
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
		if s.interim++; end || s.interim > endlessInformational {
			return c.streamError(s, CodeProtocol, "informational response ends the stream, or too many of them")
		}
		if s.kept += c.head.size; len(s.heads) >= maxInformational || s.kept > keepInformational {
			s.kept -= c.head.size
			c.head.drop() // whoever reads is slow
			return nil
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
	s.weigh(headWeight(c.head.size))
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
	s.weigh(headWeight(c.head.size))
	return c.remoteEnded(s)
}
