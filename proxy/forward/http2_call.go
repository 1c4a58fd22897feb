package forward

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/weftmesh/weft/proxy/filter"
	"github.com/weftmesh/weft/proxy/http"
	"github.com/weftmesh/weft/proxy/http/h2"
	"github.com/weftmesh/weft/proxy/telemetry"
)

// call is one request on an HTTP/2 connection.
type call struct {
	x    Exchange
	d    *Downstream
	down *h2.Stream
	req  http.Request
	resp http.Response
	body body2
	grpc bool // the request is gRPC
	// received is of the response as far as it was sent.
	received int64
	// headed says that the final head was sent.
	headed   bool
	deadline deadline
	ctx      *callContext

	mu   sync.Mutex
	ref  h2.Ref // of down
	up   h2.Ref // of the current try
	gone bool   // the client
}

var calls = sync.Pool{New: func() any {
	c := &call{}
	c.body.moved.L = &c.body.mu
	return c
}}

// maxFull is how often a connection may fill up between choosing it and
// opening a stream on it.
const maxFull = 8

// serveStream carries one request.
func serveStream(ctx context.Context, down *h2.Stream, d *Downstream) {
	start := time.Now()
	c := calls.Get().(*call)
	c.d, c.down, c.ref = d, down, down.Ref()
	takeRequest(&c.req, down)
	if c.ctx == nil {
		c.ctx = &callContext{}
	}
	c.ctx.begin(ctx)
	whole := false
	defer func() {
		down.OnAbort(nil)
		c.x.abandon()
		c.ctx.cancel()
		if whole { // a goroutine of one that died may still use it
			c.free()
		}
	}()
	c.grpc = isGRPC(c.req.Fields)
	if c.grpc {
		c.deadline.read(c.req.Fields, start)
	}
	if f := c.x.Begin(d, &c.req, start); f != nil {
		c.answer(f)
	} else {
		down.OnAbort(c)
		c.body.begin(down, &c.x)
		c.run()
	}
	whole = true
}

func (c *call) free() {
	c.x = Exchange{}
	c.d, c.down = nil, nil
	clear(c.req.Fields[:cap(c.req.Fields)])
	clear(c.resp.Fields[:cap(c.resp.Fields)])
	c.req.Reset()
	c.resp.Reset()
	c.body.end()
	c.ctx = c.ctx.reuse()
	c.grpc, c.headed, c.gone, c.received = false, false, false, 0
	c.ref, c.up = h2.Ref{}, h2.Ref{}
	c.deadline = deadline{}
	calls.Put(c)
}

// takeRequest copies the head of a stream's request: the list of fields is not
// ours to change otherwise.
func takeRequest(r *http.Request, s *h2.Stream) {
	fields := r.Fields[:0]
	*r = *s.Request()
	r.Fields = append(fields, r.Fields...)
}

// Aborted implements h2.Aborter: the client has gone. The current try ends, and
// no other begins.
func (c *call) Aborted(error) {
	c.mu.Lock()
	c.gone = true
	up := c.up
	c.mu.Unlock()
	c.ctx.cancel()
	up.Reset(h2.CodeCancel)
}

// Expire implements Try.
func (c *call) Expire(hard bool) {
	c.mu.Lock()
	up, down := c.up, c.ref
	c.mu.Unlock()
	up.Reset(h2.CodeCancel)
	if hard {
		down.Reset(h2.CodeCancel)
	}
}

// left says whether the client has gone.
func (c *call) left() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	// The word of it may still be on its way.
	return c.gone || c.down.Err() != nil
}

// use makes up the stream of the current try.
func (c *call) use(up h2.Ref) {
	c.mu.Lock()
	c.up = up
	gone := c.gone
	c.mu.Unlock()
	if gone {
		up.Reset(h2.CodeCancel)
	}
}

// run tries until the request is answered.
func (c *call) run() {
	for try := 0; ; try++ {
		if f := c.x.Next(c.ctx); f != nil {
			c.fail(f)
			return
		}
		if try > 0 {
			c.deadline.shorten(c.req.Fields)
		}
		up, err := c.open()
		switch {
		case err == nil:
		case errors.Is(err, h2.ErrHeadTooLarge):
			c.fail(&Failure{Status: 431, Reason: ReasonBadRequest, Detail: err.Error(), Unprocessed: true})
			return
		case errors.Is(err, h2.ErrExtendedConnect):
			c.fail(&Failure{Status: 501, Reason: ReasonBadRequest, Detail: err.Error()})
			return
		case !c.left() && c.x.Again(unmade(err), c.body.replayable(), false):
			continue
		default:
			c.fail(c.x.Failed(unmade(err), err))
			return
		}
		again := c.try(up)
		c.body.stop()
		up.Release()
		if !again {
			return
		}
	}
}

// open begins a try on a connection to the current endpoint, with what is here
// of the body.
func (c *call) open() (up *h2.Stream, err error) {
	ctx := c.x.Context(c.ctx)
	for range maxFull {
		c.x.attend(&c.body)
		cl, err := c.x.Endpoint.HTTP2(ctx)
		c.x.attend(nil)
		c.body.stop() // what it has taken meanwhile
		if err != nil {
			return nil, err
		}
		up, err := c.body.open(cl, &c.req)
		if !errors.Is(err, h2.ErrBusy) {
			if err == nil {
				c.use(up.Ref())
				c.x.Via(up)
				c.x.Sent(c)
			}
			return up, err
		}
	}
	return nil, h2.ErrBusy
}

