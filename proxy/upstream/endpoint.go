package upstream

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weftmesh/weft/identity"
	"github.com/weftmesh/weft/proxy/balance"
	"github.com/weftmesh/weft/proxy/telemetry"
)

// Endpoint is one instance of a cluster. Endpoints of several clusters with
// the same address and identity share their connections.
type Endpoint struct {
	spec    EndpointSpec
	cluster *Cluster
	peer    *peer
	load    *balance.Member
	// health and joined are of this cluster alone.
	health *balance.Health
	joined int64
	series atomic.Pointer[series]
}

// series is one remembered telemetry handle.
type series struct {
	authority, route string
	handle           *telemetry.HTTP
	length           int
	next             *series
}

// maxSeries bounds how many handles an endpoint remembers.
const maxSeries = 64

// Series returns the telemetry handle for requests that were addressed to
// authority and chose route, or nil where none was added.
func (e *Endpoint) Series(authority, route string) *telemetry.HTTP {
	for s := e.series.Load(); s != nil; s = s.next {
		if s.authority == authority && s.route == route {
			return s.handle
		}
	}
	return nil
}

// AddSeries remembers a handle, so that requests need no lookup.
func (e *Endpoint) AddSeries(authority, route string, h *telemetry.HTTP) {
	n := &series{authority: authority, route: route, handle: h, length: 1}
	old := e.series.Load()
	if old != nil && old.length < maxSeries {
		n.next, n.length = old, old.length+1
	}
	e.series.CompareAndSwap(old, n)
}

// Spec returns the endpoint's configuration.
func (e *Endpoint) Spec() *EndpointSpec { return &e.spec }

// Address is where the endpoint listens.
func (e *Endpoint) Address() netip.AddrPort { return e.spec.Address }

// Cluster returns the cluster that the endpoint belongs to.
func (e *Endpoint) Cluster() *Cluster { return e.cluster }

// Identity is whom connections to the endpoint prove to be; zero where they
// are plaintext.
func (e *Endpoint) Identity() identity.ID { return e.peer.key.id }

// Mutual says whether connections to the endpoint are mutual TLS.
func (e *Endpoint) Mutual() bool { return !e.peer.key.id.IsZero() }

// peerKey is what makes two connections interchangeable.
type peerKey struct {
	addr netip.AddrPort
	id   identity.ID
	// owner is the cluster whose connections are its own, because it says how
	// they are to be kept or how many there may be; empty for all others.
	owner string
	// origin makes the connections TLS of the user's; nil for the mesh's own, or
	// none.
	origin *originator
}

// load is the key of what is known of an address, whoever owns connections to
// it and however they are protected.
func (k peerKey) load() peerKey { return peerKey{addr: k.addr, id: k.id} }

// sharedLoad is the load and latency of one address, whoever owns connections to it.
type sharedLoad struct {
	member *balance.Member
	refs   int
}

// peer is what endpoints with the same key share. Its counted references are
// the endpoints that use it; without any it drains.
type peer struct {
	key      peerKey
	registry *Registry
	refs     int                         // guarded by the registry's lock
	reap     time.Time                   // when the keeper looks again; it is the keeper's
	open     atomic.Int64                // connections
	settings atomic.Pointer[Connections] // nil: the proxy's own defaults

	mu         sync.Mutex
	gone       bool
	idle       []*HTTP1 // last in, first out
	http2      shared
	complained time.Time
}

// key decides how an endpoint of a cluster is reached.
func (s *state) key(r *Registry, e EndpointSpec) peerKey {
	k := peerKey{addr: e.Address, id: e.Identity, owner: s.spec.owner(), origin: s.origin}
	if k.id.IsZero() {
		k.id = s.spec.Identity
	}
	if s.spec.Plaintext || s.origin != nil {
		k.id = identity.ID{}
	}
	for _, own := range r.opts.Own {
		if own == e.Address.Addr().Unmap() {
			k.id = identity.ID{}
		}
	}
	return k
}

// endpoint makes one; with is what it is to keep of one before, or nil. It is
// called with the registry's lock.
func (c *Cluster) endpoint(s EndpointSpec, k peerKey, spec *Spec, with *Endpoint) *Endpoint {
	e := &Endpoint{spec: s, cluster: c, peer: c.registry.acquire(k)}
	e.load = c.registry.loads[k.load()].member
	if k.owner != "" {
		e.peer.settings.Store(&spec.Connections)
	}
	if with != nil {
		e.health, e.joined = with.health, with.joined
	} else {
		e.health, e.joined = &balance.Health{}, c.registry.now()
	}
	return e
}

// acquire is called with the registry's lock.
func (r *Registry) acquire(k peerKey) *peer {
	p := r.peers[k]
	if p == nil {
		p = &peer{key: k, registry: r}
		r.peers[k] = p
	}
	p.refs++
	k = k.load()
	if r.loads[k] == nil {
		r.loads[k] = &sharedLoad{member: balance.NewMember()}
	}
	r.loads[k].refs++
	return p
}

// release is called with the registry's lock.
func (r *Registry) release(p *peer) {
	if p.refs--; p.refs == 0 {
		delete(r.peers, p.key)
		p.retire()
	}
	k := p.key.load()
	if r.loads[k].refs--; r.loads[k].refs == 0 {
		delete(r.loads, k)
	}
}

func (p *peer) retire() {
	p.mu.Lock()
	p.gone = true
	p.mu.Unlock()
	p.closeIdle(0)
}
