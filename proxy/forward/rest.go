package forward

import (
	"context"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
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
	// restGrowth is how much more memory than was left the last time, in bytes, is
	// reason to give it back without waiting for restAgain: a burst of connections.
	restGrowth = 6 << 20
)

// Rest gives memory that is not needed back to the system whenever the process
// has become idle, until ctx ends: what loading the configuration or a burst of
// connections took would otherwise stay until the runtime collects garbage by
// itself, which a process that allocates nothing hardly does.
func Rest(ctx context.Context) {
	t := time.NewTicker(restTick)
	defer t.Stop()
	r := rest{used: processTime()}
	use := newResident()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-t.C:
			r.grown = !r.rested && use.bytes() > r.left+restGrowth
			if r.due(now, processTime()) {
				release()
				r.left = use.bytes()
				r.used = processTime()
			}
		}
	}
}

// restCollections is how often garbage is collected then. What a pool holds
// outlives one collection, and each halves the stacks that are too large for
// goroutines which wait.
const restCollections = 3

// release gives memory back.
func release() {
	for range restCollections - 1 {
		runtime.GC()
	}
	debug.FreeOSMemory()
}

// rest decides when.
type rest struct {
	used   time.Duration // when it last looked
	rested bool          // nothing has happened since memory was given back
	last   time.Time     // when that was
	left   uint64        // what remained, in bytes
	grown  bool          // since then, by more than restGrowth
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
	if r.rested || !r.last.IsZero() && !r.grown && now.Sub(r.last) < restAgain {
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

// resident reads how much memory the runtime has of the system's.
type resident [2]metrics.Sample

func newResident() *resident {
	return &resident{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
}

func (m *resident) bytes() uint64 {
	metrics.Read(m[:])
	return m[0].Value.Uint64() - m[1].Value.Uint64()
}
