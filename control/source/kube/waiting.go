package kube

import (
	"sort"
	"sync"

	"k8s.io/client-go/tools/cache"
)

// waits remembers what has not been listed yet, and why. The zero value is empty.
type waits struct {
	mu  sync.Mutex
	all map[string]*wait // by resource
}

type wait struct {
	synced cache.InformerSynced
	err    error // of the last attempt
}

func (w *waits) expect(resource string, synced cache.InformerSynced) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.all == nil {
		w.all = map[string]*wait{}
	}
	w.all[resource] = &wait{synced: synced}
}

func (w *waits) failed(resource string, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if e := w.all[resource]; e != nil {
		e.err = err
	}
}

func (w *waits) forget(resource string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.all, resource)
}

// Waiting returns, sorted, what cannot be listed and has not been listed before,
// each with the reason, such as "services: services is forbidden: ...".
func (s *Source) Waiting() []string {
	s.waits.mu.Lock()
	defer s.waits.mu.Unlock()
	var out []string
	for resource, e := range s.waits.all {
		if e.err != nil && !e.synced() {
			out = append(out, resource+": "+e.err.Error())
		}
	}
	sort.Strings(out)
	return out
}
