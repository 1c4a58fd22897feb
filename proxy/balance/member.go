package balance

import (
	"math"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// SeedLatency is the estimate of a member that has not been measured.
	SeedLatency = 30 * time.Millisecond
	// Decay is the time constant of the moving average.
	Decay = 10 * time.Second
	// MinPenalty is how long a member is avoided after a failure; that doubles
	// with each failure in a row.
	MinPenalty = 100 * time.Millisecond
	// MaxPenalty bounds the doubling.
	MaxPenalty = 10 * time.Second

	// floor keeps an estimate that decayed for long above zero, so that load
	// still decides between two idle members.
	floor = float64(time.Microsecond)
)

// Member is what is known of one endpoint. It must be made by NewMember and is
// safe for concurrent use.
type Member struct {
	pending atomic.Int64
	until   atomic.Int64 // penalised before this time

	mu    sync.Mutex
	ewma  float64 // nanoseconds, at stamp
	stamp int64
	fails int // failures in a row
}

// NewMember makes a member that has the seed latency at the given time.
func NewMember(now int64) *Member {
	m := &Member{ewma: float64(SeedLatency), stamp: now}
	m.until.Store(math.MinInt64)
	return m
}

// Begin counts a request or a connection as being in flight.
func (m *Member) Begin() { m.pending.Add(1) }

// End takes back one Begin.
func (m *Member) End() { m.pending.Add(-1) }

// Pending is the number of requests or connections in flight.
func (m *Member) Pending() int64 { return m.pending.Load() }

// Observe enters the latency of one finished request. A latency above the
// estimate replaces it at once (the peak); one below draws it down slowly.
func (m *Member) Observe(now int64, latency time.Duration) {
	m.mu.Lock()
	w := m.weight(now)
	if cur, l := m.ewma*w, float64(latency); l > cur {
		m.ewma = l
	} else {
		m.ewma = cur + l*(1-w)
	}
	m.stamp = max(m.stamp, now)
	m.mu.Unlock()
}

// Latency is the estimate at the given time, in nanoseconds. It falls while
// nothing is measured, so that a member that was slow once is tried again.
func (m *Member) Latency(now int64) float64 {
	m.mu.Lock()
	v := m.ewma * m.weight(now)
	m.mu.Unlock()
	return max(v, floor)
}

// weight is the share that the estimate keeps since its last change.
func (m *Member) weight(now int64) float64 {
	if now <= m.stamp {
		return 1
	}
	return math.Exp(-float64(now-m.stamp) / float64(Decay))
}

// Cost is what peak EWMA compares: the estimated latency times what the member
// would then have in flight.
func (m *Member) Cost(now int64) float64 {
	return m.Latency(now) * float64(m.pending.Load()+1)
}

// Fail notes a failure that says something about the member itself, such as a
// refused connect, and penalises it. The penalty doubles with each failure in
// a row; failures while a penalty lasts count as one.
func (m *Member) Fail(now int64) {
	m.mu.Lock()
	if until := m.until.Load(); until <= now {
		p := MaxPenalty
		if m.fails < 7 { // 100 ms << 7 is above the maximum
			p = min(p, MinPenalty<<m.fails)
		}
		m.fails++
		m.until.Store(now + int64(p))
	}
	m.mu.Unlock()
}

// Succeed ends a penalty and forgets the failures.
func (m *Member) Succeed() {
	if m.until.Load() == math.MinInt64 {
		return
	}
	m.mu.Lock()
	m.fails = 0
	m.until.Store(math.MinInt64)
	m.mu.Unlock()
}

// Penalised says whether the member should be avoided at the given time.
func (m *Member) Penalised(now int64) bool { return m.until.Load() > now }
