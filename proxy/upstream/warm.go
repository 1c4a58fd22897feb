package upstream

import (
	"context"
	"slices"

	"github.com/weftmesh/weft/proxy/alpn"
)

const (
	// maxWarming bounds the connections of a proxy that are being made ahead.
	maxWarming = 4
	// maxWarm bounds those that are made ahead to new endpoints of a cluster at
	// once.
	maxWarm = 4
)

// Bits of Cluster.warm.
const (
	speaksHTTP1 = 1 << wantHTTP1
	speaksHTTP2 = 1 << wantHTTP2
)

// warmOthers notes what is spoken to the endpoints of a cluster. The first
// connection of a kind has others made to some of the other endpoints, so that
// the requests that are chosen for them do not wait for a handshake.
func (c *Cluster) warmOthers(first *Endpoint, protocols []string) {
	bit := uint32(0)
	switch {
	case slices.Contains(protocols, alpn.HTTP1):
		bit = speaksHTTP1
	case slices.Contains(protocols, alpn.HTTP2):
		bit = speaksHTTP2
	}
	s := c.state.Load()
	if bit == 0 || s.spec.Kind != Pushed || c.warm.Load()&bit != 0 || c.warm.Or(bit)&bit != 0 {
		return
	}
	var others []*Endpoint
	for _, e := range s.endpoints {
		if e != first {
			others = append(others, e)
		}
	}
	c.open(others, bit)
}

// warmUp makes connections to endpoints that have joined a cluster in use.
func (c *Cluster) warmUp(added []*Endpoint) {
	spoken := c.warm.Load()
	if len(added) == 0 || spoken == 0 {
		return
	}
	for _, e := range c.state.Load().endpoints {
		if e.peer.open.Load() > 0 {
			c.open(added, spoken)
			return
		}
	}
	// Nobody uses it any more; the first connection is news again.
	c.warm.Store(0)
}

// open makes connections in the background, as many as there is room for.
func (c *Cluster) open(endpoints []*Endpoint, spoken uint32) {
	n := 0
	for _, e := range endpoints {
		if e.spec.Draining || e.spec.Unhealthy || e.spec.Priority > 0 || e.health.Out() || e.peer.open.Load() > 0 {
			continue
		}
		if n++; n > maxWarm {
			return
		}
		go func() {
			r := c.registry
			select {
			case r.warming <- struct{}{}:
				defer func() { <-r.warming }()
			case <-r.closed:
				return
			}
			for want := range 2 {
				if spoken&(1<<want) != 0 {
					e.warm(want)
				}
			}
		}()
	}
}

// warm makes one connection to the endpoint, if it has none. What goes wrong is
// met again by who needs it.
func (e *Endpoint) warm(want int) {
	p := e.peer
	if p.registry.isClosed() {
		return
	}
	if want == wantHTTP1 && !e.Mutual() {
		if p.open.Load() > 0 {
			return
		}
		if c, err := e.dial(context.Background(), alpn.HTTP1); err == nil {
			e.own(c).shelve()
		}
		return
	}
	p.mu.Lock()
	if p.gone || p.http2.best(false) != nil {
		p.mu.Unlock()
		return
	}
	d := e.joinDial(want)
	p.mu.Unlock()
	<-d.done
}
