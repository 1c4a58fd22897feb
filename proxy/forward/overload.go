package forward

import (
	"context"
	"log/slog"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync/atomic"
	"time"
)

// Level is how short of memory a proxy is. Each level does what those before it
// do.
type Level int32

const (
	// Relaxed is the normal state.
	Relaxed Level = iota
	// Tight gives new streams smaller windows, so that less is held for slow
	// readers.
	Tight
	// Short accepts no new connections.
	Short
	// Critical answers new requests with 503; peers' proxies try elsewhere.
	Critical
)

func (l Level) String() string { return [...]string{"relaxed", "tight", "short", "critical"}[l] }

// enter is the share of the memory limit, in percent, that a level begins at; it
// ends slack below, so that the proxy does not flap.
var enter = [...]int{Tight: 65, Short: 78, Critical: 88}

const slack = 5

// next is the level at a use of so many percent.
func (l Level) next(percent int) Level {
	for l < Critical && percent >= enter[l+1] {
		l++
	}
	for l > Relaxed && percent < enter[l]-slack {
		l--
	}
	return l
}

// Level is how short of memory the proxy is.
func (a *Activity) Level() Level { return Level(a.level.Load()) }

// SetLevel is for whoever watches the memory (Guard).
func (a *Activity) SetLevel(l Level) { a.level.Store(int32(l)) }

// Shedding says whether new requests are to be refused.
func (a *Activity) Shedding() bool { return a.level.Load() >= int32(Critical) }

func (a *Activity) shed() { a.unserved[1].Add(1) }

// Accepting says whether a new connection may be served. False counts it as
// refused: the caller resets it.
func (a *Activity) Accepting() bool {
	if a.level.Load() < int32(Short) {
		if a.asked.Add(1)%guardEach == 0 {
			a.nudge()
		}
		return true
	}
	a.unserved[0].Add(1)
	return false
}

// Shed is how many connections and requests were refused for want of memory.
func (a *Activity) Shed() (connections, requests uint64) {
	return a.unserved[0].Load(), a.unserved[1].Load()
}

// minWindow is what a stream needs to get on at all.
const minWindow = 16 << 10

// Window is how much of a stream may be held for a slow reader, where n is the
// normal bound, in bytes.
func (a *Activity) Window(n int) int {
	level := a.Level()
	switch {
	case level > Tight || a.held.much.Load():
		return min(n, minWindow)
	case level == Tight:
		return max(minWindow, n/4)
	}
	return n
}

// heldShare is the part of the memory limit that bodies may take which wait for
// slow readers: above it windows are the smallest at once, while a level is
// found out by the next look at the memory only.
const heldShare = 4

// held is what HTTP/2 connections hold for slow readers, in bytes.
type held struct {
	now, most atomic.Int64 // most: 0 is no bound
	much      atomic.Bool
}

// Hold counts n more bytes that are held for slow readers, or fewer.
func (a *Activity) Hold(n int) {
	h := &a.held
	now, most := h.now.Add(int64(n)), h.most.Load()
	switch much := h.much.Load(); {
	case most > 0 && now > most && !much:
		h.much.Store(true)
	case much && now < most/4*3:
		h.much.Store(false)
	}
}

// streamShare is the part of the memory limit that requests over HTTP/2 may take
// besides their bodies: what is more is refused at once.
const streamShare = 2

// streams is what open HTTP/2 streams take, in bytes.
type streams struct {
	now, most atomic.Int64 // most: 0 is no bound
	near      atomic.Bool
}

// Carry counts n more bytes that open streams take, or fewer.
func (a *Activity) Carry(n int) {
	s := &a.streams
	now, most := s.now.Add(int64(n)), s.most.Load()
	if near := most > 0 && now > most/2; near != s.near.Load() && s.near.Swap(near) != near && near {
		a.nudge()
	}
}

// nudge has the guard look now.
func (a *Activity) nudge() {
	select {
	case a.nudges <- struct{}{}:
	default:
	}
}

// Admit says whether a connection whose streams take n bytes may open another:
// no more than four times what is still free, so that who comes late finds
// something. False counts a refused request.
func (a *Activity) Admit(n int) bool {
	most := a.streams.most.Load()
	if most == 0 || int64(n) < 4*(most-a.streams.now.Load()) {
		return true
	}
	a.shed()
	return false
}

// Held is how many bytes are held for slow readers.
func (a *Activity) Held() int64 { return a.held.now.Load() }

// memory reads what the process uses.
type memory struct{ samples []metrics.Sample }

func newMemory() *memory {
	m := &memory{}
	for _, n := range []string{"/memory/classes/total:bytes", "/memory/classes/heap/released:bytes", "/memory/classes/heap/objects:bytes",
		"/memory/classes/heap/unused:bytes", "/memory/classes/heap/free:bytes", "/gc/heap/live:bytes"} {
		m.samples = append(m.samples, metrics.Sample{Name: n})
	}
	return m
}

// used is what a garbage collection would leave: what was alive after the last
// one, and what is not heap. Garbage does not count, because the collector runs
// more often as the limit comes near.
func (m *memory) used() uint64 {
	metrics.Read(m.samples)
	v := func(i int) uint64 { return m.samples[i].Value.Uint64() }
	heap := v(1) + v(2) + v(3) + v(4)
	live := min(v(5), v(2))
	if total := v(0); total > heap {
		return total - heap + live
	}
	return live
}

const (
	guardSlow = time.Second
	guardFast = 100 * time.Millisecond
	// guardEach is after how many new connections the memory is looked at in any
	// case, and guardBusy how long it is then looked at often: they take more
	// memory as they go on.
	guardEach = 32
	guardBusy = 2 * time.Second
	// guardNear is the use in percent from which on the memory is looked at often.
	guardNear = 50
)

// Guard watches the memory until ctx ends and sets the level. limit is what the
// process may use, in bytes; it returns at once where there is none.
func (a *Activity) Guard(ctx context.Context, limit int64, log *slog.Logger) {
	if limit <= 0 || limit > 1<<50 {
		return
	}
	a.held.most.Store(limit / heldShare)
	a.streams.most.Store(limit / streamShare)
	m := newMemory()
	t := time.NewTimer(guardSlow)
	defer t.Stop()
	var busy, collected time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		case <-a.nudges:
			busy = time.Now().Add(guardBusy)
		}
		percent := int(m.used() * 100 / uint64(limit))
		switch level := a.look(percent, log); {
		case level == Critical:
			// Nothing is left to give but what the heap has kept.
			debug.FreeOSMemory()
		case level == Short && time.Since(collected) > guardSlow:
			// While nobody is let in nothing may be allocated either: without a
			// collection it is not seen that there is room again.
			runtime.GC()
			collected = time.Now()
		}
		if percent >= guardNear || a.streams.near.Load() || time.Now().Before(busy) {
			t.Reset(guardFast)
		} else {
			t.Reset(guardSlow)
		}
	}
}

// look sets the level for a use and tells the operator about a change.
func (a *Activity) look(percent int, log *slog.Logger) Level {
	old := a.Level()
	now := old.next(percent)
	if now == old {
		return now
	}
	a.SetLevel(now)
	connections, requests := a.Shed()
	args := []any{"level", now.String(), "used_percent", percent, "carried", a.Carried(), "refused_connections", connections, "refused_requests", requests}
	if now > old {
		log.Warn("the proxy is short of memory: it sheds load", args...)
	} else {
		log.Info("the proxy has more memory again", args...)
	}
	return now
}
