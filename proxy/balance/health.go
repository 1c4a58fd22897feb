package balance

import "sync/atomic"

// Health is what the answers of one member of one cluster say of it. The zero
// value is healthy; it is safe for concurrent use.
type Health struct {
	state atomic.Uint32
	// until is when a member that is out by failure accrual may be probed.
	until atomic.Int64
	// penalty is how long it is out now, in nanoseconds.
	penalty atomic.Int64

	// Failures in a row.
	errors, gateway, local atomic.Uint32
	// Of this interval, by origin.
	all, good [2]atomic.Uint32

	// The rest is guarded by the Detector.
	since   int64 // when it was taken out
	jitter  int64
	times   uint32 // multiplier of the base ejection time
	count   uint64 // of ejections, ever
	backoff int    // of failure accrual: how often in a row
	watched bool   // it is among the Detector's members
}

// States of a Health.
const (
	isIn uint32 = iota
	isOut
	// onProbation members take one request, whose outcome decides.
	onProbation
	// underProbe means that this request is under way.
	underProbe
)

// Origins of failures.
const (
	external = iota
	local
)

// Out says whether the member gets no traffic.
func (h *Health) Out() bool {
	if h == nil {
		return false
	}
	s := h.state.Load()
	return s == isOut || s == underProbe
}

// State is in, out, probation or probe.
func (h *Health) State() string {
	if h == nil {
		return "in"
	}
	return [...]string{"in", "out", "probation", "probe"}[h.state.Load()]
}

// probe takes the one request of a member on probation. Where its outcome never
// comes to be known the member is on probation again after its penalty.
func (h *Health) probe(now int64) bool {
	if !h.state.CompareAndSwap(onProbation, underProbe) {
		return h.state.Load() == isIn
	}
	h.until.Store(now + h.penalty.Load())
	return true
}
