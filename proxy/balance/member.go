package balance

import (
	"math"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// Decay is the time constant of the moving average of latencies.
	Decay = 10 * time.Second
	// MinPeak is the time constant with which a single slow answer is forgotten.
	// It doubles with each further one in a row, up to Decay.
	MinPeak = 250 * time.Millisecond
	// MinPenalty is how long a member is avoided after a failure; that doubles
	// with each failure in a row.
	MinPenalty = 100 * time.Millisecond
	// MaxPenalty bounds the doubling.
	MaxPenalty = 10 * time.Second

	// floor keeps an estimate that decayed for long above zero, so that load
	// still decides between two idle members.
	floor = float64(time.Microsecond)
	// maxStreak is when MinPeak doubled reaches Decay.
	maxStreak = 6
	// tickShift makes ticks of 1.05 ms of nanoseconds: a stamp fits 32 bits.
	tickShift = 20
)

// Member is the load and the latency of one address. It must be made by
// NewMember and is safe for concurrent use.
//
// The latency is a moving average and, on top of it, a peak that decays by
// itself: an answer slower than both together raises the peak to it at once.
// One slow answer is forgotten in about a second; a member that is slow time
// after time is remembered for as long as the average is.
type Member struct {
	pending atomic.Int64
	until   atomic.Int64 // penalised before this time
	// mean is the average as a float32 above the tick of its last change; peak
	// is what lies above the average at that tick, over its time constant in
	// milliseconds. They are written together; a reader that meets the middle of
	// it errs by one measurement.
	mean, peak atomic.Uint64

	mu     sync.Mutex
	streak int // slow answers in a row
	fails  int // failures in a row
}

// NewMember makes a member of which nothing is known.
func NewMember() *Member {
	m := &Member{}
	m.until.Store(math.MinInt64)
	return m
}

// Begin counts a request or a connection as being in flight.
func (m *Member) Begin() { m.pending.Add(1) }

// End takes back one Begin.
func (m *Member) End() { m.pending.Add(-1) }

// Pending is the number of requests or connections in flight.
func (m *Member) Pending() int64 { return m.pending.Load() }

func pack(v float64, low uint32) uint64 {
	return uint64(math.Float32bits(float32(v)))<<32 | uint64(low)
}

func unpack(u uint64) (v float64, low uint32) {
	return float64(math.Float32frombits(uint32(u >> 32))), uint32(u)
}

// estimate is average and peak at the given time, both zero where nothing was
// measured, and how long ago the last measurement was, in nanoseconds.
func (m *Member) estimate(now int64) (mean, peak, age float64) {
	mean, stamp := unpack(m.mean.Load())
	peak, lasts := unpack(m.peak.Load())
	// A difference of ticks is right across the wrap of 52 days.
	ticks := int32(uint32(now>>tickShift) - stamp)
	if ticks <= 0 {
		return mean, peak, 0
	}
	age = float64(ticks) * (1 << tickShift)
	if peak > 0 {
		peak *= math.Exp(-age / (float64(lasts) * float64(time.Millisecond)))
	}
	return mean, peak, age
}

// Observe enters the latency of one finished request.
func (m *Member) Observe(now int64, latency time.Duration) {
	l := max(float64(latency), 1)
	m.mu.Lock()
	mean, peak, age := m.estimate(now)
	first := mean == 0
	switch {
	case l > 2*mean && !first:
		m.streak = min(m.streak+1, maxStreak)
	case l <= mean:
		m.streak = 0
	}
	switch {
	case first:
		mean = l
	case age > 0:
		w := math.Exp(-age / float64(Decay))
		weighs := l
		if m.streak == 1 {
			// A single one leaves no trace but the peak.
			weighs = min(l, 2*mean)
		}
		mean = mean*w + weighs*(1-w)
	}
	peak = max(peak, l-mean)
	stamp := uint32(now >> tickShift)
	if _, before := unpack(m.mean.Load()); !first && int32(stamp-before) < 0 {
		stamp = before
	}
	m.mean.Store(pack(mean, stamp))
	m.peak.Store(pack(peak, uint32(m.lasting()/time.Millisecond)))
	m.mu.Unlock()
}

// lasting is the time constant of the peak.
func (m *Member) lasting() time.Duration {
	return min(Decay, MinPeak<<max(m.streak-1, 0))
}

// Latency is the estimate at the given time in nanoseconds, or 0 where nothing
// was measured yet. It falls while nothing is measured, so that a member that
// was slow once is tried again.
func (m *Member) Latency(now int64) float64 {
	mean, peak, age := m.estimate(now)
	if mean == 0 {
		return 0
	}
	if age > 0 {
		mean *= math.Exp(-age / float64(Decay))
	}
	return max(mean+peak, floor)
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
