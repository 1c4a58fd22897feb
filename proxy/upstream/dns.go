package upstream

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"
)

// dnsFresh is how long an answer is used before it is asked for again, and
// dnsStale how long a failed lookup leaves the last answer in use.
const (
	dnsFresh = 10 * time.Second
	dnsRetry = time.Second // after a failure
	dnsWait  = 2 * time.Second
)

// Resolver looks a name up.
type Resolver interface {
	Lookup(ctx context.Context, host string) ([]netip.Addr, error)
}

type systemResolver struct{}

func (systemResolver) Lookup(ctx context.Context, host string) ([]netip.Addr, error) {
	return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
}

// resolving is the state of a DNS cluster's lookups.
type resolving struct {
	mu      sync.Mutex
	host    string
	port    uint16
	at      time.Time // of the last attempt
	running chan struct{}
	err     error
}

// resolve makes sure that a DNS cluster has endpoints. The first caller waits
// for the answer; later a stale answer is used while a new one is fetched, and
// kept when the fetch fails.
func (c *Cluster) resolve(ctx context.Context, s *state) error {
	d := &c.dns
	d.mu.Lock()
	changed := d.host != s.spec.Host || d.port != s.spec.Port
	keep := dnsFresh
	if d.err != nil {
		keep = dnsRetry
	}
	if d.running == nil && (changed || time.Since(d.at) > keep) {
		d.host, d.port, d.at = s.spec.Host, s.spec.Port, time.Now()
		done := make(chan struct{})
		d.running = done
		go c.lookup(d.host, d.port, done)
	}
	running, err := d.running, d.err
	d.mu.Unlock()
	if !changed && len(s.endpoints) > 0 {
		return nil
	}
	if running != nil {
		select {
		case <-running:
			d.mu.Lock()
			other := d.host != s.spec.Host || d.port != s.spec.Port
			err = d.err
			d.mu.Unlock()
			if other { // it was the lookup of what the cluster was before
				if s = c.state.Load(); s.spec.Kind != DNS {
					return nil
				}
				return c.resolve(ctx, s)
			}
		case <-ctx.Done():
			return fmt.Errorf("%w: looking up %s: %w", ErrNoEndpoint, s.spec.Host, ctx.Err())
		}
	}
	if err != nil && len(c.Endpoints()) == 0 {
		return fmt.Errorf("%w: looking up %s: %w", ErrNoEndpoint, s.spec.Host, err)
	}
	return nil
}

func (c *Cluster) lookup(host string, port uint16, done chan struct{}) {
	ctx, cancel := context.WithTimeout(context.Background(), dnsWait)
	defer cancel()
	addrs, err := c.registry.opts.Resolver.Lookup(ctx, host)
	if err == nil {
		specs := make([]EndpointSpec, 0, len(addrs))
		for _, a := range addrs {
			specs = append(specs, EndpointSpec{Address: netip.AddrPortFrom(a.Unmap(), port)})
		}
		c.registry.mu.Lock()
		if !c.state.Load().removed {
			c.setEndpoints(Assignment{Endpoints: specs})
		}
		c.registry.mu.Unlock()
	}
	c.dns.mu.Lock()
	c.dns.err = err
	c.dns.running = nil
	c.dns.mu.Unlock()
	close(done)
}
