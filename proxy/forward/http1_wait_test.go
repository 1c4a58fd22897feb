package forward

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/weftmesh/weft/proxy/conn"
)

// newWaiting makes a request whose context has begun.
func newWaiting(t *testing.T) *work {
	a, b := net.Pipe()
	c, watch := conn.New(a), &Watch{}
	w := &work{s: &http1{c: c, d: &Downstream{}, guard: watch.add(c, Limits{}.WithDefaults())}}
	t.Cleanup(func() {
		watch.remove(w.s.guard)
		c.Close()
		b.Close()
	})
	w.body.whole = true
	w.ctx = w.ctx.begin(context.Background(), w)
	return w
}

// What is derived from a request's context ends with it, and nobody asks for its
// end by himself later, when the watch looks after something else.
func TestClientContextIsFollowedWithoutAGoroutine(t *testing.T) {
	w := newWaiting(t)
	dial, cancel := context.WithTimeout(w.ctx, time.Minute)
	defer cancel()
	if !w.ctx.Asks() || w.ctx.left() {
		t.Error("the client has not left")
	}
	w.ctx.Abort()
	if dial.Err() == nil {
		t.Error("a goroutine must first see that the request is given up")
	}
	w.ctx.end()
}

// Where some of the body is unread the client's end may stand behind all of it.
func TestEndBehindAnUnreadBodyIsNoLeave(t *testing.T) {
	for _, whole := range []bool{false, true} {
		w := &work{}
		w.body.whole = whole
		if c := w.ctx.begin(context.Background(), w); c.Asks() != whole {
			t.Errorf("whole %v: an end behind it counts as leaving: %v", whole, c.Asks())
		}
	}
}

// A request whose time is limited is looked after at each of its waits, and not at
// the first alone.
func TestEachWaitOfALimitedRequestIsLookedAfter(t *testing.T) {
	w := newWaiting(t)
	defer w.ctx.end()
	limited := &limitedContext{Context: w.ctx, clock: &clock{}}
	for try := range 2 {
		_ = limited.Done()
		if w.s.guard.up != w.ctx {
			t.Errorf("try %d: nobody looks whether the client leaves", try)
		}
		if w.ctx.left() || w.s.guard.up != nil {
			t.Errorf("try %d: the wait does not end", try)
		}
	}
}
