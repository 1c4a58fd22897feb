package snapshot

import (
	"slices"

	"github.com/weftmesh/weft/control/xds"
)

// Holder is one client's hold on the resources that it subscribes to. Its
// methods may be called from any goroutine.
type Holder struct {
	store   *Store
	client  Client
	changed func()

	// All below is guarded by store.mu.
	names  map[Name]struct{}
	wild   map[xds.Type]map[string]struct{}
	dirty  map[Name]struct{}
	marked bool
	closed bool
}

// Attach registers a client. The function is called after something that it
// holds has changed; it must not block, and may be called from any goroutine.
func (s *Store) Attach(c Client, changed func()) *Holder {
	h := &Holder{store: s, client: c, changed: changed,
		names: map[Name]struct{}{}, wild: map[xds.Type]map[string]struct{}{}, dirty: map[Name]struct{}{}}
	s.mu.Lock()
	h.client = s.classify(c)
	s.holders[h] = struct{}{}
	s.mu.Unlock()
	return h
}

// Hold subscribes to names, whether they exist or not.
func (h *Holder) Hold(t xds.Type, names ...string) {
	h.store.mu.Lock()
	defer h.store.mu.Unlock()
	for _, name := range names {
		n := Name{t, name}
		h.names[n] = struct{}{}
		h.acquire(n)
	}
}

// Release gives names back. What a wildcard covers stays held.
func (h *Holder) Release(t xds.Type, names ...string) {
	h.store.mu.Lock()
	defer h.store.mu.Unlock()
	for _, name := range names {
		n := Name{t, name}
		delete(h.names, n)
		h.letGo(n)
	}
}

// HoldAll subscribes to everything of a type and returns the names that there
// are now; changed ones and new ones become dirty later.
func (h *Holder) HoldAll(t xds.Type) []string {
	h.store.mu.Lock()
	defer h.store.mu.Unlock()
	if h.wild[t] == nil {
		h.wild[t] = map[string]struct{}{}
		for _, name := range h.store.resolver.wildcard(t, h.client) {
			h.wild[t][name] = struct{}{}
			h.acquire(Name{t, name})
		}
	}
	out := make([]string, 0, len(h.wild[t]))
	for name := range h.wild[t] {
		out = append(out, name)
	}
	return out
}

// ReleaseAll ends HoldAll and returns the names that are no longer held.
func (h *Holder) ReleaseAll(t xds.Type) []string {
	h.store.mu.Lock()
	defer h.store.mu.Unlock()
	all := h.wild[t]
	delete(h.wild, t)
	var out []string
	for name := range all {
		if h.letGo(Name{t, name}) {
			out = append(out, name)
		}
	}
	return out
}

// Get returns a resource that is held, or nil if it does not exist.
func (h *Holder) Get(t xds.Type, name string) *Resource {
	h.store.mu.Lock()
	defer h.store.mu.Unlock()
	n := Name{t, name}
	if sl := h.store.held[n].find(n.class(h.client)); sl != nil && sl.made != nil {
		return sl.made.resource
	}
	return nil
}

// TakeDirty returns the held names that changed since the last call.
func (h *Holder) TakeDirty() map[xds.Type][]string {
	h.store.mu.Lock()
	defer h.store.mu.Unlock()
	if len(h.dirty) == 0 {
		return nil
	}
	out := map[xds.Type][]string{}
	for n := range h.dirty {
		out[n.Type] = append(out[n.Type], n.Name)
	}
	clear(h.dirty)
	return out
}

// Close gives everything back.
func (h *Holder) Close() {
	h.store.mu.Lock()
	defer h.store.mu.Unlock()
	if h.closed {
		return
	}
	h.closed = true
	all := map[Name]struct{}{}
	for n := range h.names {
		all[n] = struct{}{}
	}
	for t, names := range h.wild {
		for name := range names {
			all[Name{t, name}] = struct{}{}
		}
	}
	clear(h.names)
	clear(h.wild)
	for n := range all {
		h.letGo(n)
	}
	delete(h.store.holders, h)
}

func (h *Holder) mark(n Name) {
	h.dirty[n] = struct{}{}
	h.marked = true
}

// acquire joins the slot of a name, and makes it if this is the first holder.
func (h *Holder) acquire(n Name) {
	s, class := h.store, n.class(h.client)
	all := s.held[n]
	sl := all.find(class)
	if sl == nil {
		sl = &slot{class: class}
		if all == nil {
			all = &slots{}
			s.held[n] = all
		}
		all.add(sl)
		s.fill(n, class, sl)
	}
	if !slices.Contains(sl.holders, h) {
		sl.holders = append(sl.holders, h)
	}
}

// letGo leaves the slot of a name unless it is still wanted, and says whether
// it left.
func (h *Holder) letGo(n Name) bool {
	if _, ok := h.names[n]; ok {
		return false
	}
	if _, ok := h.wild[n.Type][n.Name]; ok {
		return false
	}
	s, class := h.store, n.class(h.client)
	sl := s.held[n].find(class)
	if sl == nil {
		return true
	}
	delete(h.dirty, n)
	s.leave(n, sl, h)
	return true
}

// list is a wildcard list of one class of clients.
type list struct {
	typ   xds.Type
	class Client
}

// reviewWildcards brings the lists of wildcard holders up to date.
func (s *Store) reviewWildcards() {
	lists := map[list]map[string]struct{}{}
	for h := range s.holders {
		for t, have := range h.wild {
			k := list{t, Client{Namespace: h.client.Namespace, Variant: h.client.Variant}}
			if lists[k] == nil {
				lists[k] = map[string]struct{}{}
				for _, name := range s.resolver.wildcard(t, h.client) {
					lists[k][name] = struct{}{}
				}
			}
			for name := range lists[k] {
				if _, ok := have[name]; !ok {
					have[name] = struct{}{}
					h.acquire(Name{t, name})
					h.mark(Name{t, name})
				}
			}
			for name := range have {
				if _, ok := lists[k][name]; !ok {
					delete(have, name)
					// Letting go forgets the mark, so mark afterwards: the
					// client must be told that the name is gone.
					h.letGo(Name{t, name})
					h.mark(Name{t, name})
				}
			}
		}
	}
}
