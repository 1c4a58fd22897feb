package forward

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/weftmesh/weft/proxy/accesslog"
	"github.com/weftmesh/weft/proxy/filter"
	"github.com/weftmesh/weft/proxy/http"
	"github.com/weftmesh/weft/proxy/retry"
	"github.com/weftmesh/weft/proxy/route"
	"github.com/weftmesh/weft/proxy/trace"
	"github.com/weftmesh/weft/proxy/upstream"
)

// MaxTries is how often a request is sent where its route says nothing: once,
// and at most twice again.
const MaxTries = 3

// Cause is why a try came to nothing.
type Cause uint8

const (
	// NotConnected means that no connection came about: nothing was sent.
	NotConnected Cause = iota
	// NotProcessed means that the other side certainly did not process the
	// request: a refused stream, a stream above GOAWAY's last, weft-unprocessed.
	NotProcessed
	// Reset means that the connection ended before the response's head.
	Reset
	// Stale means that the connection had ended before anything of the request
	// reached the other side: the end of an idle one and the request have crossed.
	Stale
	// Malformed means that what came back cannot be understood. It is not sent again
	// where no route asks for that: another answer would be no better.
	Malformed
	// Overflow means that a limit of this proxy forbids the try (circuit
	// breaking): it is not made again.
	Overflow
)

// Try is what a driver has under way for a request.
type Try interface {
	// Expire aborts the try, because its time is over: the driver then meets an
	// error, and goes on as with any other. It comes from another goroutine,
	// between Sent and whatever of Again, Head (with again), Failed, Done and End
	// is first; when that returns, Expire is not running and will not come. It
	// must not block, nor call the exchange.
	//
	// hard comes lingerTime later where the exchange has not ended by then: the
	// client's side is to be given up too, since it does not take the answer.
	Expire(hard bool)
}

// Exchange is the life of one request. Its methods are called by one goroutine
// at a time, in the order that the package comment draws; Tee and Complete may
// come from another. The zero value is ready for Begin, and so is one that has
// ended.
type Exchange struct {
	Downstream *Downstream
	// Rule and Backend were chosen by Begin; both are nil on inbound requests.
	Rule    *route.Rule
	Backend *route.Backend
	// Endpoint is that of the current try.
	Endpoint *upstream.Endpoint
	// Verdict is what the peer's proxy said of the response.
	Verdict filter.Verdict

	cluster    *upstream.Cluster
	choice     upstream.Choice
	start      time.Time
	sent       time.Time // of the current try
	head       time.Time // of the final response's head
	idempotent bool
	counted    bool // as a request
	open       bool // between Begin and End
	entered    bool // the endpoint counts it as under way
	grpc       bool // the request is gRPC
	trailing   bool // the call's status comes in the trailers
	hinted     int  // the try whose 1xx heads were passed on
	// extra is what the rule or the client asks for besides; nil for nothing.
	extra *extra
	// entry is the request's line of the access log; nil where none is written.
	entry *accesslog.Entry
	// span is what was written of the request's trace; nil for nothing.
	span *trace.Span
}

// Begin routes the request and passes its head through the filters. The head
// is what is to be sent afterwards; a try that follows sends the same again. A
// Failure says that the proxy answers itself; End is to be called then too.
func (x *Exchange) Begin(d *Downstream, r *http.Request, start time.Time) *Failure {
	*x = Exchange{}
	var refused *Failure
	if d.ByHost != nil {
		d, refused = d.ByHost(r)
	}
	x.Downstream, x.start, x.sent, x.open, x.idempotent = d, start, start, true, idempotent(r.Method)
	d.Activity.carried.Add(1)
	x.choice.Destination, x.choice.Now = d.Destination, start
	table := d.table()
	if t := d.tracer(table); t != nil {
		x.span = t.Start(r, d.Direction == Inbound)
	}
	if l := d.requestLog(table); l != nil {
		x.log(l, r)
	}
	if d.Activity.Shedding() {
		d.Activity.shed()
		return &Failure{Status: 503, Reason: ReasonOverload, Detail: "the proxy is short of memory", Unprocessed: true}
	}
	if d.Direction == Inbound {
		x.deadline(r)
		filter.InboundRequest(r, d.ClientID)
		x.cluster = d.Application
		return nil
	}
	if refused != nil {
		return refused
	}
	x.Rule = table.Match(r)
	if x.Rule == nil {
		return &Failure{Status: 404, Reason: ReasonNoRoute, Detail: "no route of the destination matches the request", Unprocessed: true}
	}
	x.deadline(r)
	if x.Rule.Traffic != nil || x.Rule.Formats {
		if f := x.manage(r); f != nil || x.extra.answer != nil {
			// An answer that a delay precedes is given by Next.
			return f
		}
	}
	x.Backend = x.Rule.Pick(rand.Uint64())
	if x.Backend.Cluster == nil {
		return x.failure(&Failure{Status: x.Backend.Status, Reason: ReasonNoBackend, Unprocessed: true,
			Detail: "the route " + x.Rule.Name + " (" + x.Rule.Origin + ") has no usable backend for this request"})
	}
	x.cluster = x.Backend.Cluster
	if x.Rule.Traffic != nil || x.Rule.Formats {
		x.outbound(r)
	} else {
		filter.OutboundRequest(r, nil, &x.Rule.Headers, &x.Backend.Headers, nil)
		if x.Backend.Host != "" {
			r.Authority = []byte(x.Backend.Host)
		}
	}
	if x.entry != nil {
		x.entry.Rewritten(r)
	}
	return nil
}

