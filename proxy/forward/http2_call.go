package forward

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/weftmesh/weft/proxy/http"
	"github.com/weftmesh/weft/proxy/http/h2"
	"github.com/weftmesh/weft/proxy/telemetry"
)

// call is one request on an HTTP/2 connection.
type call struct {
	x    Exchange
	d    *Downstream
	down *h2.Stream
	req  *http.Request
	resp http.Response
	body *body2
	grpc bool // the request is gRPC
	// status and received are of the response as far as it was sent.
	status   int
	received int64

	ctx    context.Context
	cancel context.CancelFunc

	mu    sync.Mutex
	up    *h2.Stream // of the current try
	cause error      // why the call was given up
}

// Reasons to give up a call.
var (
	errClientGone = errors.New("the client has gone")
	errTimeout    = errors.New("the deadline of the request has passed")
)

// maxFull is how often a connection may fill up between choosing it and
// opening a stream on it.
const maxFull = 8

// serveStream carries one request.
func serveStream(ctx context.Context, down *h2.Stream, d *Downstream) {
	start := time.Now()
	c := &call{d: d, down: down, req: down.Request()}
	c.ctx, c.cancel = context.WithCancel(ctx)
	defer c.cancel()
	defer c.x.abandon()
	c.grpc = isGRPC(c.req.Fields)
	if t, ok := grpcTimeout(c.req.Fields); ok && c.grpc {
		defer c.limit(t)()
	}
	down.OnAbort(func(error) { c.giveUp(errClientGone) })
	if f := c.x.Begin(d, c.req, start); f != nil {
		c.answer(f)
		return
	}
	c.body = newBody2(down, d.Log)
	c.run()
}

// limit gives the call up after its deadline; the result stops that.
func (c *call) limit(t time.Duration) (stop func()) {
	var mu sync.Mutex
	var hard *time.Timer
	over := false
	soft := time.AfterFunc(t, func() {
		c.giveUp(errTimeout)
		mu.Lock()
		defer mu.Unlock()
		if !over {
			// A client that does not take the answer either is let go.
			hard = time.AfterFunc(lingerTime, func() { c.down.Reset(h2.CodeCancel) })
		}
	})
	return func() {
		soft.Stop()
		mu.Lock()
		defer mu.Unlock()
		over = true
		if hard != nil {
			hard.Stop()
		}
	}
}

// giveUp ends the current try, and lets no other begin.
func (c *call) giveUp(cause error) {
	c.mu.Lock()
	if c.cause == nil {
		c.cause = cause
	}
	up := c.up
	c.mu.Unlock()
	c.cancel()
	if up != nil {
		up.Reset(h2.CodeCancel)
	}
}

// given says why the call was given up, if it was.
func (c *call) given() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cause == nil && c.down.Err() != nil {
		// The word of it is still on its way.
		return errClientGone
	}
	return c.cause
}

// use makes up the stream of the current try.
func (c *call) use(up *h2.Stream) {
	c.mu.Lock()
	c.up = up
	gone := c.cause != nil
	c.mu.Unlock()
	if gone {
		up.Reset(h2.CodeCancel)
	}
}

// run tries until the request is answered.
func (c *call) run() {
	for {
		if f := c.x.Next(c.ctx); f != nil {
			c.fail(f)
			return
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
		case c.given() == nil && c.x.Again(NotConnected, c.body.replayable(), false):
			continue
		default:
			c.fail(c.x.Failed(NotConnected, err))
			return
		}
		again := c.try(up)
		up.Close()
		c.body.stop()
		if !again {
			return
		}
	}
}

// open begins a try on a connection to the current endpoint.
func (c *call) open() (up *h2.Stream, err error) {
	for range maxFull {
		cl, err := c.x.Endpoint.HTTP2(c.ctx)
		if err != nil {
			return nil, err
		}
		c.x.Sent()
		up, err := cl.Open(c.req, c.body.empty())
		if !errors.Is(err, h2.ErrBusy) {
			if err == nil {
				c.use(up)
			}
			return up, err
		}
	}
	return nil, h2.ErrBusy
}

