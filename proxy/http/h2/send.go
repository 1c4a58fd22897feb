package h2

import "github.com/weftmesh/weft/proxy/http"

// WriteHead sends a response's head: any number with status 1xx, then the final
// one, with which end may end the stream. For the server's side.
func (s *Stream) WriteHead(r *http.Response, end bool) error {
	s.c.mu.Lock()
	defer s.c.unlock()
	return s.writeHead(r, end, r.Status < 200)
}

// WriteResponse is WriteHead for the final head, Write for the body and, with
// trailers or end, the end of the stream: one batch for the peer. n is how much
// of the body was queued before an error.
func (s *Stream) WriteResponse(r *http.Response, body []byte, trailers []http.Field, end bool) (n int, err error) {
	s.c.mu.Lock()
	defer s.c.unlock()
	if r.Status < 200 {
		return 0, ErrStreamDone
	}
	end = end && len(trailers) == 0
	if err := s.writeHead(r, end && len(body) == 0, true); err != nil || end && len(body) == 0 {
		return 0, err
	}
	if len(body) > 0 {
		if n, err = s.write(body, end); err != nil {
			return n, err
		}
	}
	if len(trailers) > 0 {
		err = s.writeTrailers(trailers)
	}
	return n, err
}

// writeHead is WriteHead; now says that what was queued is to leave without
// waiting for more. mu is held.
func (s *Stream) writeHead(r *http.Response, end, now bool) error {
	final := r.Status >= 200
	for {
		switch {
		case s.headSent || end && !final:
			s.leave()
			if s.err != nil {
				return s.err
			}
			return ErrStreamDone
		case s.c.tooLarge(3+32+len(":status"), r.Fields):
			s.leave()
			return ErrHeadTooLarge
		}
		if ready, err := s.mayQueue(); err != nil {
			return err
		} else if ready {
			break
		}
	}
	c := s.c
	s.headSent = final
	at := c.beginHead()
	c.out = c.codec.appendResponse(c.out, r)
	c.endHead(at, s.id, end)
	if end {
		s.ended()
	}
	c.kick(!end && !now)
	return nil
}

// WriteTrailers sends the fields and ends the stream. Without fields it is End.
func (s *Stream) WriteTrailers(fields []http.Field) error {
	if len(fields) == 0 {
		return s.End()
	}
	s.c.mu.Lock()
	defer s.c.unlock()
	return s.writeTrailers(fields)
}

func (s *Stream) writeTrailers(fields []http.Field) error {
	for {
		if s.err == nil && !s.headSent {
			s.leave()
			return ErrStreamDone
		}
		if s.c.tooLarge(0, fields) {
			s.leave()
			return ErrHeadTooLarge
		}
		if ready, err := s.mayQueue(); err != nil {
			return err
		} else if ready {
			break
		}
	}
	c := s.c
	at := c.beginHead()
	c.out = c.codec.appendTrailers(c.out, fields)
	c.endHead(at, s.id, true)
	s.ended()
	c.kick(false)
	return nil
}

// mayQueue says whether a head may be queued now, or waits until that may have
// changed. mu is held, and free meanwhile.
func (s *Stream) mayQueue() (bool, error) {
	c := s.c
	switch {
	case s.err != nil:
		s.leave()
		return false, s.err
	case s.localEnd || s.closed:
		s.leave()
		return false, ErrStreamDone
	case len(c.out) < outLimit || c.space.turn == s:
		s.leave()
		return true, nil
	}
	s.waitFor(&c.space)
	return false, nil
}

// Write sends p as DATA. It returns when all of it is queued, which waits for
// the peer's windows; n is what was queued before an error.
func (s *Stream) Write(p []byte) (n int, err error) {
	s.c.mu.Lock()
	defer s.c.unlock()
	return s.write(p, false)
}

// WriteEnd is Write, and End with the last frame.
func (s *Stream) WriteEnd(p []byte) (n int, err error) {
	s.c.mu.Lock()
	defer s.c.unlock()
	return s.write(p, true)
}

// End ends this side of the stream.
func (s *Stream) End() error {
	_, err := s.WriteEnd(nil)
	return err
}

// write queues p and, if end is true, the end. mu is held, and free while it
// waits.
func (s *Stream) write(p []byte, end bool) (n int, err error) {
	n, err = s.writeAll(p, end)
	s.leave()
	return n, err
}

func (s *Stream) writeAll(p []byte, end bool) (n int, err error) {
	c := s.c
	took := 0 // since it waited
	for {
		if s.err != nil {
			return n, s.err
		}
		if s.localEnd || !s.headSent || s.closed {
			return n, ErrStreamDone
		}
		if len(p) == 0 {
			break
		}
		if s.send <= 0 {
			s.leave()
			s.waitWrite()
			continue
		}
		if c.sendAvail <= 0 || c.credit.before(s) || took >= turnMost && len(c.credit.list) > 0 {
			s.waitFor(&c.credit)
			took = 0
			continue
		}
		if !s.hasSpace(len(p), took) {
			s.waitFor(&c.space)
			took = 0
			continue
		}
		k := s.queue(p, end)
		p, n, took = p[k:], n+k, took+k
		if len(p) == 0 && end {
			return n, nil
		}
	}
	if end {
		c.out = appendHeader(c.out, 0, frameData, flagEndStream, s.id)
		s.ended()
		c.kick(false)
	}
	return n, nil
}

// hasSpace says whether a piece of n bytes may be queued. Small ones do not wait
// behind large ones. Whoever has the turn may queue a frame in any case, so that
// it is not kept waiting by those. mu is held.
func (s *Stream) hasSpace(n, took int) bool {
	c := s.c
	limit := outLimit
	if n > minFrameSize {
		if c.space.before(s) {
			return false
		}
		limit = c.most
	}
	return len(c.out) < limit || took == 0 && c.space.turn == s
}

// queue frames as much of p as one frame and the windows take, which is
// something; the end goes with the last byte. mu is held.
func (s *Stream) queue(p []byte, end bool) int {
	c := s.c
	k := min(int64(len(p)), s.send, c.sendAvail, int64(c.frameLimit()))
	last := end && k == int64(len(p))
	flags := uint8(0)
	if last {
		flags = flagEndStream
	}
	c.room(frameHeaderLen + int(k))
	c.out = append(appendHeader(c.out, int(k), frameData, flags, s.id), p[:k]...)
	c.calm.sent()
	if s.bytes {
		c.count.out += frameHeaderLen + int(k)
	}
	s.send -= k
	c.sendAvail -= k
	if last {
		s.ended()
	}
	c.kick(false)
	return int(k)
}

// ended notes that this side has sent its last frame. mu is held.
func (s *Stream) ended() {
	s.localEnd = true
	if !s.c.client {
		s.c.calm.answered(1)
	}
	if s.remoteEnd {
		s.c.remove(s)
	}
}
