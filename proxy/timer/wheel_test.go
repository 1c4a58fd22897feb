package timer

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weftmesh/weft/internal/waittest"
)

type alarm struct {
	t     Timer
	due   time.Time
	fired atomic.Int64
	late  atomic.Int64 // of the last call, in nanoseconds
	wait  chan struct{}
	block chan struct{}
}

func (a *alarm) Fire(time.Time) {
	if a.block != nil {
		close(a.wait)
		<-a.block
	}
	a.late.Store(int64(time.Since(a.due)))
	if a.fired.Add(1) == 1 && a.block == nil && a.wait != nil {
		close(a.wait)
	}
}

func (a *alarm) arm(w *Wheel, d time.Duration) {
	a.due = time.Now().Add(d)
	w.Arm(&a.t, a, d)
}

func TestTimersFireOnceAndNotEarly(t *testing.T) {
	var w Wheel
	var all []*alarm
	for i := range 300 {
		a := &alarm{}
		all = append(all, a)
		a.arm(&w, time.Duration(i)*time.Millisecond)
	}
	for i, a := range all {
		if i%3 == 0 {
			w.Stop(&a.t)
		}
		if i%3 == 1 && w.Stop(&a.t) {
			a.arm(&w, time.Duration(rand.IntN(100))*time.Millisecond)
		}
	}
	waittest.Until(t, "the end", func() bool { return w.Armed() == 0 })
	for i, a := range all {
		n := a.fired.Load()
		if n > 1 || n == 1 && a.late.Load() < 0 || n == 0 && i%3 == 2 {
			t.Errorf("timer %d: fired %d times, %v late", i, n, time.Duration(a.late.Load()))
		}
	}
	waittest.Until(t, "the goroutine's end", func() bool { w.mu.Lock(); defer w.mu.Unlock(); return !w.running })
	// It starts again.
	a := &alarm{wait: make(chan struct{})}
	a.arm(&w, 0)
	<-a.wait
}

func TestAnEarlierTimerWakesTheWheel(t *testing.T) {
	var w Wheel
	late, soon := &alarm{}, &alarm{wait: make(chan struct{})}
	late.arm(&w, time.Hour)
	soon.arm(&w, 20*time.Millisecond)
	select {
	case <-soon.wait:
	case <-time.After(5 * time.Second):
		t.Fatal("the wheel sleeps until the later timer")
	}
	if late.fired.Load() != 0 || !w.Stop(&late.t) {
		t.Error("a timer of a later turn has fired")
	}
}

// The guarantee that makes it safe to use again what a target works on.
func TestStopWaitsForTheCall(t *testing.T) {
	var w Wheel
	a := &alarm{wait: make(chan struct{}), block: make(chan struct{})}
	a.arm(&w, 0)
	<-a.wait
	stopped := make(chan bool)
	go func() { stopped <- w.Stop(&a.t) }()
	select {
	case <-stopped:
		t.Fatal("Stop returned within the call")
	case <-time.After(30 * time.Millisecond):
	}
	close(a.block)
	if <-stopped || a.fired.Load() != 1 {
		t.Error("the call was lost")
	}
}

func TestConcurrentUse(t *testing.T) {
	var w Wheel
	var wg sync.WaitGroup
	for range 8 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for range 300 {
				a := &alarm{}
				a.arm(&w, time.Duration(rand.IntN(30))*time.Millisecond)
				if rand.IntN(4) == 0 {
					time.Sleep(time.Duration(rand.IntN(2000)) * time.Microsecond)
				}
				before := w.Stop(&a.t)
				if n := a.fired.Load(); before == (n == 1) {
					t.Errorf("pending %v, fired %d", before, n)
				}
			}
		}()
	}
	wg.Wait()
	if n := w.Armed(); n != 0 {
		t.Errorf("%d timers left", n)
	}
}

func TestArmAndStopAllocateNothing(t *testing.T) {
	var w Wheel
	keep := &alarm{}
	keep.arm(&w, time.Hour)
	a := &alarm{}
	if n := testing.AllocsPerRun(1000, func() {
		w.Arm(&a.t, a, time.Minute)
		w.Stop(&a.t)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
	w.Stop(&keep.t)
}

func BenchmarkArmStop(b *testing.B) {
	var w Wheel
	a := &alarm{}
	b.ReportAllocs()
	for b.Loop() {
		w.Arm(&a.t, a, time.Minute)
		w.Stop(&a.t)
	}
}