// try sends the rest of the request on up and passes the response on. again
// means that Next should follow.
func (c *call) try(up *h2.Stream) (again bool) {
	c.body.send(up)
	// The first stream of a connection cannot have crossed its idle end.
	reused := up.ID() > 1
	p, last, err := c.receive(up)
	if err != nil {
		why := unanswered(err)
		if why == NotProcessed {
			c.x.Endpoint.Fail()
		}
		up.Reset(h2.CodeCancel)
		c.body.stop()
		if !c.left() && c.x.Again(why, c.body.replayable(), reused && why == NotProcessed) {
			return true
		}
		c.fail(c.x.Failed(why, err))
		return false
	}
	if c.x.Head(&c.resp, c.body.freeze(), reused) {
		up.Reset(h2.CodeCancel)
		return true
	}
	c.body.commit()
	c.respond(up, p, last)
	return false
}

// receive waits for the final response's head and passes interim ones on. p is
// what is here of the body.
func (c *call) receive(up *h2.Stream) (p []byte, last bool, err error) {
	for {
		var r http.Response
		if p, last, err = up.Receive(&r); err != nil {
			return nil, false, err
		}
		// The stream's memory is not ours to append to.
		r.Fields = append(c.resp.Fields[:0], r.Fields...)
		c.resp = r
		if r.Status >= 200 {
			return p, last, nil
		}
		if !c.x.Interim(r.Status) {
			continue
		}
		if err = c.down.WriteHead(&c.resp, false); err != nil {
			return nil, false, err
		}
	}
}

// respond passes the response on and ends the exchange.
func (c *call) respond(up *h2.Stream, p []byte, last bool) {
	o := Outcome{Status: c.resp.Status, GRPC: telemetry.NoGRPC}
	grpc := isGRPC(c.resp.Fields)
	err := c.copyResponse(up, p, last)
	if err == nil && !grpc {
		c.body.finish()
	}
	c.body.cut(up)
	switch {
	case err == nil && grpc:
		o.GRPC = grpcStatus(up.Trailers(), c.resp.Fields)
	case err == nil:
	case c.left() && !c.x.TimedOut():
		o.Broken, o.Gone = true, true
	case !c.headed:
		// The head could not be sent.
		c.down.Reset(h2.CodeInternal)
		o.Status, o.Broken = 0, true
	case grpc && c.x.TimedOut():
		o.GRPC = c.cutGRPC(grpcDeadlineExceeded, "the deadline of the request has passed")
	case grpc && !isStreamError(err):
		o.GRPC = c.cutGRPC(grpcUnavailable, "the connection was lost within the response")
	default:
		o.Broken = true
		c.down.Reset(resetCode(err))
	}
	o.Sent, o.Received = c.body.sent.Load(), c.received
	c.x.Done()
	c.x.End(o)
}

// copyResponse passes head, body and trailers on: in one piece where all is
// here.
func (c *call) copyResponse(up *h2.Stream, p []byte, last bool) error {
	var trailers []http.Field
	if n, ended := up.Buffered(); !last && ended && n == len(p) {
		last, trailers = true, filter.Trailers(up.Trailers())
	}
	if last {
		c.x.Received()
	}
	n, err := c.down.WriteResponse(&c.resp, p, trailers, last)
	c.received += int64(n)
	c.headed = err == nil || n > 0
	if err != nil || last {
		return err
	}
	up.Consume(len(p))
	for {
		p, err := up.Next()
		if err == io.EOF { //nolint:errorlint // a lost connection is not the end
			c.x.Received()
			return c.down.WriteTrailers(filter.Trailers(up.Trailers()))
		}
		if err != nil {
			return err
		}
		// The last piece takes the end along.
		if n, last := up.Buffered(); last && n == len(p) && len(up.Trailers()) == 0 {
			c.x.Received()
			n, err := c.down.WriteEnd(p)
			c.received += int64(n)
			up.Consume(len(p))
			return err
		}
		n, err := c.down.Write(p)
		c.received += int64(n)
		if err != nil {
			return err
		}
		up.Consume(len(p))
	}
}

// cutGRPC ends a gRPC response that cannot be completed, with a status.
func (c *call) cutGRPC(code int, msg string) int {
	if c.down.WriteTrailers(grpcFields(nil, code, msg)) != nil {
		c.down.Reset(h2.CodeInternal)
	}
	return code
}

// fail answers for a try that came to nothing, unless the client has gone.
func (c *call) fail(f *Failure) {
	if c.left() {
		c.x.End(Outcome{GRPC: telemetry.NoGRPC, Broken: true, Gone: true, Sent: c.body.sent.Load()})
		return
	}
	c.answer(f)
}

// answer sends a response of our own and ends the exchange.
func (c *call) answer(f *Failure) {
	o := Outcome{Status: f.Status, GRPC: telemetry.NoGRPC, Failure: f, Sent: c.body.sent.Load()}
	var err error
	switch {
	case f.Unprocessed && c.d.Mutual:
		// The peer's proxy tries elsewhere.
		c.down.Reset(h2.CodeRefusedStream)
	case c.grpc:
		o.Status, o.GRPC = 200, f.grpc()
		err = c.down.WriteHead(grpcResponse(f, c.d, &c.resp), true)
	default:
		body := f.Response(c.d, &c.resp)
		if string(c.req.Method) == "HEAD" {
			body = nil
		}
		_, err = c.down.WriteResponse(&c.resp, body, nil, true)
	}
	o.Broken = err != nil
	c.x.End(o)
}

// resetCode is what the client is told of a response that was cut off.
func resetCode(err error) h2.Code {
	var se *h2.StreamError
	if errors.As(err, &se) && se.Remote && se.Code != h2.CodeRefusedStream && se.Code != h2.CodeNo {
		return se.Code
	}
	return h2.CodeInternal
}

func isStreamError(err error) bool {
	var se *h2.StreamError
	return errors.As(err, &se)
}
