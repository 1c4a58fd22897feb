package forward

import (
	"context"
	"errors"
	"io"
	"os"
	"sync"
	"time"

	"github.com/weftmesh/weft/proxy/conn"
	"github.com/weftmesh/weft/proxy/http"
	"github.com/weftmesh/weft/proxy/http/h1"
	"github.com/weftmesh/weft/proxy/http/h2"
	"github.com/weftmesh/weft/proxy/telemetry"
	"github.com/weftmesh/weft/proxy/upstream"
)

const (
	// maxHeld bounds the body that is held whole, so that its request can be
	// sent again, in bytes.
	maxHeld = 32 << 10
	// lingerTime and lingerBytes bound how long a connection that is closed
	// early is still read, so that the response is not lost to a TCP reset.
	lingerTime  = time.Second
	lingerBytes = 1 << 20
)

// http1 is one downstream HTTP/1 connection. One goroutine serves its requests
// in turn; only a body that is still arriving while the response may already
// come has a second one.
type http1 struct {
	c     *conn.Conn
	d     *Downstream
	guard *guard
	// duplex says that c no longer flushes when it reads.
	duplex bool
}

// work is what a request needs; an idle connection holds none.
type work struct {
	x    Exchange
	req  http.Request
	resp http.Response

	s  *http1
	in h1.Framing // of the request
	// method reads responses as the request's own does.
	method []byte
	// old says that the client speaks HTTP/1.0.
	old  bool
	body body1
	// sent is the content of the request in bytes.
	sent int64

	// ctx is what is waited for with.
	ctx *clientContext

	// up or stream is where the current try was sent.
	up     *upstream.HTTP1
	stream h2.Ref
	sends  *upload // of the current try; nil for none
	// out is what a connection for this request alone is sent first: the head,
	// and the body where it is held whole and not chunked.
	out []byte
}

var works = sync.Pool{New: func() any { return &work{} }}

func (w *work) free() {
	if cap(w.out) > 2*maxHeld {
		w.out = nil
	}
	if cap(w.body.mem) > 2*maxHeld {
		w.body.mem = nil
	}
	// No view into a connection's buffer may live on here.
	clear(w.req.Fields[:cap(w.req.Fields)])
	clear(w.resp.Fields[:cap(w.resp.Fields)])
	w.req.Reset()
	w.resp.Reset()
	// In place: a copy of all of it is a kilobyte.
	out, mem, head := w.out[:0], w.body.mem[:0], w.body.head[:0]
	w.x = Exchange{}
	w.body = body1{}
	w.in = h1.Framing{}
	w.stream = h2.Ref{}
	w.s, w.method, w.old, w.sent, w.up, w.sends = nil, nil, false, 0, nil, nil
	w.out, w.body.mem, w.body.head = out, mem, head
	works.Put(w)
}

// Abort ends the current try: the client has gone.
func (w *work) Abort() { w.Expire(false) }

// Asks implements aborter. A client that said that the request is its last may
// end its side behind it, and one whose body is still being passed on is met by
// whoever does that.
func (w *work) Asks() bool { return !w.in.Close && !w.old && w.sends.complete() }

// Expire implements Try.
func (w *work) Expire(hard bool) {
	switch {
	case hard:
		w.s.c.Abort()
	case w.up != nil:
		w.up.Abort()
	default:
		w.stream.Reset(h2.CodeCancel)
	}
}

// ServeHTTP1 serves the requests of one connection and closes it. Bytes that
// are buffered already belong to the first request.
func ServeHTTP1(ctx context.Context, c *conn.Conn, d *Downstream) {
	s := &http1{c: c, d: d, guard: d.Watch.add(c, d.Limits)}
	defer c.Close()
	defer d.Watch.remove(s.guard)
	d.accepted(c)
	for rested := time.Now(); ; {
		if len(c.Buffered()) == 0 {
			s.guard.idle(rested.Add(d.Limits.Idle), d.Ended)
			if s.flush() != nil || c.Fill() != nil || !s.guard.busy() {
				return
			}
		} else if c.Flush() != nil { // a pipelined request waits for the one before it
			return
		}
		w := works.Get().(*work)
		end, again := s.serve(ctx, w)
		w.free()
		if !again {
			return
		}
		rested = end
	}
}

// flush sends what is gathered where Fill does not.
func (s *http1) flush() error {
	if s.duplex {
		return s.c.Flush()
	}
	return nil
}

