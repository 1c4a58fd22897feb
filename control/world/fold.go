package world

import "time"

// folder decides when what has changed is published.
//
//	changes   x  x x        x                 quiet: 10 ms after the last change,
//	world               ^       ^             but at most 100 ms after the first
//	endpoints  ^  ^ ^      ^                  1 ms after the first
type folder struct {
	settings  Settings
	world     *time.Timer
	endpoints *time.Timer
	first     time.Time // of the changes that wait for a World; zero: none waits
	armed     bool      // the endpoints' timer runs
}

func newFolder(s Settings) *folder {
	f := &folder{settings: s, world: time.NewTimer(time.Hour), endpoints: time.NewTimer(time.Hour)}
	f.stop()
	return f
}

func (f *folder) stop() {
	f.world.Stop()
	f.endpoints.Stop()
}

// saw notes that a change came which concerns the World, or endpoints, or both.
func (f *folder) saw(world, endpoints bool) {
	if endpoints && !f.armed {
		f.armed = true
		f.endpoints.Reset(f.settings.EndpointDelay)
	}
	if !world {
		return
	}
	now := time.Now()
	if f.first.IsZero() {
		f.first = now
	}
	f.world.Reset(max(0, min(f.settings.Quiet, f.settings.Max-now.Sub(f.first))))
}

func (f *folder) endpointsFired() { f.armed = false }

func (f *folder) worldFired() { f.first = time.Time{} }

// clear forgets what waited, since everything is published.
func (f *folder) clear() {
	f.stop()
	f.armed, f.first = false, time.Time{}
}
