package upstream

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
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

// question is what is looked up: one name, or several.
type question struct {
	host  string
	port  uint16
	names *Names
}

func (s *Spec) question() question { return question{s.Host, s.Port, s.Names} }

func (q question) String() string {
	if q.names == nil {
		return q.host
	}
	out := make([]string, 0, len(q.names.List))
	for i := range q.names.List {
		out = append(out, q.names.List[i].Host)
	}
	return strings.Join(out, ", ")
}

// resolving is the state of a DNS cluster's lookups.
type resolving struct {
	mu    sync.Mutex
	asked question
	// answered is whose answer the endpoints are.
	answered question
	at       time.Time // of the last attempt
	running  chan struct{}
	err      error
	// found are the endpoints of each of several names, as of the last answer.
	found [][]EndpointSpec
	of    *Names
}

// resolve makes sure that a DNS cluster has endpoints. The first caller waits
// for the answer; later a stale answer is used while a new one is fetched, and
// kept when the fetch fails. What was an answer to another question, which the
// configuration asked before, is not used.
func (c *Cluster) resolve(ctx context.Context, s *state) error {
	d, q := &c.dns, s.spec.question()
	d.mu.Lock()
	keep := dnsFresh
	if d.err != nil {
		keep = dnsRetry
	}
	if d.running == nil && (d.asked != q || d.answered != q && d.err == nil || time.Since(d.at) > keep) {
		d.asked, d.at = q, time.Now()
		done := make(chan struct{})
		d.running = done
		go c.lookup(q, done)
	}
	running, err, has := d.running, d.err, d.answered == q
	d.mu.Unlock()
	if has && len(s.endpoints) > 0 {
		return nil
	}
	if running != nil {
		select {
		case <-running:
			d.mu.Lock()
			other := d.asked != q || d.answered != q && d.err == nil
			err, has = d.err, d.answered == q
			d.mu.Unlock()
			if other { // it was the lookup of what the cluster was before
				if s = c.state.Load(); s.spec.Kind != DNS {
					return nil
				}
				return c.resolve(ctx, s)
			}
		case <-ctx.Done():
			return fmt.Errorf("%w: looking up %s: %w", ErrNoEndpoint, q, ctx.Err())
		}
	}
	if err != nil && (!has || len(c.Endpoints()) == 0) {
		return fmt.Errorf("%w: looking up %s: %w", ErrNoEndpoint, q, err)
	}
	return nil
}

func (c *Cluster) lookup(q question, done chan struct{}) {
	ctx, cancel := context.WithTimeout(context.Background(), dnsWait)
	defer cancel()
	a, err := c.answer(ctx, q)
	c.registry.mu.Lock()
	// The cluster may be another one by now.
	s := c.state.Load()
	use := (err == nil || len(a.Endpoints) > 0) && !s.removed && s.spec.Kind == DNS && s.spec.question() == q
	if use {
		c.setEndpoints(a)
	}
	c.registry.mu.Unlock()
	c.dns.mu.Lock()
	c.dns.err = err
	if use {
		c.dns.answered = q
	}
	c.dns.running = nil
	c.dns.mu.Unlock()
	close(done)
}

// answer resolves all names at once. One that cannot be resolved keeps the
// endpoints that it had, in another list too; it is an error where none can.
func (c *Cluster) answer(ctx context.Context, q question) (Assignment, error) {
	if q.names == nil {
		addrs, err := c.registry.opts.Resolver.Lookup(ctx, q.host)
		return Assignment{Endpoints: endpointsAt(addrs, EndpointSpec{Address: netip.AddrPortFrom(netip.Addr{}, q.port)})}, err
	}
	list := q.names.List
	found, errs := make([][]EndpointSpec, len(list)), make([]error, len(list))
	var wg sync.WaitGroup
	for i := range list {
		wg.Go(func() {
			if a, err := netip.ParseAddr(list[i].Host); err == nil {
				found[i] = endpointsAt([]netip.Addr{a}, list[i].EndpointSpec)
				return
			}
			addrs, err := c.registry.opts.Resolver.Lookup(ctx, list[i].Host)
			found[i], errs[i] = endpointsAt(addrs, list[i].EndpointSpec), err
		})
	}
	wg.Wait()
	out := Assignment{Overprovisioning: q.names.Overprovisioning}
	failed := 0
	c.dns.mu.Lock()
	for i := range list {
		if errs[i] != nil {
			found[i] = c.dns.before(&list[i])
			failed++
		}
		out.Endpoints = append(out.Endpoints, found[i]...)
	}
	c.dns.found, c.dns.of = found, q.names
	c.dns.mu.Unlock()
	if failed < len(list) {
		return out, nil
	}
	return out, errors.Join(errs...)
}

// before is what a name's endpoints were. mu is held.
func (d *resolving) before(n *NamedEndpoint) []EndpointSpec {
	if d.of != nil {
		if i := slices.Index(d.of.List, *n); i >= 0 {
			return d.found[i]
		}
	}
	return nil
}

// endpointsAt makes endpoints like one, at other addresses.
func endpointsAt(addrs []netip.Addr, like EndpointSpec) []EndpointSpec {
	out := make([]EndpointSpec, 0, len(addrs))
	for _, a := range addrs {
		like.Address = netip.AddrPortFrom(a.Unmap(), like.Address.Port())
		out = append(out, like)
	}
	return out
}