// serve carries one request, whose first bytes are buffered. again says that
// the connection can carry another.
func (s *http1) serve(ctx context.Context, w *work) (end time.Time, again bool) {
	defer w.x.abandon()
	start := time.Now()
	n, err := s.readHead(w, start)
	if err != nil {
		s.refuse(w, err)
		return start, false
	}
	w.s, w.method, w.old = s, keepMethod(w.req.Method), w.req.Minor == 0
	if f := w.x.Begin(s.d, &w.req, start); f != nil {
		s.c.Discard(n)
		again = s.answer(w, f, s.skip(w.in))
		return time.Now(), again
	}
	s.c.Discard(n)
	if err := w.hold(start); err != nil {
		if bad := (*h1.Error)(nil); errors.As(err, &bad) {
			s.answer(w, &Failure{Status: bad.Status, Reason: ReasonBadRequest, Detail: bad.Error(), Unprocessed: true}, false)
			return start, false
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			s.answer(w, incomplete(), false)
			return start, false
		}
		w.x.End(Outcome{GRPC: telemetry.NoGRPC, Broken: true, Gone: true})
		return start, false
	}
	w.sent = int64(len(w.body.held))
	return w.run(ctx)
}

// readHead reads until the request's head is complete.
func (s *http1) readHead(w *work, start time.Time) (n int, err error) {
	for first := true; ; first = false {
		n, w.in, err = h1.ParseRequest(s.c.Buffered(), &w.req)
		if err != nil || n > 0 {
			if !first {
				s.guard.rest() // what follows may take longer
			}
			return n, err
		}
		if first {
			s.guard.expect(start.Add(s.d.Limits.Head))
		}
		if len(s.c.Buffered()) >= s.d.Limits.HeadBytes {
			return 0, errHeadTooLarge
		}
		if err := s.flush(); err != nil {
			return 0, err
		}
		if err := s.c.Fill(); err != nil {
			return 0, err
		}
	}
}

var errHeadTooLarge = &h1.Error{Status: 431, Reason: "the request's head is too large"}

// refuse answers what is not a request, where an answer can be understood.
func (s *http1) refuse(w *work, err error) {
	f := &Failure{Status: 400, Reason: ReasonBadRequest, Unprocessed: true}
	var bad *h1.Error
	switch {
	case errors.As(err, &bad):
		f.Status, f.Detail = bad.Status, bad.Error()
	case errors.Is(err, os.ErrDeadlineExceeded):
		f.Status, f.Detail = 408, "the request's head did not arrive in time"
		s.c.SetReadDeadline(time.Time{})
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		f.Detail = "the connection ended within the request's head"
	case errors.Is(err, conn.ErrBufferFull):
		f.Status, f.Detail = 431, errHeadTooLarge.Error()
	default:
		s.d.unread(nil, time.Now())
		return
	}
	_ = s.write(w, f, true, false) // linger meets the same error
	s.d.unread(f, time.Now())
	s.linger()
}

// incomplete answers a client that has ended its side within its request's body
// (RFC 9112, section 8), as refuse does where it ended within the head.
func incomplete() *Failure {
	return &Failure{Status: 400, Reason: ReasonBadRequest, Detail: "the connection ended within the request's body"}
}

// skip drops a body that nobody wants, where all of it is here.
func (s *http1) skip(in h1.Framing) bool {
	if !in.HasBody() {
		return true
	}
	if in.Kind != h1.Length || int64(len(s.c.Buffered())) < in.Length {
		return false
	}
	s.c.Discard(int(in.Length))
	return true
}

// answer sends a response of our own and ends the exchange. clean says that
// the request was read to its end.
func (s *http1) answer(w *work, f *Failure, clean bool) (again bool) {
	end := w.in.Close || w.old || w.in.Upgrade || !clean || s.d.draining()
	err := s.write(w, f, end, string(w.method) == "HEAD")
	w.x.End(Outcome{Status: f.Status, GRPC: telemetry.NoGRPC, Failure: f, Sent: w.sent})
	if err == nil && end {
		s.linger()
	}
	return err == nil && !end
}

func (s *http1) write(w *work, f *Failure, end, headOnly bool) error {
	body := f.Response(s.d, &w.resp)
	out := h1.Framing{Kind: h1.Length, Length: int64(len(body)), Close: end}
	if headOnly {
		out, body = h1.Framing{Kind: h1.None, Close: end}, nil
	}
	buf := h1.AppendResponse(s.c.AvailableBuffer(), &w.resp, out)
	_, err := s.c.Write(append(buf, body...))
	return err
}

// linger ends the sending side and reads on for a moment.
func (s *http1) linger() {
	if s.c.CloseWrite() != nil {
		return
	}
	s.c.SetReadDeadline(time.Now().Add(lingerTime))
	for n := 0; n < lingerBytes; {
		b := len(s.c.Buffered())
		n += b
		s.c.Discard(b)
		if s.c.Fill() != nil {
			return
		}
	}
}

// What of a method must outlive its view.
var (
	methodHEAD    = []byte("HEAD")
	methodCONNECT = []byte("CONNECT")
	methodOther   = []byte("GET")
)

// keepMethod returns a method that reads the response as the given one does.
func keepMethod(m []byte) []byte {
	switch string(m) {
	case "HEAD":
		return methodHEAD
	case "CONNECT":
		return methodCONNECT
	}
	return methodOther
}
