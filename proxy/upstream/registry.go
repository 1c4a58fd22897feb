package upstream

import (
	"crypto/tls"
	"log/slog"
	"net/netip"
	"sort"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weftmesh/weft/identity"
	"github.com/weftmesh/weft/proxy/conn"
	"github.com/weftmesh/weft/proxy/http/h2"
)

// TLS gives the client side's configuration for a connection to a peer that
// must prove want, offering just the given protocols, best first. It fails
// while the proxy has no certificate of its own.
type TLS interface {
	Client(want identity.ID, protocols ...string) (*tls.Config, error)
	// Follow has end called when the peer of a connection is not trusted any more,
	// or what was proven to it has expired; stop ends that.
	Follow(cs *tls.ConnectionState, role identity.Usage, end func()) (stop func())
}

// Options of a Registry. The zero value dials in plaintext only.
type Options struct {
	// TLS is asked for each connection to a meshed endpoint; where it is nil
	// such endpoints cannot be connected to.
	TLS TLS
	// Own are the addresses of the workload itself. Endpoints with one of them
	// are dialled in plaintext: there is no proxy between.
	Own []netip.Addr
	// Refuse says which addresses must never be dialled, such as the proxy's own
	// ports; nil refuses none.
	Refuse func(netip.AddrPort) bool
	// Resolver looks up the names of DNS clusters; nil means the system's.
	Resolver Resolver
	// IdleTimeout closes pooled connections that nobody used; 0 means 60 s.
	IdleTimeout time.Duration
	// MaxIdle bounds the idle connections of one endpoint; 0 means 1024.
	MaxIdle int
	Log     *slog.Logger
	// Crashed, where set, is told of a panic in a goroutine of a shared connection,
	// or of one that dials, and nothing else ends by it.
	Crashed func(reason any, stack []byte)
	// Memory bounds what is held of responses for slow clients; nil does not.
	Memory h2.Memory
	// Meter begins to count a connection to the endpoint: each that was made for
	// HTTP requests, and a shared one with its first request. It must not block.
	// Nil counts nothing.
	Meter func(*Endpoint) conn.Meter
}

// Registry holds every cluster and the connections to their endpoints. It is
// safe for concurrent use.
type Registry struct {
	opts     Options
	start    time.Time // of the registry's clock
	mu       sync.Mutex
	clusters map[string]*Cluster
	peers    map[peerKey]*peer
	loads    map[peerKey]*sharedLoad // without owners
	wake     chan struct{}           // of the keeper
	due      atomic.Int64            // when the keeper wakes by itself
	warming  chan struct{}           // bounds connections made ahead
	closed   chan struct{}
	stop     sync.Once
}

// NewRegistry returns a registry that knows PassthroughCluster and
// BlackHoleCluster only. Close it to stop its reaper and drop its connections.
func NewRegistry(o Options) *Registry {
	if o.IdleTimeout <= 0 {
		o.IdleTimeout = 60 * time.Second
	}
	if o.MaxIdle <= 0 {
		o.MaxIdle = 1024
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Resolver == nil {
		o.Resolver = systemResolver{}
	}
	r := &Registry{opts: o, start: time.Now(), clusters: map[string]*Cluster{}, peers: map[peerKey]*peer{}, loads: map[peerKey]*sharedLoad{},
		closed: make(chan struct{}), wake: make(chan struct{}, 1), warming: make(chan struct{}, maxWarming)}
	r.Apply(Spec{Name: PassthroughCluster, Kind: OriginalDestination})
	r.Apply(Spec{Name: BlackHoleCluster, Kind: BlackHole})
	go r.keep()
	return r
}

// Apply creates the cluster or changes its configuration. Endpoints, pools and
// load survive; the returned handle is the same for the same name.
func (r *Registry) Apply(s Spec) *Cluster {
	if s.ConnectTimeout <= 0 {
		s.ConnectTimeout = DefaultConnectTimeout
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.clusters[s.Name]
	if c == nil {
		c = newCluster(r, s)
		r.clusters[s.Name] = c
		return c
	}
	c.configure(s)
	return c
}

// SetEndpoints replaces the endpoints of a cluster; the known ones keep their
// connections, their load and their health, those that are gone have their idle
// connections closed and finish what they carry. An unknown name is ignored.
func (r *Registry) SetEndpoints(name string, specs []EndpointSpec) {
	r.Assign(name, Assignment{Endpoints: specs})
}

// Assign is SetEndpoints, with what else an assignment says.
func (r *Registry) Assign(name string, a Assignment) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c := r.clusters[name]; c != nil {
		c.setEndpoints(a)
	}
}

// Remove forgets a cluster. Handles that are still held answer ErrNoEndpoint.
func (r *Registry) Remove(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c := r.clusters[name]; c != nil && name != PassthroughCluster && name != BlackHoleCluster {
		delete(r.clusters, name)
		c.setEndpoints(Assignment{})
		c.gone()
	}
}

// Cluster returns the cluster of that name, or nil.
func (r *Registry) Cluster(name string) *Cluster {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.clusters[name]
}

// Clusters returns all clusters by name, for dumps.
func (r *Registry) Clusters() []*Cluster {
	r.mu.Lock()
	out := make([]*Cluster, 0, len(r.clusters))
	for _, c := range r.clusters {
		out = append(out, c)
	}
	r.mu.Unlock()
	sort.Slice(out, func(i, j int) bool { return out[i].Name() < out[j].Name() })
	return out
}

// Close drops every pooled connection and stops the registry's goroutines.
func (r *Registry) Close() {
	r.stop.Do(func() { close(r.closed) })
	r.mu.Lock()
	peers := make([]*peer, 0, len(r.peers))
	for _, p := range r.peers {
		peers = append(peers, p)
	}
	r.mu.Unlock()
	for _, p := range peers {
		p.closeIdle(0)
	}
}
