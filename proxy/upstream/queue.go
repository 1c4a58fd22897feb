package upstream

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
)

// queue counts the connections of one cluster and keeps the requests that wait
// for one in order.
type queue struct {
	mu    sync.Mutex
	open  int64
	first *waiter
	last  *waiter
	// n is how many wait, so that nobody takes the lock for nothing.
	n atomic.Int64
}

// waiter is one request. Just one of conn and charged comes over ready.
type waiter struct {
	e          *Endpoint
	ready      chan struct{}
	conn       *HTTP1
	charged    bool
	queued     bool
	next, prev *waiter
}

func (q *queue) connections() int64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.open
}

// allowed says whether an endpoint may have one more connection, were open the
// number of all others.
func (q *queue) allowed(e *Endpoint, open int64) bool {
	l := &e.cluster.state.Load().spec.Limits
	n := e.peer.open.Load()
	return n == 0 || !l.MaxConnections.passed(open+1) && !l.MaxPerEndpoint.passed(n+1)
}

// charge counts one more connection to the endpoint, if it may have one.
func (e *Endpoint) charge() bool {
	q := &e.cluster.queue
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.allowed(e, q.open) {
		return false
	}
	q.open++
	e.peer.open.Add(1)
	return true
}

// discharge takes back one charge: the first request in the queue that may have
// a connection instead gets it.
func (e *Endpoint) discharge() {
	q := &e.cluster.queue
	q.mu.Lock()
	defer q.mu.Unlock()
	e.peer.open.Add(-1)
	for w := q.first; w != nil; w = w.next {
		if q.allowed(w.e, q.open-1) {
			w.e.peer.open.Add(1)
			w.charged = true
			q.remove(w)
			close(w.ready)
			return
		}
	}
	q.open--
}

// give hands an idle connection to the first request that waits for one to the
// same peer.
func (q *queue) give(c *HTTP1) bool {
	if q.n.Load() == 0 {
		return false
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	w := q.waits(c.peer)
	if w == nil {
		return false
	}
	w.conn = c
	q.remove(w)
	close(w.ready)
	return true
}

// admit lets those go on that may have a connection now that the limits have
// changed.
func (q *queue) admit() {
	if q.n.Load() == 0 {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	for w := q.first; w != nil; w = w.next {
		if q.allowed(w.e, q.open) {
			q.open++
			w.e.peer.open.Add(1)
			w.charged = true
			q.remove(w)
			close(w.ready)
		}
	}
}

// wants says whether a request waits for a connection to the peer.
func (q *queue) wants(p *peer) bool {
	if q.n.Load() == 0 {
		return false
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.waits(p) != nil
}

// waits is the first request that waits for a connection to the peer. mu is held.
func (q *queue) waits(p *peer) *waiter {
	w := q.first
	for w != nil && w.e.peer != p {
		w = w.next
	}
	return w
}

func (q *queue) add(w *waiter) {
	w.prev, w.queued = q.last, true
	if q.last != nil {
		q.last.next = w
	} else {
		q.first = w
	}
	q.last = w
	q.n.Add(1)
}

// remove keeps w.next: a loop may stand on it.
func (q *queue) remove(w *waiter) {
	if w.prev != nil {
		w.prev.next = w.next
	} else {
		q.first = w.next
	}
	if w.next != nil {
		w.next.prev = w.prev
	} else {
		q.last = w.prev
	}
	w.queued = false
	q.n.Add(-1)
}

// leave takes w out and says whether it got nothing.
func (q *queue) leave(w *waiter) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if w.queued {
		q.remove(w)
		return true
	}
	return false
}

// claim returns an idle connection, or none with the right to make one by
// dialClaimed, which must follow. Where the cluster has as many connections as
// it may the request waits for its turn, if it may wait. fresh wants a new one.
// The errors are ErrOverflow and the context's.
func (e *Endpoint) claim(ctx context.Context, fresh bool) (*HTTP1, error) {
	if !fresh {
		if c := e.peer.reuse(); c != nil {
			return c, nil
		}
	}
	if err := e.pend(); err != nil {
		return nil, err
	}
	if e.charge() {
		return nil, nil
	}
	c, err := e.queueUp(ctx, fresh)
	if c != nil || err != nil {
		e.unpend()
	}
	return c, err
}

func (e *Endpoint) queueUp(ctx context.Context, fresh bool) (*HTTP1, error) {
	q := &e.cluster.queue
	w := &waiter{e: e, ready: make(chan struct{})}
	q.mu.Lock()
	if q.allowed(e, q.open) {
		q.open++
		e.peer.open.Add(1)
		q.mu.Unlock()
		return nil, nil
	}
	q.add(w)
	q.mu.Unlock()
	// A connection that became idle before the request was in the queue.
	if c := e.peer.reuse(); c != nil {
		switch {
		case !q.leave(w): // something was given to it at the same moment
			c.shelve()
		case !fresh:
			return c, nil
		default:
			w.swap(c)
		}
	}
	for {
		select {
		case <-w.ready:
		case <-ctx.Done():
			if !q.leave(w) {
				// It came at the same moment.
				if w.conn != nil {
					w.conn.shelve()
				} else {
					e.discharge()
				}
			}
			return nil, fmt.Errorf("%w: %s: waiting for a connection: %w", ErrConnect, e.peer.key.addr, ctx.Err())
		}
		if w.charged {
			return nil, nil
		}
		if c := w.conn; !fresh && c.Alive() {
			c.Reused = true
			return c, nil
		}
		w.swap(w.conn)
	}
}

// swap closes a connection that the request has been given but does not want,
// so that it gets the right to make one in its place: it is the first in the
// queue when that ends.
func (w *waiter) swap(c *HTTP1) {
	q := &w.e.cluster.queue
	w.conn, w.ready = nil, make(chan struct{})
	q.mu.Lock()
	w.prev, w.next, w.queued = nil, q.first, true
	if q.first != nil {
		q.first.prev = w
	} else {
		q.last = w
	}
	q.first = w
	q.n.Add(1)
	q.mu.Unlock()
	c.Close()
}
