package forward

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weftmesh/weft/proxy/conn"
	"github.com/weftmesh/weft/proxy/filter"
	"github.com/weftmesh/weft/proxy/http"
	"github.com/weftmesh/weft/proxy/http/h1"
	"github.com/weftmesh/weft/proxy/http/h2"
	"github.com/weftmesh/weft/proxy/telemetry"
	"github.com/weftmesh/weft/proxy/upstream"
)

// Limits of the multiplexed connection that a peer's proxy has made: it stands
// for all of the peer's connections.
const (
	muxStreams = 1250
	muxWindow  = 4 << 20
)

// Content is what a multiplexed connection may carry.
type Content uint8

const (
	// Anything is requests, and connections without HTTP.
	Anything Content = iota
	// Requests is those alone.
	Requests
	// Bytes is the others alone.
	Bytes
)

// ServeMux serves the multiplexed connection of a peer's proxy and closes it.
// Each request goes to the application in the version of HTTP that it came to the
// peer in, and what is no HTTP goes on a connection of its own.
func ServeMux(ctx context.Context, c *conn.Conn, d *Downstream, content Content) {
	o := h2.Options{Plain: true, Bytes: content != Requests, MaxHead: d.Limits.HeadBytes, MaxStreams: muxStreams, ConnWindow: muxWindow, Window: streamWindow, Memory: d.Activity,
		Meter: func() (read, written *atomic.Uint64) { return c.SetPartMeter(d.meter()) }}
	serveStreams(ctx, c, d, o, func(s *h2.Stream) {
		switch major := s.Request().Major; {
		case major == http.Bytes:
			serveBytes(ctx, s, d)
		case content == Bytes:
			s.Reset(h2.CodeRefusedStream)
		case major == 1:
			relayStream(ctx, s, d)
		default:
			serveStream(ctx, s, d)
		}
	})
}

// relay is an HTTP/1 request that came multiplexed, on its way to a connection
// of its own.
type relay struct {
	x    Exchange
	d    *Downstream
	down *h2.Stream
	req  http.Request
	resp http.Response
	in   h1.Framing
	// method reads responses as the request's own does.
	method []byte
	// out is the head of the request, and the body where it is held and not
	// chunked.
	out []byte
	// held is the body where whole says that it is here, in the stream or in mem;
	// trailers are what followed.
	held, mem []byte
	whole     bool
	trailers  []http.Field
	sent      int64
	headed    bool      // the final head was sent
	reader    h1.Reader // of the response
	writer    h1.Writer // of the request

	mu   sync.Mutex
	up   *upstream.HTTP1 // of the current try
	ref  h2.Ref          // of down
	gone bool            // the client
}

var relays = sync.Pool{New: func() any { return &relay{} }}

func (r *relay) free() {
	if cap(r.out) > 2*maxHeld {
		r.out = nil
	}
	if cap(r.mem) > 2*maxHeld {
		r.mem = nil
	}
	r.x = Exchange{}
	r.d, r.down, r.method, r.held, r.trailers, r.up = nil, nil, nil, nil, nil, nil
	clear(r.req.Fields[:cap(r.req.Fields)])
	clear(r.resp.Fields[:cap(r.resp.Fields)])
	r.req.Reset()
	r.resp.Reset()
	r.in, r.whole, r.sent, r.headed, r.gone, r.ref = h1.Framing{}, false, 0, false, false, h2.Ref{}
	r.out, r.mem = r.out[:0], r.mem[:0]
	r.reader.Reset(nil, h1.Framing{})
	r.writer.Reset(nil, h1.Framing{})
	relays.Put(r)
}

// relayStream carries one request.
func relayStream(ctx context.Context, down *h2.Stream, d *Downstream) {
	start := time.Now()
	r := relays.Get().(*relay)
	r.d, r.down, r.ref = d, down, down.Ref()
	defer func() {
		down.OnAbort(nil)
		r.x.abandon()
		r.free()
	}()
	takeRequest(&r.req, down)
	r.method = keepMethod(r.req.Method)
	f := r.x.Begin(d, &r.req, start)
	if f == nil && string(r.method) == "CONNECT" {
		f = &Failure{Status: 501, Reason: ReasonBadRequest, Detail: "CONNECT needs a connection of its own"}
	}
	if f != nil {
		r.answer(f)
		return
	}
	down.OnAbort(r)
	if !r.hold() {
		r.x.End(Outcome{GRPC: telemetry.NoGRPC, Broken: true, Gone: true})
		return
	}
	r.run(ctx)
}

// Aborted implements h2.Aborter: the client has gone.
func (r *relay) Aborted(error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.gone = true
	if r.up != nil {
		r.up.Abort()
	}
}

// Expire implements Try.
func (r *relay) Expire(hard bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.up != nil {
		r.up.Abort()
	}
	if hard {
		r.ref.Reset(h2.CodeCancel)
	}
}

// use makes up the connection of the current try, and nil the end of it. It is
// false where the client has gone.
func (r *relay) use(up *upstream.HTTP1) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.up = up
	return !r.gone
}

func (r *relay) left() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.gone
}

