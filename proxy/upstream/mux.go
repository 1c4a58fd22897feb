package upstream

import (
	"context"

	"github.com/weftmesh/weft/proxy/alpn"
	"github.com/weftmesh/weft/proxy/http/h2"
)

// muxState is what is known of whether a peer multiplexes; the zero value is
// nothing.
type muxState uint8

const (
	// muxSpoken means that the peer's last connection is multiplexed.
	muxSpoken muxState = iota + 1
	// muxRefused means that it preferred something else: it is of an older
	// version, or no proxy of ours. Each new connection asks again.
	muxRefused
)

// learn takes note of what the peer has chosen. The peer's lock is held.
func (s *shared) learn(protocol string) {
	if protocol == alpn.Mux {
		s.mux = muxSpoken
	} else {
		s.mux = muxRefused
	}
}

// Hop returns what carries an HTTP/1 request to the endpoint: the multiplexed
// connection of its proxy, which is shared as HTTP2 says, or else a connection
// for this request alone, as from HTTP1. Just one of them is set. fresh asks for
// a new one of the latter kind.
func (e *Endpoint) Hop(ctx context.Context, fresh bool) (*h2.Client, *HTTP1, error) {
	if !e.Mutual() {
		c, err := e.HTTP1(ctx, fresh)
		return nil, c, err
	}
	for {
		c, d, err := e.shared(ctx, wantHTTP1)
		switch {
		case c != nil || err != nil:
			return c, nil, err
		case d == nil:
			return e.single(ctx, fresh)
		}
	}
}

// shared returns the multiplexed connection of the endpoint's proxy, or tries
// once to make one: d is an attempt that was answered with another connection.
// Without either the peer does not multiplex.
func (e *Endpoint) shared(ctx context.Context, want int) (c *h2.Client, d *dialing, err error) {
	p := e.peer
	p.mu.Lock()
	if c := p.http2.best(true); c != nil {
		p.mu.Unlock()
		return c, nil, nil
	}
	if p.http2.mux == muxRefused {
		p.mu.Unlock()
		return nil, nil, nil
	}
	// One attempt tells for all who wait whether each needs its own.
	d = e.joinDial(want)
	p.mu.Unlock()
	if err := e.await(ctx, d); err != nil {
		return nil, nil, err
	}
	return d.client, d, nil
}

// single returns a connection to a peer that did not multiplex when it was last
// asked. Each new one asks again.
func (e *Endpoint) single(ctx context.Context, fresh bool) (*h2.Client, *HTTP1, error) {
	p := e.peer
	if c, err := e.claim(ctx, fresh); c != nil || err != nil {
		return nil, c, err
	}
	c, err := e.dialClaimed(ctx, alpn.Mux, alpn.HTTP1)
	if err != nil {
		return nil, nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	protocol := negotiated(c)
	p.http2.learn(protocol)
	if protocol == alpn.Mux {
		return e.share(c, true), nil, nil
	}
	return nil, e.own(c), nil
}
