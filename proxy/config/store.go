package config

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weftmesh/weft/identity"
	"github.com/weftmesh/weft/proxy/accesslog"
	"github.com/weftmesh/weft/proxy/policy"
	"github.com/weftmesh/weft/proxy/trace"
	"github.com/weftmesh/weft/proxy/upstream"
)

// Errors of Destination.
var (
	// ErrUnknown means that the control plane does not know the destination, or
	// could not be asked in time. The caller does what Unknown says.
	ErrUnknown = errors.New("unknown destination")
	// ErrIncomplete means that the destination belongs to the mesh but its
	// routes have not arrived in time. The caller refuses: to bypass the mesh
	// would be a downgrade.
	ErrIncomplete = errors.New("configuration of the destination is incomplete")
	// ErrNotReady means that the proxy has never had a configuration.
	ErrNotReady = errors.New("no configuration yet")
)

// Fate is what happens to connections to unknown destinations.
type Fate uint8

const (
	// RegistryOnly refuses them. It is the zero value, so that nothing fails open.
	RegistryOnly Fate = iota
	// AllowAny forwards them to their original address without mutual TLS.
	AllowAny
)

func (f Fate) String() string { return [...]string{"REGISTRY_ONLY", "ALLOW_ANY"}[f] }

// Stream is one bidirectional gRPC stream of AggregatedDiscoveryService/
// DeltaAggregatedResources. Send and Recv may be called at the same time;
// after an error of either the stream is of no use. Close ends both, at any time
// and more than once.
type Stream interface {
	Send(msg []byte) error
	Recv() ([]byte, error)
	Close()
}

// Method is the gRPC method that a Dialer must open.
const Method = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"

// Dialer opens a stream on a mutually authenticated connection of its own.
// Closing the stream closes the connection.
type Dialer func(ctx context.Context) (Stream, error)

// Node is who asks (docs/xds.md, discovery).
type Node struct {
	// ID is sidecar~<ip>~<pod>.<namespace>~<namespace>.svc.<cluster domain>.
	ID string
	// Version of the proxy.
	Version string
	// Metadata is sent as a Struct of strings.
	Metadata map[string]string
}

// Options of a Store.
type Options struct {
	Dial     Dialer
	Node     Node
	Registry *upstream.Registry
	// Roots is called with each new trust bundle, in order; it must not block.
	Roots func(*identity.Bundle)
	Log   *slog.Logger
	// AccessLogs opens the files of access logs; nil writes none.
	AccessLogs accesslog.Opener
	// Traces are the collectors of spans; nil makes none.
	Traces *trace.Exporters
	// Env looks up the variables that attributes of spans name; nil has none.
	Env func(string) (string, bool)

	// Wait bounds the first answer for a destination; 0 means 2 s.
	Wait time.Duration
	// Idle is after how long an unused destination is unsubscribed; 0 means 10 min.
	Idle time.Duration
	// MinBackoff and MaxBackoff bound the pause before the stream is opened
	// again; 0 means 100 ms and 10 s. Each pause has 20 % of jitter.
	MinBackoff, MaxBackoff time.Duration
}

// InboundPolicy is the compiled virtualInbound.
type InboundPolicy = policy.Inbound

// Defaults of Options.
const (
	defaultWait       = 2 * time.Second
	defaultIdle       = 10 * time.Minute
	defaultMinBackoff = 100 * time.Millisecond
	defaultMaxBackoff = 10 * time.Second
)

// maxDestinations bounds what a workload that dials at random can subscribe
// to. Unknown ones make room for others.
const maxDestinations = 8192

// Store is the configuration of one proxy. It is safe for concurrent use.
type Store struct {
	opts Options
	log  *slog.Logger

	inbound atomic.Pointer[policy.Inbound]
	fate    atomic.Uint32
	// inboundLogs are of the workload's ports, unknownLogs of destinations that
	// are not known.
	inboundLogs, unknownLogs accesslog.Slot
	inboundTraces            trace.Slot
	ready                    chan struct{}
	wake                     chan struct{} // there may be something to send

	mu        sync.Mutex
	listeners *table[*listener]
	routes    *table[*routes]
	clusters  *table[*cluster]
	endpoints *table[*assignment]
	secrets   *table[*identity.Bundle]
	dests     map[string]*tracked
	applied   map[string]*applied
	budgets   budgets
	trusted   *identity.Bundle
	outbound  *listener // in effect
	isReady   bool
	prewarmed bool
	up        bool
	down      chan struct{} // closed while the stream is down
	acks      []*request
}

