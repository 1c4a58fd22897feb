package upstream

import (
	"context"
	"time"

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
	since  time.Time // when it was last put back
}

// HTTP1 returns the connection to the endpoint that was idle last, or a new
// one. fresh demands a new one: the try before this one died of an old one. An
// error is an ErrConnect or ErrRefused.
func (e *Endpoint) HTTP1(ctx context.Context, fresh bool) (*HTTP1, error) {
	p := e.peer
	for !fresh {
		p.mu.Lock()
		n := len(p.idle)
		if n == 0 {
			p.mu.Unlock()
			break
		}
		c := p.idle[n-1]
		p.idle[n-1] = nil
		p.idle = p.idle[:n-1]
		p.mu.Unlock()
		if c.Alive() {
			c.Reused = true
			return c, nil
		}
		c.Close()
	}
	c, err := e.dial(ctx, alpn.HTTP1)
	if err != nil {
		return nil, err
	}
	e.dialled(c)
	return &HTTP1{Conn: c, peer: p}, nil
}

// Put gives a connection back whose last exchange is complete on both sides.
func (c *HTTP1) Put() {
	c.Release()
	p := c.peer
	c.since = time.Now()
	p.mu.Lock()
	if p.gone || len(p.idle) >= p.registry.opts.MaxIdle || p.registry.isClosed() {
		p.mu.Unlock()
		c.Close()
		return
	}
	p.idle = append(p.idle, c)
	p.mu.Unlock()
}

// closeIdle closes the connections that have been idle for longer than age, or
// that the peer has closed.
func (p *peer) closeIdle(age time.Duration) {
	p.closeIdleHTTP2(age)
	before := time.Now().Add(-age)
	var late []*HTTP1
	p.mu.Lock()
	keep := p.idle[:0]
	for _, c := range p.idle {
		if age <= 0 || c.since.Before(before) || !c.Alive() {
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
