package world

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weftmesh/weft/mesh"
)

// ErrClosed means that the Store has ended.
var ErrClosed = errors.New("world store has ended")

// Settings of a Store. Zero durations mean the defaults.
type Settings struct {
	// Sources that must be synced before the first World is published.
	Sources []string
	// TrustDomain of the identities of endpoints.
	TrustDomain string
	// Quiet is how long no change may come before a World is made; default 10 ms.
	Quiet time.Duration
	// Max is how long a change may wait at most; default 100 ms.
	Max time.Duration
	// EndpointDelay folds changes of endpoints; default 1 ms.
	EndpointDelay time.Duration
}

func (s Settings) withDefaults() Settings {
	if s.Quiet == 0 {
		s.Quiet = 10 * time.Millisecond
	}
	if s.Max == 0 {
		s.Max = 100 * time.Millisecond
	}
	if s.EndpointDelay == 0 {
		s.EndpointDelay = time.Millisecond
	}
	return s
}

// Store owns the state of the inputs in one goroutine (Run).
type Store struct {
	settings Settings
	events   chan []Event
	done     chan struct{}

	onWorld     []func(*World)
	onEndpoints []func(map[mesh.EndpointKey]*mesh.EndpointSet)

	current atomic.Pointer[World]
	mu      sync.RWMutex // guards sets
	sets    map[mesh.EndpointKey]*mesh.EndpointSet
}

// NewStore makes a Store; nothing happens before Run.
func NewStore(s Settings) *Store {
	return &Store{settings: s.withDefaults(), events: make(chan []Event, 64), done: make(chan struct{}),
		sets: map[mesh.EndpointKey]*mesh.EndpointSet{}}
}

// OnWorld adds a subscriber of new Worlds. It is called in Run's goroutine, in
// order of revision, and must return at once. Call before Run.
func (s *Store) OnWorld(f func(*World)) { s.onWorld = append(s.onWorld, f) }

// OnEndpoints adds a subscriber of changed endpoint sets; nil stands for a set
// that is gone, because the service or the port is. It is called in Run's
// goroutine and must return at once; it may keep the sets, not the map. The
// first call holds every set and comes before the first World; a set of a new
// service comes no later than the World that has the service. Call before Run.
func (s *Store) OnEndpoints(f func(map[mesh.EndpointKey]*mesh.EndpointSet)) {
	s.onEndpoints = append(s.onEndpoints, f)
}

// Current returns the newest World, or nil before every source is synced.
func (s *Store) Current() *World { return s.current.Load() }

// Endpoints returns the newest set of a service port, or nil if the service
// or the port does not exist. A port without endpoints has an empty set.
func (s *Store) Endpoints(k mesh.EndpointKey) *mesh.EndpointSet {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.sets[k]
}

// Send hands events over, in order. It blocks while the Store is busy, and
// returns the context's error or ErrClosed.
func (s *Store) Send(ctx context.Context, events ...Event) error {
	select {
	case <-s.done:
		return ErrClosed
	default:
	}
	select {
	case s.events <- events:
		return nil
	case <-s.done:
		return ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Run owns the state until the context ends; it returns the context's error.
func (s *Store) Run(ctx context.Context) error {
	defer close(s.done)
	st := newState(s.settings.TrustDomain)
	missing := map[string]bool{}
	for _, name := range s.settings.Sources {
		missing[name] = true
	}
	f := newFolder(s.settings)
	defer f.stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case list := <-s.events:
			var world, endpoints bool
			for _, e := range list {
				if e.op == opSynced {
					delete(missing, e.source)
				}
				w, ep := st.apply(e)
				world, endpoints = world || w, endpoints || ep
			}
			if len(missing) > 0 {
				continue
			}
			if s.Current() == nil {
				s.publishEndpoints(st)
				s.publishWorld(st)
				f.clear()
				continue
			}
			f.saw(world, endpoints)
		case <-f.endpoints.C:
			f.endpointsFired()
			s.publishEndpoints(st)
		case <-f.world.C:
			f.worldFired()
			s.publishEndpoints(st)
			s.publishWorld(st)
			f.clear()
		}
	}
}

func (s *Store) publishWorld(st *state) {
	var rev uint64
	if w := s.Current(); w != nil {
		rev = w.Revision
	}
	w := st.snapshot(rev + 1)
	s.current.Store(w)
	for _, f := range s.onWorld {
		f(w)
	}
}

func (s *Store) publishEndpoints(st *state) {
	changed := st.takeEndpoints()
	if len(changed) == 0 && s.Current() != nil {
		return
	}
	s.mu.Lock()
	for k, set := range changed {
		if set == nil {
			delete(s.sets, k)
		} else {
			s.sets[k] = set
		}
	}
	s.mu.Unlock()
	for _, f := range s.onEndpoints {
		f(changed)
	}
}
