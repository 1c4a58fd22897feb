package upstream

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

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
	// ErrOverflow means that a limit of the cluster is reached. Nothing was sent.
	ErrOverflow = errors.New("overflow")
	// ErrIdentity means that the endpoint's certificate was refused.
	ErrIdentity = errors.New("peer identity refused")
)

// Choice is what the tries of one request share. The zero value is ready to
// use; a Choice must not be used by two goroutines at once.
type Choice struct {
	// Destination is the address that the client dialled; clusters of kind
	// OriginalDestination go there.
	Destination netip.AddrPort
	// Now is the time, where the caller knows it; Pick uses it once.
	Now   time.Time
	query balance.Query
	n     int
}

// Reset prepares the choice for another request.
func (t *Choice) Reset(destination netip.AddrPort) {
	*t = Choice{Destination: destination}
}

// SetHash says which of the endpoints the request belongs to, where the cluster
// chooses by hash.
func (t *Choice) SetHash(h uint64) { t.query.Hash, t.query.Hashed = h, true }

// Forget lets endpoints be chosen again that were tried.
func (t *Choice) Forget() { t.query.Skip.Reset() }

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
	detector *balance.Detector
	queue    queue
	counters counters
	warm     atomic.Uint32 // what is spoken to its endpoints, by bits
}

// state is immutable.
type state struct {
	spec      Spec
	origin    *originator // nil where spec.Originate is
	assigned  Assignment
	endpoints []*Endpoint
	removed   bool
	set       *balance.Set
	picker    balance.Picker
}

func newCluster(r *Registry, s Spec) *Cluster {
	c := &Cluster{registry: r, name: s.Name, known: make(chan struct{}), detector: balance.NewDetector(nil)}
	c.detector.Configure(s.Detection, r.now())
	c.state.Store(&state{spec: s, origin: newOriginator(s.Name, s.Originate, r.opts.Log), set: c.newSet(nil, &s, Assignment{}), picker: balance.New(s.Balance, nil)})
	if s.Kind != Pushed {
		c.once.Do(func() { close(c.known) })
	}
	return c
}

// Name returns the cluster's name.
func (c *Cluster) Name() string { return c.name }

// Spec returns the current configuration.
func (c *Cluster) Spec() Spec { return c.state.Load().spec }

// Options is Spec without a copy; the caller must not change it.
func (c *Cluster) Options() *Spec { return &c.state.Load().spec }

// Known is closed when the cluster's endpoints have been set, even to none.
func (c *Cluster) Known() <-chan struct{} { return c.known }

// Endpoints returns the current endpoints; the caller must not change them.
func (c *Cluster) Endpoints() []*Endpoint { return c.state.Load().endpoints }

// configure is called with the registry's lock.
func (c *Cluster) configure(s Spec) {
	old := c.state.Load()
	if s.Originate.equal(old.spec.Originate) {
		s.Originate = old.spec.Originate
	}
	if s.Names.equal(old.spec.Names) {
		s.Names = old.spec.Names
	}
	if old.spec == s {
		return
	}
	next := *old
	next.spec = s
	if s.Originate != old.spec.Originate {
		next.origin = newOriginator(s.Name, s.Originate, c.registry.opts.Log)
	}
	if before, after := pickerOptions(old.spec.Balance), pickerOptions(s.Balance); before != after {
		next.picker = balance.New(s.Balance, nil)
	}
	if old.spec.Detection != s.Detection {
		c.detector.Configure(s.Detection, c.registry.now())
	}
	if old.spec.owner() != s.owner() || old.spec.Connections != s.Connections || old.origin != next.origin ||
		old.spec.Plaintext != s.Plaintext || old.spec.Identity != s.Identity {
		c.dynamic.clear(c.registry)
	}
	c.replace(next, old.assigned)
	if s.Kind != Pushed {
		c.once.Do(func() { close(c.known) })
	}
}

// pickerOptions are those that a picker is made of.
func pickerOptions(o balance.Options) balance.Options {
	return balance.Options{Algorithm: o.Algorithm, ChoiceCount: o.ChoiceCount, ActiveRequestBias: o.ActiveRequestBias}
}

// setEndpoints is called with the registry's lock.
func (c *Cluster) setEndpoints(a Assignment) {
	c.replace(*c.state.Load(), a)
	c.once.Do(func() { close(c.known) })
}

