package forward

import (
	"context"
	"sync"
	"time"
)

// callContext is the context of a call, for the rare case that something has to
// be waited for: its channel is made when somebody asks for it.
type callContext struct {
	base context.Context //nolint:containedctx // it is a context

	mu   sync.Mutex
	done chan struct{}
	err  error
}

// reuse makes it the context of another call, unless somebody may still hold
// it.
func (c *callContext) reuse() *callContext {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.done != nil {
		return nil
	}
	c.base, c.err = nil, nil
	return c
}

func (c *callContext) begin(base context.Context) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.base = base
}

// cancel ends it; that the server ends is told by the stream's abort.
func (c *callContext) cancel() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil {
		c.err = context.Canceled
		if c.done != nil {
			close(c.done)
		}
	}
}

// Deadline implements context.Context.
func (c *callContext) Deadline() (time.Time, bool) { return c.parent().Deadline() }

// Value implements context.Context.
func (c *callContext) Value(key any) any { return c.parent().Value(key) }

func (c *callContext) parent() context.Context {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.base
}

// Done implements context.Context.
func (c *callContext) Done() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.done == nil {
		c.done = make(chan struct{})
		if c.err != nil {
			close(c.done)
		}
	}
	return c.done
}

// Err implements context.Context.
func (c *callContext) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}
