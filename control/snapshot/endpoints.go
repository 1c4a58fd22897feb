package snapshot

import (
	"net/netip"
	"slices"
	"sort"
	"strings"

	"github.com/weftmesh/weft/identity"
	"github.com/weftmesh/weft/mesh"
)

// endpointIndex finds endpoint sets by service port, and by the addresses in them.
type endpointIndex struct {
	sets   map[mesh.EndpointKey]*mesh.EndpointSet
	byAddr map[netip.AddrPort][]*mesh.EndpointSet
	// told come from EndpointSlices, written from the mesh; sets are both.
	told, written map[mesh.EndpointKey]*mesh.EndpointSet
}

func newEndpointIndex() endpointIndex {
	return endpointIndex{sets: map[mesh.EndpointKey]*mesh.EndpointSet{}, byAddr: map[netip.AddrPort][]*mesh.EndpointSet{},
		told: map[mesh.EndpointKey]*mesh.EndpointSet{}, written: map[mesh.EndpointKey]*mesh.EndpointSet{}}
}

// tell replaces the set that EndpointSlices tell; see set.
func (x *endpointIndex) tell(key mesh.EndpointKey, next *mesh.EndpointSet) []netip.AddrPort {
	if next == nil {
		delete(x.told, key)
	} else {
		x.told[key] = next
	}
	return x.set(key, union(next, x.written[key]))
}

// write replaces the sets of the mesh.
func (x *endpointIndex) write(list []*mesh.EndpointSet) {
	next := make(map[mesh.EndpointKey]*mesh.EndpointSet, len(list))
	for _, s := range list {
		next[s.Key] = s
	}
	old := x.written
	x.written = next
	for key, s := range next {
		if old[key] != s {
			x.set(key, union(x.told[key], s))
		}
	}
	for key := range old {
		if next[key] == nil {
			x.set(key, x.told[key])
		}
	}
}

func union(a, b *mesh.EndpointSet) *mesh.EndpointSet {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	}
	out := &mesh.EndpointSet{Key: a.Key, Endpoints: append(append([]mesh.Endpoint(nil), a.Endpoints...), b.Endpoints...)}
	out.Sort()
	return out
}

// set replaces the set of a key (nil removes it) and returns the addresses that
// were or are in it.
func (x *endpointIndex) set(key mesh.EndpointKey, next *mesh.EndpointSet) []netip.AddrPort {
	var touched []netip.AddrPort
	if old := x.sets[key]; old != nil {
		for _, e := range old.Endpoints {
			a := plain(e.Address)
			touched = append(touched, a)
			list := slices.DeleteFunc(x.byAddr[a], func(s *mesh.EndpointSet) bool { return s == old })
			if x.byAddr[a] = list; len(list) == 0 {
				delete(x.byAddr, a)
			}
		}
	}
	if next == nil {
		delete(x.sets, key)
		return touched
	}
	x.sets[key] = next
	for _, e := range next.Endpoints {
		a := plain(e.Address)
		touched = append(touched, a)
		if list := x.byAddr[a]; !slices.Contains(list, next) {
			x.byAddr[a] = append(list, next)
		}
	}
	return touched
}

// at returns the set that an address is in; of several the first by name, so
// that every replica says the same.
func (x *endpointIndex) at(a netip.AddrPort) *mesh.EndpointSet {
	var best *mesh.EndpointSet
	for _, s := range x.byAddr[a] {
		if best == nil || keyLess(s.Key, best.Key) {
			best = s
		}
	}
	return best
}

func keyLess(a, b mesh.EndpointKey) bool {
	return a.Service.Less(b.Service) || a.Service == b.Service && a.Port < b.Port
}

// find returns the endpoint of a set that has the address, or nil.
func find(s *mesh.EndpointSet, a netip.AddrPort) *mesh.Endpoint {
	if s == nil {
		return nil
	}
	for i := range s.Endpoints {
		if plain(s.Endpoints[i].Address) == a {
			return &s.Endpoints[i]
		}
	}
	return nil
}

func plain(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()) }

// identities are what the endpoints prove, sorted, each once.
func identities(s *mesh.EndpointSet) []identity.ID {
	if s == nil {
		return nil
	}
	seen := map[identity.ID]bool{}
	var out []identity.ID
	for _, e := range s.Endpoints {
		if e.Meshed() && !seen[e.Identity] {
			seen[e.Identity] = true
			out = append(out, e.Identity)
		}
	}
	sort.Slice(out, func(i, j int) bool { return out[i].String() < out[j].String() })
	return out
}

func joinIDs(ids []identity.ID) string {
	var b strings.Builder
	for _, id := range ids {
		b.WriteString(id.String())
		b.WriteByte(' ')
	}
	return b.String()
}
