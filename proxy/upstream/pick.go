package upstream

import (
	"time"

	"github.com/weftmesh/weft/proxy/balance"
)

// newPolicy makes what an algorithm remembers between picks.
func newPolicy(p Policy) balance.Picker {
	if p == RoundRobin {
		return balance.NewRoundRobin()
	}
	return balance.NewPeakEWMA(nil)
}

func newSet(endpoints []*Endpoint) *balance.Set {
	entries := make([]balance.Entry, len(endpoints))
	for i, e := range endpoints {
		entries[i] = balance.Entry{Member: e.peer.load, Weight: e.spec.Weight, Draining: e.spec.Draining}
	}
	return balance.NewSet(entries)
}

func (s *state) pick(now int64, t *Choice) *Endpoint {
	i := s.picker.Pick(s.set, now, &t.tried)
	if i == balance.None {
		return nil
	}
	return s.endpoints[i]
}

// now is the clock of balance: nanoseconds since the registry was made.
func (r *Registry) now() int64 { return int64(time.Since(r.start)) }

// Begin counts a request or a connection as being in flight at the endpoint.
func (e *Endpoint) Begin() { e.peer.load.Begin() }

// End takes back one Begin.
func (e *Endpoint) End() { e.peer.load.End() }

// Observe enters the time that the endpoint took to answer, and ends a penalty.
func (e *Endpoint) Observe(latency time.Duration) {
	e.peer.load.Observe(e.peer.registry.now(), latency)
	e.peer.load.Succeed()
}

// Fail notes that the endpoint, or the application behind its proxy, could not
// be reached; it is avoided for a short time that grows with each failure.
func (e *Endpoint) Fail() { e.peer.load.Fail(e.peer.registry.now()) }
