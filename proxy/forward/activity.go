package forward

import (
	"log/slog"
	"sync"
	"sync/atomic"
)

// Activity knows what a proxy is carrying, so that it can end when nothing is
// left. The zero value is not usable; make it with NewActivity.
type Activity struct {
	carried atomic.Int64
	panics  atomic.Uint64
	shadows shadows
	// level is how short of memory the proxy is.
	level    atomic.Int32
	unserved [2]atomic.Uint64 // connections and requests that were shed
	held     held
	streams  streams
	asked    atomic.Uint32 // connections
	nudges   chan struct{} // ask the guard to look

	mu       sync.Mutex
	draining chan struct{}
	begun    bool
}

// NewActivity makes an idle one.
func NewActivity() *Activity {
	return &Activity{draining: make(chan struct{}), nudges: make(chan struct{}, 1)}
}

// Begin counts a request or an opaque connection; the result takes it back.
func (a *Activity) Begin() (end func()) {
	a.carried.Add(1)
	return func() { a.carried.Add(-1) }
}

// Carried is the number of requests and opaque connections under way. Idle
// HTTP connections do not count.
func (a *Activity) Carried() int64 { return a.carried.Load() }

// Panicked counts a connection that died of an error in the proxy itself.
func (a *Activity) Panicked() { a.panics.Add(1) }

// Crashed counts and logs such an error.
func (a *Activity) Crashed(log *slog.Logger, reason any, stack []byte) {
	a.Panicked()
	log.Error("connection: internal error", "panic", reason, "stack", string(stack))
}

// Panics is how many did.
func (a *Activity) Panics() uint64 { return a.panics.Load() }

// Draining returns what asks a connection accepted now to end; see
// Downstream.Draining. Connections that are accepted after Drain are not asked:
// they serve clients that do not know yet, and would only come again.
func (a *Activity) Draining() <-chan struct{} {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.begun {
		return nil
	}
	return a.draining
}

// Drain asks every connection accepted so far to end when it can.
func (a *Activity) Drain() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.begun {
		a.begun = true
		close(a.draining)
	}
}
