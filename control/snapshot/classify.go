package snapshot

import (
	"net/netip"
	"slices"

	"github.com/weftmesh/weft/mesh"
)

// localityLabel says where a workload runs, with dots for slashes (Istio).
const localityLabel = "istio-locality"

// classify fills in what of a client's workload makes a difference now.
func (s *Store) classify(c Client) Client {
	x := s.resolver.index
	c.Variant, c.Locality = x.Variant(c.Workload), ""
	if x.Near() {
		if w := x.View(c.Namespace).Workload(c.Workload); w != nil {
			c.Locality = s.endpoints.localityOf(w).String()
		}
	}
	return c
}

// localityOf finds where a workload is: by its label, or by what is known of it
// as an endpoint.
func (x *endpointIndex) localityOf(w *mesh.Workload) mesh.Locality {
	if l := w.Labels[localityLabel]; l != "" {
		return mesh.ParseDottedLocality(l)
	}
	for _, a := range w.Addresses {
		for _, p := range w.Ports {
			addr := netip.AddrPortFrom(a.Unmap(), p.Number)
			if e := find(x.at(addr), addr); e != nil {
				return mesh.Locality{Region: e.Region, Zone: e.Zone, Subzone: e.Subzone}
			}
		}
	}
	return mesh.Locality{}
}

// reclassify moves the holders of clients that are to be told something else
// now, since labels or what depends on them have changed.
func (s *Store) reclassify() {
	for h := range s.holders {
		if next := s.classify(h.client); next != h.client {
			h.move(next)
		}
	}
}

// move changes the class of a client: each name is held in the slot of the new
// class, and is dirty where that says something else.
func (h *Holder) move(next Client) {
	names := make(map[Name]struct{}, len(h.names))
	for n := range h.names {
		names[n] = struct{}{}
	}
	for t, list := range h.wild {
		for name := range list {
			names[Name{t, name}] = struct{}{}
		}
	}
	s, before := h.store, h.client
	h.client = next
	for n := range names {
		from, to := n.class(before), n.class(next)
		if from == to {
			continue
		}
		old := ""
		if sl := s.held[n].find(from); sl != nil {
			old = version(sl.made)
			s.leave(n, sl, h)
		}
		h.acquire(n)
		if version(s.held[n].find(to).made) != old {
			h.mark(n)
		}
	}
}

// leave takes a holder out of a slot, and the slot away when it was the last.
func (s *Store) leave(n Name, sl *slot, h *Holder) {
	if i := slices.Index(sl.holders, h); i >= 0 {
		last := len(sl.holders) - 1
		sl.holders[i], sl.holders[last] = sl.holders[last], nil
		sl.holders = sl.holders[:last]
	}
	if len(sl.holders) > 0 {
		return
	}
	s.drop(sl.made)
	if all := s.held[n]; all.remove(sl) == 0 {
		delete(s.held, n)
	}
}
