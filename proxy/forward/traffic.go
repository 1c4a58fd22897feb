package forward

import (
	"context"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/weftmesh/weft/proxy/filter"
	"github.com/weftmesh/weft/proxy/http"
	"github.com/weftmesh/weft/proxy/retry"
	"github.com/weftmesh/weft/proxy/route"
)

// extra is what one request needs because its rule asks for more than a
// backend (route.Traffic), or because it has a deadline.
type extra struct {
	traffic *route.Traffic // nil where only a deadline is kept
	clock   clock
	context limitedContext
	facts   filter.Facts
	// origin is the allowed origin that the response is to name.
	origin []byte
	// cookie is to be set by the response, for policy.
	cookie []byte
	policy *route.HashPolicy
	copies []*shadow
	// delay is to be waited before the first try; then answer is given, if there
	// is one.
	delay    time.Duration
	answer   *Failure
	delayed  bool
	retries  int
	retrying bool // counted as a retry under way with the cluster
	// exhausted says that another try was wanted and not allowed.
	exhausted bool
}

var extras = sync.Pool{New: func() any { return &extra{} }}

// with makes sure that the exchange has an extra.
func (x *Exchange) with() *extra {
	if x.extra == nil {
		x.extra = extras.Get().(*extra)
	}
	return x.extra
}

// end takes everything back.
func (e *extra) end() {
	e.clock.stop()
	for _, s := range e.copies {
		s.drop()
	}
	if e.context.cancel != nil {
		// Whoever has waited for it may still ask it: it is not used again.
		e.context.cancel()
		return
	}
	*e = extra{copies: e.copies[:0]}
	extras.Put(e)
}

// deadline keeps the time that a gRPC client gives its call.
func (x *Exchange) deadline(r *http.Request) {
	if string(r.Method) != "POST" || !isGRPC(r.Fields) {
		return
	}
	x.grpc = true
	if t, ok := grpcTimeout(r.Fields); ok {
		c := &x.with().clock
		c.wheel = &x.Downstream.Watch.wheel
		c.until(x.start.Add(t))
		c.arm(time.Now())
	}
}

// manage does what the rule asks for before a backend is chosen. A Failure is
// an answer.
func (x *Exchange) manage(r *http.Request) *Failure {
	e, d := x.with(), x.Downstream
	e.facts = filter.Facts{Client: d.Client, Local: d.Destination, Route: x.Rule.Name, Start: x.start}
	t := x.Rule.Traffic
	if t == nil {
		return nil
	}
	e.traffic = t
	if t.CORS != nil {
		if f := x.cors(r, t.CORS); f != nil {
			return f
		}
	}
	if t.Timeout > 0 || t.Stream > 0 || t.TryTimeout > 0 || t.Response > 0 {
		c := &e.clock
		c.wheel, c.request, c.once, c.response = &d.Watch.wheel, t.Timeout, t.TryTimeout, t.Response
		if t.Stream > 0 {
			c.until(x.start.Add(t.Stream))
			c.arm(time.Now())
		}
	}
	if t.Budget != nil {
		t.Budget.Request(x.start)
	}
	f := x.fault(t)
	if f == nil {
		f = x.direct(r, t)
	}
	if e.delay > 0 {
		e.clock.hold(true)
		e.answer, f = f, nil
	}
	return f
}

// outbound passes the request's head through the filters, and does what needs
// the head as it is sent.
func (x *Exchange) outbound(r *http.Request) {
	e := x.extra
	e.facts.Cluster = x.Backend.Name
	var w *filter.Rewrite
	if e.traffic != nil {
		w = e.traffic.Rewrite
	}
	filter.OutboundRequest(r, w, &x.Rule.Headers, &x.Backend.Headers, &e.facts)
	if x.Backend.Host != "" {
		r.Authority = []byte(x.Backend.Host)
	}
	t := e.traffic
	if t == nil {
		return
	}
	if len(t.Hash) > 0 {
		h, ok, cookie, policy := route.Hash(t.Hash, r, x.Downstream.Client.Addr(), rand.Uint64())
		if ok {
			x.choice.SetHash(h)
		}
		e.cookie, e.policy = cookie, policy
	}
	for i := range t.Mirrors {
		if m := &t.Mirrors[i]; m.Share.Draws(rand.Uint64()) {
			if s := x.shadow(m, r); s != nil {
				e.copies = append(e.copies, s)
			}
		}
	}
}

