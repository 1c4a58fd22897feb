package telemetry

import (
	"sync/atomic"
	"time"
)

// bounds are the upper bounds of a histogram's buckets, each inclusive, and
// how they are written. The last bucket, +Inf, is not among them.
type bounds struct {
	upper []uint64
	text  []string
	// unit divides a sum into what is written.
	unit float64
}

// Linkerd's buckets of response_latency_ms, in milliseconds.
var latencyBounds = newBounds(time.Millisecond, 1, 2, 3, 4, 5, 10, 20, 30, 40, 50, 100, 200, 300, 400, 500,
	1000, 2000, 3000, 4000, 5000, 10000, 20000, 30000, 40000, 50000)

// Envoy's default buckets, which Istio's metrics use for milliseconds and for
// bytes alike.
var (
	envoySteps = []float64{0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 30000, 60000,
		300000, 600000, 1800000, 3600000}
	durationBounds = newBounds(time.Millisecond, envoySteps...)
	sizeBounds     = newBounds(1, envoySteps...)
)

func newBounds(unit time.Duration, steps ...float64) *bounds {
	b := &bounds{unit: float64(unit)}
	for _, s := range steps {
		b.upper = append(b.upper, uint64(s*float64(unit)))
		b.text = append(b.text, number(s))
	}
	return b
}

// histogram counts values. Its bounds are shared and given at each call.
type histogram struct {
	buckets []atomic.Uint64 // one for each bound, then +Inf
	sum     atomic.Uint64
}

func (h *histogram) init(b *bounds) { h.buckets = make([]atomic.Uint64, len(b.upper)+1) }

func (h *histogram) observe(b *bounds, v uint64) {
	i, end := 0, len(b.upper)
	for i < end {
		if m := int(uint(i+end) / 2); v <= b.upper[m] {
			end = m
		} else {
			i = m + 1
		}
	}
	h.buckets[i].Add(1)
	if v > 0 {
		h.sum.Add(v)
	}
}

// fill sets the counts, for a histogram that nobody else has.
func (h *histogram) fill(buckets []uint64, sum uint64) {
	h.buckets = make([]atomic.Uint64, len(buckets))
	for i, n := range buckets {
		h.buckets[i].Store(n)
	}
	h.sum.Store(sum)
}
