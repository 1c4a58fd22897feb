package upstream

import (
	"context"
	"slices"
	"sync/atomic"
	"time"

	"github.com/weftmesh/weft/identity"
	"github.com/weftmesh/weft/proxy/alpn"
	"github.com/weftmesh/weft/proxy/conn"
)

// HTTP1 is a connection for one HTTP/1.1 request at a time. Whoever got it
// gives it back by Put, or ends it by Close or Abort of the Conn.
type HTTP1 struct {
	*conn.Conn
	// Reused means that it carried a request before: its end may have crossed
	// this one on the way.
	Reused bool
	// Duplex says that SetDuplex was called: nothing is flushed by reading.
	Duplex bool
	peer   *peer
	queue  *queue // of its cluster
	born   time.Time
	// spent says that it must not carry another request.
	spent atomic.Bool
	// The next are guarded by the peer's lock while the connection is idle.
	served uint32
	used   bool      // since the reaper last looked
	since  time.Time // when it last did and found it used
}

// HTTP1 returns the connection to the endpoint that was idle last, or a new
// one, or waits until there is one. fresh demands a new one: the try before this
// one died of an old one. An error is an ErrOverflow, ErrConnect or ErrRefused.
func (e *Endpoint) HTTP1(ctx context.Context, fresh bool) (*HTTP1, error) {
	c, err := e.claim(ctx, fresh)
	if c != nil || err != nil {
		return c, err
	}
	nc, err := e.dialClaimed(ctx, alpn.HTTP1)
	if err != nil {
		return nil, err
	}
	return e.own(nc), nil
}

// own makes c a connection for one request at a time.
func (e *Endpoint) own(c *conn.Conn) *HTTP1 {
	e.count(c)
	h := &HTTP1{Conn: c, peer: e.peer, queue: &e.cluster.queue, born: time.Now()}
	if e.Mutual() {
		c.OnEnd(e.peer.registry.opts.TLS.Follow(c.TLS(), identity.Server, h.distrust))
	}
	return h
}

// reuse returns the connection that was idle last and still lives, if any.
func (p *peer) reuse() *HTTP1 {
	for {
		p.mu.Lock()
		n := len(p.idle)
		if n == 0 {
			p.mu.Unlock()
			return nil
		}
		c := p.idle[n-1]
		p.idle[n-1] = nil
		p.idle = p.idle[:n-1]
		p.mu.Unlock()
		if !c.spent.Load() && c.Alive() {
			c.Reused = true
			return c
		}
		c.Close()
	}
}

// Put gives a connection back whose last exchange is complete on both sides.
func (c *HTTP1) Put() {
	c.served++
	if s := c.peer.settings.Load(); s != nil {
		if s.MaxRequests > 0 && c.served >= s.MaxRequests || s.MaxAge > 0 && time.Since(c.born) >= s.MaxAge {
			c.Close()
			return
		}
	}
	c.shelve()
}

// shelve gives the connection to a request that waits, or keeps it for the next.
func (c *HTTP1) shelve() {
	for c != nil {
		c.Release()
		if c.spent.Load() || c.queue.n.Load() > 0 && !c.Alive() {
			// Bytes that nobody asked for must not become the answer of the next request.
			c.Close()
			return
		}
		if c.queue.give(c) || !c.keep() || !c.queue.wants(c.peer) {
			return
		}
		// Somebody came in between, and may have seen no idle connection.
		c = c.peer.reuse()
	}
}

// keep makes the connection an idle one, or closes it and says false.
func (c *HTTP1) keep() bool {
	p := c.peer
	p.mu.Lock()
	full := p.gone || len(p.idle) >= p.registry.opts.MaxIdle || p.registry.isClosed()
	if !full {
		c.used = true
		p.idle = append(p.idle, c)
	}
	p.mu.Unlock()
	if full {
		c.Close()
	}
	return !full
}

// distrust ends the connection: now if it is idle, else with its request.
func (c *HTTP1) distrust() {
	c.spent.Store(true)
	p := c.peer
	p.mu.Lock()
	at := slices.Index(p.idle, c)
	if at >= 0 {
		p.idle = slices.Delete(p.idle, at, at+1)
	}
	p.mu.Unlock()
	if at >= 0 {
		c.Close()
	}
}

// closeIdle closes the connections that have been idle for longer than age or
// exist for too long, and those that the peer has closed. With age 0 it closes
// all of them.
func (p *peer) closeIdle(age time.Duration) {
	p.closeIdleHTTP2(age)
	now := time.Now()
	var old time.Duration
	if s := p.settings.Load(); s != nil {
		old = s.MaxAge
	}
	var late []*HTTP1
	p.mu.Lock()
	keep := p.idle[:0]
	for _, c := range p.idle {
		if c.used {
			c.used, c.since = false, now
		}
		if age <= 0 || c.spent.Load() || now.Sub(c.since) > age || old > 0 && now.Sub(c.born) > old || !c.Alive() {
			late = append(late, c)
		} else {
			keep = append(keep, c)
		}
	}
	clear(p.idle[len(keep):])
	p.idle = keep
	p.mu.Unlock()
	for _, c := range late {
		c.Close()
	}
}

func (r *Registry) isClosed() bool {
	select {
	case <-r.closed:
		return true
	default:
		return false
	}
}
