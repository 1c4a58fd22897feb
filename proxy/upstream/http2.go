package upstream

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/weftmesh/weft/identity"
	"github.com/weftmesh/weft/proxy/alpn"
	"github.com/weftmesh/weft/proxy/conn"
	"github.com/weftmesh/weft/proxy/http/h2"
)

const (
	// keepAlive is how often a silent HTTP/2 connection with open streams is asked
	// whether it lives (h2.Options.KeepAlive).
	keepAlive = 30 * time.Second
	// crowded is how many streams a connection carries before another one is
	// opened beside it, where the peer allows that many on one; crowdedMux is the
	// same for the multiplexed connection between two proxies, which is to be the
	// only one.
	crowded    = 200
	crowdedMux = 1000
)

// shared is the connections of a peer that carry many requests at once: HTTP/2
// ones, and multiplexed ones (see Hop).
type shared struct {
	clients []*sharedClient
	// dialing is under way, by what is wanted at least.
	dialing [3]*dialing
	// mux is what is known of the peer.
	mux muxState
}

// sharedClient is one of them.
type sharedClient struct {
	*h2.Client
	mux bool
	// uses counts how often it was asked for; seen is that number when the
	// reaper last looked, and since when it last grew.
	uses, seen uint64
	since      time.Time
	born       time.Time
	// limits are those of the cluster that it belongs to, or nil.
	limits *Connections
}

// spent says that the connection has carried as many requests as it may. It is
// drained then.
func (c *sharedClient) spent() bool {
	return c.limits != nil && c.limits.MaxRequests > 0 && c.uses >= uint64(c.limits.MaxRequests)
}

// dialing is one attempt that every waiting request shares.
type dialing struct {
	done chan struct{}
	// client is nil where a connection for one request at a time came about; it
	// is among the idle ones then.
	client *h2.Client
	// own is a connection for bytes, for whoever takes it first.
	own atomic.Pointer[conn.Conn]
	err error
}

// HTTP2 returns a connection to the endpoint that takes another HTTP/2 stream,
// or makes one. It is shared: the caller opens streams on it and neither closes
// nor keeps it. A stream refused with h2.ErrBusy means that it filled up
// meanwhile: call again. An error is an ErrConnect or ErrRefused.
func (e *Endpoint) HTTP2(ctx context.Context) (*h2.Client, error) {
	p := e.peer
	p.mu.Lock()
	if c := p.http2.best(false); c != nil {
		p.mu.Unlock()
		return c, nil
	}
	d := e.joinDial(wantHTTP2)
	p.mu.Unlock()
	if err := e.await(ctx, d); err != nil {
		return nil, err
	}
	if d.client == nil { // the peer stopped to multiplex, and was asked for HTTP/1
		return e.HTTP2(ctx)
	}
	return d.client, nil
}

// What a dial is for.
const (
	wantHTTP1 = iota
	wantHTTP2
	wantBytes
)

// joinDial returns the attempt under way, or begins one. The peer's lock is
// held.
func (e *Endpoint) joinDial(want int) *dialing {
	s := &e.peer.http2
	d := s.dialing[want]
	for _, other := range s.dialing {
		if d == nil && s.mux == muxSpoken {
			d = other // which ends in a connection for everything
		}
	}
	if d == nil {
		d = &dialing{done: make(chan struct{})}
		s.dialing[want] = d
		go e.dialShared(d, want)
	}
	return d
}

// await waits until the attempt is over.
func (e *Endpoint) await(ctx context.Context, d *dialing) error {
	if err := e.pend(); err != nil {
		return err
	}
	defer e.unpend()
	select {
	case <-d.done:
		return d.err
	case <-ctx.Done():
		return e.unreachable(ctx, ctx, ctx.Err())
	}
}

