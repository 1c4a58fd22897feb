package snapshot

import "github.com/weftmesh/weft/control/xds"

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
		for _, name := range h.store.resolver.wildcard(t) {
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
	if sl := h.store.held[n][n.class(h.client)]; sl != nil && sl.made != nil {
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
	sl := s.held[n][class]
	if sl == nil {
		sl = &slot{holders: map[*Holder]struct{}{}}
		if s.held[n] == nil {
			s.held[n] = map[Client]*slot{}
		}
		s.held[n][class] = sl
		s.fill(n, class, sl)
	}
	sl.holders[h] = struct{}{}
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
	sl := s.held[n][class]
	if sl == nil {
		return true
	}
	delete(sl.holders, h)
	delete(h.dirty, n)
	if len(sl.holders) == 0 {
		s.drop(sl.made)
		delete(s.held[n], class)
		if len(s.held[n]) == 0 {
			delete(s.held, n)
		}
	}
	return true
}

// reviewWildcards brings the lists of wildcard holders up to date.
func (s *Store) reviewWildcards() {
	lists := map[xds.Type]map[string]struct{}{}
	for h := range s.holders {
		for t, have := range h.wild {
			if lists[t] == nil {
				lists[t] = map[string]struct{}{}
				for _, name := range s.resolver.wildcard(t) {
					lists[t][name] = struct{}{}
				}
			}
			for name := range lists[t] {
				if _, ok := have[name]; !ok {
					have[name] = struct{}{}
					h.acquire(Name{t, name})
					h.mark(Name{t, name})
				}
			}
			for name := range have {
				if _, ok := lists[t][name]; !ok {
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
