// Package timer calls back after a while, coarsely and cheaply: one goroutine
// for a whole proxy, which sleeps until the next timer may be due and exists
// only while one is armed. To arm and to stop allocate nothing, and most timers
// are stopped before they fire.
package timer

import (
	"runtime/debug"
	"sync"
	"time"
)

const (
	// Tick is the precision: a timer fires at its time or up to Tick later.
	Tick = 10 * time.Millisecond
	// slots of one Tick each are one turn of the wheel. A later timer lies in the
	// slot of its time and is passed over until its turn comes.
	slots = 1024
)

// Target is called when a timer fires: on the wheel's goroutine, so that it
// must not block, nor stop a timer.
type Target interface{ Fire(now time.Time) }

// Wheel keeps timers. The zero value is ready; it must not be copied.
type Wheel struct {
	// Crashed, where set, is told when a target panics, and the others go on. It is
	// set before the first timer is armed.
	Crashed func(reason any, stack []byte)

	mu      sync.Mutex
	called  sync.Cond // firing has changed
	start   time.Time // of tick 0
	turned  int64     // the last tick that was dealt with
	wake    int64     // the tick that the goroutine sleeps until
	armed   int
	running bool
	alarm   *time.Timer
	firing  *Timer
	due     *Timer // to be called in this turn
	ring    [slots]*Timer
}

// Timer is one alarm, to be part of what it belongs to. The zero value is
// stopped. It must not be copied while it is armed.
type Timer struct {
	next, prev *Timer
	list       **Timer // the list that it is in; nil when it is stopped
	tick       int64
	target     Target
}

func (t *Timer) link(list **Timer) {
	t.list, t.prev, t.next = list, nil, *list
	if t.next != nil {
		t.next.prev = t
	}
	*list = t
}

func (t *Timer) unlink() {
	if t.prev != nil {
		t.prev.next = t.next
	} else {
		*t.list = t.next
	}
	if t.next != nil {
		t.next.prev = t.prev
	}
	t.list, t.prev, t.next = nil, nil, nil
}

// Arm lets t fire once, after d; a timer that is armed already is moved. A call
// of the target that has begun goes on.
func (w *Wheel) Arm(t *Timer, target Target, d time.Duration) {
	now := time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	if t.list != nil {
		t.unlink()
		w.armed--
	}
	if !w.running {
		w.begin(now)
	}
	// Rounded up, so that nothing fires too early.
	t.tick = max(int64((now.Sub(w.start)+max(d, 0)+Tick-1)/Tick), w.turned+1)
	t.target = target
	t.link(&w.ring[t.tick%slots])
	w.armed++
	if t.tick < w.wake {
		w.wake = t.tick
		w.alarm.Reset(w.start.Add(time.Duration(t.tick) * Tick).Sub(now))
	}
}

// begin starts a wheel that stands still.
func (w *Wheel) begin(now time.Time) {
	w.called.L = &w.mu
	w.start, w.turned, w.wake = now, 0, slots
	w.running = true
	w.alarm = time.NewTimer(slots * Tick)
	go w.run(w.alarm)
}

// Stop disarms t. When it returns the target is neither being called nor will
// be. pending says that the timer had not fired.
func (w *Wheel) Stop(t *Timer) (pending bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if t.list != nil {
		t.unlink()
		w.armed--
		pending = true
	}
	for w.firing == t {
		w.called.Wait()
	}
	return pending
}

// Armed is how many timers there are.
func (w *Wheel) Armed() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.armed
}

// run turns the wheel until nothing is armed.
func (w *Wheel) run(alarm *time.Timer) {
	for now := range alarm.C {
		w.mu.Lock()
		w.turn(now)
		if w.armed == 0 {
			w.running = false
			w.mu.Unlock()
			return
		}
		w.wake = w.turned + 1
		for w.wake < w.turned+slots && w.ring[w.wake%slots] == nil {
			w.wake++
		}
		alarm.Reset(time.Until(w.start.Add(time.Duration(w.wake) * Tick)))
		w.mu.Unlock()
	}
}

// turn fires what is due.
func (w *Wheel) turn(now time.Time) {
	until := int64(now.Sub(w.start) / Tick)
	// However long the pause was, every slot is looked at once.
	for i := max(w.turned+1, until-slots+1); i <= until; i++ {
		for t := w.ring[i%slots]; t != nil; {
			next := t.next
			if t.tick <= until {
				t.unlink()
				t.link(&w.due)
			}
			t = next
		}
	}
	w.turned = max(w.turned, until)
	// Not armed between two turns: a timer that is stopped meanwhile leaves.
	for w.due != nil {
		t := w.due
		t.unlink()
		w.armed--
		w.firing = t
		target := t.target
		w.mu.Unlock()
		w.fire(target, now)
		w.mu.Lock()
		w.firing = nil
		w.called.Broadcast()
	}
}

func (w *Wheel) fire(target Target, now time.Time) {
	defer func() {
		if w.Crashed == nil {
			return
		}
		if p := recover(); p != nil {
			w.Crashed(p, debug.Stack())
		}
	}()
	target.Fire(now)
}
