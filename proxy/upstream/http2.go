package upstream

import (
	"context"
	"time"

	"github.com/weftmesh/weft/proxy/alpn"
	"github.com/weftmesh/weft/proxy/http/h2"
)

const (
	// keepAlive is how often a silent HTTP/2 connection with open streams is
	// asked whether it lives.
	keepAlive = 30 * time.Second
	// crowded is how many streams a connection carries before another one is
	// opened beside it, where the peer allows that many on one.
	crowded = 200
)

// shared is the HTTP/2 connections of a peer.
type shared struct {
	clients []*sharedClient
	dialing *dialing
}

type sharedClient struct {
	*h2.Client
	since time.Time // when it was last asked for
}

// dialing is one attempt that every waiting request shares.
type dialing struct {
	done   chan struct{}
	client *h2.Client
	err    error
}

// HTTP2 returns a connection to the endpoint that takes another stream, or
// makes one. It is shared: the caller opens streams on it and neither closes
// nor keeps it. A stream refused with h2.ErrBusy means that it filled up
// meanwhile: call again. An error is an ErrConnect or ErrRefused.
func (e *Endpoint) HTTP2(ctx context.Context) (*h2.Client, error) {
	p := e.peer
	p.mu.Lock()
	if c := p.http2.best(); c != nil {
		p.mu.Unlock()
		return c, nil
	}
	d := p.http2.dialing
	if d == nil {
		d = &dialing{done: make(chan struct{})}
		p.http2.dialing = d
		go e.dialHTTP2(d)
	}
	p.mu.Unlock()
	select {
	case <-d.done:
		return d.client, d.err
	case <-ctx.Done():
		return nil, e.unreachable(ctx, ctx, ctx.Err())
	}
}

func (e *Endpoint) dialHTTP2(d *dialing) {
	defer close(d.done)
	p := e.peer
	// The attempt outlives the request that began it: others wait for it too.
	c, err := e.dial(context.Background(), alpn.HTTP2)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.http2.dialing = nil
	if err != nil {
		d.err = err
		return
	}
	e.dialled(c)
	var o h2.Options
	if e.Mutual() {
		// Only a peer's proxy is asked: applications take frequent PINGs amiss, as
		// grpc-go does, which then ends the connection.
		o.KeepAlive = keepAlive
	}
	d.client = h2.NewClient(c, o)
	if p.gone || p.registry.isClosed() {
		// Whoever waits may still use it; it ends with its last stream.
		time.AfterFunc(time.Second, d.client.Drain)
		return
	}
	p.http2.clients = append(p.http2.clients, &sharedClient{Client: d.client, since: time.Now()})
	go p.forget(d.client)
}

// best returns the connection with the fewest streams, if it has room.
func (s *shared) best() *h2.Client {
	var best *sharedClient
	least := crowded
	for _, c := range s.clients {
		if n := c.Active(); n < least && c.CanOpen() {
			best, least = c, n
		}
	}
	if best == nil {
		return nil
	}
	best.since = time.Now()
	return best.Client
}

// forget takes a connection that has ended out of the list.
func (p *peer) forget(c *h2.Client) {
	<-c.Done()
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, s := range p.http2.clients {
		if s.Client == c {
			p.http2.clients = append(p.http2.clients[:i], p.http2.clients[i+1:]...)
			return
		}
	}
}

// closeIdleHTTP2 ends the connections that carry nothing and have not been
// asked for since age. With age 0 all of them end with their last stream.
func (p *peer) closeIdleHTTP2(age time.Duration) {
	before := time.Now().Add(-age)
	p.mu.Lock()
	var late []*h2.Client
	for _, c := range p.http2.clients {
		if age <= 0 || c.Active() == 0 && c.since.Before(before) {
			late = append(late, c.Client)
		}
	}
	p.mu.Unlock()
	for _, c := range late {
		c.Drain()
	}
}
