package telemetry

import (
	"sync/atomic"
)

// maxVec bounds the counters of one family.
const maxVec = 256

// Label is one label of a counter or a gauge.
type Label struct{ Name, Value string }

// Counter only grows. It is safe for concurrent use.
type Counter struct {
	n      atomic.Uint64
	labels string
}

// Add adds n.
func (c *Counter) Add(n uint64) { c.n.Add(n) }

// Inc adds one.
func (c *Counter) Inc() { c.n.Add(1) }

// Value is the count.
func (c *Counter) Value() uint64 { return c.n.Load() }

type vec struct {
	help     string
	counters map[string]*Counter
}

type gauge struct {
	name, help, labels string
	value              func() float64
}

// Counter returns the counter of a family with the given labels, the same for
// the same labels. It is for rare events, such as refusals: resolve it once
// where the event is frequent.
func (r *Registry) Counter(family, help string, ls ...Label) *Counter {
	key := render(ls)
	r.mu.Lock()
	defer r.mu.Unlock()
	v := r.vecs[family]
	if v == nil {
		v = &vec{help: help, counters: map[string]*Counter{}}
		r.vecs[family] = v
	}
	c := v.counters[key]
	if c == nil && len(v.counters) >= maxVec {
		key = render([]Label{{overflow, "true"}})
		c = v.counters[key]
	}
	if c == nil {
		c = &Counter{labels: key}
		v.counters[key] = c
	}
	return c
}

// Gauge registers a value that is asked for whenever metrics are written.
func (r *Registry) Gauge(name, help string, value func() float64, ls ...Label) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.gauges = append(r.gauges, gauge{name, help, render(ls), value})
}
