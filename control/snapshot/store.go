package snapshot

import (
	"log/slog"
	"sort"
	"sync"

	"github.com/weftmesh/weft/control/scope"
	"github.com/weftmesh/weft/control/xds"
	"github.com/weftmesh/weft/mesh"
)

// Store holds the resources that clients hold, at the newest state of the mesh.
// Its methods may be called from any goroutine.
type Store struct {
	log   *slog.Logger
	ready chan struct{}

	mu        sync.Mutex
	mesh      *mesh.Mesh // interned
	endpoints endpointIndex
	resolver  resolver
	held      map[Name]*slots
	made      map[input]*made
	holders   map[*Holder]struct{}
	stats     Stats
}

// slot is a name as one class of clients sees it.
type slot struct {
	class   Client
	holders []*Holder
	made    *made // nil: it does not exist
}

// made is an encoded resource, kept while a slot refers to it.
type made struct {
	input    input
	resource *Resource
	refs     int
}

// Stats count work done, for metrics and tests.
type Stats struct {
	// Generated counts resources made and encoded.
	Generated uint64
	// Held is the number of distinct encoded resources kept.
	Held int
	// Bytes is the size of those.
	Bytes int
	// Revision of the mesh; 0 before the first.
	Revision uint64
}

// New makes an empty Store. It is ready with its first mesh.
func New(log *slog.Logger) *Store {
	s := &Store{
		log:       log,
		ready:     make(chan struct{}),
		endpoints: newEndpointIndex(),
		held:      map[Name]*slots{},
		made:      map[input]*made{},
		holders:   map[*Holder]struct{}{},
	}
	s.resolver = resolver{index: scope.NewIndex(&mesh.Mesh{}), endpoints: &s.endpoints}
	return s
}

// Ready is closed when the first mesh is there. Before that nothing is known,
// and no client may be told that a name does not exist.
func (s *Store) Ready() <-chan struct{} { return s.ready }

// Stats returns the counts so far.
func (s *Store) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.stats
	out.Held = len(s.made)
	for _, m := range s.made {
		out.Bytes += len(m.resource.Resource.Value)
	}
	return out
}

// Revision of the newest mesh; 0 before the first.
func (s *Store) Revision() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stats.Revision
}

// Mesh returns the newest mesh, or nil. It must not be changed.
func (s *Store) Mesh() *mesh.Mesh {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mesh
}

// SetMesh replaces the mesh. What is held is looked at, what depends on a
// changed part is made again, and holders of changed resources are told.
func (s *Store) SetMesh(m *mesh.Mesh) {
	s.mu.Lock()
	first := s.mesh == nil
	s.mesh = intern(s.mesh, m)
	s.resolver.index = scope.NewIndex(s.mesh)
	s.endpoints.write(s.mesh.Endpoints)
	s.stats.Revision = m.Revision
	s.reclassify()
	s.reviewAll()
	s.reviewWildcards()
	notify := s.takeNotices()
	s.mu.Unlock()
	notify()
	if first {
		close(s.ready)
	}
}

// SetEndpoints replaces endpoint sets; nil removes one. Only what depends on
// them is looked at.
func (s *Store) SetEndpoints(changed map[mesh.EndpointKey]*mesh.EndpointSet) {
	s.mu.Lock()
	names := map[Name]struct{}{}
	headless := false
	view := s.resolver.index.View("")
	for key, set := range changed {
		if svc := view.Service(key.Service); svc != nil {
			for _, subset := range append(s.resolver.index.Subsets(key.Service), "") {
				cluster := xds.SubsetName(svc.Host, key.Port, subset)
				names[Name{xds.EndpointType, cluster}] = struct{}{}
				names[Name{xds.ClusterType, cluster}] = struct{}{}
			}
			headless = headless || svc.Kind == mesh.Headless
		}
		before := s.endpoints.sets[key]
		touched := s.endpoints.tell(key, set)
		s.podNames(names, key, before, s.endpoints.sets[key])
		for _, a := range touched {
			names[Name{xds.ListenerType, xds.AddressName(a.Addr(), a.Port())}] = struct{}{}
		}
	}
	if s.resolver.index.Near() {
		s.reclassify()
	}
	for n := range names {
		s.review(n)
	}
	if headless {
		s.reviewWildcards()
	}
	notify := s.takeNotices()
	s.mu.Unlock()
	notify()
}

