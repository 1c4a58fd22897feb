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
