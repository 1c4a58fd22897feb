package gatewayapi

import (
	"sort"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/weftmesh/weft/control/problem"
	"github.com/weftmesh/weft/control/translate/fragment"
	"github.com/weftmesh/weft/control/translate/httproute"
	"github.com/weftmesh/weft/control/world"
	"github.com/weftmesh/weft/mesh"
)

// object is a route of any kind.
type object struct {
	kind       world.Kind
	ref        mesh.Ref
	generation int64
	uid        string
	created    time.Time
	origin     mesh.Origin
	parents    []gwv1.ParentReference
	hostnames  []gwv1.Hostname
	// annotations are Linkerd's, of retries and timeouts, and others.
	annotations map[string]string
	// read reads the rules as they apply to a parent.
	read func(*judge) rules

	attached []attachment
	// told keeps a problem of a rule, which is read for each parent, to one.
	told map[string]bool
}

// rules are those of one object. The indices of count are those of the faults.
type rules struct {
	http  []httproute.Entry
	tcp   []tcpEntry
	count int
}

// attachment is one parentRef that is ours, and where it leads.
type attachment struct {
	status  fragment.ParentStatus
	targets []target
}

func (o *object) tell(t *translator, c problem.Code, field, message, remedy string) {
	key := string(c) + field + message
	if o.told[key] {
		return
	}
	o.told[key] = true
	t.out.Problems = append(t.out.Problems, problem.New(c, o.origin, field, message, remedy))
}

// objects are the routes of all kinds by age, then namespace and name: the
// order in which those win whose matches are alike.
func (t *translator) objects() []*object {
	var out []*object
	for _, item := range t.w.HTTPRoutes {
		o := newObject(world.KindHTTPRoute, &item.Obj.ObjectMeta, item.Origin, item.Obj.Spec.CommonRouteSpec, item.Obj.Spec.Hostnames)
		list := item.Obj.Spec.Rules
		o.read = func(j *judge) rules { return j.httpRules(list) }
		out = append(out, o)
	}
	for _, item := range t.w.GRPCRoutes {
		o := newObject(world.KindGRPCRoute, &item.Obj.ObjectMeta, item.Origin, item.Obj.Spec.CommonRouteSpec, item.Obj.Spec.Hostnames)
		list := item.Obj.Spec.Rules
		o.read = func(j *judge) rules { return j.grpcRules(list) }
		out = append(out, o)
	}
	for _, item := range t.w.TLSRoutes {
		o := newObject(world.KindTLSRoute, &item.Obj.ObjectMeta, item.Origin, item.Obj.Spec.CommonRouteSpec, item.Obj.Spec.Hostnames)
		list := item.Obj.Spec.Rules
		o.read = func(j *judge) rules { return j.tlsRules(list) }
		out = append(out, o)
	}
	for _, item := range t.w.TCPRoutes {
		o := newObject(world.KindTCPRoute, &item.Obj.ObjectMeta, item.Origin, item.Obj.Spec.CommonRouteSpec, nil)
		list := item.Obj.Spec.Rules
		o.read = func(j *judge) rules { return j.tcpRules(list) }
		out = append(out, o)
	}
	sort.Slice(out, func(i, j int) bool {
		a, b := out[i], out[j]
		switch {
		case !a.created.Equal(b.created):
			return a.created.Before(b.created)
		case a.ref != b.ref:
			return a.ref.Less(b.ref)
		}
		return a.kind < b.kind
	})
	return out
}

func newObject(kind world.Kind, m *metav1.ObjectMeta, origin mesh.Origin, spec gwv1.CommonRouteSpec, hostnames []gwv1.Hostname) *object {
	return &object{
		kind: kind, ref: mesh.Ref{Namespace: m.Namespace, Name: m.Name}, generation: m.Generation, uid: string(m.UID), created: m.CreationTimestamp.Time,
		origin: origin, parents: spec.ParentRefs, hostnames: hostnames, annotations: m.Annotations, told: map[string]bool{},
	}
}
