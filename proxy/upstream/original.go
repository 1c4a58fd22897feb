package upstream

import (
	"fmt"
	"net/netip"
	"sync"
	"time"
)

// dynamic are the endpoints of a cluster of kind OriginalDestination: they are
// made when first dialled and forgotten when unused.
type dynamic struct {
	mu   sync.Mutex
	byIP map[netip.AddrPort]*used
}

type used struct {
	endpoint *Endpoint
	last     time.Time
}

func (c *Cluster) original(addr netip.AddrPort, now time.Time) (*Endpoint, error) {
	if !addr.IsValid() {
		return nil, fmt.Errorf("%w in %s: the connection has no original destination", ErrNoEndpoint, c.name)
	}
	d := &c.dynamic
	d.mu.Lock()
	u := d.byIP[addr]
	if u != nil {
		u.last = now
		d.mu.Unlock()
		return u.endpoint, nil
	}
	d.mu.Unlock()
	return c.newOriginal(addr, now)
}

// newOriginal is original for an address that is not known yet.
func (c *Cluster) newOriginal(addr netip.AddrPort, now time.Time) (*Endpoint, error) {
	d := &c.dynamic
	// The registry's lock is always taken before a cluster's.
	spec := EndpointSpec{Address: addr}
	c.registry.mu.Lock()
	defer c.registry.mu.Unlock()
	if c.state.Load().removed {
		return nil, fmt.Errorf("%w in %s", ErrNoEndpoint, c.name)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if u := d.byIP[addr]; u != nil {
		return u.endpoint, nil
	}
	s := c.state.Load()
	e := c.endpoint(spec, s.key(c.registry, spec), &s.spec, nil)
	if d.byIP == nil {
		d.byIP = map[netip.AddrPort]*used{}
	}
	d.byIP[addr] = &used{endpoint: e, last: now}
	return e, nil
}

// forget drops what was last used before the given time.
// It is called with the registry's lock.
func (d *dynamic) forget(r *Registry, before time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for a, u := range d.byIP {
		if u.last.Before(before) {
			delete(d.byIP, a)
			r.release(u.endpoint.peer)
		}
	}
}

func (d *dynamic) clear(r *Registry) { d.forget(r, time.Now().Add(time.Hour)) }
