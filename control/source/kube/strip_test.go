package kube

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
)

// TestASliceKeepsTheUIDOfItsPods: by it alone a pod is told from the one of the
// same name that came before.
func TestASliceKeepsTheUIDOfItsPods(t *testing.T) {
	in := &discoveryv1.EndpointSlice{Endpoints: []discoveryv1.Endpoint{{TargetRef: &corev1.ObjectReference{Kind: "Pod", Name: "db-0", UID: "u1"}}}}
	out, err := stripSlice(in)
	if err != nil {
		t.Fatal(err)
	}
	if got := out.(*discoveryv1.EndpointSlice).Endpoints[0].TargetRef; got.UID != "u1" || got.Name != "db-0" {
		t.Errorf("%+v", got)
	}
}
