package core

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/weftmesh/weft/control/world"
	"github.com/weftmesh/weft/mesh"
)

// TestAnAddressChangesHands: while a pod is going away its address may be given
// to another, which alone is to be found by it.
func TestAnAddressChangesHands(t *testing.T) {
	pod := func(name string, going bool) *corev1.Pod {
		p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name}, Status: corev1.PodStatus{PodIP: "10.0.0.1"}}
		if going {
			p.DeletionTimestamp = &metav1.Time{Time: time.Unix(1, 0)}
		}
		return p
	}
	for _, c := range []struct {
		pods []*corev1.Pod
		want string
	}{
		{[]*corev1.Pod{pod("a", true)}, "a"},
		{[]*corev1.Pod{pod("a", true), pod("b", false)}, "b"},
		{[]*corev1.Pod{pod("a", false), pod("b", true)}, "a"},
		// Workloads of a local mesh share an address for good.
		{[]*corev1.Pod{pod("a", false), pod("b", false)}, "ab"},
	} {
		var events []world.Event
		for _, p := range c.pods {
			events = append(events, world.Put(p, mesh.Origin{}))
		}
		w, _ := world.Build("cluster.local", events...)
		got := ""
		out := Translate(w, mesh.Settings{TrustDomain: "cluster.local", ClusterDomain: "cluster.local"})
		for _, wl := range out.Workloads {
			if len(wl.Addresses) > 0 {
				got += wl.Name
			}
		}
		if got != c.want || len(out.Workloads) != len(c.pods) {
			t.Errorf("%d pods: found by the address %q, want %q", len(c.pods), got, c.want)
		}
	}
}
