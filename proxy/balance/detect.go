package balance

import (
	"sync"
	"sync/atomic"
	"time"
)

// Outcome is what came of one try.
type Outcome uint8

const (
	// Good is an answer that is no server error.
	Good Outcome = iota
	// ServerError is an answer with a 5xx status other than a GatewayError.
	ServerError
	// GatewayError is a 502, 503 or 504.
	GatewayError
	// Connected is a connection without an answer that could be judged.
	Connected
	// ConnectFailed is a connection that failed or was reset (locally originated).
	ConnectFailed
	// TimedOut is an answer that did not come in time (locally originated).
	TimedOut
)

// Outlier is envoy.config.cluster.v3.OutlierDetection; see there for the fields.
// Percentages are from 0 to 100.
type Outlier struct {
	Consecutive5xx, ConsecutiveGateway, ConsecutiveLocal uint32
	Enforce5xx, EnforceGateway, EnforceLocal             uint32
	EnforceSuccessRate, EnforceLocalSuccessRate          uint32
	EnforceFailurePercent, EnforceLocalFailurePercent    uint32
	// SplitLocal keeps failures of connections apart from answers.
	SplitLocal                                   bool
	Interval, BaseEjection, MaxEjection          time.Duration
	MaxEjectionJitter                            time.Duration
	MaxEjectionPercent                           uint32
	AlwaysEjectOne                               bool
	SuccessRateMinHosts, SuccessRateVolume       uint32
	SuccessRateStdevFactor                       uint32 // in thousandths
	FailurePercentThreshold                      uint32
	FailurePercentMinHosts, FailurePercentVolume uint32
}

// DefaultOutlier is what an empty OutlierDetection means.
func DefaultOutlier() Outlier {
	return Outlier{Consecutive5xx: 5, ConsecutiveGateway: 5, ConsecutiveLocal: 5, Enforce5xx: 100, EnforceLocal: 100,
		EnforceSuccessRate: 100, EnforceLocalSuccessRate: 100, Interval: 10 * time.Second, BaseEjection: 30 * time.Second,
		MaxEjection: 300 * time.Second, MaxEjectionPercent: 10, SuccessRateMinHosts: 5, SuccessRateVolume: 100,
		SuccessRateStdevFactor: 1900, FailurePercentThreshold: 85, FailurePercentMinHosts: 5, FailurePercentVolume: 50}
}

// Accrual is Linkerd's failure accrual by consecutive failures. The zero value
// is off.
type Accrual struct {
	MaxFailures            uint32
	MinPenalty, MaxPenalty time.Duration
	// Jitter is added to each penalty: a random part of it, up to this ratio.
	Jitter float64
}

// Detection is the configuration of a Detector: one of both kinds, or none.
type Detection struct {
	// Outliers says that Outlier holds.
	Outliers bool
	Outlier  Outlier
	Accrual  Accrual
}

// Enabled says whether anything is detected.
func (d *Detection) Enabled() bool { return d.Outliers || d.Accrual.MaxFailures > 0 }

// Detector takes members of one cluster out that answer badly, and lets them in
// again. Whoever owns it refreshes the Set when a method says so. It is safe
// for concurrent use.
type Detector struct {
	random  Random
	config  atomic.Pointer[Detection] // nil: nothing is detected
	mu      sync.Mutex
	hosts   []*Health
	out     int
	swept   int64
	ejected atomic.Uint64
	spared  atomic.Uint64
}

// NewDetector makes a detector that detects nothing. random may be nil.
func NewDetector(random Random) *Detector { return &Detector{random: random.orDefault()} }

// Configure changes what is detected. Members stay out, unless nothing is
// detected any more or the kind has changed.
func (d *Detector) Configure(c Detection, now int64) (changed bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	old := d.config.Load()
	if !c.Enabled() {
		d.config.Store(nil)
	} else {
		d.config.Store(&c)
	}
	if old == nil {
		d.swept = now
		return false
	}
	if !c.Enabled() || c.Outliers != old.Outliers {
		for _, h := range d.hosts {
			d.letIn(h)
			h.times, h.backoff = 0, 0
			changed = true
		}
	}
	return changed
}

// SetHosts says who is watched. Those that are no longer are forgotten.
func (d *Detector) SetHosts(hosts []*Health) {
	d.mu.Lock()
	for _, h := range d.hosts {
		h.watched = false
	}
	d.hosts = hosts
	d.out = 0
	for _, h := range hosts {
		h.watched = true
		if h.state.Load() != isIn {
			d.out++
		}
	}
	d.mu.Unlock()
}

// Counts are how many are out, how often members were taken out, and how often
// that was not done for the sake of max_ejection_percent or an enforcing
// percentage.
func (d *Detector) Counts() (out int, ejected, spared uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.out, d.ejected.Load(), d.spared.Load()
}

