package upstream

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"

	"github.com/weftmesh/weft/proxy/balance"
)

// Errors of choosing and of connecting; errors.Is finds them under the detail.
var (
	// ErrNoEndpoint means that a cluster has nothing to send to.
	ErrNoEndpoint = errors.New("no endpoint")
	// ErrRefused means that the proxy itself must not connect there.
	ErrRefused = errors.New("destination refused")
	// ErrConnect means that the endpoint could not be connected to, or did not
	// prove the identity that was demanded. Nothing was sent.
	ErrConnect = errors.New("connect failed")
	// ErrIdentity means that the endpoint's certificate was refused.
	ErrIdentity = errors.New("peer identity refused")
)

// Choice is what the tries of one request share. The zero value is ready to
// use; a Choice must not be used by two goroutines at once.
type Choice struct {
	// Destination is the address that the client dialled; clusters of kind
	// OriginalDestination go there.
	Destination netip.AddrPort
	tried       balance.Skip
	n           int
}

// Reset prepares the choice for another request.
func (t *Choice) Reset(destination netip.AddrPort) {
	*t = Choice{Destination: destination}
}

// Tried is how many endpoints were picked.
func (t *Choice) Tried() int { return t.n }

// Cluster is a lasting handle on a named set of endpoints.
type Cluster struct {
	registry *Registry
	name     string
	state    atomic.Pointer[state]
	known    chan struct{} // closed when endpoints were first set
	once     sync.Once
	dns      resolving
	dynamic  dynamic
}

// state is immutable.
type state struct {
	spec      Spec
	endpoints []*Endpoint
	removed   bool
	set       *balance.Set
	picker    balance.Picker
}

func newCluster(r *Registry, s Spec) *Cluster {
	c := &Cluster{registry: r, name: s.Name, known: make(chan struct{})}
	c.state.Store(&state{spec: s, set: newSet(nil), picker: newPolicy(s.Policy)})
	if s.Kind != Pushed {
		c.once.Do(func() { close(c.known) })
	}
	return c
}

// Name returns the cluster's name.
func (c *Cluster) Name() string { return c.name }

// Spec returns the current configuration.
func (c *Cluster) Spec() Spec { return c.state.Load().spec }

// Known is closed when the cluster's endpoints have been set, even to none.
func (c *Cluster) Known() <-chan struct{} { return c.known }

// Endpoints returns the current endpoints; the caller must not change them.
func (c *Cluster) Endpoints() []*Endpoint { return c.state.Load().endpoints }

// configure is called with the registry's lock.
func (c *Cluster) configure(s Spec) {
	old := c.state.Load()
	if old.spec == s {
		return
	}
	p := old.picker
	if old.spec.Policy != s.Policy {
		p = newPolicy(s.Policy)
	}
	c.state.Store(&state{spec: s, endpoints: old.endpoints, set: old.set, picker: p})
	if s.Kind != Pushed {
		c.once.Do(func() { close(c.known) })
	}
}

// setEndpoints is called with the registry's lock.
func (c *Cluster) setEndpoints(specs []EndpointSpec) {
	old := c.state.Load()
	seen := make(map[peerKey]bool, len(specs))
	byKey := make(map[peerKey]*Endpoint, len(old.endpoints))
	for _, e := range old.endpoints {
		byKey[e.peer.key] = e
	}
	next := make([]*Endpoint, 0, len(specs))
	for _, s := range specs {
		k := c.registry.keyOf(s)
		if seen[k] {
			continue
		}
		seen[k] = true
		if e := byKey[k]; e != nil && e.spec == s {
			next = append(next, e)
			continue
		}
		next = append(next, &Endpoint{spec: s, cluster: c, peer: c.registry.acquire(k)})
	}
	c.state.Store(&state{spec: old.spec, endpoints: next, set: newSet(next), picker: old.picker})
	kept := make(map[*Endpoint]bool, len(next))
	for _, e := range next {
		kept[e] = true
	}
	for _, e := range old.endpoints {
		if !kept[e] {
			c.registry.release(e.peer)
		}
	}
	c.once.Do(func() { close(c.known) })
}

func (c *Cluster) gone() {
	old := c.state.Load()
	c.state.Store(&state{spec: old.spec, removed: true, set: newSet(nil), picker: old.picker})
	c.dynamic.clear(c.registry)
}

// Pick chooses an endpoint that t has not been given before, where there is
// one; the last one left is given again, so that a cluster of one endpoint can
// still be tried twice. Penalised and draining endpoints come last. The context
// bounds a name lookup.
func (c *Cluster) Pick(ctx context.Context, t *Choice) (*Endpoint, error) {
	s := c.state.Load()
	var e *Endpoint
	var err error
	switch s.spec.Kind {
	case OriginalDestination:
		e, err = c.original(t.Destination)
	case DNS:
		if err = c.resolve(ctx, s); err == nil {
			s = c.state.Load()
			e = s.pick(c.registry.now(), t)
		}
	case Pushed:
		e = s.pick(c.registry.now(), t)
	case BlackHole:
	}
	if err != nil {
		return nil, err
	}
	if e == nil {
		return nil, fmt.Errorf("%w in %s", ErrNoEndpoint, c.name)
	}
	t.tried.Add(e.peer.load)
	t.n++
	return e, nil
}
