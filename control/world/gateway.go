package world

import (
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/weftmesh/weft/mesh"
)

// gatewayTables are the routes of gateway.networking.k8s.io.
type gatewayTables struct {
	http table[*gwv1.HTTPRoute]
	grpc table[*gwv1.GRPCRoute]
	tls  table[*gwv1.TLSRoute]
	tcp  table[*gwv1.TCPRoute]
}

func newGatewayTables() gatewayTables {
	return gatewayTables{newTable[*gwv1.HTTPRoute](), newTable[*gwv1.GRPCRoute](), newTable[*gwv1.TLSRoute](), newTable[*gwv1.TCPRoute]()}
}

// put reports whether the object is one of these and means something else than before.
func (t *gatewayTables) put(o metav1.Object, at site) bool {
	switch o := o.(type) {
	case *gwv1.HTTPRoute:
		return putRoute(&t.http, o, at, func(r *gwv1.HTTPRoute) any { return &r.Spec })
	case *gwv1.GRPCRoute:
		return putRoute(&t.grpc, o, at, func(r *gwv1.GRPCRoute) any { return &r.Spec })
	case *gwv1.TLSRoute:
		return putRoute(&t.tls, o, at, func(r *gwv1.TLSRoute) any { return &r.Spec })
	case *gwv1.TCPRoute:
		return putRoute(&t.tcp, o, at, func(r *gwv1.TCPRoute) any { return &r.Spec })
	}
	return false
}

func putRoute[T metav1.Object](t *table[T], o T, at site, spec func(T) any) bool {
	old, had := t.put(refOf(o), o, at)
	return !had || moved(old, at) || !sameMeta(old.Obj, o) || !equality.Semantic.DeepEqual(spec(old.Obj), spec(o))
}

func (t *gatewayTables) delete(kind Kind, ref mesh.Ref) (had bool) {
	switch kind {
	case KindHTTPRoute:
		_, had = t.http.remove(ref)
	case KindGRPCRoute:
		_, had = t.grpc.remove(ref)
	case KindTLSRoute:
		_, had = t.tls.remove(ref)
	case KindTCPRoute:
		_, had = t.tcp.remove(ref)
	}
	return had
}

func (t *gatewayTables) publish(w *World) {
	w.HTTPRoutes, w.GRPCRoutes = t.http.publish(), t.grpc.publish()
	w.TLSRoutes, w.TCPRoutes = t.tls.publish(), t.tcp.publish()
}
