package h2

import (
	"io"
	"sync"

	"github.com/weftmesh/weft/proxy/http"
)

const (
	// maxInformational is how many 1xx heads may wait to be read, and
	// keepInformational how much of memory they take in all, in bytes; what is
	// more is dropped, as may be done with any (RFC 9110, section 15.2).
	maxInformational  = 16
	keepInformational = 128 << 10
	// endlessInformational is how many of them a response has at most.
	endlessInformational = 1000
)

// Stream is one request and its response. One goroutine may receive (ReadHead,
// Receive, Next, Peek, Consume, Read, Trailers) while another one sends
// (WriteHead, Write, End, WriteTrailers, WriteResponse); Reset, Close and
// OnAbort may be called by any.
//
// A server's stream, and everything seen of it, is its handler's until the
// handler returns; it then serves another request. A client's stream is reused
// after Release, and not after Close. A Ref outlives both.
type Stream struct {
	c   *mux
	id  uint32
	req http.Request
	// method of the request: what a response's body may be depends on it.
	head, connect bool
	bytes         bool // it is a connection without HTTP

	// all below is guarded by c.mu
	chain *Stream // in c.open
	mem   headMem // what req, heads and trailers point into

	// Where the receiving and the sending goroutine park, and whether they do.
	rsem, wsem       chan struct{}
	rparked, wparked bool

	heads    []http.Response // received and not read
	interim  int             // 1xx heads received
	kept     int             // bytes of those that were not dropped
	headRead bool            // client: the final head was received
	in       chunks
	recv     int32 // what the peer may still send
	unacked  int32 // consumed and not given back
	window   int32 // what the peer may send before it hears of us
	grown    int32 // of it, since the reader keeps up
	weight   int
	expect   int64 // content-length received, or -1
	got      int64
	trailers []http.Field

	send      int64 // what we may still send
	headSent  bool  // server: the final head was sent
	remoteEnd bool
	localEnd  bool
	err       error // why the stream failed
	local     bool  // it was reset here
	abort     Aborter
	aborting  bool // an Aborter is being called
	closed    bool
	queued    *line // in which the writer waits
	lined     bool  // the writer waits in a line, or has a turn
	used      bool  // server: it was handed to a handler
	shared    bool  // somebody was parked when it was released
	interrupt bool
}

// streams hold memory of streams that are over. What is reused is never named
// by its address: see Ref.
var streams sync.Pool

// takeStream returns a fresh stream that is not in the table. mu is held.
func (c *mux) takeStream(id uint32) *Stream {
	s, _ := streams.Get().(*Stream)
	if s == nil {
		s = &Stream{rsem: make(chan struct{}, 1), wsem: make(chan struct{}, 1)}
	}
	w := c.squeeze.window
	s.c, s.id, s.recv, s.window, s.send, s.expect = c, id, w, w, int64(c.peer.window), -1
	return s
}

// recycle gives a stream back that nobody uses any more. It was released. mu is
// held.
func (s *Stream) recycle() {
	s.leave()
	if s.shared {
		return // whoever was parked is still to look at it
	}
	s.mem.clear()
	clear(s.heads[:cap(s.heads)])
	rsem, wsem, mem, heads, list := s.rsem, s.wsem, s.mem, s.heads[:0], s.in.list[:0]
	*s = Stream{} // in place
	s.rsem, s.wsem, s.mem, s.heads, s.in.list = rsem, wsem, mem, heads, list
	streams.Put(s)
}

// waitRead parks the receiving goroutine until wakeRead. mu is held, and free
// meanwhile.
func (s *Stream) waitRead() {
	s.rparked = true
	s.c.unlock()
	<-s.rsem
	s.c.mu.Lock()
}

// wakeRead lets the receiving goroutine look again. mu is held.
func (s *Stream) wakeRead() {
	if s.rparked {
		s.rparked = false
		s.c.wakes = append(s.c.wakes, s.rsem)
	}
}

// waitWrite and wakeWrite are the same for the sending goroutine.
func (s *Stream) waitWrite() {
	s.wparked = true
	s.c.unlock()
	<-s.wsem
	s.c.mu.Lock()
}

