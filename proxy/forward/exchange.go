package forward

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/weftmesh/weft/proxy/filter"
	"github.com/weftmesh/weft/proxy/http"
	"github.com/weftmesh/weft/proxy/route"
	"github.com/weftmesh/weft/proxy/upstream"
)

// MaxTries is how often a request is sent: once, and at most twice again.
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
)

// Exchange is the life of one request. Its methods are called by one goroutine
// at a time, in the order that the package comment draws. The zero value is
// ready for Begin, and so is one that has ended.
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
}

// Begin routes the request and passes its head through the filters. The head
// is what is to be sent afterwards; a try that follows sends the same again. A
// Failure says that the proxy answers itself; End is to be called then too.
func (x *Exchange) Begin(d *Downstream, r *http.Request, start time.Time) *Failure {
	*x = Exchange{Downstream: d, start: start, sent: start, open: true, idempotent: idempotent(r.Method)}
	d.Activity.carried.Add(1)
	x.choice.Reset(d.Destination)
	if d.Direction == Inbound {
		filter.InboundRequest(r, d.ClientID)
		x.cluster = d.Application
		return nil
	}
	x.Rule = d.Routes().Match(r)
	if x.Rule == nil {
		return &Failure{Status: 404, Reason: ReasonNoRoute, Detail: "no route of the destination matches the request", Unprocessed: true}
	}
	x.Backend = x.Rule.Pick(rand.Uint64())
	if x.Backend.Cluster == nil {
		return &Failure{Status: x.Backend.Status, Reason: ReasonNoBackend, Unprocessed: true,
			Detail: "the route " + x.Rule.Name + " (" + x.Rule.Origin + ") has no usable backend for this request"}
	}
	x.cluster = x.Backend.Cluster
	filter.OutboundRequest(r, &x.Rule.Headers, &x.Backend.Headers)
	return nil
}

// Next chooses the endpoint of the next try and counts it as loaded until
// Again, or End. A Failure means that there is none.
func (x *Exchange) Next(ctx context.Context) *Failure {
	x.leave()
	e, err := x.cluster.Pick(ctx, &x.choice)
	if err != nil {
		return &Failure{Status: 503, Reason: ReasonNoEndpoint, Detail: err.Error(), Unprocessed: true}
	}
	x.Endpoint = e
	e.Begin()
	if !x.counted {
		x.counted = true
		x.series().Request()
	}
	return nil
}

// Again says whether the request may be tried once more; then Next follows.
// replayable means that everything that was sent can be sent again: the body is
// empty, not begun, or still held whole. reused means that the connection had
// carried a request before, so that its end may have crossed this one.
func (x *Exchange) Again(c Cause, replayable, reused bool) bool {
	if !replayable || x.choice.Tried() >= MaxTries {
		return false
	}
	if x.Downstream.Direction == Inbound {
		// The client's side tries again. Only the end of an idle connection to the
		// application is nobody's fault.
		return c == Reset && reused && x.idempotent
	}
	return c != Reset || x.idempotent
}

// Head takes note of a final response's head (not of 1xx) and passes it
// through the filters. again means that the peer did not process the request
// and that Next should follow instead.
func (x *Exchange) Head(r *http.Response, replayable, reused bool) (again bool) {
	x.head = time.Now()
	if x.Downstream.Direction == Inbound {
		x.Endpoint.Observe(x.head.Sub(x.sent))
		filter.InboundResponse(r)
		return false
	}
	x.Verdict = filter.ReadVerdict(r, x.Endpoint.Mutual())
	if x.Verdict.Unprocessed {
		x.Endpoint.Fail()
		if x.Again(NotProcessed, replayable, reused) {
			return true
		}
	} else {
		x.Endpoint.Observe(x.head.Sub(x.sent))
	}
	filter.OutboundResponse(r, x.Endpoint.Mutual(), &x.Rule.Headers, &x.Backend.Headers)
	return false
}

// Sent marks the beginning of a try after the first.
func (x *Exchange) Sent() {
	if x.choice.Tried() > 1 {
		x.sent = time.Now()
	}
}

// Failed makes the answer for a request whose last try ended with err.
func (x *Exchange) Failed(c Cause, err error) *Failure {
	switch {
	case c == Reset:
		return &Failure{Status: 503, Reason: ReasonReset, Detail: "the connection was reset before the response: " + err.Error()}
	case c == NotProcessed:
		return &Failure{Status: 503, Reason: ReasonRefused, Detail: "the other side refused the request: " + err.Error(), Unprocessed: true}
	case errors.Is(err, upstream.ErrNoEndpoint):
		return &Failure{Status: 503, Reason: ReasonNoEndpoint, Detail: err.Error(), Unprocessed: true}
	}
	return &Failure{Status: 503, Reason: ReasonConnect, Detail: err.Error(), Unprocessed: true}
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
	// Timeout means that the request's deadline cut the response off.
	Timeout bool
	// Failure is set where the proxy itself answered.
	Failure *Failure
	// Sent and Received are the body bytes of the request and of the response.
	Sent, Received int64
}

func (x *Exchange) leave() {
	if x.Endpoint != nil {
		x.Endpoint.End()
		x.Endpoint = nil
	}
}

// abandon takes back what a request that died of an error in the proxy itself
// still counts for.
func (x *Exchange) abandon() {
	if x.open {
		x.open = false
		x.leave()
		x.Downstream.Activity.carried.Add(-1)
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
