package push

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"sync"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/weftmesh/weft/control/snapshot"
	"github.com/weftmesh/weft/control/xds"
	"github.com/weftmesh/weft/identity"
)

// Bounds of what is remembered for new proxies.
const (
	// warmNames is how many destinations a new proxy is told of.
	warmNames = 64
	// groupNames is how many destinations are remembered of one kind of workload.
	groupNames = 256
	// siblingMemory is how long a destination is remembered after its last use,
	// so that the only instance of a workload finds it again when it is restarted.
	siblingMemory = 30 * time.Minute
	maxGroups     = 20_000
)

// siblings remembers which destinations the proxies of one workload use, so
// that a new one can ask for them before its first request does.
type siblings struct {
	mu     sync.Mutex
	groups map[kin]map[string]*use
	now    func() time.Time
}

// kin is what proxies of one workload have in common.
type kin struct {
	id    identity.ID
	owner string
}

// use of one destination: by how many, and when the last one gave it up.
type use struct {
	by   int
	last time.Time
}

func newSiblings() *siblings { return &siblings{groups: map[kin]map[string]*use{}, now: time.Now} }

// begin notes that a proxy has subscribed to destinations.
func (s *siblings) begin(k kin, names ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.groups[k]
	for _, n := range names {
		if !destination(n) {
			continue
		}
		if g == nil {
			if len(s.groups) >= maxGroups && !s.prune() {
				return
			}
			g = map[string]*use{}
			s.groups[k] = g
		}
		u := g[n]
		if u == nil {
			if len(g) >= groupNames && !s.forget(g) {
				return
			}
			u = &use{}
			g[n] = u
		}
		u.by++
	}
}

// end notes that it has given them up, or left.
func (s *siblings) end(k kin, names ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.groups[k]
	for _, n := range names {
		if u := g[n]; u != nil && u.by > 0 {
			u.by--
			u.last = s.now()
		}
	}
}

// list is what a new proxy is told, in a stable order: what most use comes in
// first where there are too many.
func (s *siblings) list(k kin) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.groups[k]
	s.old(g)
	names := make([]string, 0, len(g))
	for n := range g {
		names = append(names, n)
	}
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(cmp.Compare(g[b].by, g[a].by), g[b].last.Compare(g[a].last), strings.Compare(a, b))
	})
	names = names[:min(len(names), warmNames)]
	slices.Sort(names)
	return names
}

// old drops what nobody has used for long.
func (s *siblings) old(g map[string]*use) {
	before := s.now().Add(-siblingMemory)
	for n, u := range g {
		if u.by == 0 && u.last.Before(before) {
			delete(g, n)
		}
	}
}

// forget makes room in a group and says whether there is any.
func (s *siblings) forget(g map[string]*use) bool {
	s.old(g)
	for n, u := range g {
		if len(g) < groupNames {
			break
		}
		if u.by == 0 {
			delete(g, n)
		}
	}
	return len(g) < groupNames
}

// prune drops groups without a living member and says whether there is room.
func (s *siblings) prune() bool {
	for k, g := range s.groups {
		if s.old(g); len(g) == 0 {
			delete(s.groups, k)
		}
	}
	return len(s.groups) < maxGroups
}

// destination says whether a listener is one that workloads dial.
func destination(name string) bool {
	return name != xds.VirtualInbound && name != xds.VirtualOutbound && name != xds.Siblings
}

// siblingsResource is the list as a listener: without an address and without
// chains, with the names in the metadata (docs/xds.md).
func siblingsResource(names []string) (*snapshot.Resource, error) {
	l := &listenerv3.Listener{Name: xds.Siblings, Metadata: &corev3.Metadata{FilterMetadata: map[string]*structpb.Struct{
		"weft": {Fields: map[string]*structpb.Value{"destinations": structpb.NewStringValue(strings.Join(names, " "))}}}}}
	body, err := proto.MarshalOptions{Deterministic: true}.Marshal(l)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(body)
	return &snapshot.Resource{Name: xds.Siblings, Version: hex.EncodeToString(sum[:8]), Resource: &anypb.Any{TypeUrl: string(xds.ListenerType), Value: body}}, nil
}
