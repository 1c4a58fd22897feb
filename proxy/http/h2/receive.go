package h2

import (
	"io"

	"github.com/weftmesh/weft/proxy/http"
)

// ReadHead waits for the next head of the response and stores it in r: any
// number with status 1xx, one at a time, then the final one. Its views are
// valid until Close. For the client's side.
func (s *Stream) ReadHead(r *http.Response) error {
	s.c.mu.Lock()
	defer s.c.unlock()
	return s.readHead(r)
}

// Receive is ReadHead, and what has come of the body, which Consume takes. last
// says that the response is complete with p and has no trailers.
func (s *Stream) Receive(r *http.Response) (p []byte, last bool, err error) {
	s.c.mu.Lock()
	defer s.c.unlock()
	if err := s.readHead(r); err != nil {
		return nil, false, err
	}
	p, last = s.peek()
	return p, last, nil
}

// readHead is ReadHead; mu is held.
func (s *Stream) readHead(r *http.Response) error {
	for len(s.heads) == 0 {
		if s.err != nil && !s.delivered() {
			return s.err
		}
		if s.closed {
			return ErrStreamDone
		}
		if s.remoteEnd {
			return io.EOF
		}
		s.waitRead()
	}
	*r = s.heads[0]
	s.heads = s.heads[:copy(s.heads, s.heads[1:])]
	return nil
}

// cut says that nothing is to be read any more because the stream has failed. What
// a server sent before that is read first; what a client sent is worth nothing to
// anybody.
func (s *Stream) cut() bool {
	return s.err != nil && !s.delivered() && (!s.c.client || s.local || s.in.size == 0)
}

// Peek is Next without waiting; p may be empty. last says that the body is
// complete with p and that no trailers follow.
func (s *Stream) Peek() (p []byte, last bool) {
	s.c.mu.Lock()
	defer s.c.unlock()
	return s.peek()
}

func (s *Stream) peek() (p []byte, last bool) {
	if s.closed || s.cut() {
		return nil, false
	}
	p = s.in.front()
	return p, s.remoteEnd && len(p) == s.in.size && len(s.trailers) == 0
}

// Next waits for bytes of the body and returns some of them, without taking
// them: Consume does. The view is valid until Consume or Close. io.EOF means
// that the body is complete.
func (s *Stream) Next() ([]byte, error) {
	s.c.mu.Lock()
	defer s.c.unlock()
	for {
		if s.closed || s.cut() {
			return nil, s.failure()
		}
		if s.interrupt {
			s.interrupt = false
			return nil, ErrInterrupted
		}
		if p := s.in.front(); len(p) > 0 {
			return p, nil
		}
		if s.remoteEnd {
			return nil, io.EOF
		}
		s.waitRead()
	}
}

// Buffered says how many bytes of the body Next would return without waiting,
// and whether the body is complete with them.
func (s *Stream) Buffered() (n int, last bool) {
	s.c.mu.Lock()
	defer s.c.unlock()
	return s.in.size, s.remoteEnd
}

// Consume takes n bytes of what Next returned and lets the peer send as many
// more.
func (s *Stream) Consume(n int) {
	s.c.mu.Lock()
	defer s.c.unlock()
	if s.closed {
		return
	}
	s.in.discard(n)
	if n > 0 && s.in.size == 0 {
		s.c.squeeze.holders--
	}
	s.c.unbuffer(n)
	s.giveBack(n)
}

// Read implements io.Reader: it is Next and Consume in one.
func (s *Stream) Read(p []byte) (int, error) {
	b, err := s.Next()
	if err != nil {
		return 0, err
	}
	n := copy(p, b)
	s.Consume(n)
	return n, nil
}

// Trailers returns the fields that followed the body, after Next or Read
// returned io.EOF. Valid as long as the head.
func (s *Stream) Trailers() []http.Field {
	s.c.mu.Lock()
	defer s.c.unlock()
	return s.trailers
}
