package forward

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// clientContext ends with its parent, and when the client of an HTTP/1 request
// leaves while something is waited for: a turn, a connection, a pause. The watch
// looks after the client only when somebody begins to wait; until then it costs
// nothing.
type clientContext struct {
	context.Context //nolint:containedctx // it is one
	w               *work

	asked  atomic.Bool // ever
	waited atomic.Bool // since left was called
	// partial says that some of the body may be unread: an end behind it does not
	// show yet whether all of it came.
	partial bool

	mu     sync.Mutex
	inner  context.Context
	cancel context.CancelFunc
	over   bool
}

// begin makes it the context of a request; one that somebody may hold still is
// left to him.
func (c *clientContext) begin(parent context.Context, w *work) *clientContext {
	if c == nil || c.asked.Load() {
		c = &clientContext{}
	}
	c.Context, c.w, c.partial = parent, w, !w.body.whole
	return c
}

// end says that the request is over.
func (c *clientContext) end() {
	if !c.asked.Load() {
		c.Context, c.w = nil, nil
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over = true
	c.cancel()
}

// left says whether something was waited for, and the client has left meanwhile.
// One that has merely ended its side has as long as anywhere (patience).
func (c *clientContext) left() bool {
	if !c.waited.Load() {
		return false
	}
	c.waited.Store(false)
	s := c.w.s
	gone := s.guard.gone() || c.inner.Err() != nil && c.Context.Err() == nil
	s.guard.rest()
	return gone
}

// Abort implements aborter.
func (c *clientContext) Abort() { c.cancel() }

// Asks implements aborter.
func (c *clientContext) Asks() bool { return !c.partial && c.w.Asks() }

// wait returns what ends it from now on.
func (c *clientContext) wait() context.Context {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.inner == nil {
		c.inner, c.cancel = context.WithCancel(c.Context)
		c.asked.Store(true)
	}
	if !c.over && !c.waited.Swap(true) {
		c.w.s.guard.wait(c, time.Now())
	}
	return c.inner
}

// Done implements context.Context.
func (c *clientContext) Done() <-chan struct{} { return c.wait().Done() }

// Err implements context.Context.
func (c *clientContext) Err() error {
	if !c.asked.Load() {
		return c.Context.Err()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.inner.Err()
}

// Value implements context.Context. By it package context finds that what ends it
// is a context of its own: otherwise a goroutine for each that is derived would
// call Done, at a time when nothing is waited for any more.
func (c *clientContext) Value(key any) any {
	if !c.asked.Load() {
		return c.Context.Value(key)
	}
	return c.inner.Value(key) // set before asked
}
