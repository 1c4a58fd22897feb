package status

import (
	"log/slog"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	dynamicfake "k8s.io/client-go/dynamic/fake"

	"github.com/weftmesh/weft/control/translate"
	"github.com/weftmesh/weft/control/translate/fragment"
	"github.com/weftmesh/weft/control/world"
	"github.com/weftmesh/weft/mesh"
)

// TestAPolicyRouteHasAStatus: the HTTPRoutes of policy.linkerd.io are told apart
// from those of the Gateway API.
func TestAPolicyRouteHasAStatus(t *testing.T) {
	kind := string(world.KindPolicyRoute)
	gvr := resources[kind]
	obj := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": gvr.GroupVersion().String(), "kind": "HTTPRoute", "metadata": map[string]any{"name": "api", "namespace": "default", "generation": int64(3)},
		"spec": map[string]any{"parentRefs": []any{map[string]any{"kind": "Server", "name": "s"}, map[string]any{"kind": "Service", "name": "api"}}},
	}}
	client := dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), map[schema.GroupVersionResource]string{gvr: "HTTPRouteList"}, obj)
	w := NewWriter(client, slog.New(slog.DiscardHandler))
	err := w.Write(t.Context(), []translate.RouteStatus{{Kind: kind, Route: mesh.Ref{Namespace: "default", Name: "api"}, Generation: 3, Parents: []fragment.ParentStatus{{
		Index: 1, Accepted: fragment.Condition{Reason: "NoMatchingParent", Message: "m"}, ResolvedRefs: fragment.Condition{Status: true, Reason: "ResolvedRefs"}}}}})
	if err != nil {
		t.Fatal(err)
	}
	got, err := client.Resource(gvr).Namespace("default").Get(t.Context(), "api", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	parents, _, _ := unstructured.NestedSlice(got.Object, "status", "parents")
	if len(parents) != 1 {
		t.Fatalf("%v", parents)
	}
	p := parents[0].(map[string]any)
	conditions := p["conditions"].([]any)
	first := conditions[0].(map[string]any)
	if p["parentRef"].(map[string]any)["kind"] != "Service" || len(conditions) != 2 || first["type"] != "Accepted" || first["status"] != "False" || first["reason"] != "NoMatchingParent" {
		t.Errorf("%v", p)
	}
}

// TestAnOlderVersionIsServedAlone: the status reaches clusters whose definitions
// have no newer version.
func TestAnOlderVersionIsServedAlone(t *testing.T) {
	gvr := resources["TCPRoute"]
	gvr.Version = "v1alpha2"
	obj := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": gvr.GroupVersion().String(), "kind": "TCPRoute", "metadata": map[string]any{"name": "db", "namespace": "default"},
		"spec": map[string]any{"parentRefs": []any{map[string]any{"kind": "Service", "name": "db"}}},
	}}
	client := dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), map[schema.GroupVersionResource]string{gvr: "TCPRouteList"}, obj)
	w := NewWriter(client, slog.New(slog.DiscardHandler))
	s := []translate.RouteStatus{{Kind: "TCPRoute", Route: mesh.Ref{Namespace: "default", Name: "db"}, Parents: []fragment.ParentStatus{{Accepted: fragment.Condition{Status: true, Reason: "Accepted"}}}}}
	parents := func() []any {
		got, err := client.Resource(gvr).Namespace("default").Get(t.Context(), "db", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		list, _, _ := unstructured.NestedSlice(got.Object, "status", "parents")
		return list
	}
	if err := w.Write(t.Context(), s); err != nil || len(parents()) != 1 {
		t.Fatalf("%v: %v", err, parents())
	}
	if err := w.Check(t.Context()); err != nil {
		t.Error(err)
	}
	if err := w.Write(t.Context(), nil); err != nil || len(parents()) != 0 {
		t.Errorf("%v: %v", err, parents())
	}
}

// TestTheOrderOfControllersIsNobodys: another controller that writes its entries
// after ours is not answered, else both would write for ever.
func TestTheOrderOfControllersIsNobodys(t *testing.T) {
	ref := map[string]any{"kind": "Service", "name": "api"}
	obj := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{"parentRefs": []any{ref}}}}
	s := translate.RouteStatus{Parents: []fragment.ParentStatus{{Accepted: fragment.Condition{Status: true, Reason: "Accepted"}}}}
	if changed, err := merge(obj, s, time.Now()); !changed || err != nil {
		t.Fatalf("%v, %v", changed, err)
	}
	list, _, _ := unstructured.NestedSlice(obj.Object, "status", "parents")
	theirs := map[string]any{"parentRef": ref, "controllerName": "linkerd.io/policy-controller", "conditions": []any{}}
	if err := unstructured.SetNestedSlice(obj.Object, append(list, theirs), "status", "parents"); err != nil {
		t.Fatal(err)
	}
	if changed, err := merge(obj, s, time.Now()); changed || err != nil {
		t.Errorf("changed: %v, %v", changed, err)
	}
	s.Parents[0].Accepted.Status = false
	if changed, err := merge(obj, s, time.Now()); !changed || err != nil {
		t.Errorf("changed: %v, %v", changed, err)
	}
	if list, _, _ = unstructured.NestedSlice(obj.Object, "status", "parents"); len(list) != 2 {
		t.Errorf("%v", list)
	}
}
