package balance

import (
	"math"
	"time"
)

// Sweep lets members in whose time is over and, once in an interval, takes those
// out that are worse than the others. It is to be called again at next, or
// earlier; 0 means that there is nothing to do. changed means that the set is
// to be refreshed.
func (d *Detector) Sweep(now int64) (changed bool, next int64) {
	c := d.config.Load()
	if c == nil {
		return false, 0
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if !c.Outliers {
		return d.probation(&c.Accrual, now)
	}
	k := &c.Outlier
	next = d.swept + int64(k.Interval)
	if now < next {
		return false, next
	}
	d.swept = now
	for _, h := range d.hosts {
		changed = d.release(k, h, now) || changed
	}
	changed = d.rates(c, external, k.EnforceSuccessRate, k.EnforceFailurePercent, now) || changed
	if k.SplitLocal {
		changed = d.rates(c, local, k.EnforceLocalSuccessRate, k.EnforceLocalFailurePercent, now) || changed
	}
	return changed, now + int64(k.Interval)
}

// release ends an ejection whose time is over: the base time, times how often
// the member was ejected of late.
func (d *Detector) release(k *Outlier, h *Health, now int64) bool {
	if h.state.Load() == isIn {
		if h.times > 0 {
			h.times--
		}
		return false
	}
	lasts := min(time.Duration(h.times)*k.BaseEjection, k.longest())
	if now-h.since < int64(lasts)+h.jitter {
		return false
	}
	d.letIn(h)
	return true
}

// probation lets members be probed whose penalty is over.
func (d *Detector) probation(a *Accrual, now int64) (changed bool, next int64) {
	for _, h := range d.hosts {
		s := h.state.Load()
		if s != isOut && s != underProbe {
			continue
		}
		if until := h.until.Load(); until > now {
			if next == 0 || until < next {
				next = until
			}
			continue
		}
		changed = h.state.CompareAndSwap(s, onProbation) || changed
	}
	if next == 0 && d.out > 0 {
		// A member on probation may be probed any time, and the probe be lost.
		next = now + int64(max(a.MinPenalty, time.Millisecond))
	}
	return changed, next
}

// rates ejects by success rate and by failure percentage of the interval.
func (d *Detector) rates(c *Detection, origin int, enforceRate, enforcePercent uint32, now int64) (changed bool) {
	k := &c.Outlier
	type sample struct {
		h    *Health
		rate float64 // of success, in percent
	}
	var rated, measured []sample
	for _, h := range d.hosts {
		all, good := h.all[origin].Swap(0), h.good[origin].Swap(0)
		if all == 0 || h.state.Load() != isIn {
			continue
		}
		s := sample{h, 100 * float64(min(good, all)) / float64(all)}
		if all >= k.SuccessRateVolume {
			rated = append(rated, s)
		}
		if all >= k.FailurePercentVolume {
			measured = append(measured, s)
		}
	}
	if n := len(rated); enforceRate > 0 && n > 0 && n >= int(k.SuccessRateMinHosts) {
		var mean, variance float64
		for _, s := range rated {
			mean += s.rate
		}
		mean /= float64(n)
		for _, s := range rated {
			variance += (s.rate - mean) * (s.rate - mean)
		}
		limit := mean - math.Sqrt(variance/float64(n))*float64(k.SuccessRateStdevFactor)/1000
		for _, s := range rated {
			if s.rate < limit {
				changed = d.ejectLocked(c, s.h, enforceRate, now) || changed
			}
		}
	}
	if n := len(measured); enforcePercent > 0 && n > 0 && n >= int(k.FailurePercentMinHosts) {
		for _, s := range measured {
			if 100-s.rate >= float64(k.FailurePercentThreshold) {
				changed = d.ejectLocked(c, s.h, enforcePercent, now) || changed
			}
		}
	}
	return changed
}
