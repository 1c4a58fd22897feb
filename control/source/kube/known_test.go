package kube

import (
	"context"
	"slices"
	"sync"
	"testing"

	"github.com/weftmesh/weft/control/world"
)

// told is a Sender that builds a World of what it was told.
type told struct {
	mu     sync.Mutex
	events []world.Event
}

func (s *told) Send(_ context.Context, events ...world.Event) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events = append(s.events, events...)
	return nil
}

func (s *told) splits() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	w, _ := world.Build("cluster.local", s.events...)
	var out []string
	for ref := range w.TrafficSplits {
		out = append(out, ref.Name)
	}
	slices.Sort(out)
	return out
}

// TestWhatComesDuringAChangeOfVersionStays: objects that are made while the
// leftovers of the informer before are cleared away are not among those.
func TestWhatComesDuringAChangeOfVersionStays(t *testing.T) {
	for range 200 {
		to, k := &told{}, newKnown(world.KindTrafficSplit)
		r := &resources[slices.IndexFunc(resources, func(r resource) bool { return r.kind == world.KindTrafficSplit })]
		put := func(name string) { customHandler{t.Context(), r, k, to}.put(split("v1alpha4", name, 1)) }
		k.next()
		put("stays")
		put("gone")
		put("again")
		k.next()
		put("stays")
		var wg sync.WaitGroup
		wg.Go(func() { put("new"); put("again") })
		k.forgetOlder(t.Context(), to)
		wg.Wait()
		if got := to.splits(); !slices.Equal(got, []string{"again", "new", "stays"}) {
			t.Fatalf("left are %v", got)
		}
		k.forgetAll(t.Context(), to)
		if got := to.splits(); len(got) != 0 {
			t.Fatalf("without its CRD: %v", got)
		}
	}
}
