package forward

import (
	"context"
	"runtime/debug"
	"syscall"
	"time"
)

const (
	// restTick is how often the proxy looks whether it is idle, and restAgain how
	// often it gives memory back at most.
	restTick  = time.Second
	restAgain = 15 * time.Second
	// restUse is the CPU time in a tick below which it is idle.
	restUse = restTick / 100
)

// Rest gives memory that is not needed back to the system whenever the process
// has become idle, until ctx ends: what loading the configuration or a burst of
// connections took would otherwise stay until the runtime collects garbage by
// itself, which a process that allocates nothing hardly does.
func Rest(ctx context.Context) {
	t := time.NewTicker(restTick)
	defer t.Stop()
	r := rest{used: processTime()}
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-t.C:
			if r.due(now, processTime()) {
				debug.FreeOSMemory()
				r.used = processTime()
			}
		}
	}
}

// rest decides when.
type rest struct {
	used   time.Duration // when it last looked
	rested bool          // nothing has happened since memory was given back
	last   time.Time     // when that was
}

// due says whether memory is to be given back, where the process has used so
// much CPU time so far.
func (r *rest) due(now time.Time, used time.Duration) bool {
	busy := used-r.used >= restUse
	r.used = used
	if busy {
		r.rested = false
		return false
	}
	if r.rested || !r.last.IsZero() && now.Sub(r.last) < restAgain {
		return false
	}
	r.rested, r.last = true, now
	return true
}

// processTime is the CPU time of the process.
func processTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