// direct is what the rule answers instead of a backend.
func (x *Exchange) direct(r *http.Request, t *route.Traffic) *Failure {
	switch {
	case t.Redirect != nil:
		f := &Failure{Status: t.Redirect.Status, Fields: []http.Field{{Name: []byte("location"), Value: t.Redirect.Location(r, "http")}}}
		return x.mandated(f)
	case t.Direct != nil:
		return x.mandated(&Failure{Status: t.Direct.Status, Body: t.Direct.Body})
	}
	return nil
}

// mandated is an answer that the configuration asks for: the rule's changes of
// responses apply to it.
func (x *Exchange) mandated(f *Failure) *Failure {
	if f.Body == nil {
		f.Body = []byte{}
	}
	resp := http.Response{Fields: f.Fields}
	x.Rule.Headers.Response.Response(&resp, &x.extra.facts)
	f.Fields = resp.Fields
	return x.failure(f)
}

// failure completes an answer of our own.
func (x *Exchange) failure(f *Failure) *Failure {
	e := x.extra
	if e == nil {
		return f
	}
	if e.origin != nil {
		f.Fields = e.traffic.CORS.Allow(f.Fields, e.origin)
	}
	return f
}

// await waits for what must pass before the next try.
func (x *Exchange) await(ctx context.Context) *Failure {
	e := x.extra
	switch {
	case e.delay > 0 && !e.delayed:
		e.delayed = true
		err := pause(ctx, e.delay, nil)
		e.clock.hold(false)
		if err != nil {
			return x.failure(&Failure{Status: 503, Reason: ReasonReset, Detail: err.Error(), Unprocessed: true})
		}
		if e.answer != nil {
			return e.answer
		}
	case e.retries > 0:
		p := e.traffic.Retry
		if err := pause(ctx, p.Pause(e.retries, rand.Uint64()), e.clock.expired()); err != nil {
			return x.Failed(NotConnected, err)
		}
	}
	if e.clock.timedOut() {
		return x.Failed(NotConnected, context.DeadlineExceeded)
	}
	return nil
}

