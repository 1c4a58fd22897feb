package world

import (
	"google.golang.org/protobuf/proto"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/weftmesh/weft/internal/istioapi"
	"github.com/weftmesh/weft/mesh"
)

// istioTables are the objects of networking.istio.io.
type istioTables struct {
	virtualServices  table[*istioapi.VirtualService]
	destinationRules table[*istioapi.DestinationRule]
	serviceEntries   table[*istioapi.ServiceEntry]
	workloadEntries  table[*istioapi.WorkloadEntry]
	workloadGroups   table[*istioapi.WorkloadGroup]
	sidecars         table[*istioapi.Sidecar]
	telemetries      table[*istioapi.Telemetry]
}

func newIstioTables() istioTables {
	return istioTables{
		newTable[*istioapi.VirtualService](), newTable[*istioapi.DestinationRule](), newTable[*istioapi.ServiceEntry](),
		newTable[*istioapi.WorkloadEntry](), newTable[*istioapi.WorkloadGroup](), newTable[*istioapi.Sidecar](),
		newTable[*istioapi.Telemetry](),
	}
}

// put reports whether the object is one of these and means something else than before.
func (t *istioTables) put(o metav1.Object, at site) bool {
	switch o := o.(type) {
	case *istioapi.VirtualService:
		return putSpec(&t.virtualServices, o, at)
	case *istioapi.DestinationRule:
		return putSpec(&t.destinationRules, o, at)
	case *istioapi.ServiceEntry:
		return putSpec(&t.serviceEntries, o, at)
	case *istioapi.WorkloadEntry:
		return putSpec(&t.workloadEntries, o, at)
	case *istioapi.WorkloadGroup:
		return putSpec(&t.workloadGroups, o, at)
	case *istioapi.Sidecar:
		return putSpec(&t.sidecars, o, at)
	case *istioapi.Telemetry:
		return putSpec(&t.telemetries, o, at)
	}
	return false
}

func putSpec[S proto.Message](t *table[*istioapi.Object[S]], o *istioapi.Object[S], at site) bool {
	old, had := t.put(refOf(o), o, at)
	return !had || moved(old, at) || !sameMeta(old.Obj, o) || !proto.Equal(old.Obj.Spec, o.Spec)
}

func (t *istioTables) delete(kind Kind, ref mesh.Ref) (had bool) {
	switch kind {
	case KindVirtualService:
		_, had = t.virtualServices.remove(ref)
	case KindDestinationRule:
		_, had = t.destinationRules.remove(ref)
	case KindServiceEntry:
		_, had = t.serviceEntries.remove(ref)
	case KindWorkloadEntry:
		_, had = t.workloadEntries.remove(ref)
	case KindWorkloadGroup:
		_, had = t.workloadGroups.remove(ref)
	case KindSidecar:
		_, had = t.sidecars.remove(ref)
	case KindTelemetry:
		_, had = t.telemetries.remove(ref)
	}
	return had
}

func (t *istioTables) publish(w *World) {
	w.VirtualServices, w.DestinationRules = t.virtualServices.publish(), t.destinationRules.publish()
	w.ServiceEntries, w.WorkloadEntries = t.serviceEntries.publish(), t.workloadEntries.publish()
	w.WorkloadGroups, w.Sidecars = t.workloadGroups.publish(), t.sidecars.publish()
	w.Telemetries = t.telemetries.publish()
}
