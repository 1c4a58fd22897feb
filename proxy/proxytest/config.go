package proxytest

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/weftmesh/weft/proxy/accesslog"
	"github.com/weftmesh/weft/proxy/config"
	"github.com/weftmesh/weft/proxy/outbound"
	"github.com/weftmesh/weft/proxy/route"
	"github.com/weftmesh/weft/proxy/trace"
	"github.com/weftmesh/weft/proxy/upstream"
)

// Source is a configuration that the test writes. It implements
// outbound.Source.
type Source struct {
	mu           sync.Mutex
	destinations map[string]*Destination
	fate         config.Fate
	err          error
}

// Destination implements outbound.Source.
func (s *Source) Destination(_ context.Context, name string) (outbound.Destination, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return nil, s.err
	}
	if d := s.destinations[name]; d != nil {
		return d, nil
	}
	return nil, config.ErrUnknown
}

// Unknown implements outbound.Source.
func (s *Source) Unknown() config.Fate {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fate
}

// SetUnknown changes the fate of unknown destinations.
func (s *Source) SetUnknown(f config.Fate) {
	s.mu.Lock()
	s.fate = f
	s.mu.Unlock()
}

// Fail makes every lookup answer err; nil ends that.
func (s *Source) Fail(err error) {
	s.mu.Lock()
	s.err = err
	s.mu.Unlock()
}

// Destination is one name of a Source.
type Destination struct {
	name     string
	protocol config.Protocol
	table    atomic.Pointer[route.Table]
	split    atomic.Pointer[route.Split]
	names    atomic.Pointer[route.ByName]
	stale    atomic.Bool
}

// Name implements outbound.Destination.
func (d *Destination) Name() string { return d.name }

// Protocol implements outbound.Destination.
func (d *Destination) Protocol() config.Protocol { return d.protocol }

// Routes implements outbound.Destination.
func (d *Destination) Routes() *route.Table { return d.table.Load() }

// TCP implements outbound.Destination.
func (d *Destination) TCP() *route.Split { return d.split.Load() }

// Names makes the destination a list of names by which others are found.
func (d *Destination) Names(n *route.ByName) { d.names.Store(n) }

// ByName implements outbound.Destination.
func (d *Destination) ByName() *route.ByName { return d.names.Load() }

// Log makes requests and connections be logged; it comes after Route or Rules.
func (d *Destination) Log(l *accesslog.Log) {
	if t := d.table.Load(); t != nil {
		own := *t
		own.Log = l
		d.table.Store(&own)
	}
	if s := d.split.Load(); s != nil {
		own := *s
		own.Log = l
		d.split.Store(&own)
	}
}

// Trace makes spans of requests; it comes after Route or Rules.
func (d *Destination) Trace(tr *trace.Tracer) {
	own := *d.table.Load()
	own.Trace = tr
	d.table.Store(&own)
}

// Stale implements outbound.Destination.
func (d *Destination) Stale() bool { return d.stale.Load() }

// Share is one backend of a destination and its weight.
type Share struct {
	Cluster *upstream.Cluster
	Weight  uint32
}

// Route makes requests and connections go to the shares by weight.
func (d *Destination) Route(t testing.TB, shares ...Share) {
	t.Helper()
	backends := func() []route.Backend {
		var out []route.Backend
		for _, s := range shares {
			b := route.Backend{Weight: s.Weight, Cluster: s.Cluster, Name: "invalid", Status: 500}
			if s.Cluster != nil {
				b.Name, b.Status = s.Cluster.Name(), 0
			}
			out = append(out, b)
		}
		return out
	}
	r, err := route.NewRule(route.RuleSpec{Name: "all", Origin: "Test default/" + d.name, Backends: backends()})
	if err != nil {
		t.Fatal(err)
	}
	d.Rules(r)
	if len(shares) > 0 {
		s, err := route.NewSplit(backends())
		if err != nil {
			t.Fatal(err)
		}
		d.split.Store(s)
	}
}

// Rules replaces the rules of the destination.
func (d *Destination) Rules(rules ...*route.Rule) {
	d.table.Store(&route.Table{Name: d.name, Rules: rules})
}
