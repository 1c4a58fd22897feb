package config

import (
	"time"

	"github.com/weftmesh/weft/proxy/upstream"
)

// tracked is a destination with what the store needs to keep it current. It is
// guarded by the store's lock.
type tracked struct {
	dest    *Destination
	settled bool          // there is an answer: err
	err     error         // nil, ErrUnknown or ErrIncomplete
	decided chan struct{} // closed when first settled
	late    bool          // somebody has waited in vain
	made    inputs        // what the content in effect was made of
	since   time.Time     // newer content has been incomplete since then; zero for not
	behind  bool          // newer content is incomplete, and waited for
	idle    int           // sweeps without use
}

func newTracked(name string) *tracked {
	t := &tracked{dest: newDestination(name), decided: make(chan struct{})}
	return t
}

func (t *tracked) settle(err error) {
	t.err = err
	if !t.settled {
		t.settled = true
		close(t.decided)
	}
}

// inputs is everything that a content depends on, compared by identity.
type inputs struct {
	listener *listener
	routes   *routes
	clusters map[string]*upstream.Cluster // nil where there is none
	budgets  budgets                      // the store's
}

func (a *inputs) equal(b *inputs) bool {
	if a.listener != b.listener || a.routes != b.routes || len(a.clusters) != len(b.clusters) {
		return false
	}
	for n, c := range a.clusters {
		if o, ok := b.clusters[n]; !ok || o != c {
			return false
		}
	}
	return true
}

// refresh brings everything in effect up to what has arrived. It is called
// with the lock, and does nothing where nothing changed.
func (s *Store) refresh() {
	s.essentials()
	s.prewarm()
	s.subscribe()
	held := s.applyClusters()
	for name, t := range s.dests {
		s.update(name, t)
	}
	if held {
		s.applyClusters() // for what has been replaced
	}
	s.subscribe() // what was just replaced may name what is no longer needed
	s.dropClusters()
	s.prune()
}

// essentials takes over what every proxy has. None of it is ever taken back.
func (s *Store) essentials() {
	in, haveIn := s.listeners.get(virtualInbound)
	if haveIn == present && s.inbound.Load() != in.inbound {
		s.inbound.Store(in.inbound)
		s.inboundLogs.Set(in.openLogs(&s.opts))
		s.inboundTraces.Set(in.openTraces(&s.opts))
	}
	out, haveOut := s.listeners.get(virtualOutbound)
	if haveOut == present {
		s.fate.Store(uint32(out.fate))
		if s.outbound != out {
			s.outbound = out
			s.unknownLogs.Set(out.openLogs(&s.opts))
		}
	}
	b, haveRoots := s.secrets.get(rootCA)
	if haveRoots == present && !b.Equal(s.trusted) {
		s.trusted = b
		if s.opts.Roots != nil {
			s.opts.Roots(b)
		}
	}
	if !s.isReady && haveIn == present && haveOut == present && haveRoots == present {
		s.isReady = true
		close(s.ready)
	}
}

// update makes new content for a destination where there is reason to. Content
// takes effect when all that it names has arrived, or has been missing for
// half of Options.Wait; until then the old one stays.
func (s *Store) update(name string, t *tracked) {
	t.behind = false
	l, answer := s.listeners.get(name)
	switch answer {
	case asked:
		if e := s.listeners.entries[name]; e != nil && e.refused != "" {
			t.settle(ErrIncomplete)
		}
		return
	case absent:
		if t.made.listener != nil {
			t.dest.stale.Store(true)
			t.dest, t.made = newDestination(name), inputs{}
		}
		t.since = time.Time{}
		t.settle(ErrUnknown)
		return
	}
	in, missing, fatal := s.gather(l)
	if in.equal(&t.made) {
		t.since = time.Time{}
		return
	}
	if fatal {
		// Without routes there is nothing to put in effect.
		t.behind = !s.overdue(t)
		if t.made.listener == nil && !t.behind {
			t.settle(ErrIncomplete)
		}
		return
	}
	if missing && !s.overdue(t) {
		t.behind = true
		return
	}
	st, err := compile(&in, &s.opts)
	if err != nil {
		// Decoding has checked all that compilation does.
		s.log.Error("configuration refused late", "destination", name, "error", err)
		t.settle(ErrIncomplete)
		return
	}
	t.dest.state.Store(st)
	t.made, t.since = in, time.Time{}
	t.settle(nil)
}

// overdue says whether newer content has been incomplete for long enough: half
// of what a caller waits, so that it still gets what there is. The first time
// it asks to be called again then.
func (s *Store) overdue(t *tracked) bool {
	limit := s.opts.Wait / 2
	if t.since.IsZero() {
		t.since = time.Now()
		time.AfterFunc(limit, func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.refresh()
		})
	}
	return time.Since(t.since) >= limit
}

// gather collects the inputs of a listener. missing says that something that
// it names has not arrived yet, fatal that this is its routes.
func (s *Store) gather(l *listener) (in inputs, missing, fatal bool) {
	in = inputs{listener: l, clusters: map[string]*upstream.Cluster{}, budgets: s.budgets}
	if l.http != nil {
		if in.routes = l.http.inline; in.routes == nil {
			r, answer := s.routes.get(l.http.route)
			if answer != present {
				return in, true, true
			}
			in.routes = r
		}
	}
	names := map[string]bool{}
	addNames(l, map[string]bool{}, names)
	in.routes.clusterNames(names)
	for n := range names {
		c, answer := s.clusters.get(n)
		switch {
		case answer == asked:
			missing = true
			in.clusters[n] = nil
		case answer == absent:
			in.clusters[n] = nil
		default:
			a := s.applied[n]
			in.clusters[n] = a.handle
			if c.eds != "" && a.endpoints == nil {
				missing = true
			}
		}
	}
	return in, missing, false
}