// try sends the request on up and passes the response on. again means that
// Next should follow.
func (c *call) try(up *h2.Stream) (again bool) {
	c.body.send(up)
	// The first stream of a connection cannot have crossed its idle end.
	reused := up.ID() > 1
	if err := c.readHead(up); err != nil {
		why := Reset
		if h2.Unprocessed(err) {
			why = NotProcessed
			c.x.Endpoint.Fail()
		}
		up.Reset(h2.CodeCancel)
		c.body.stop()
		if c.given() == nil && c.x.Again(why, c.body.replayable(), reused) {
			return true
		}
		c.fail(c.x.Failed(why, err))
		return false
	}
	if c.x.Head(&c.resp, c.body.freeze(), reused) {
		return true
	}
	c.body.commit()
	c.respond(up)
	return false
}

// readHead reads the final response's head and passes interim ones on.
func (c *call) readHead(up *h2.Stream) error {
	for {
		if err := up.ReadHead(&c.resp); err != nil {
			return err
		}
		if c.resp.Status >= 200 {
			return nil
		}
		if err := c.down.WriteHead(&c.resp, false); err != nil {
			return err
		}
	}
}

// respond passes the response on and ends the exchange.
func (c *call) respond(up *h2.Stream) {
	o := Outcome{Status: c.resp.Status, GRPC: telemetry.NoGRPC}
	grpc := isGRPC(c.resp.Fields)
	err := c.copyResponse(up)
	if err == nil && !grpc {
		c.body.finish()
	}
	switch cause := c.given(); {
	case err == nil && grpc:
		o.GRPC = grpcStatus(up.Trailers(), c.resp.Fields)
	case err == nil:
	case errors.Is(cause, errClientGone):
		o.Broken, o.Gone = true, true
	case c.status == 0:
		// The head could not be sent.
		c.down.Reset(h2.CodeInternal)
		o.Status, o.Broken = 0, true
	case grpc && errors.Is(cause, errTimeout):
		o.Timeout = true
		o.GRPC = c.cutGRPC(grpcDeadlineExceeded, errTimeout.Error())
	case grpc && !isStreamError(err):
		o.GRPC = c.cutGRPC(grpcUnavailable, "the connection was lost within the response")
	default:
		o.Broken = true
		c.down.Reset(resetCode(err))
	}
	o.Sent, o.Received = c.body.sent.Load(), c.received
	c.x.End(o)
}

// copyResponse passes head, body and trailers on.
func (c *call) copyResponse(up *h2.Stream) error {
	bare := up.Ended() && len(up.Trailers()) == 0
	if err := c.down.WriteHead(&c.resp, bare); err != nil {
		return err
	}
	c.status = c.resp.Status
	if bare {
		return nil
	}
	for {
		p, err := up.Next()
		if err == io.EOF { //nolint:errorlint // a lost connection may wrap io.EOF, and is not the end
			return c.down.WriteTrailers(up.Trailers())
		}
		if err != nil {
			return err
		}
		// The last piece takes the end along.
		if n, last := up.Buffered(); last && n == len(p) && len(up.Trailers()) == 0 {
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
	switch cause := c.given(); {
	case errors.Is(cause, errClientGone):
		c.x.End(Outcome{GRPC: telemetry.NoGRPC, Broken: true, Gone: true, Sent: c.body.sent.Load()})
		return
	case errors.Is(cause, errTimeout):
		f = &Failure{Status: 504, Reason: ReasonTimeout, Detail: errTimeout.Error()}
	}
	c.answer(f)
}

// answer sends a response of our own and ends the exchange.
func (c *call) answer(f *Failure) {
	o := Outcome{Status: f.Status, GRPC: telemetry.NoGRPC, Failure: f}
	if c.body != nil {
		o.Sent = c.body.sent.Load()
	}
	var err error
	switch {
	case f.Unprocessed && c.d.Mutual:
		// The peer's proxy tries elsewhere.
		c.down.Reset(h2.CodeRefusedStream)
	case c.grpc:
		o.Status, o.GRPC = 200, grpcCode(f.Status)
		err = c.down.WriteHead(grpcResponse(f, c.d, &c.resp), true)
	default:
		body := f.Response(c.d, &c.resp)
		head := string(c.req.Method) == "HEAD"
		if err = c.down.WriteHead(&c.resp, head); err == nil && !head {
			_, err = c.down.WriteEnd(body)
		}
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