// New makes a store; nothing happens before Run.
func New(o Options) *Store {
	o.Wait = cmp.Or(o.Wait, defaultWait)
	o.Idle = cmp.Or(o.Idle, defaultIdle)
	o.MinBackoff = cmp.Or(o.MinBackoff, defaultMinBackoff)
	o.MaxBackoff = max(cmp.Or(o.MaxBackoff, defaultMaxBackoff), o.MinBackoff)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	s := &Store{
		opts: o, log: o.Log,
		ready: make(chan struct{}), wake: make(chan struct{}, 1), down: make(chan struct{}),
		listeners: newTable(urlListener, readListener),
		routes:    newTable(urlRoutes, readRoutes),
		clusters:  newTable(urlCluster, readCluster),
		endpoints: newTable(urlAssignment, readAssignment),
		secrets:   newTable(urlSecret, readSecret),
		dests:     map[string]*tracked{},
		applied:   map[string]*applied{},
		budgets:   budgets{},
	}
	close(s.down)
	s.subscribe()
	return s
}

// Ready is closed when the first complete configuration is in effect: the
// inbound policy, the fate of unknown destinations and the trust bundle. It
// stays closed whatever becomes of the control plane.
func (s *Store) Ready() <-chan struct{} { return s.ready }

// Unknown is the fate of destinations that are not known.
func (s *Store) Unknown() Fate { return Fate(s.fate.Load()) }

// Inbound is the policy of inbound ports; nil, which accepts nothing, before
// there is one.
func (s *Store) Inbound() *InboundPolicy { return s.inbound.Load() }

// InboundLogs are the access logs of the workload's own ports.
func (s *Store) InboundLogs() *accesslog.Slot { return &s.inboundLogs }

// InboundTraces makes the spans of requests to the workload's own ports.
func (s *Store) InboundTraces() *trace.Slot { return &s.inboundTraces }

// UnknownLogs are those of connections to destinations that are not known.
func (s *Store) UnknownLogs() *accesslog.Slot { return &s.unknownLogs }

// Connected says whether there is a stream to the control plane.
func (s *Store) Connected() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.up
}

// Refused is how many responses were refused (NACK) since the start.
func (s *Store) Refused() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.listeners.nacks + s.routes.nacks + s.clusters.nacks + s.endpoints.nacks + s.secrets.nacks
}

// Destination returns what to do with traffic to a name: <address>_<port> of an
// original destination ([fd00::6]_80 for IPv6), or <host>:<port> of an explicit
// listener. It subscribes to a name that is asked for the first time and waits
// for the answer, at most Options.Wait, and not at all while the stream is
// down. The errors are ErrUnknown, ErrIncomplete, ErrNotReady and the context's.
func (s *Store) Destination(ctx context.Context, name string) (*Destination, error) {
	s.mu.Lock()
	if !s.isReady {
		s.mu.Unlock()
		return nil, ErrNotReady
	}
	t := s.dests[name]
	if t == nil {
		switch {
		case reserved(name):
			s.mu.Unlock()
			return nil, fmt.Errorf("%w: %s", ErrUnknown, name)
		case len(s.dests) >= maxDestinations && !s.forgetUnknown():
			// It may belong to the mesh: it is not to be sent round it.
			s.mu.Unlock()
			return nil, fmt.Errorf("%w: %s: more than %d destinations are in use", ErrIncomplete, name, maxDestinations)
		}
		t = newTracked(name)
		s.dests[name] = t
		s.refresh()
	}
	t.dest.touch()
	if !t.settled && s.up && !t.late {
		decided, down := t.decided, s.down
		s.mu.Unlock()
		err := s.await(ctx, decided, down)
		s.mu.Lock()
		if err != nil {
			s.mu.Unlock()
			return nil, err
		}
	}
	d, err := t.dest, s.verdict(t)
	if !t.settled && s.up {
		// Those who ask next do not wait again for the same answer.
		t.late = true
	}
	s.mu.Unlock()
	if err != nil {
		return nil, fmt.Errorf("%w: %s", err, name)
	}
	return d, nil
}

// forgetUnknown gives up an eighth of the destinations, of those that the
// control plane does not know, and says whether there were any. It is called
// with the lock.
func (s *Store) forgetUnknown() bool {
	n := 0
	for name, t := range s.dests {
		if t.settled && errors.Is(t.err, ErrUnknown) {
			delete(s.dests, name)
			if n++; n >= maxDestinations/8 {
				break
			}
		}
	}
	return n > 0
}

// await returns when the destination is decided, the stream goes down or the
// time is over. Only the end of the context is an error.
func (s *Store) await(ctx context.Context, decided, down <-chan struct{}) error {
	timer := time.NewTimer(s.opts.Wait)
	defer timer.Stop()
	select {
	case <-decided:
	case <-down:
	case <-timer.C:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

// verdict is the error of a destination as it stands, or nil. A name of which
// anything at all has arrived belongs to the mesh.
func (s *Store) verdict(t *tracked) error {
	if t.settled {
		return t.err
	}
	e := s.listeners.entries[t.dest.key]
	if e != nil && (e.answer == present || e.refused != "") {
		return ErrIncomplete
	}
	return ErrUnknown
}

// reserved names are listeners but no destinations.
func reserved(name string) bool {
	return name == "" || name == virtualInbound || name == virtualOutbound || name == siblings
}

func (s *Store) kick() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}
