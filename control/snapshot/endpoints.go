package snapshot

import (
	"net/netip"
	"sort"
	"strings"

	"github.com/weftmesh/weft/identity"
	"github.com/weftmesh/weft/mesh"
)

// endpointIndex finds endpoint sets by service port, and by the addresses in them.
type endpointIndex struct {
	sets   map[mesh.EndpointKey]*mesh.EndpointSet
	byAddr map[netip.AddrPort]map[mesh.EndpointKey]struct{}
}

func newEndpointIndex() endpointIndex {
	return endpointIndex{sets: map[mesh.EndpointKey]*mesh.EndpointSet{}, byAddr: map[netip.AddrPort]map[mesh.EndpointKey]struct{}{}}
}

// set replaces the set of a key (nil removes it) and returns the addresses that
// were or are in it.
func (x *endpointIndex) set(key mesh.EndpointKey, next *mesh.EndpointSet) []netip.AddrPort {
	var touched []netip.AddrPort
	if old := x.sets[key]; old != nil {
		for _, e := range old.Endpoints {
			a := plain(e.Address)
			touched = append(touched, a)
			delete(x.byAddr[a], key)
			if len(x.byAddr[a]) == 0 {
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
		if x.byAddr[a] == nil {
			x.byAddr[a] = map[mesh.EndpointKey]struct{}{}
		}
		x.byAddr[a][key] = struct{}{}
	}
	return touched
}

// at returns the set that an address is in; of several the first by name, so
// that every replica says the same.
func (x *endpointIndex) at(a netip.AddrPort) *mesh.EndpointSet {
	var best *mesh.EndpointSet
	for key := range x.byAddr[a] {
		if best == nil || keyLess(key, best.Key) {
			best = x.sets[key]
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
