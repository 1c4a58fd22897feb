package core

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/weftmesh/weft/control/translate/fragment"
	"github.com/weftmesh/weft/control/world"
	"github.com/weftmesh/weft/mesh"
)

// Translate makes services and workloads; it is pure.
func Translate(w *world.World, settings mesh.Settings) fragment.Fragment {
	return Part(w, w.Pods, settings)
}

// Part is Translate of a part of a world that has all of these pods: some of
// the others may have the address of one that is on its way out.
func Part(w *world.World, all world.Table[*corev1.Pod], settings mesh.Settings) fragment.Fragment {
	t := &translator{w: w, settings: settings, made: make(map[mesh.Ref]*mesh.Service, len(w.Services)), nsOpaque: map[string]*portSet{}, told: map[string]bool{}, all: all}
	t.services()
	t.workloads()
	return t.out
}

// Workloads makes the workloads of w.Pods alone, where no Server is, with the
// services as they were translated before, sorted. Of all pods some may have
// the address of one that is on its way out.
func Workloads(w *world.World, all world.Table[*corev1.Pod], services []*mesh.Service, settings mesh.Settings) fragment.Fragment {
	t := &translator{w: w, settings: settings, made: make(map[mesh.Ref]*mesh.Service, len(services)), nsOpaque: map[string]*portSet{}, told: map[string]bool{}, all: all}
	t.out.Services = services
	for _, s := range services {
		t.made[s.Ref] = s
	}
	t.workloads()
	return fragment.Fragment{Workloads: t.out.Workloads, Problems: t.out.Problems}
}
