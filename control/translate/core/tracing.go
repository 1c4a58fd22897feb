package core

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/weftmesh/weft/control/problem"
	"github.com/weftmesh/weft/control/world"
)

// traceAnnotation named the collector of a pod's spans in older versions of
// Linkerd, which sent them in another protocol.
const traceAnnotation = "config.linkerd.io/trace-collector"

// traceCollector tells who asks for one that the annotation names none.
func (t *translator) traceCollector(item world.Item[*corev1.Pod]) {
	if v := item.Obj.Annotations[traceAnnotation]; v != "" {
		t.problem(problem.New(problem.IstioUnsupported, item.Origin, "metadata.annotations["+traceAnnotation+"]", "collectors are not named by pods; no spans are sent to \""+v+"\"",
			"name the collector in meshConfig.extensionProviders and defaultProviders.tracing"))
	}
}
