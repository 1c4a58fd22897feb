package upstream

import (
	"fmt"
	"sync/atomic"
	"time"
)

// Limit is an upper bound; the zero value is none.
type Limit struct {
	Set bool
	Max uint32
}

// AtMost makes a limit.
func AtMost(n uint32) Limit { return Limit{true, n} }

// passed says whether n of something are more than the limit.
func (l Limit) passed(n int64) bool { return l.Set && n > int64(l.Max) }

// Limits are those of one proxy for one cluster
// (envoy.config.cluster.v3.CircuitBreakers, priority DEFAULT). What is over a
// limit is refused at once with ErrOverflow.
type Limits struct {
	// MaxConnections is for all endpoints together, MaxPerEndpoint for each. An
	// endpoint that has none is always allowed one.
	MaxConnections, MaxPerEndpoint Limit
	// MaxPending bounds the requests that wait for a connection.
	MaxPending Limit
	// MaxRequests bounds the requests under way, however they are carried.
	MaxRequests Limit
	// MaxRetries bounds the retries under way. Where RetryBudget is set it takes
	// its place: RetryPercent of the requests under way and pending, but at least
	// MinRetries.
	MaxRetries   Limit
	RetryBudget  bool
	RetryPercent float64
	MinRetries   uint32
}

// KeepAlive of TCP; zero fields are the system's.
type KeepAlive struct {
	Probes         uint32
	Time, Interval time.Duration
}

// Connections is how connections of a cluster are kept. Zero fields are the
// proxy's own defaults.
type Connections struct {
	// MaxRequests is how many requests a connection carries; 1 means that none is
	// used again. 0 is no limit.
	MaxRequests uint32
	// MaxStreams bounds the requests at once on a connection that carries many.
	MaxStreams uint32
	// Idle closes a connection that carried nothing for so long.
	Idle time.Duration
	// MaxAge is after how long a connection takes no more requests.
	MaxAge    time.Duration
	KeepAlive KeepAlive
	// Ping asks an HTTP/2 connection whether it lives, and PingTimeout is how long
	// the answer may take.
	Ping, PingTimeout time.Duration
}

// Counters of a cluster. All of them only grow but the first four.
type Counters struct {
	// Connections, Pending, Requests and Retries are those of the moment.
	Connections, Pending, Requests, Retries int64
	// Overflows are what was refused, by limit.
	ConnectionOverflow, PendingOverflow, RequestOverflow, RetryOverflow uint64
	// Connected and ConnectFailed are connections made and not.
	Connected, ConnectFailed uint64
	// Ejected is how many endpoints are out, Ejections how often one was taken
	// out, and Spared how often it was not for the sake of a bound.
	Ejected           int
	Ejections, Spared uint64
}

// counters are what Counters shows. Those of connections are in the queue.
type counters struct {
	pending, requests, retries                    atomic.Int64
	connOver, pendingOver, requestOver, retryOver atomic.Uint64
	connected, failed                             atomic.Uint64
}

// Counters returns what the cluster has counted.
func (c *Cluster) Counters() Counters {
	n := &c.counters
	out := Counters{Connections: c.queue.connections(), Pending: n.pending.Load(), Requests: n.requests.Load(), Retries: n.retries.Load(),
		ConnectionOverflow: n.connOver.Load(), PendingOverflow: n.pendingOver.Load(), RequestOverflow: n.requestOver.Load(),
		RetryOverflow: n.retryOver.Load(), Connected: n.connected.Load(), ConnectFailed: n.failed.Load()}
	out.Ejected, out.Ejections, out.Spared = c.detector.Counts()
	return out
}

// overflow makes the error for a limit.
func (c *Cluster) overflow(what string, l Limit, n *atomic.Uint64) error {
	n.Add(1)
	return fmt.Errorf("%w: %s has its %d %s", ErrOverflow, c.name, l.Max, what)
}

// Enter counts a request as being in flight at the endpoint, or answers
// ErrOverflow where the cluster has as many as it may.
func (e *Endpoint) Enter() error {
	c := e.cluster
	n := c.counters.requests.Add(1)
	if l := c.state.Load().spec.Limits.MaxRequests; l.passed(n) {
		c.counters.requests.Add(-1)
		return c.overflow("requests", l, &c.counters.requestOver)
	}
	e.load.Begin()
	return nil
}

// Leave takes back one Enter.
func (e *Endpoint) Leave() {
	e.load.End()
	e.cluster.counters.requests.Add(-1)
}

// BeginRetry counts a retry as being under way, and says whether it may be.
func (c *Cluster) BeginRetry() bool {
	n := c.counters.retries.Add(1)
	l := &c.state.Load().spec.Limits
	over := l.MaxRetries.passed(n)
	if l.RetryBudget {
		under := float64(c.counters.requests.Load() + c.counters.pending.Load())
		over = n > max(int64(l.RetryPercent/100*under), int64(l.MinRetries))
	}
	if over {
		c.counters.retries.Add(-1)
		c.counters.retryOver.Add(1)
	}
	return !over
}

// EndRetry takes back one BeginRetry that said true.
func (c *Cluster) EndRetry() { c.counters.retries.Add(-1) }

// pend counts a request that waits for a connection.
func (e *Endpoint) pend() error {
	c := e.cluster
	n := c.counters.pending.Add(1)
	if l := c.state.Load().spec.Limits.MaxPending; l.passed(n) {
		c.counters.pending.Add(-1)
		return c.overflow("pending requests", l, &c.counters.pendingOver)
	}
	return nil
}

func (e *Endpoint) unpend() { e.cluster.counters.pending.Add(-1) }
