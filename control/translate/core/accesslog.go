package core

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/weftmesh/weft/control/problem"
	"github.com/weftmesh/weft/control/world"
	"github.com/weftmesh/weft/mesh"
)

// AccessLogAnnotation asks for the access log of the requests that a pod
// serves, in one of Linkerd's formats: on the Pod, or on its Namespace.
const AccessLogAnnotation = "config.linkerd.io/access-log"

// accessLog reads the annotation.
func (t *translator) accessLog(item world.Item[*corev1.Pod]) mesh.AccessLog {
	v, ok := item.Obj.Annotations[AccessLogAnnotation]
	own := ok
	if !ok {
		ns, known := t.w.Namespaces[mesh.Ref{Name: item.Obj.Namespace}]
		if !known {
			return ""
		}
		v = ns.Obj.Annotations[AccessLogAnnotation]
	}
	a := mesh.AccessLog(v)
	if _, good := a.Logger(); good || v == "" || v == "none" {
		return a
	}
	if own {
		t.problem(problem.New(problem.BadAnnotation, item.Origin, "metadata.annotations["+AccessLogAnnotation+"]", "\""+v+"\" is no format of access logs; there is none", "write apache or json"))
	}
	return ""
}
