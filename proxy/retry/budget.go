package retry

import (
	"sync"
	"time"
)

// Concurrency bounds the retries under way by the requests under way
// (envoy.config.cluster.v3.CircuitBreakers.Thresholds.RetryBudget).
type Concurrency struct {
	// Percent of the requests under way may be retries, and at least Min.
	Percent float64
	Min     uint32
}

// Allows says whether one more retry may begin, with so many requests and
// retries under way.
func (c Concurrency) Allows(requests, retries int64) bool {
	return retries < int64(c.Min) || retries < int64(c.Percent/100*float64(requests))
}

// Defaults of a Budget (Linkerd's ServiceProfile).
const (
	DefaultRatio        = 0.2
	DefaultMinPerSecond = 10
	DefaultTTL          = 10 * time.Second
)

const (
	windows = 10
	unit    = 1000 // one retry
)

// Budget lets retries be a share of the requests of the last while, and some
// in any case. It is shared by all routes that name it, and safe for
// concurrent use.
type Budget struct {
	earn    int64 // what a request brings in
	reserve int64 // what is there in any case
	window  time.Duration

	mu    sync.Mutex
	start time.Time
	at    int64 // the number of the current window
	slots [windows]int64
	sum   int64 // of slots
}

// NewBudget makes a budget. Requests count for ttl; retries may be ratio of
// them, and minPerSecond besides.
func NewBudget(ratio float64, minPerSecond uint32, ttl time.Duration, now time.Time) *Budget {
	return &Budget{earn: int64(ratio*unit + 0.5), reserve: int64(float64(minPerSecond) * ttl.Seconds() * unit),
		window: max(ttl/windows, 1), start: now}
}

// Request enters a request that is not itself a retry.
func (b *Budget) Request(now time.Time) {
	b.mu.Lock()
	b.turn(now)
	b.slots[b.at%windows] += b.earn
	b.sum += b.earn
	b.mu.Unlock()
}

// Retry takes one retry out of the budget; false means that it is exhausted.
func (b *Budget) Retry(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.turn(now)
	if b.reserve+b.sum < unit {
		return false
	}
	b.slots[b.at%windows] -= unit
	b.sum -= unit
	return true
}

// turn forgets the windows that are over.
func (b *Budget) turn(now time.Time) {
	at := max(b.at, int64(now.Sub(b.start)/b.window))
	for i := max(b.at+1, at-windows+1); i <= at; i++ {
		b.sum -= b.slots[i%windows]
		b.slots[i%windows] = 0
	}
	b.at = at
}
