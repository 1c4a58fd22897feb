package forward

import (
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/weftmesh/weft/proxy/conn"
	"github.com/weftmesh/weft/proxy/filter"
	"github.com/weftmesh/weft/proxy/http"
	"github.com/weftmesh/weft/proxy/http/h1"
	"github.com/weftmesh/weft/proxy/http/h2"
	"github.com/weftmesh/weft/proxy/upstream"
)

// uploadStall is how long a body may make no progress after the response is
// complete.
const uploadStall = 2 * time.Second

// source is where the rest of a request's body comes from.
type source interface {
	// Next returns the next piece, which is valid until the call after; io.EOF
	// is the end.
	Next() ([]byte, error)
	// Ready says that Next would not wait.
	Ready() bool
	// Done says that the piece that Next returned was the last.
	Done() bool
	Trailers() []http.Field
	// interrupt makes Next return; resume undoes that once it has.
	interrupt()
	resume()
}

// sink is where it goes.
type sink interface {
	Write(p []byte) (int, error)
	Flush() error
	// Close sends the end.
	Close(trailers []http.Field) error
	Abort()
}

// upload sends the rest of a request's body while the response may already
// come. A nil upload is one that has finished well: all went with the head.
type upload struct {
	x    *Exchange
	from source
	to   sink
	// first is sent before what comes from the source.
	first []byte
	moved atomic.Int64 // content sent by this upload
	read  atomic.Bool  // the client has sent all of it
	err   error        // valid when done is closed
	lost  bool         // the client's side failed; valid when done is closed
	done  chan struct{}
}

// start begins to send. It is called by whoever drives the exchange x.
func (u *upload) start() *upload {
	u.done = make(chan struct{})
	u.read.Store(u.from == nil)
	go func() {
		defer close(u.done)
		defer func() {
			if p := recover(); p != nil {
				u.err = fmt.Errorf("internal error: %v", p)
				u.x.Downstream.Log.Error("request body: internal error", "panic", p)
				u.to.Abort()
			}
		}()
		u.run()
	}()
	return u
}

func (u *upload) run() {
	// What is there goes at once: the peer may want to say 100, or no.
	if len(u.first) > 0 {
		if _, u.err = u.to.Write(u.first); u.err != nil {
			return
		}
	}
	if u.err = u.to.Flush(); u.err != nil {
		return
	}
	var trailers []http.Field
	if u.from != nil {
		var ok bool
		if trailers, ok = u.copy(); !ok {
			return
		}
	}
	if u.err = u.to.Close(trailers); u.err == nil {
		u.err = u.to.Flush()
	}
}

func (u *upload) copy() (trailers []http.Field, ok bool) {
	for {
		p, err := u.from.Next()
		if errors.Is(err, io.EOF) {
			trailers = filter.Trailers(u.from.Trailers())
			u.x.Complete(trailers)
			u.read.Store(true)
			return trailers, true
		}
		if err != nil {
			u.err, u.lost = err, true
			u.to.Abort()
			return nil, false
		}
		u.x.Tee(p)
		if u.from.Done() {
			// The answer to it must not overtake the word that it was all.
			u.read.Store(true)
		}
		if _, u.err = u.to.Write(p); u.err != nil {
			return nil, false
		}
		u.moved.Add(int64(len(p)))
		if !u.from.Ready() {
			if u.err = u.to.Flush(); u.err != nil {
				return nil, false
			}
		}
	}
}

// complete says whether the client has sent all of the body: only then can
// another request follow.
func (u *upload) complete() bool { return u == nil || u.read.Load() }

// sent is the content that was sent by the upload, in bytes.
func (u *upload) sent() int64 {
	if u == nil {
		return 0
	}
	return u.moved.Load()
}

// finished says whether all was sent.
func (u *upload) finished() bool {
	if u == nil {
		return true
	}
	select {
	case <-u.done:
		return u.err == nil
	default:
		return false
	}
}

// stop ends the upload, whose other side has been aborted, and says whether the
// client was the one that failed. Whatever it has not sent stays unread.
func (u *upload) stop() (lost bool) {
	if u == nil {
		return false
	}
	select {
	case <-u.done:
		return u.lost
	default:
	}
	if u.from != nil {
		u.from.interrupt()
	}
	<-u.done
	if u.from != nil {
		u.from.resume()
	}
	return u.lost && !isTimeout(u.err) && !errors.Is(u.err, h2.ErrInterrupted)
}

// cut says that the client has ended its side within the body. The upload has
// ended.
func (u *upload) cut() bool { return u != nil && u.lost && errors.Is(u.err, io.ErrUnexpectedEOF) }

// finish waits after the response for as long as the body moves, and says
// whether all of it was sent.
func (u *upload) finish() bool {
	if u == nil {
		return true
	}
	t := time.NewTicker(uploadStall)
	defer t.Stop()
	for last := u.moved.Load(); ; {
		select {
		case <-u.done:
			return u.err == nil
		case <-t.C:
		}
		n := u.moved.Load()
		if n == last {
			u.to.Abort()
			u.stop()
			return false
		}
		last = n
	}
}

func isTimeout(err error) bool {
	t, ok := err.(interface{ Timeout() bool })
	return ok && t.Timeout()
}

// connSource reads from a client's HTTP/1 connection.
type connSource struct {
	*h1.Reader
	c *conn.Conn
}

func (s connSource) interrupt() { s.c.SetReadDeadline(time.Unix(1, 0)) }
func (s connSource) resume()    { s.c.SetReadDeadline(time.Time{}) }

// streamSource reads from a peer's stream.
type streamSource struct {
	*h2.Stream
	taken int
}

func (s *streamSource) Next() ([]byte, error) {
	s.Consume(s.taken)
	p, err := s.Stream.Next()
	s.taken = len(p)
	return p, err
}

func (s *streamSource) Ready() bool {
	n, last := s.Buffered()
	return n > s.taken || last
}

func (s *streamSource) Done() bool {
	n, last := s.Buffered()
	return n == s.taken && last
}

func (s *streamSource) interrupt() { s.Interrupt() }
func (s *streamSource) resume()    {}

// connSink writes to a connection for this request alone.
type connSink struct {
	up *upstream.HTTP1
	h1.Writer
}

func (s *connSink) Flush() error { return s.up.Flush() }
func (s *connSink) Abort()       { s.up.Abort() }

// streamSink writes to a stream of the multiplexed connection, which flushes by
// itself.
type streamSink struct{ *h2.Stream }

func (s streamSink) Flush() error { return nil }
func (s streamSink) Abort()       { s.Reset(h2.CodeCancel) }

func (s streamSink) Close(trailers []http.Field) error { return s.WriteTrailers(trailers) }
