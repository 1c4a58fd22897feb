package h2

import (
	"io"
	"sync"

	"github.com/weftmesh/weft/proxy/http"
)

// maxInformational is how many 1xx heads may wait to be read.
const maxInformational = 16

// Stream is one request and its response. One goroutine may receive (ReadHead,
// Next, Consume, Read, Trailers) while another one sends (WriteHead, Write,
// End, WriteTrailers); Reset, Close and OnAbort may be called by any.
type Stream struct {
	c   *mux
	id  uint32
	req http.Request
	// method of the request: what a response's body may be depends on it.
	head, connect bool

	// all below is guarded by c.mu
	canRead  sync.Cond
	canWrite sync.Cond

	heads    []http.Response // received and not read
	headRead bool            // client: the final head was received
	in       chunks
	recv     int32 // what the peer may still send
	unacked  int32 // consumed and not given back
	expect   int64 // content-length received, or -1
	got      int64
	trailers []http.Field

	send      int64 // what we may still send
	headSent  bool  // server: the final head was sent
	remoteEnd bool
	localEnd  bool
	err       error // why the stream failed
	local     bool  // it was reset here
	abort     func(error)
	closed    bool
	waiting   bool // it is among the connection's blocked
	interrupt bool
}

func (c *mux) newStream(id uint32) *Stream {
	s := &Stream{c: c, id: id, recv: c.o.Window, send: int64(c.peer.window), expect: -1}
	s.canRead.L, s.canWrite.L = &c.mu, &c.mu
	c.streams[id] = s
	return s
}

// ID is the stream's number on its connection.
func (s *Stream) ID() uint32 { return s.id }

// Request is the head that the client sent. Its views are valid as long as the
// handler runs. On the client's side it is empty.
func (s *Stream) Request() *http.Request { return &s.req }

// Ended says whether the peer has sent its last frame and all of its body was
// consumed. Called before the body is read it tells whether there is none.
func (s *Stream) Ended() bool {
	s.c.mu.Lock()
	defer s.c.unlock()
	return s.remoteEnd && s.in.size == 0
}

// Err returns why the stream failed, or nil.
func (s *Stream) Err() error {
	s.c.mu.Lock()
	defer s.c.unlock()
	return s.err
}

// OnAbort sets a function that is called once when the peer resets the stream
// or the connection fails, before the exchange is complete; at once if that has
// happened. It must not block. Reset and Close do not call it.
func (s *Stream) OnAbort(f func(error)) {
	s.c.mu.Lock()
	defer s.c.unlock()
	if s.err != nil && !s.closed && !s.local && !s.delivered() {
		err := s.err
		s.c.after = append(s.c.after, func() { f(err) })
		return
	}
	s.abort = f
}

// delivered says whether a failure takes nothing from this side any more: a
// client that has the whole response does not care. mu is held.
func (s *Stream) delivered() bool { return s.c.client && s.remoteEnd && !s.local }

// fail ends the stream on this side. The caller takes it out of the table. mu
// is held.
func (s *Stream) fail(err error) {
	if s.err != nil {
		return
	}
	s.err = err
	if f := s.abort; f != nil && !s.delivered() {
		s.c.after = append(s.c.after, func() { f(err) })
	}
	s.abort = nil
	s.canRead.Broadcast()
	s.canWrite.Broadcast()
}

// ReadHead waits for the next head of the response and stores it in r: any
// number with status 1xx, one at a time, then the final one. Its views are
// valid until Close. For the client's side.
func (s *Stream) ReadHead(r *http.Response) error {
	s.c.mu.Lock()
	defer s.c.unlock()
	for len(s.heads) == 0 {
		if s.err != nil && !s.delivered() {
			return s.err
		}
		if s.remoteEnd {
			return io.EOF
		}
		s.canRead.Wait()
	}
	*r = s.heads[0]
	s.heads = append(s.heads[:0], s.heads[1:]...)
	return nil
}

