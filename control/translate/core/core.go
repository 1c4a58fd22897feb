package core

import (
	"github.com/weftmesh/weft/control/translate/fragment"
	"github.com/weftmesh/weft/control/world"
	"github.com/weftmesh/weft/mesh"
)

// Translate makes services and workloads; it is pure.
func Translate(w *world.World, settings mesh.Settings) fragment.Fragment {
	t := &translator{w: w, settings: settings, made: make(map[mesh.Ref]*mesh.Service, len(w.Services)), nsOpaque: map[string]*portSet{}, told: map[string]bool{}}
	t.services()
	t.workloads()
	return t.out
}
