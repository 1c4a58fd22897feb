package status

import (
	"log/slog"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	dynamicfake "k8s.io/client-go/dynamic/fake"

	"github.com/weftmesh/weft/control/translate"
	"github.com/weftmesh/weft/control/translate/fragment"
	"github.com/weftmesh/weft/mesh"
)

const routeJSON = `{"apiVersion":"gateway.networking.k8s.io/v1","kind":"HTTPRoute",
"metadata":{"name":"api","namespace":"default","generation":3},
"spec":{"parentRefs":[{"name":"gw"},{"group":"","kind":"Service","name":"api","port":80}]},
"status":{"parents":[{"parentRef":{"name":"gw"},"controllerName":"example.com/other","conditions":[{"type":"Accepted","status":"True","reason":"Accepted","message":"","lastTransitionTime":"2026-01-01T00:00:00Z"}]}]}}`

func TestWriteMergesWithOthers(t *testing.T) {
	obj := &unstructured.Unstructured{}
	if err := obj.UnmarshalJSON([]byte(routeJSON)); err != nil {
		t.Fatal(err)
	}
	client := dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), map[schema.GroupVersionResource]string{resources["HTTPRoute"]: "HTTPRouteList"}, obj)
	w := NewWriter(client, slog.New(slog.DiscardHandler))
	ok := fragment.Condition{Status: true, Reason: "Accepted"}
	status := func(generation int64, resolved fragment.Condition) []translate.RouteStatus {
		return []translate.RouteStatus{{Kind: "HTTPRoute", Route: mesh.Ref{Namespace: "default", Name: "api"}, Generation: generation,
			Parents: []fragment.ParentStatus{{Index: 1, Service: mesh.Ref{Namespace: "default", Name: "api"}, Port: 80, Accepted: ok, ResolvedRefs: resolved}}}}
	}
	read := func() []parent {
		t.Helper()
		o, err := client.Resource(resources["HTTPRoute"]).Namespace("default").Get(t.Context(), "api", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		var out []parent
		list, _, err := unstructured.NestedSlice(o.Object, "status", "parents")
		if err != nil {
			t.Fatal(err)
		}
		if err := convert(list, &out); err != nil {
			t.Fatal(err)
		}
		return out
	}
	writes := func() int {
		n := 0
		for _, a := range client.Actions() {
			if a.GetVerb() == "update" && a.GetSubresource() == "status" {
				n++
			}
		}
		return n
	}
	// An older judgement than the object is not written.
	if err := w.Write(t.Context(), status(2, ok)); err != nil || writes() != 0 {
		t.Errorf("old generation: %d writes, %v", writes(), err)
	}
	bad := fragment.Condition{Reason: "BackendNotFound", Message: "Service default/gone does not exist"}
	if err := w.Write(t.Context(), status(3, bad)); err != nil {
		t.Fatal(err)
	}
	got := read()
	if len(got) != 2 || got[0].ControllerName != "example.com/other" || got[1].ControllerName != Controller || got[1].ParentRef["kind"] != "Service" {
		t.Fatalf("parents: %+v", got)
	}
	c := got[1].Conditions
	if len(c) != 2 || c[0].Type != accepted || c[0].Status != metav1.ConditionTrue || c[1].Type != resolvedRefs || c[1].Status != metav1.ConditionFalse || c[1].Reason != "BackendNotFound" || c[1].ObservedGeneration != 3 {
		t.Errorf("conditions: %+v", c)
	}
	// Nothing new, nothing written: neither by this writer nor by the next leader.
	for _, x := range []*Writer{w, NewWriter(client, slog.New(slog.DiscardHandler))} {
		if err := x.Write(t.Context(), status(3, bad)); err != nil || writes() != 1 {
			t.Errorf("%d writes of one status, %v", writes(), err)
		}
	}
	since := c[0].LastTransitionTime
	if err := w.Write(t.Context(), status(3, fragment.Condition{Status: true, Reason: "ResolvedRefs"})); err != nil {
		t.Fatal(err)
	}
	if c := read()[1].Conditions; c[1].Status != metav1.ConditionTrue || !c[0].LastTransitionTime.Equal(&since) {
		t.Errorf("after mending: %+v", c)
	}
	// A route that names no service any more loses our entry and keeps the other.
	if err := w.Write(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if got := read(); len(got) != 1 || got[0].ControllerName != "example.com/other" {
		t.Errorf("after our parent went: %+v", got)
	}
	// What does not exist is no error.
	gone := status(1, ok)
	gone[0].Route.Name = "gone"
	if err := w.Write(t.Context(), gone); err != nil {
		t.Errorf("a route that is gone: %v", err)
	}
}
