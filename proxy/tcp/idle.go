package tcp

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// ErrIdle is the end of a pipe on which nothing moved for Options.Idle.
var ErrIdle = errors.New("tcp: idle timeout")

// WatchIdle calls fail with ErrIdle when moved has not changed for a whole idle
// time; 0 is for ever. The result ends the watch.
func WatchIdle(idle time.Duration, moved *atomic.Uint64, fail func(error)) (stop func()) {
	if idle <= 0 {
		return func() {}
	}
	// Two ticks without a byte are the end: no timer is touched per byte.
	tick := idle / 2
	var last uint64
	silent := 0
	var mu sync.Mutex
	var timer *time.Timer
	over := false
	mu.Lock()
	defer mu.Unlock()
	timer = time.AfterFunc(tick, func() {
		mu.Lock()
		if over {
			mu.Unlock()
			return
		}
		if now := moved.Load(); now != last {
			last, silent = now, 0
		} else if silent++; silent >= 2 {
			over = true
			mu.Unlock()
			fail(ErrIdle)
			return
		}
		timer.Reset(tick)
		mu.Unlock()
	})
	return func() {
		mu.Lock()
		defer mu.Unlock()
		over = true
		timer.Stop()
	}
}