// Report enters the outcome of one try. changed means that the set is to be
// refreshed.
func (d *Detector) Report(h *Health, o Outcome, now int64) (changed bool) {
	c := d.config.Load()
	switch {
	case c == nil || h == nil:
		return false
	case c.Outliers:
		return d.count(c, h, o, now)
	}
	return d.accrue(&c.Accrual, h, o, now)
}

// count is Envoy's bookkeeping of each answer.
func (d *Detector) count(c *Detection, h *Health, o Outcome, now int64) (changed bool) {
	k := &c.Outlier
	if k.SplitLocal {
		switch o {
		case ConnectFailed, TimedOut:
			h.all[local].Add(1)
			return reached(&h.local, k.ConsecutiveLocal) && d.eject(c, h, k.EnforceLocal, now)
		default:
			h.all[local].Add(1)
			h.good[local].Add(1)
			clear0(&h.local)
			if o == Connected {
				return false
			}
		}
	}
	h.all[external].Add(1)
	switch o {
	case Good, Connected:
		h.good[external].Add(1)
		clear0(&h.errors)
		clear0(&h.gateway)
		return false
	case ServerError:
		clear0(&h.gateway)
	default: // what the proxy would answer is a 503 or a 504
		changed = reached(&h.gateway, k.ConsecutiveGateway) && d.eject(c, h, k.EnforceGateway, now)
	}
	return reached(&h.errors, k.Consecutive5xx) && d.eject(c, h, k.Enforce5xx, now) || changed
}

// reached counts a failure and says whether the threshold is met, which begins
// the count anew. A threshold of 0 is never met.
func reached(n *atomic.Uint32, threshold uint32) bool {
	if n.Add(1) != threshold {
		return false
	}
	n.Store(0)
	return true
}

// clear0 writes only where there is something: the line stays shared.
func clear0(n *atomic.Uint32) {
	if n.Load() != 0 {
		n.Store(0)
	}
}

// chance says yes in so many of a hundred cases.
func (d *Detector) chance(percent uint32) bool {
	return percent >= 100 || percent > 0 && below(d.random(), 100) < uint64(percent)
}

// eject takes a member out, where that is enforced and not too many are out.
func (d *Detector) eject(c *Detection, h *Health, enforce uint32, now int64) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.ejectLocked(c, h, enforce, now)
}

func (d *Detector) ejectLocked(c *Detection, h *Health, enforce uint32, now int64) bool {
	k := &c.Outlier
	if h.state.Load() != isIn || !h.watched || d.config.Load() == nil {
		return false
	}
	room := uint64(d.out)*100 < uint64(k.MaxEjectionPercent)*uint64(len(d.hosts)) || k.AlwaysEjectOne && d.out == 0
	if !room || !d.chance(enforce) {
		d.spared.Add(1)
		return false
	}
	if time.Duration(h.times)*k.BaseEjection < k.longest() {
		h.times++
	}
	h.jitter = 0
	if k.MaxEjectionJitter > 0 {
		h.jitter = int64(below(d.random(), uint64(k.MaxEjectionJitter)))
	}
	d.takeOut(h, now)
	return true
}

func (d *Detector) takeOut(h *Health, now int64) {
	if h.state.Swap(isOut) == isIn {
		d.out++
	}
	h.since = now
	h.count++
	d.ejected.Add(1)
}

func (d *Detector) letIn(h *Health) {
	if h.state.Swap(isIn) != isIn {
		d.out--
	}
	for _, n := range []*atomic.Uint32{&h.errors, &h.gateway, &h.local} {
		n.Store(0)
	}
}

// longest is the bound of the ejection time.
func (k *Outlier) longest() time.Duration { return max(k.MaxEjection, k.BaseEjection) }

// accrue is Linkerd's bookkeeping of each answer.
func (d *Detector) accrue(a *Accrual, h *Health, o Outcome, now int64) (changed bool) {
	good := o == Good || o == Connected
	switch state := h.state.Load(); {
	case state == isIn && good:
		clear0(&h.errors)
		return false
	case state == isIn && h.errors.Add(1) < a.MaxFailures:
		return false
	case state == isOut, state == onProbation:
		// It was under way when the member was taken out.
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	switch state := h.state.Load(); {
	case !h.watched: // it was taken away while the request was under way
		return false
	case good && state == underProbe:
		h.backoff = 0
		d.letIn(h)
		return true
	case good, state == isOut, state == onProbation, d.config.Load() == nil:
		return false
	case state == isIn && h.errors.Load() < a.MaxFailures:
		return false // a good answer came between
	}
	h.errors.Store(0)
	p := a.MaxPenalty
	if h.backoff < 30 {
		p = min(p, a.MinPenalty<<h.backoff)
	}
	h.backoff++
	if a.Jitter > 0 {
		p += time.Duration(a.Jitter * float64(p) * float64(d.random()>>11) / (1 << 53))
	}
	h.penalty.Store(int64(p))
	h.until.Store(now + int64(p))
	d.takeOut(h, now)
	return true
}