func (e *Endpoint) dialShared(d *dialing, want int) {
	defer close(d.done)
	p := e.peer
	// The attempt outlives the request that began it: others wait for it too.
	// Without mutual TLS nothing is negotiated.
	c, err := e.dialSafely(alpn.Mux, [...]string{alpn.HTTP1, alpn.HTTP2, alpn.TCP}[want])
	p.mu.Lock()
	p.http2.dialing[want] = nil
	if err != nil {
		d.err = err
		p.mu.Unlock()
		return
	}
	protocol := negotiated(c)
	if e.Mutual() {
		p.http2.learn(protocol)
	}
	if want == wantHTTP2 || protocol == alpn.Mux {
		d.client = e.share(c, protocol == alpn.Mux)
		p.mu.Unlock()
		return
	}
	p.mu.Unlock()
	if want == wantBytes {
		d.keep(c)
		return
	}
	e.own(c).shelve()
}

// dialSafely is dial for a goroutine of its own: where that panics the attempt has
// failed, and nothing else.
func (e *Endpoint) dialSafely(protocols ...string) (c *conn.Conn, err error) {
	defer func() {
		crashed := e.peer.registry.opts.Crashed
		if crashed == nil {
			return
		}
		if p := recover(); p != nil {
			crashed(p, debug.Stack())
			c, err = nil, fmt.Errorf("%w: internal error", ErrConnect)
		}
	}()
	return e.dial(context.Background(), protocols...)
}

func negotiated(c *conn.Conn) string {
	if s := c.TLS(); s != nil {
		return s.NegotiatedProtocol
	}
	return ""
}

// share makes c a connection for many requests, unless there is one already
// that came about meanwhile. The peer's lock is held.
func (e *Endpoint) share(c *conn.Conn, mux bool) *h2.Client {
	p := e.peer
	if mux {
		if have := p.http2.best(true); have != nil {
			go c.Close() // which may wait for the socket
			return have
		}
	}
	o := h2.Options{Plain: mux, KeepAlive: e.limits().Ping, PingTimeout: e.limits().PingTimeout, Memory: p.registry.opts.Memory, Crashed: p.registry.opts.Crashed}
	if mux {
		o.Meter = e.countRequests(c)
	} else {
		e.count(c)
	}
	if o.KeepAlive == 0 && e.Mutual() {
		// Only a peer's proxy is asked: applications take frequent PINGs amiss, as
		// grpc-go does, which then ends the connection.
		o.KeepAlive = keepAlive
	}
	client := h2.NewClient(c, o)
	if p.gone || p.registry.isClosed() {
		// Whoever waits may still use it; it ends with its last stream.
		time.AfterFunc(time.Second, client.Drain)
		return client
	}
	now := time.Now()
	p.http2.clients = append(p.http2.clients, &sharedClient{Client: client, mux: mux, born: now, since: now, uses: 1, limits: p.settings.Load()})
	stop := func() {}
	if e.Mutual() {
		stop = p.registry.opts.TLS.Follow(c.TLS(), identity.Server, client.Drain)
	}
	go p.forget(client, stop)
	return client
}

// best returns the connection with the fewest streams, if it has room;
// multiplexed ones carry both kinds of requests. The peer's lock is held.
func (s *shared) best(mux bool) *h2.Client {
	var best *sharedClient
	least := 0
	for _, c := range s.clients {
		if mux && !c.mux {
			continue
		}
		limit := crowded
		if c.mux {
			limit = crowdedMux
		}
		if c.limits != nil && c.limits.MaxStreams > 0 {
			limit = min(limit, int(c.limits.MaxStreams))
		}
		if c.spent() {
			continue
		}
		if n, ok := c.Load(); ok && n < limit && (best == nil || n < least) {
			best, least = c, n
		}
	}
	if best == nil {
		return nil
	}
	best.uses++
	return best.Client
}

// forget takes a connection that has ended out of the list.
func (p *peer) forget(c *h2.Client, stop func()) {
	<-c.Done()
	stop()
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
	now := time.Now()
	p.mu.Lock()
	var late []*h2.Client
	for _, c := range p.http2.clients {
		c.limits = p.settings.Load()
		if c.uses != c.seen {
			c.seen, c.since = c.uses, now
		}
		old := c.limits != nil && c.limits.MaxAge > 0 && now.Sub(c.born) > c.limits.MaxAge
		if age <= 0 || now.Sub(c.since) > age && c.Active() == 0 || old || c.spent() {
			late = append(late, c.Client)
		}
	}
	p.mu.Unlock()
	for _, c := range late {
		c.Drain()
	}
}