// hold finds out how the body is framed, and takes it where all of it is here.
// It is false where the client has gone meanwhile.
func (r *relay) hold() bool {
	p, last := r.down.Peek()
	n, ended := r.down.Buffered()
	length, ok := bodyLength(r.req.Fields)
	switch {
	case ok:
		r.in = h1.Framing{Kind: h1.Length, Length: length}
	case last && n == 0 && expectsContent(r.req.Method):
		// As RFC 9110, section 8.6 advises; some servers answer 411 without it.
		r.in = h1.Framing{Kind: h1.Length}
	case last && n == 0:
		r.in = h1.Framing{Kind: h1.None}
	default:
		r.in = h1.Framing{Kind: h1.Chunked}
	}
	switch {
	case last:
		r.held, r.whole = p, true
	case ended && n <= maxHeld:
		for n > 0 {
			if p, _ = r.down.Peek(); len(p) == 0 {
				// The stream was reset meanwhile: what is here is not all of it.
				return false
			}
			r.mem = append(r.mem, p...)
			r.down.Consume(len(p))
			n -= len(p)
		}
		r.held, r.whole, r.trailers = r.mem, true, filter.Trailers(r.down.Trailers())
	}
	r.out = h1.AppendRequest(r.out, &r.req, r.in)
	if r.whole {
		r.sent = int64(len(r.held))
		r.x.Tee(r.held)
		r.x.Complete(r.trailers)
		if r.in.Kind == h1.Length {
			r.out = append(r.out, r.held...)
		}
	}
	return true
}

// expectsContent says whether a request of the method has a body as a rule.
func expectsContent(method []byte) bool {
	switch string(method) {
	case "POST", "PUT", "PATCH":
		return true
	}
	return false
}

// run sends the request until it is answered.
func (r *relay) run(ctx context.Context) {
	fresh := false
	for {
		if f := r.x.Next(ctx); f != nil {
			r.fail(f)
			return
		}
		up, err := r.connect(ctx, fresh)
		if err != nil {
			if !r.left() && r.x.Again(unmade(err), true, false) {
				continue
			}
			r.fail(r.x.Failed(unmade(err), err))
			return
		}
		fresh = up.Reused
		if !r.use(up) {
			up.Abort()
		}
		if !r.try(up) {
			return
		}
	}
}

// connect finds a connection to the application.
func (r *relay) connect(ctx context.Context, fresh bool) (*upstream.HTTP1, error) {
	e := r.x.Endpoint
	return e.HTTP1(r.x.Context(ctx), fresh)
}

// try sends the request on up and passes the response on. again means that Next
// should follow.
func (r *relay) try(up *upstream.HTTP1) (again bool) {
	r.x.Via(up.Conn)
	r.x.Sent(r)
	before := up.Mark()
	u, err := r.send(up)
	if err == nil {
		var n int
		var rf h1.Framing
		if n, rf, err = readFinal(up, r, &r.resp, r.method, r.whole, false); err == nil {
			return r.respond(up, u, n, rf)
		}
	}
	reused, why := up.Reused, unanswered(err)
	if why == Reset && r.whole && !up.Arrived(before, err) {
		why = Stale
	}
	up.Abort()
	u.stop()
	r.use(nil)
	if !r.left() && r.x.Again(why, r.whole, reused) {
		return true
	}
	r.fail(r.x.Failed(why, err))
	return false
}

// send writes the head and what is held of the body, and sees to the rest.
func (r *relay) send(up *upstream.HTTP1) (*upload, error) {
	if _, err := up.Write(r.out); err != nil || r.whole && r.in.Kind != h1.Chunked {
		return nil, err
	}
	if r.whole {
		r.writer.Reset(up.Conn, r.in)
		_, err := r.writer.Write(r.held)
		if err == nil {
			err = r.writer.Close(r.trailers)
		}
		return nil, err
	}
	to := &connSink{up: up}
	to.Reset(up.Conn, r.in)
	up.Duplex = true
	up.SetDuplex()
	u := &upload{x: &r.x, to: to, from: &streamSource{Stream: r.down}}
	return u.start(), nil
}

// interim implements passer.
func (r *relay) interim() error {
	if !r.x.Interim(r.resp.Status) {
		return nil
	}
	return r.down.WriteHead(&r.resp, false)
}

// fail answers for a try that came to nothing, unless the client has gone.
func (r *relay) fail(f *Failure) {
	if r.left() {
		r.x.End(Outcome{GRPC: telemetry.NoGRPC, Broken: true, Gone: true, Sent: r.sent})
		return
	}
	r.answer(f)
}

// answer sends a response of our own and ends the exchange. As over HTTP/1, its
// fields tell the peer whether the request was processed.
func (r *relay) answer(f *Failure) {
	body := f.Response(r.d, &r.resp)
	r.resp.Major, r.resp.Minor = 1, 1
	if string(r.method) == "HEAD" {
		body = nil
	} else {
		r.resp.Fields = append(r.resp.Fields, lengthField(len(body)))
	}
	_, err := r.down.WriteResponse(&r.resp, body, nil, true)
	r.x.End(Outcome{Status: f.Status, GRPC: telemetry.NoGRPC, Failure: f, Broken: err != nil, Sent: r.sent})
}