// Next chooses the endpoint of the next try and counts it as loaded until
// Again, or End. It may wait first: for a fault's delay, or between two tries.
// A Failure means that there is no other try.
func (x *Exchange) Next(ctx context.Context) *Failure {
	x.leave()
	x.trailing = false
	if x.extra != nil {
		if f := x.await(ctx); f != nil {
			return f
		}
	}
	e, err := x.cluster.Pick(ctx, &x.choice)
	if err != nil {
		f := x.Failed(NotConnected, err)
		if f.Reason == ReasonConnect {
			f.Reason = ReasonNoEndpoint
		}
		return f
	}
	if err := e.Enter(); err != nil {
		return x.Failed(Overflow, err)
	}
	x.Endpoint, x.entered = e, true
	if x.entry != nil {
		x.logged(e)
	}
	if !x.counted {
		x.counted = true
		x.series().Request()
	}
	return nil
}

// Again says whether the request may be tried once more; then Next follows.
// replayable means that everything that was sent can be sent again: the body is
// empty, not begun, or still held whole. reused means that the connection had
// carried a request before, and nothing of a response to this one, so that its end
// may have crossed this one.
func (x *Exchange) Again(c Cause, replayable, reused bool) bool {
	late := x.disarm()
	if c == Reset || c == Malformed {
		x.broke(late)
	}
	if !replayable || c == Overflow {
		return false
	}
	if p := x.policy(); p != nil {
		return (p.Failure(without(c, late)) || c == Stale && p.Failure(retry.NotConnected)) && x.permit(p)
	}
	if late || c == Malformed || x.choice.Tried() >= MaxTries {
		return false
	}
	if x.Downstream.Direction == Inbound {
		// The client's side tries again, as often as its user wants the application
		// to see the request at most. Only the end of an idle connection to the
		// application is nobody's fault, where it certainly saw nothing; and a client
		// without a proxy has nobody who tries again.
		return reused && x.choice.Tried() <= 1 && (c == Stale || c == NotProcessed || c == Reset && x.idempotent && !x.Downstream.Mutual)
	}
	return c != Reset || x.idempotent
}

// Interim says whether a 1xx head of the current try is to be passed on: those of
// one try alone are, as the client would take any other for news, and 100, which
// it may wait for before it sends more.
func (x *Exchange) Interim(status int) bool {
	if status == 100 {
		return true
	}
	if x.hinted == 0 {
		x.hinted = x.choice.Tried()
	}
	return x.hinted == x.choice.Tried()
}

// Head takes note of a final response's head (not of 1xx) and passes it
// through the filters. again means that the response is not to be passed on,
// and that Next should follow instead.
func (x *Exchange) Head(r *http.Response, replayable, reused bool) (again bool) {
	x.head = x.now()
	if x.Downstream.Direction == Inbound {
		x.answered(r)
		filter.InboundResponse(r)
		x.logHead(r)
		return false
	}
	x.Verdict = filter.ReadVerdict(r, x.Endpoint.Mutual())
	if x.Verdict.Unprocessed {
		x.Endpoint.Fail()
	} else {
		x.answered(r)
	}
	switch p := x.policy(); {
	case p != nil:
		if replayable && x.retriable(p, r) && x.permit(p) {
			x.disarm()
			return true
		}
	case x.Verdict.Unprocessed && x.Again(NotProcessed, replayable, reused):
		return true
	case x.Verdict.Reset && x.idempotent && x.Again(NotProcessed, replayable, reused):
		// As after a reset between us and it, which answered has counted already.
		return true
	}
	if x.extra != nil {
		x.respond(r)
	} else {
		filter.OutboundResponse(r, x.Endpoint.Mutual(), &x.Rule.Headers, &x.Backend.Headers, nil)
	}
	x.logHead(r)
	return false
}

// now is the time by the clock that never turns back; it costs half of what
// time.Now does.
func (x *Exchange) now() time.Time { return x.start.Add(time.Since(x.start)) }

// Sent says that the connection of a try is there and that the request is
// about to be sent on it. try is what can abort it; nil where nothing can.
func (x *Exchange) Sent(try Try) {
	if x.choice.Tried() > 1 || x.entry != nil {
		x.sent = time.Now()
	}
	if x.extra != nil {
		x.extra.clock.sent(try)
	}
}

// Outcome is how an exchange ended.
type Outcome struct {
	// Status is that of the response's head; 0 where none was sent.
	Status int
	// GRPC is the value of grpc-status, from the trailers or the head; -1 where
	// there is none.
	GRPC int
	// Broken means that the response was cut off, or never came.
	Broken bool
	// Gone means that it broke because the client had left.
	Gone bool
	// Timeout means that the request's deadline cut the response off; End knows
	// it by itself where the exchange kept the time.
	Timeout bool
	// Failure is set where the proxy itself answered.
	Failure *Failure
	// Sent and Received are the body bytes of the request and of the response.
	Sent, Received int64
}

// Received says that all of the response is here, before its end is passed on:
// what the client asks for when it has that finds the endpoint free of this
// request. It is not needed.
func (x *Exchange) Received() {
	if x.entered {
		x.entered = false
		x.Endpoint.Leave()
	}
}

func (x *Exchange) leave() {
	x.Received()
	x.Endpoint = nil
}

// abandon takes back what a request that died of an error in the proxy itself
// still counts for.
func (x *Exchange) abandon() {
	if x.open {
		x.open = false
		x.leave()
		x.Downstream.Activity.carried.Add(-1)
		if e := x.extra; e != nil {
			if e.retrying {
				x.cluster.EndRetry()
			}
			e.end()
			x.extra = nil
		}
		x.entry, x.span = nil, nil
	}
}

// idempotent methods are those of RFC 9110 section 9.2.2.
func idempotent(method []byte) bool {
	switch string(method) {
	case "GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE":
		return true
	}
	return false
}