// pause waits, unless ctx or over ends it.
func pause(ctx context.Context, d time.Duration, over <-chan struct{}) error {
	if d <= 0 {
		return nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-over:
		return context.DeadlineExceeded
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Context is what connecting is bound by: ctx, and the request's time where
// that is limited. It ends with the exchange, whose calls all give the same ctx.
func (x *Exchange) Context(ctx context.Context) context.Context {
	if x.extra == nil || !x.extra.clock.limited() {
		return ctx
	}
	c := &x.extra.context
	if c.Context == nil {
		c.Context, c.clock = ctx, &x.extra.clock
	}
	return c
}

// attend has w told, until it is called with nil, when somebody begins to wait
// for what Context returned.
func (x *Exchange) attend(w waiter) {
	if x.extra != nil {
		x.extra.context.waiter = w
	}
}

// MaxHeld is how much of a body to hold for another try, in bytes.
func (x *Exchange) MaxHeld() int {
	if x.extra != nil && x.extra.traffic != nil && x.extra.traffic.MaxHeld > 0 {
		return x.extra.traffic.MaxHeld
	}
	return maxHeld
}

// Tee takes a copy of a piece of the request's body where one is wanted. Each
// piece comes once, in order, when it is taken from the client.
func (x *Exchange) Tee(p []byte) {
	if x.extra != nil {
		for _, s := range x.extra.copies {
			s.add(p)
		}
	}
}

// Complete says that the client has sent all of the request, with these
// trailers. It is called once, as soon as that is known: the time that the
// route gives to the response begins.
func (x *Exchange) Complete(trailers []http.Field) {
	if x.entry != nil {
		x.entry.Received = time.Now()
	}
	if x.extra != nil {
		x.extra.clock.completed()
		for _, s := range x.extra.copies {
			s.send(trailers)
		}
	}
}

// Done says that the response is complete, or broken: what the driver gave to
// Sent is not touched afterwards. It must come before a connection or a stream
// is given to somebody else.
func (x *Exchange) Done() { x.disarm() }

// TimedOut says whether the request's time is over.
func (x *Exchange) TimedOut() bool { return x.extra != nil && x.extra.clock.timedOut() }

func (x *Exchange) disarm() (late bool) { return x.extra != nil && x.extra.clock.disarm() }

// respond passes a final response through the filters.
func (x *Exchange) respond(r *http.Response) {
	e := x.extra
	e.clock.answered()
	filter.OutboundResponse(r, x.Endpoint.Mutual(), &x.Rule.Headers, &x.Backend.Headers, &e.facts)
	if e.origin != nil {
		r.Fields = e.traffic.CORS.Allow(r.Fields, e.origin)
	}
	if e.policy != nil && e.cookie != nil {
		r.Fields = append(r.Fields, http.Field{Name: setCookie, Value: e.policy.SetCookie(e.cookie)})
	}
}

var setCookie = []byte("set-cookie")

// policy is the rule's own for retries; nil where there is none.
func (x *Exchange) policy() *retry.Policy {
	if x.extra == nil || x.extra.traffic == nil {
		return nil
	}
	return x.extra.traffic.Retry
}

// without translates a cause.
func without(c Cause, late bool) retry.Without {
	switch {
	case late:
		return retry.Late
	case c == NotConnected:
		return retry.NotConnected
	case c == NotProcessed:
		return retry.Refused
	}
	return retry.Broken
}

// retriable says whether the policy replaces a response.
func (x *Exchange) retriable(p *retry.Policy, r *http.Response) bool {
	if x.Verdict.Unprocessed && (p.Failure(retry.Refused) || p.Failure(retry.NotConnected)) {
		return true
	}
	// The peer's proxy says what it would have seen itself without that proxy.
	if x.Verdict.Reset && p.Failure(retry.Broken) {
		return true
	}
	code := retry.NoGRPC
	if v, ok := http.Get(r.Fields, "grpc-status"); ok {
		if n, err := strconv.ParseUint(string(v), 10, 16); err == nil {
			code = int(n)
		}
	}
	return p.Response(r.Status, code, r.Fields)
}

// permit takes one more try out of what is left.
func (x *Exchange) permit(p *retry.Policy) bool {
	e := x.extra
	if e.retries >= p.Retries {
		e.exhausted = e.exhausted || p.Retries > 0
		return false
	}
	if e.clock.timedOut() {
		return false
	}
	if e.traffic.Budget != nil && !e.traffic.Budget.Retry(time.Now()) {
		e.exhausted = true
		return false
	}
	// The last retry ends before the next one begins.
	if e.retrying {
		e.retrying = false
		x.cluster.EndRetry()
	}
	if !x.cluster.BeginRetry() {
		e.exhausted = true
		return false
	}
	e.retrying = true
	e.retries++
	if !p.AvoidPrevious {
		x.choice.Forget()
	}
	return true
}

// cors answers a preflight, and notes the origin that other requests come from.
func (x *Exchange) cors(r *http.Request, c *filter.CORS) *Failure {
	origin := c.Origin(r)
	if !filter.Preflight(r) {
		x.extra.origin = slices.Clone(origin)
		return nil
	}
	if origin == nil {
		if c.Forward {
			return nil
		}
		return &Failure{Status: 200, Body: []byte{}}
	}
	return &Failure{Status: 200, Body: []byte{}, Fields: c.Permit(r, slices.Clone(origin))}
}
