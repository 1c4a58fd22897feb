package forward

import (
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weftmesh/weft/proxy/conn"
	"github.com/weftmesh/weft/proxy/timer"
)

const (
	// patience is how long a response may take before the watch looks whether
	// its client is still there.
	patience = time.Second
	maxTick  = time.Second
	minTick  = 20 * time.Millisecond
)

// Watch keeps the time for all downstream connections of a proxy with one
// goroutine, which runs only while there are any: it ends heads that take too
// long and connections that lie idle for too long, and gives up requests whose
// client has left. Its precision is a second, or an eighth of a shorter limit.
// So no request sets a timer of its own. The zero value is ready.
type Watch struct {
	// wheel keeps the time of requests, more precisely.
	wheel timer.Wheel

	mu      sync.Mutex
	crashed func(reason any, stack []byte)
	guards  map[*guard]struct{}
	tick    time.Duration
	running bool
}

// OnCrash sets what is told of a panic of whoever is called, which ends nothing
// then. It is set before the Watch is used; without it a panic ends the process.
func (w *Watch) OnCrash(f func(reason any, stack []byte)) { w.crashed, w.wheel.Crashed = f, f }

// guard is the watch's view of one downstream connection.
type guard struct {
	down *conn.Conn

	mu       sync.Mutex
	deadline time.Time       // of what the client owes; zero for nothing
	ended    <-chan struct{} // while it is idle: closed when it is to end
	over     bool            // a deadline has passed: nothing more is read
	up       aborter         // where a response is being waited for
	since    time.Time
	left     bool        // the request was given up: the client has ended its side
	begun    atomic.Bool // the response
}

// aborter is what a response is being waited for on: it must not block.
type aborter interface {
	Abort()
	// Asks says that the client has more to say on the connection than what has
	// come: if it ends its side instead, nobody waits for the response.
	Asks() bool
}

// add begins to watch a connection.
func (w *Watch) add(c *conn.Conn, l Limits) *guard {
	g := &guard{down: c}
	tick := max(minTick, min(maxTick, l.Head/8, l.Idle/8))
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.guards == nil {
		w.guards = map[*guard]struct{}{}
	}
	w.guards[g] = struct{}{}
	if w.tick == 0 || tick < w.tick {
		w.tick = tick
	}
	if !w.running {
		w.running = true
		go w.run()
	}
	return g
}

// remove ends it.
func (w *Watch) remove(g *guard) {
	w.mu.Lock()
	delete(w.guards, g)
	w.mu.Unlock()
}

func (w *Watch) run() {
	var late []*guard
	ticker := time.NewTicker(maxTick)
	defer ticker.Stop()
	for {
		w.mu.Lock()
		if len(w.guards) == 0 {
			w.running = false
			w.mu.Unlock()
			return
		}
		tick := w.tick
		w.mu.Unlock()
		// From now on, however long the last round took.
		ticker.Reset(tick)
		<-ticker.C

		late = late[:0]
		now := time.Now()
		w.mu.Lock()
		for g := range w.guards {
			if g.late(now) {
				late = append(late, g)
			}
		}
		w.mu.Unlock()
		for _, g := range late {
			w.act(g, now)
		}
		clear(late)
	}
}

func (w *Watch) act(g *guard, now time.Time) {
	defer func() {
		if w.crashed == nil {
			return
		}
		if p := recover(); p != nil {
			w.crashed(p, debug.Stack())
			g.down.Abort()
		}
	}()
	g.act(now)
}

// expect says until when the client must have sent something.
func (g *guard) expect(deadline time.Time) {
	g.mu.Lock()
	g.up, g.ended = nil, nil
	g.deadline = deadline
	g.mu.Unlock()
}

// idle is expect for a connection between two requests, which ends at once when
// ended is closed.
func (g *guard) idle(deadline time.Time, ended <-chan struct{}) {
	g.mu.Lock()
	g.up, g.ended = nil, ended
	g.deadline = deadline
	g.mu.Unlock()
}

// busy says that the client has begun a request, and owes nothing until it is
// said what. It is false where the connection was ended before.
func (g *guard) busy() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.ended, g.deadline = nil, time.Time{}
	return !g.over
}

// isEnded says whether the connection is idle and is to end. It is called with
// the lock.
func (g *guard) isEnded() bool {
	select {
	case <-g.ended:
		return true
	default:
		return false
	}
}

// wait says that the client has sent what it must, and that up owes a response
// since now. The connection must be released by rest before it is given away.
func (g *guard) wait(up aborter, now time.Time) {
	g.mu.Lock()
	g.up = up
	g.since = now
	g.deadline = time.Time{}
	g.left = false
	g.begun.Store(false)
	g.mu.Unlock()
}

// gone says whether the request was given up because its client has left.
func (g *guard) gone() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.left || g.down.PeerGone()
}

// rest says that nobody owes anything.
func (g *guard) rest() { g.expect(time.Time{}) }

func (g *guard) late(now time.Time) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return !g.deadline.IsZero() && now.After(g.deadline) || g.isEnded() || g.up != nil && now.Sub(g.since) > patience
}

func (g *guard) act(now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.isEnded() || !g.deadline.IsZero() && now.After(g.deadline) {
		g.deadline, g.ended, g.over = time.Time{}, nil, true
		// A deadline in the past wakes the reader.
		g.down.SetReadDeadline(time.Unix(1, 0))
	}
	if g.up == nil || now.Sub(g.since) <= patience {
		return
	}
	if g.down.PeerGone() || !g.begun.Load() && g.up.Asks() && g.down.PeerEnded() {
		g.left = true
		g.up.Abort()
		g.up = nil
	}
}
