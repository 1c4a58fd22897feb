// Package route decides which rule a request falls under and which backend of
// the rule gets it. It is pure: compiled matchers over the views of a head,
// and a weighted choice over a random number that the caller brings. What a
// rule asks for besides (Traffic) is carried out by proxy/forward.
package route

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"sort"
	"time"

	"github.com/weftmesh/weft/proxy/accesslog"
	"github.com/weftmesh/weft/proxy/filter"
	"github.com/weftmesh/weft/proxy/http"
	"github.com/weftmesh/weft/proxy/trace"
	"github.com/weftmesh/weft/proxy/upstream"
)

// Table is the rules of one destination. It is immutable.
type Table struct {
	// Name is <host>:<port> of the destination.
	Name  string
	Rules []*Rule
	// Log is where requests to the destination are logged; nil for nowhere.
	Log *accesslog.Log
	// Trace makes the spans of requests to the destination; nil for none.
	Trace *trace.Tracer
	index *index // nil for few rules
}

// NewTable makes a table; the slice is the table's afterwards.
func NewTable(name string, rules []*Rule) *Table {
	t := &Table{Name: name, Rules: rules}
	if len(rules) >= indexed {
		t.index = newIndex(rules)
	}
	return t
}

// indexed is from how many rules on a table has an index.
const indexed = 5

// Match returns the first rule that matches, or nil: the request is answered
// 404. A nil table matches nothing.
func (t *Table) Match(r *http.Request) *Rule {
	if t == nil {
		return nil
	}
	if t.index != nil {
		return t.index.match(r)
	}
	for _, u := range t.Rules {
		if u.match.Match(r) {
			return u
		}
	}
	return nil
}

// random is uniformly distributed and safe for concurrent use.
func random() uint64 { return rand.Uint64() }

// RuleSpec is what a rule is made of.
type RuleSpec struct {
	// Name labels the rule in telemetry and dumps; Origin is the object that it
	// came from (kind namespace/name).
	Name, Origin string
	// Stat is the name to count by (stat_prefix); empty means Origin.
	Stat  string
	Match MatchSpec
	// Backends share the requests by weight.
	Backends []Backend
	// Status answers every request where there is no backend; 0 means 500.
	Status  int
	Headers filter.Step
	// Traffic is nil where the rule asks for nothing else. Its Rewrite's and its
	// Redirect's Path.Matched are set by NewRule.
	Traffic *Traffic
}

// Rule is one compiled route. It is immutable.
type Rule struct {
	Name, Origin string
	Headers      filter.Step
	// Traffic is nil where the rule asks for nothing besides a backend.
	Traffic *Traffic
	// Formats says that a value of Headers, or of a backend's, is a format.
	Formats bool
	// Stat names the rule in telemetry: RuleSpec.Stat, or Origin.
	Stat  string
	match matcher
	spec  MatchSpec
	split Split
}

// Backend is one share of a rule.
type Backend struct {
	// Name is the cluster's.
	Name   string
	Weight uint32
	// Cluster is nil where Status answers instead.
	Cluster *upstream.Cluster
	// Status is what to answer where Cluster is nil: 500 for a backend that
	// cannot be used, 503 for a cluster that is not known.
	Status  int
	Headers filter.Step
	// Host replaces the authority; empty keeps it, or what the rule makes of it.
	Host string
}

// NewRule compiles a rule. Its errors name the field that is wrong.
func NewRule(s RuleSpec) (*Rule, error) {
	m, err := compile(s.Match)
	if err != nil {
		return nil, fmt.Errorf("match: %w", err)
	}
	if t := s.Traffic; t != nil {
		n := m.matched()
		if t.Rewrite != nil && t.Rewrite.Path.Matched != n {
			t.Rewrite.Path.Matched = n
		}
		if t.Redirect != nil && t.Redirect.Path.Matched != n {
			t.Redirect.Path.Matched = n
		}
	}
	b := s.Backends
	if len(b) == 0 {
		if s.Status == 0 {
			s.Status = 500
		}
		b = []Backend{{Weight: 1, Status: s.Status}}
	}
	sp, err := NewSplit(b)
	if err != nil {
		return nil, err
	}
	formats := s.Headers.Formats()
	for i := range b {
		formats = formats || b[i].Headers.Formats()
	}
	return &Rule{Name: s.Name, Origin: s.Origin, Stat: cmp.Or(s.Stat, s.Origin), Formats: formats, Headers: s.Headers, Traffic: s.Traffic, match: m, spec: s.Match, split: *sp}, nil
}

// Pick chooses a backend by weight; random is uniformly distributed.
func (r *Rule) Pick(random uint64) *Backend { return r.split.Pick(random) }

// Backends are the shares of the rule; the caller must not change them.
func (r *Rule) Backends() []Backend { return r.split.backends }

// Matches is the rule's condition, for dumps.
func (r *Rule) Matches() MatchSpec { return r.spec }

// Split is a weighted choice. It is immutable.
type Split struct {
	// Idle ends connections without HTTP on which nothing moves; 0 for never.
	Idle time.Duration
	// BySource chooses endpoints by the client's address, where the cluster
	// chooses by hash.
	BySource bool
	// Log is where connections without HTTP are logged; nil for nowhere.
	Log      *accesslog.Log
	backends []Backend
	sum      []uint64 // weight of backends 0 to i
	// exceptions are connections that go elsewhere, most exact first; byName says
	// that TLS or its name matters to one of them.
	exceptions []Exception
	byName     bool
}

// ErrNoWeight means that no backend has any weight.
var ErrNoWeight = fmt.Errorf("weights of all backends are zero")

// NewSplit makes a split; at least one weight must be above zero. The slice is
// the split's afterwards.
func NewSplit(b []Backend) (*Split, error) {
	s := &Split{backends: b}
	var total uint64
	for i := range b {
		total += uint64(b[i].Weight)
		s.sum = append(s.sum, total)
	}
	if total == 0 {
		return nil, ErrNoWeight
	}
	return s, nil
}

// Pick chooses a backend by weight; random is uniformly distributed. A nil
// split has none.
func (s *Split) Pick(random uint64) *Backend {
	if s == nil {
		return nil
	}
	if len(s.backends) == 1 {
		return &s.backends[0]
	}
	// The remainder's bias is below 2^-32 for any sum of 32-bit weights.
	x := random % s.sum[len(s.sum)-1]
	return &s.backends[sort.Search(len(s.sum), func(i int) bool { return x < s.sum[i] })]
}

// Backends are the shares; the caller must not change them.
func (s *Split) Backends() []Backend {
	if s == nil {
		return nil
	}
	return s.backends
}