// podNames adds every name under which the pods of the sets may be held.
func (s *Store) podNames(names map[Name]struct{}, key mesh.EndpointKey, sets ...*mesh.EndpointSet) {
	domain := s.resolver.index.Mesh().Settings.ClusterDomain
	for _, set := range sets {
		if set == nil {
			continue
		}
		for _, e := range set.Endpoints {
			a := plain(e.Address)
			ns := e.Workload.Namespace
			if ns == "" {
				ns = key.Service.Namespace
			}
			host := xds.PodHost(a.Addr(), ns, domain)
			cluster := xds.ClusterName(host, a.Port())
			names[Name{xds.ClusterType, cluster}] = struct{}{}
			names[Name{xds.EndpointType, cluster}] = struct{}{}
			names[Name{xds.ListenerType, xds.HostName(host, a.Port())}] = struct{}{}
			names[Name{xds.RouteType, xds.HostName(host, a.Port())}] = struct{}{}
		}
	}
}

// SetRoots replaces the trust bundle (PEM).
func (s *Store) SetRoots(pem []byte) {
	s.mu.Lock()
	s.resolver.roots = string(pem)
	s.review(Name{xds.SecretType, xds.RootCA})
	notify := s.takeNotices()
	s.mu.Unlock()
	notify()
}

// reviewAll looks at everything that is held.
func (s *Store) reviewAll() {
	for n := range s.held {
		s.review(n)
	}
}

// review resolves a held name again, for each class of clients, and marks it
// dirty for those whose version of it changed.
func (s *Store) review(n Name) {
	for sl := range s.held[n].all() {
		before := sl.made
		s.fill(n, sl.class, sl)
		if version(before) != version(sl.made) {
			for _, h := range sl.holders {
				h.mark(n)
			}
		}
	}
}

func version(m *made) string {
	if m == nil {
		return ""
	}
	return m.resource.Version
}

// fill brings a slot up to date.
func (s *Store) fill(n Name, class Client, sl *slot) {
	in := s.resolver.resolve(n, class)
	if sl.made != nil && sl.made.input == in {
		return
	}
	next := s.obtain(in, class)
	s.drop(sl.made)
	sl.made = next
}

// obtain returns the encoded resource of an input, made by now or before.
func (s *Store) obtain(in input, class Client) *made {
	if in == (input{}) {
		return nil
	}
	if m := s.made[in]; m != nil {
		m.refs++
		return m
	}
	res, err := encode(in.name, build(in, s.resolver.view(class), &s.endpoints))
	if err != nil {
		// What cannot be encoded does not exist for clients; nothing else suffers.
		s.log.Error("resource left out", "error", err)
		return nil
	}
	s.stats.Generated++
	m := &made{input: in, resource: res, refs: 1}
	s.made[in] = m
	return m
}

func (s *Store) drop(m *made) {
	if m == nil {
		return
	}
	if m.refs--; m.refs == 0 {
		delete(s.made, m.input)
	}
}

// takeNotices returns a function that wakes the holders that have something
// dirty; it is called without the lock.
func (s *Store) takeNotices() func() {
	var wake []func()
	for h := range s.holders {
		if h.marked {
			h.marked = false
			wake = append(wake, h.changed)
		}
	}
	return func() {
		for _, f := range wake {
			f()
		}
	}
}

// Endpoints returns every endpoint set, sorted by service and port.
func (s *Store) Endpoints() []*mesh.EndpointSet {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]*mesh.EndpointSet, 0, len(s.endpoints.sets))
	for _, set := range s.endpoints.sets {
		out = append(out, set)
	}
	sort.Slice(out, func(i, j int) bool { return keyLess(out[i].Key, out[j].Key) })
	return out
}