func (s *Stream) wakeWrite() {
	if s.wparked {
		s.wparked = false
		s.c.wakes = append(s.c.wakes, s.wsem)
	}
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

// Aborter is told of the end of a stream that nobody here asked for.
type Aborter interface{ Aborted(err error) }

// AbortFunc is a function as an Aborter.
type AbortFunc func(error)

// Aborted implements Aborter.
func (f AbortFunc) Aborted(err error) { f(err) }

// OnAbort sets what is called once when the peer resets the stream or the
// connection fails, before the exchange is complete; at once if that has
// happened. It must not block, nor close the stream. Reset and Close do not call
// it. It is over, and not called any more, once OnAbort was called with nil, or
// the stream was closed, released, or left by its handler.
func (s *Stream) OnAbort(a Aborter) {
	c := s.c
	c.mu.Lock()
	defer c.unlock()
	if a == nil {
		s.abort = nil
		s.waitAborted()
		return
	}
	s.abort = a
	if s.err != nil && !s.closed && !s.local && !s.delivered() {
		s.callAbort()
	}
}

// callAbort has the Aborter called as soon as mu is free. mu is held.
func (s *Stream) callAbort() {
	s.c.aborts = append(s.c.aborts, abortion{s, s.abort, s.err})
	s.abort, s.aborting = nil, true
}

// waitAborted waits until no Aborter is being called. mu is held, and free
// meanwhile.
func (s *Stream) waitAborted() {
	for s.aborting {
		s.c.idle.Wait()
	}
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
	if s.abort != nil && !s.delivered() {
		s.callAbort()
	}
	s.abort = nil
	s.wakeRead()
	s.wakeWrite()
}

// Interrupt makes the waiting or else the coming call of Next fail once with
// ErrInterrupted. The stream goes on.
func (s *Stream) Interrupt() {
	s.c.mu.Lock()
	defer s.c.unlock()
	s.interrupt = true
	s.wakeRead()
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
		c.kick(false)
	}
	s.abort, s.local = nil, true
	if s.err == nil {
		s.fail(&StreamError{Code: code, Reason: reason})
	}
	s.wakeRead()
	c.remove(s)
}

// Close ends the use of the stream, resetting it with CANCEL if it is not
// complete. Each stream that a client opened must be closed or released; a
// handler's is released when the handler returns.
func (s *Stream) Close() {
	s.c.mu.Lock()
	defer s.c.unlock()
	s.release(CodeCancel)
}

// Release is Close, and gives the stream back to be used again: neither it nor
// any view of its heads and bodies may be touched any more, by anybody. A Ref
// may.
func (s *Stream) Release() {
	c := s.c
	c.mu.Lock()
	s.release(CodeCancel)
	s.recycle()
	c.unlock()
}

// release is Close with the given code; mu is held, and free while an Aborter
// is being called.
func (s *Stream) release(code Code) {
	if s.closed {
		return
	}
	s.shared = s.rparked || s.wparked
	s.abort = nil
	if s.err == nil && !(s.localEnd && s.remoteEnd) {
		s.reset(code, "")
	}
	s.waitAborted()
	s.closed = true
	s.wakeRead()
	s.wakeWrite()
	n := s.in.size
	if n > 0 {
		s.c.squeeze.holders--
	}
	s.in.free()
	s.ungrow(s.grown)
	s.weigh(-s.weight)
	s.c.unbuffer(n)
}

// Ref names a stream for as long as anybody likes, also when the stream is over
// and its memory serves another one.
type Ref struct {
	c  *mux
	id uint32
}

// Ref returns the stream's name.
func (s *Stream) Ref() Ref { return Ref{s.c, s.id} }

// Reset is Stream.Reset unless the stream is over. It never blocks.
func (r Ref) Reset(code Code) {
	if r.c == nil {
		return
	}
	r.c.mu.Lock()
	defer r.c.unlock()
	if s := r.c.open.get(r.id); s != nil {
		s.reset(code, "")
	}
}

var _ io.Reader = (*Stream)(nil)
