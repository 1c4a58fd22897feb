package forward

import (
	"context"
	"sync"
	"time"

	"github.com/weftmesh/weft/proxy/timer"
)

// clock keeps the time of one request: of all of it, and of each try. Both run
// on the proxy's timer wheel, by one alarm.
type clock struct {
	wheel   *timer.Wheel
	request time.Duration // from the end of the request on; 0 for no bound
	once    time.Duration // of a try until its response begins; 0 for no bound
	// response is of a try too, until its response ends; 0 for no bound.
	response time.Duration

	mu       sync.Mutex
	alarm    timer.Timer
	armed    time.Time // when the alarm rings; zero for not
	try      Try
	complete bool      // the client has sent all
	held     bool      // a fault's delay lasts: the request's time has not begun
	end      time.Time // of the request; zero for none (yet)
	tryEnd   time.Time
	respEnd  time.Time // of the try's response; it is tryEnd's too until that has begun
	over     bool      // the request's time
	late     bool      // the try's time
	waiting  chan struct{}
	cancel   context.CancelFunc // of the context that somebody waits for
}

// limited says whether there is any time to keep.
func (c *clock) limited() bool { return c.wheel != nil }

// Fire is the wheel's call.
func (c *clock) Fire(time.Time) {
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.armed = time.Time{}
	switch {
	case c.over:
		if c.try != nil {
			c.try.Expire(true)
		}
		return
	case !c.end.IsZero() && !now.Before(c.end):
		c.over = true
		if c.waiting != nil {
			close(c.waiting)
			c.waiting = nil
		}
		if c.cancel != nil {
			c.cancel()
		}
		if c.try != nil {
			c.try.Expire(false)
		}
		c.armed = now.Add(lingerTime)
		c.wheel.Arm(&c.alarm, c, lingerTime)
		return
	case !c.tryEnd.IsZero() && !now.Before(c.tryEnd):
		c.late, c.tryEnd = true, time.Time{}
		if c.try != nil {
			c.try.Expire(false)
		}
	}
	c.arm(now)
}

// arm sets the alarm to whatever comes first. It is called with the lock.
func (c *clock) arm(now time.Time) {
	next := c.end
	if next.IsZero() || !c.tryEnd.IsZero() && c.tryEnd.Before(next) {
		next = c.tryEnd
	}
	// An alarm that rings early does no harm.
	if next.IsZero() || !c.armed.IsZero() && !next.Before(c.armed) {
		return
	}
	c.armed = next
	c.wheel.Arm(&c.alarm, c, next.Sub(now))
}

// until bounds the request by a time that begins now.
func (c *clock) until(end time.Time) {
	if c.end.IsZero() || end.Before(c.end) {
		c.end = end
	}
}

// begin lets the time run that begins with the end of the request, if that has
// come. It is called with the lock.
func (c *clock) begin(now time.Time) {
	if !c.complete || c.held || c.over {
		return
	}
	if c.request > 0 {
		c.until(now.Add(c.request))
	}
	if c.try != nil {
		c.beginTry(now)
	}
	c.arm(now)
}

// beginTry lets the time of a try run. It is called with the lock.
func (c *clock) beginTry(now time.Time) {
	if c.once > 0 {
		c.tryEnd = now.Add(c.once)
	}
	if c.response > 0 {
		c.respEnd = now.Add(c.response)
		if c.tryEnd.IsZero() || c.respEnd.Before(c.tryEnd) {
			c.tryEnd = c.respEnd
		}
	}
}

func (c *clock) completed() {
	if !c.limited() {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.complete {
		c.complete = true
		c.begin(time.Now())
	}
}

// hold stops the time from beginning until it is released.
func (c *clock) hold(held bool) {
	if !c.limited() {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.held = held
	c.begin(time.Now())
}

func (c *clock) sent(t Try) {
	if !c.limited() {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.try, c.late = t, false
	if c.complete && (c.once > 0 || c.response > 0) {
		now := time.Now()
		c.beginTry(now)
		c.arm(now)
	}
	if c.over && t != nil {
		t.Expire(false)
	}
}

// disarm ends the current try, whose Expire does not come any more, and says
// whether its own time was over.
func (c *clock) disarm() (late bool) {
	if !c.limited() {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.try, c.tryEnd, c.respEnd = nil, time.Time{}, time.Time{}
	return c.late
}

// answered ends the time of the try until its response begins; what bounds the
// response bounds the request from now on, since there is no other try.
func (c *clock) answered() {
	if !c.limited() {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tryEnd = time.Time{}
	if !c.respEnd.IsZero() && !c.over {
		c.until(c.respEnd)
		c.arm(time.Now())
	}
}

func (c *clock) timedOut() bool {
	if !c.limited() {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	// What else goes by the same time may have noticed before the alarm rings.
	return c.over || !c.end.IsZero() && !time.Now().Before(c.end)
}

// expired is closed when the request's time is over; nil where none is kept.
func (c *clock) expired() <-chan struct{} {
	if !c.limited() {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over {
		return closed
	}
	if c.waiting == nil {
		c.waiting = make(chan struct{})
	}
	return c.waiting
}

var closed = func() chan struct{} { c := make(chan struct{}); close(c); return c }()

// stop ends the clock; afterwards it can be used for another request.
func (c *clock) stop() {
	if c.limited() {
		c.disarm()
		c.wheel.Stop(&c.alarm)
		// Fire may have armed it once more.
		c.wheel.Stop(&c.alarm)
	}
}

// limitedContext ends with its parent, or when the request's time is over. It
// costs nothing until somebody waits for it; then it outlives the request's
// memory.
type limitedContext struct {
	context.Context
	clock *clock
	// waiter is told of whoever begins to wait; nil for nobody. It is its call
	// alone that waits.
	waiter waiter

	once   sync.Once
	inner  context.Context
	cancel context.CancelFunc
}

func (l *limitedContext) make() context.Context {
	l.once.Do(func() {
		c := l.clock
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.end.IsZero() { // it may begin yet
			l.inner, l.cancel = context.WithCancel(l.Context)
		} else {
			l.inner, l.cancel = context.WithDeadline(l.Context, c.end)
		}
		if c.cancel = l.cancel; c.over {
			c.cancel()
		}
	})
	return l.inner
}

// waiter is told when somebody begins to wait for a connection.
type waiter interface{ waiting() }

// Done implements context.Context.
func (l *limitedContext) Done() <-chan struct{} {
	if l.waiter != nil {
		l.waiter.waiting()
	}
	inner := l.make()
	_ = l.Context.Done() // who looks after whoever waits does so for each wait
	return inner.Done()
}

func (l *limitedContext) Deadline() (time.Time, bool) { return l.make().Deadline() }
func (l *limitedContext) Err() error                  { return l.make().Err() }
func (l *limitedContext) Value(key any) any           { return l.make().Value(key) }