// Next waits for bytes of the body and returns some of them, without taking
// them: Consume does. The view is valid until Consume or Close. io.EOF means
// that the body is complete.
func (s *Stream) Next() ([]byte, error) {
	s.c.mu.Lock()
	defer s.c.unlock()
	for {
		if s.closed || (s.err != nil && !s.delivered()) {
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
		s.canRead.Wait()
	}
}

// Interrupt makes the waiting or else the coming call of Next fail once with
// ErrInterrupted. The stream goes on.
func (s *Stream) Interrupt() {
	s.c.mu.Lock()
	defer s.c.unlock()
	s.interrupt = true
	s.canRead.Broadcast()
}

// Room is how many bytes the peer's windows let Write send without waiting.
func (s *Stream) Room() int {
	s.c.mu.Lock()
	defer s.c.unlock()
	return int(max(0, min(s.send, s.c.sendAvail)))
}

// failure is the error of the stream, or that of one closed here. mu is held.
func (s *Stream) failure() error {
	if s.err != nil {
		return s.err
	}
	return ErrStreamDone
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

// WriteHead sends a response's head: any number with status 1xx, then the final
// one, with which end may end the stream. For the server's side.
func (s *Stream) WriteHead(r *http.Response, end bool) error {
	s.c.mu.Lock()
	defer s.c.unlock()
	final := r.Status >= 200
	if err := s.waitHead(len(":status")+3+32+headSize(r.Fields), func() bool { return s.headSent || (end && !final) }); err != nil {
		return err
	}
	s.headSent = final
	s.c.encodeResponse(r)
	s.sendBlock(end)
	return nil
}

// WriteTrailers sends the fields and ends the stream. Without fields it is End.
func (s *Stream) WriteTrailers(fields []http.Field) error {
	if len(fields) == 0 {
		return s.End()
	}
	s.c.mu.Lock()
	defer s.c.unlock()
	if err := s.waitHead(headSize(fields), func() bool { return !s.headSent }); err != nil {
		return err
	}
	s.c.encBuf = s.c.encBuf[:0]
	s.c.encodeFields(fields)
	s.sendBlock(true)
	return nil
}

// waitHead waits until a head of the given size may be queued. mu is held.
func (s *Stream) waitHead(size int, wrong func() bool) error {
	for {
		switch {
		case s.err != nil:
			return s.err
		case s.localEnd || s.closed || wrong():
			return ErrStreamDone
		case uint64(size) > uint64(s.c.peer.headerList):
			return ErrHeadTooLarge
		case len(s.c.out) < outLimit:
			return nil
		}
		s.waitConn()
	}
}

func (s *Stream) sendBlock(end bool) {
	c := s.c
	c.out = appendBlock(c.out, c.encBuf, s.id, end, c.frameLimit())
	if end {
		s.ended()
	}
	c.kick()
}

// Write sends p as DATA. It returns when all of it is queued, which waits for
// the peer's windows; n is what was queued before an error.
func (s *Stream) Write(p []byte) (n int, err error) { return s.write(p, false) }

// WriteEnd is Write, and End with the last frame.
func (s *Stream) WriteEnd(p []byte) (n int, err error) { return s.write(p, true) }

// End ends this side of the stream.
func (s *Stream) End() error {
	_, err := s.write(nil, true)
	return err
}

func (s *Stream) write(p []byte, end bool) (n int, err error) {
	c := s.c
	c.mu.Lock()
	defer c.unlock()
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
			s.canWrite.Wait()
			continue
		}
		if c.sendAvail <= 0 || len(c.out) >= outLimit {
			s.waitConn()
			continue
		}
		k := min(int64(len(p)), s.send, c.sendAvail, int64(c.frameLimit()))
		last := end && k == int64(len(p))
		flags := uint8(0)
		if last {
			flags = flagEndStream
		}
		c.out = append(appendHeader(c.out, int(k), frameData, flags, s.id), p[:k]...)
		c.calm.useful(1)
		s.send -= k
		c.sendAvail -= k
		p, n = p[k:], n+int(k)
		c.kick()
		if last {
			s.ended()
			return n, nil
		}
	}
	if end {
		c.out = appendHeader(c.out, 0, frameData, flagEndStream, s.id)
		c.kick()
		s.ended()
	}
	return n, nil
}

// waitConn waits for the connection's window or output buffer. mu is held.
func (s *Stream) waitConn() {
	if !s.waiting {
		s.waiting = true
		s.c.blocked = append(s.c.blocked, s)
	}
	s.canWrite.Wait()
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

// Reset ends the stream with RST_STREAM, unless it has ended or failed. Every
// blocked and later call fails with a StreamError of this code.
func (s *Stream) Reset(code Code) {
	s.c.mu.Lock()
	defer s.c.unlock()
	s.reset(code, "")
}

// reset is Reset; mu is held.
func (s *Stream) reset(code Code, reason string) {
	c := s.c
	if s.err == nil && !(s.localEnd && s.remoteEnd) {
		c.resets.add(s.id)
		c.out = appendReset(c.out, s.id, code)
		c.kick()
	}
	s.abort, s.local = nil, true
	s.fail(&StreamError{Code: code, Reason: reason})
	s.canRead.Broadcast()
	c.remove(s)
}

// Close releases the stream, resetting it with CANCEL if it is not complete.
// Each stream that a client opened must be closed; a handler's is closed when
// the handler returns.
func (s *Stream) Close() {
	s.c.mu.Lock()
	defer s.c.unlock()
	s.release(CodeCancel)
}

// release is Close with the given code; mu is held.
func (s *Stream) release(code Code) {
	if s.closed {
		return
	}
	s.abort = nil
	if s.err == nil && !(s.localEnd && s.remoteEnd) {
		s.reset(code, "")
	}
	s.closed = true
	s.canRead.Broadcast()
	s.canWrite.Broadcast()
	n := s.in.size
	s.in.free()
	s.c.unbuffer(n)
}
