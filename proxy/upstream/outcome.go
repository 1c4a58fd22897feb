package upstream

import (
	"time"

	"github.com/weftmesh/weft/proxy/balance"
)

// now is the clock of balance: nanoseconds since the registry was made.
func (r *Registry) now() int64 { return r.at(time.Now()) }

// at is a time on the clock of balance.
func (r *Registry) at(t time.Time) int64 { return int64(t.Sub(r.start)) }

// Begin counts a connection as being in flight at the endpoint.
func (e *Endpoint) Begin() { e.load.Begin() }

// End takes back one Begin.
func (e *Endpoint) End() { e.load.End() }

// Observe enters the time that the endpoint took to answer, and ends a penalty.
func (e *Endpoint) Observe(latency time.Duration) { e.observe(time.Now(), latency) }

func (e *Endpoint) observe(at time.Time, latency time.Duration) {
	e.load.Observe(e.cluster.registry.at(at), latency)
	e.load.Succeed()
}

// Answered says what a request was answered with: status of the head, or the
// status of gRPC where that is not negative. at is when, the zero time means now.
// A latency above zero is observed too.
func (e *Endpoint) Answered(at time.Time, status, grpc int, latency time.Duration) {
	if at.IsZero() {
		at = time.Now()
	}
	if latency > 0 {
		e.observe(at, latency)
	}
	e.report(outcome(status, grpc), at)
}

// Cause is why a try broke.
type Cause uint8

const (
	// Reset is a connection or a stream that ended before the response was
	// complete, not by us.
	Reset Cause = iota
	// TimedOut is an answer that did not come in time.
	TimedOut
)

// Broke says that a try came to nothing after it was sent. at may be zero.
func (e *Endpoint) Broke(at time.Time, c Cause) {
	o := balance.ConnectFailed
	if c == TimedOut {
		o = balance.TimedOut
	}
	if at.IsZero() {
		at = time.Now()
	}
	e.report(o, at)
}

// Fail notes that the application behind the endpoint's proxy could not be
// reached, or that a request was refused unprocessed: the endpoint is avoided
// for a short time that grows with each failure.
func (e *Endpoint) Fail() {
	now := time.Now()
	e.load.Fail(e.cluster.registry.at(now))
	e.report(balance.GatewayError, now)
}

// report tells the detector.
func (e *Endpoint) report(o balance.Outcome, at time.Time) {
	c := e.cluster
	if c.detector.Report(e.health, o, c.registry.at(at)) {
		c.refresh()
		c.registry.nudge(0)
	}
}

// outcome is what an answer counts for. gRPC has no gateway's codes but
// UNAVAILABLE and DEADLINE_EXCEEDED, as Envoy maps them to 503 and 504. A refusal
// to a caller, such as PERMISSION_DENIED, says nothing of the endpoint.
func outcome(status, grpc int) balance.Outcome {
	switch {
	case grpc == 4, grpc == 14:
		return balance.GatewayError
	case grpc == 2, grpc == 12, grpc == 13, grpc == 15:
		return balance.ServerError
	case grpc >= 0:
		return balance.Good
	case status >= 502 && status <= 504:
		return balance.GatewayError
	case status >= 500:
		return balance.ServerError
	}
	return balance.Good
}

// Health is in, out, probation or probe: whether the endpoint gets traffic as
// far as its answers go.
func (e *Endpoint) Health() string { return e.health.State() }

// Active is how many requests and connections are in flight at the address of
// the endpoint, from all clusters.
func (e *Endpoint) Active() int64 { return e.load.Pending() }

// Latency is the estimate that peak EWMA goes by; 0 where nothing was measured.
func (e *Endpoint) Latency() time.Duration {
	return time.Duration(e.load.Latency(e.cluster.registry.now()))
}

// limits are how connections to the endpoint are to be kept.
func (e *Endpoint) limits() *Connections { return &e.cluster.Options().Connections }
