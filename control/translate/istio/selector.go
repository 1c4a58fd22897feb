package istio

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/weftmesh/weft/control/problem"
	"github.com/weftmesh/weft/mesh"
)

// selectors are those of the objects of one kind by namespace, the oldest
// object first.
type selectors map[string][]selector

type selector struct {
	labels map[string]string
	origin mesh.Origin
}

func (s selectors) add(namespace string, labels map[string]string, o mesh.Origin) {
	if len(labels) > 0 {
		s[namespace] = append(s[namespace], selector{labels, o})
	}
}

// contested tells objects of which an older one takes pods. What is the same in
// both, and is told of no pod, stays so when pods come and go.
func (t *translator) contested(all selectors, code problem.Code, field string) {
	several := false
	for _, list := range all {
		several = several || len(list) > 1
	}
	if !several {
		return
	}
	for ref, pod := range t.w.Pods {
		if p := pod.Obj.Status.Phase; p == corev1.PodSucceeded || p == corev1.PodFailed {
			continue
		}
		var first *selector
		for i := range all[ref.Namespace] {
			s := &all[ref.Namespace][i]
			switch {
			case !mesh.HasLabels(pod.Obj.Labels, s.labels):
			case first == nil:
				first = s
			default:
				t.problem(code, s.origin, field, at("some of the workloads are selected by the older %s too, which is in effect for them alone", first.origin), "let no two select the same workload")
			}
		}
	}
}
