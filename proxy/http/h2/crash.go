package h2

import (
	"errors"
	"runtime/debug"
	"time"
)

// errCrashed is why a connection ended one of whose goroutines has panicked.
var errCrashed = errors.New("internal error")

// seizeWithin is after how long it is assumed that whoever panicked had the lock:
// others have it for microseconds.
const seizeWithin = time.Second

// guard is deferred by each goroutine of a connection. One that panics ends the
// connection, and not the process. Without Options.Crashed it ends the process.
func (c *mux) guard() {
	if c.o.Crashed == nil {
		return
	}
	if p := recover(); p != nil {
		c.crash(p, debug.Stack())
	}
}

// crash ends the connection, whose state may be wrong.
func (c *mux) crash(reason any, stack []byte) {
	if c.crashed.CompareAndSwap(false, true) {
		c.o.Crashed(reason, stack)
	}
	defer c.close()
	for end := time.Now().Add(seizeWithin); !c.mu.TryLock() && time.Now().Before(end); {
		<-time.After(time.Millisecond)
	}
	over := false
	defer func() {
		if !over {
			// Beyond repair: at least nobody is to wait for the lock.
			_ = recover()
			c.mu.TryLock()
			c.mu.Unlock()
		}
	}()
	c.end(&ConnError{Code: CodeInternal, Reason: "crashed", Err: errCrashed})
	c.flushing = false // whoever did may be gone
	c.idle.Broadcast()
	c.unlock()
	over = true
}

// readSafely is readAll, and ends the connection where that panics.
func (c *mux) readSafely() error {
	defer c.guard()
	return c.readAll()
}