// replace puts a state into effect with the endpoints of an assignment. What is
// known of an endpoint stays with it. It is called with the registry's lock.
func (c *Cluster) replace(next state, a Assignment) {
	old := c.state.Load()
	byKey := make(map[peerKey]*Endpoint, len(old.endpoints))
	for _, e := range old.endpoints {
		byKey[e.peer.key.load()] = e
	}
	owner := next.spec.owner()
	seen := make(map[peerKey]bool, len(a.Endpoints))
	kept := make(map[*Endpoint]bool, len(a.Endpoints))
	next.assigned, next.endpoints = a, make([]*Endpoint, 0, len(a.Endpoints))
	var added []*Endpoint
	for _, s := range a.Endpoints {
		k := next.key(c.registry, s)
		if seen[k] {
			continue
		}
		seen[k] = true
		before := byKey[k.load()]
		if before != nil && before.spec == s && before.peer.key == k {
			if owner != "" && old.spec.Connections != next.spec.Connections {
				before.peer.settings.Store(&next.spec.Connections)
			}
			next.endpoints = append(next.endpoints, before)
			kept[before] = true
			continue
		}
		e := c.endpoint(s, k, &next.spec, before)
		next.endpoints = append(next.endpoints, e)
		if before == nil {
			added = append(added, e)
		}
	}
	health := make([]*balance.Health, len(next.endpoints))
	for i, e := range next.endpoints {
		health[i] = e.health
	}
	c.detector.SetHosts(health)
	next.set = c.newSet(next.endpoints, &next.spec, a)
	c.state.Store(&next)
	c.refresh() // what was ejected while the set was made
	c.queue.admit()
	for _, e := range old.endpoints {
		if !kept[e] {
			c.registry.release(e.peer)
		}
	}
	c.registry.nudge(0)
	c.warmUp(added)
}

func (c *Cluster) newSet(endpoints []*Endpoint, s *Spec, a Assignment) *balance.Set {
	o := s.Balance
	o.Overprovisioning = a.Overprovisioning
	entries := make([]balance.Entry, len(endpoints))
	for i, e := range endpoints {
		p := &e.spec
		entries[i] = balance.Entry{Member: e.load, Health: e.health, Weight: p.Weight, Draining: p.Draining, Unhealthy: p.Unhealthy,
			Priority: p.Priority, Locality: balance.Locality{Region: p.Region, Zone: p.Zone, SubZone: p.SubZone},
			LocalityWeight: p.LocalityWeight, Key: p.Address.String(), Joined: e.joined}
	}
	return balance.NewSet(entries, o, c.registry.now())
}

// refresh has the set take notice of what the detector has decided.
func (c *Cluster) refresh() {
	for {
		s := c.state.Load().set
		if next := s.Refresh(c.registry.now()); next != 0 {
			c.registry.nudge(next)
		}
		if c.state.Load().set == s {
			return
		}
	}
}

func (c *Cluster) gone() {
	old := c.state.Load()
	c.state.Store(&state{spec: old.spec, removed: true, set: c.newSet(nil, &old.spec, Assignment{}), picker: old.picker})
	c.dynamic.clear(c.registry)
}

// Pick chooses an endpoint that t has not been given before, where there is
// one; the last one left is given again, so that a cluster of one endpoint can
// still be tried twice. Penalised and draining endpoints come last, and those
// that were taken out not at all. The context bounds a name lookup.
func (c *Cluster) Pick(ctx context.Context, t *Choice) (*Endpoint, error) {
	s := c.state.Load()
	var e *Endpoint
	var err error
	switch s.spec.Kind {
	case OriginalDestination:
		e, err = c.original(t.Destination, t.clock())
	case DNS:
		if err = c.resolve(ctx, s); err == nil {
			s = c.state.Load()
			e = s.pick(c.registry, t)
		}
	case Pushed:
		e = s.pick(c.registry, t)
	case BlackHole:
	}
	if err != nil {
		return nil, err
	}
	if e == nil {
		return nil, fmt.Errorf("%w in %s", ErrNoEndpoint, c.name)
	}
	t.query.Skip.Add(e.load)
	t.n++
	return e, nil
}

// clock is Now, once, or else the time.
func (t *Choice) clock() time.Time {
	now := t.Now
	if now.IsZero() {
		return time.Now()
	}
	t.Now = time.Time{}
	return now
}

func (s *state) pick(r *Registry, t *Choice) *Endpoint {
	t.query.Now = r.at(t.clock())
	i := s.picker.Pick(s.set, &t.query)
	if i == balance.None {
		return nil
	}
	return s.endpoints[i]
}
