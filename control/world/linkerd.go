package world

import (
	"reflect"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/weftmesh/weft/internal/linkerdapi"
	"github.com/weftmesh/weft/internal/smiapi"
	"github.com/weftmesh/weft/mesh"
)

// linkerdTables are the objects of Linkerd's API groups, and SMI's route groups.
type linkerdTables struct {
	groups   table[*smiapi.HTTPRouteGroup]
	profiles table[*linkerdapi.ServiceProfile]
	servers  table[*linkerdapi.Server]
	routes   table[*linkerdapi.HTTPRoute]
}

func newLinkerdTables() linkerdTables {
	return linkerdTables{newTable[*smiapi.HTTPRouteGroup](), newTable[*linkerdapi.ServiceProfile](), newTable[*linkerdapi.Server](), newTable[*linkerdapi.HTTPRoute]()}
}

// put reports whether the object is one of these and means something else than before.
func (t *linkerdTables) put(o metav1.Object, at site) bool {
	switch o := o.(type) {
	case *smiapi.HTTPRouteGroup:
		old, had := t.groups.put(refOf(o), o, at)
		return !had || moved(old, at) || !sameMeta(old.Obj, o) || !reflect.DeepEqual(old.Obj.Matches, o.Matches)
	case *linkerdapi.ServiceProfile:
		old, had := t.profiles.put(refOf(o), o, at)
		return !had || moved(old, at) || !sameMeta(old.Obj, o) || !equality.Semantic.DeepEqual(old.Obj.Spec, o.Spec)
	case *linkerdapi.Server:
		old, had := t.servers.put(refOf(o), o, at)
		return !had || moved(old, at) || !sameMeta(old.Obj, o) || !equality.Semantic.DeepEqual(old.Obj.Spec, o.Spec)
	case *linkerdapi.HTTPRoute:
		old, had := t.routes.put(refOf(o), o, at)
		return !had || moved(old, at) || !sameMeta(old.Obj, o) || !equality.Semantic.DeepEqual(old.Obj.Spec, o.Spec)
	}
	return false
}

func (t *linkerdTables) delete(kind Kind, ref mesh.Ref) (had bool) {
	switch kind {
	case KindHTTPRouteGroup:
		_, had = t.groups.remove(ref)
	case KindServiceProfile:
		_, had = t.profiles.remove(ref)
	case KindServer:
		_, had = t.servers.remove(ref)
	case KindPolicyRoute:
		_, had = t.routes.remove(ref)
	}
	return had
}

func (t *linkerdTables) publish(w *World) {
	w.HTTPRouteGroups, w.ServiceProfiles = t.groups.publish(), t.profiles.publish()
	w.Servers, w.PolicyRoutes = t.servers.publish(), t.routes.publish()
}
