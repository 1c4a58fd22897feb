package translate

import (
	"slices"
	"sort"

	corev1 "k8s.io/api/core/v1"

	"github.com/weftmesh/weft/control/translate/core"
	"github.com/weftmesh/weft/control/world"
	"github.com/weftmesh/weft/mesh"
)

// workloads makes the workloads of namespaces anew.
func (x *Incremental) workloads(w, old *world.World, spaces map[string]bool) (gone, come []output) {
	if !sameTable(w.Pods, old.Pods) {
		for ns, leaving := range leavingPods(w, old) {
			if leaving {
				spaces[ns] = true
			}
		}
	}
	if len(w.Pods) == 0 && len(x.spaces) == 0 || len(spaces) == 0 {
		return nil, nil
	}
	byNamespace := map[string]world.Table[*corev1.Pod]{}
	for ref, item := range w.Pods {
		if spaces[ref.Namespace] && x.graph.servers[ref.Namespace] == 0 {
			if byNamespace[ref.Namespace] == nil {
				byNamespace[ref.Namespace] = world.Table[*corev1.Pod]{}
			}
			byNamespace[ref.Namespace][ref] = item
		}
	}
	services := map[string][]*mesh.Service{}
	for i, g := range x.groups {
		if i.kind != world.KindService || byNamespace[i.ref.Namespace] == nil {
			continue
		}
		if n, ok := slices.BinarySearchFunc(g.out.services, i.ref, func(s *mesh.Service, ref mesh.Ref) int { return compareRefs(s.Ref, ref) }); ok {
			services[i.ref.Namespace] = append(services[i.ref.Namespace], g.out.services[n])
		}
	}
	for ns := range spaces {
		before := x.spaces[ns]
		if before != nil {
			gone = append(gone, before.out)
			delete(x.spaces, ns)
		}
		pods := byNamespace[ns]
		if len(pods) == 0 {
			continue
		}
		list := services[ns]
		sort.Slice(list, func(i, j int) bool { return list[i].Ref.Less(list[j].Ref) })
		part := &world.World{Namespaces: w.Namespaces, Services: w.Services, Pods: pods}
		for _, s := range list {
			if len(w.Services[s.Ref].Obj.Spec.Selector) == 0 {
				part.EndpointSlices = within(w.EndpointSlices, map[string]bool{ns: true})
				break
			}
		}
		f := core.Workloads(part, w.Pods, list, x.settings)
		locate(w, f.Problems)
		g := &group{out: output{workloads: f.Workloads, problems: f.Problems}}
		if before != nil {
			known := newKnown([]output{before.out})
			known.intern(&g.out)
		}
		x.spaces[ns] = g
		x.work.Groups++
		x.work.Objects += uint64(len(pods))
		come = append(come, g.out)
	}
	return gone, come
}

// leavingPods are the namespaces with pods on their way out, now or before:
// whether they keep their address depends on all pods.
func leavingPods(worlds ...*world.World) map[string]bool {
	out := map[string]bool{}
	for _, w := range worlds {
		for ref, item := range w.Pods {
			if item.Obj.DeletionTimestamp != nil {
				out[ref.Namespace] = true
			}
		}
	}
	return out
}
