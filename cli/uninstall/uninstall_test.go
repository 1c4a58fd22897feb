package uninstall

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/weftmesh/weft/cli/cluster"
	"github.com/weftmesh/weft/cli/console"
	"github.com/weftmesh/weft/manifests"
)

func connect(t *testing.T, extra ...manifests.Object) *cluster.Cluster {
	t.Helper()
	objects, err := manifests.Render(manifests.Release{Values: map[string]any{"namespace": map[string]any{"create": true}, "control": map[string]any{"replicas": 2}}})
	if err != nil {
		t.Fatal(err)
	}
	crds, err := manifests.CRDs()
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range crds {
		objects = append(objects, d.Object)
	}
	var all []runtime.Object
	for _, o := range append(objects, extra...) {
		all = append(all, o.DeepCopy())
	}
	lists := map[schema.GroupVersionResource]string{}
	for _, k := range kinds {
		lists[k.GroupVersionResource] = k.kind + "List"
	}
	return &cluster.Cluster{Kube: fake.NewClientset(), Dynamic: dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), lists, all...), ControlNamespace: manifests.DefaultNamespace}
}

func object(t *testing.T, text string) manifests.Object {
	t.Helper()
	o := manifests.Object{Unstructured: unstructured.Unstructured{}}
	if err := json.Unmarshal([]byte(text), &o.Object); err != nil {
		t.Fatal(err)
	}
	return o
}

// TestEverythingOfOursAndNothingElse compares with what install renders.
func TestEverythingOfOursAndNothingElse(t *testing.T) {
	others := []manifests.Object{
		object(t, `{"apiVersion":"v1","kind":"Secret","metadata":{"name":"somebodys","namespace":"weft-system"}}`),
		object(t, `{"apiVersion":"apiextensions.k8s.io/v1","kind":"CustomResourceDefinition","metadata":{"name":"widgets.example.org"}}`),
		object(t, `{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"ClusterRole","metadata":{"name":"weft-control-elsewhere","labels":{"app.kubernetes.io/part-of":"weft","weft.mesh/control-plane":"elsewhere"}}}`),
	}
	cl := connect(t, others...)
	got, err := Objects(t.Context(), console.Console{Err: new(bytes.Buffer)}, cl)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, o := range got {
		names = append(names, o.GetKind()+"/"+o.GetName())
	}
	for _, o := range others {
		if n := o.GetKind() + "/" + o.GetName(); slices.Contains(names, n) {
			t.Errorf("%s is somebody else's", n)
		}
	}
	installed, _ := manifests.Render(manifests.Release{Values: map[string]any{"namespace": map[string]any{"create": true}, "control": map[string]any{"replicas": 2}}})
	crds, _ := manifests.CRDs()
	for _, d := range crds {
		installed = append(installed, d.Object)
	}
	for _, o := range installed {
		if n := o.GetKind() + "/" + o.GetName(); !slices.Contains(names, n) {
			t.Errorf("%s would be left behind", n)
		}
	}
	if len(got) != len(installed) {
		t.Errorf("%d objects, installed were %d", len(got), len(installed))
	}
	if !strings.HasPrefix(names[0], "Mutating") || !strings.HasPrefix(names[len(names)-1], "Namespace/") {
		t.Errorf("webhooks must go first and the namespace last: %v", names)
	}
}

func TestSharedDefinitionsStayWhereOthersUseThem(t *testing.T) {
	var talk bytes.Buffer
	cl := connect(t, object(t, `{"apiVersion":"apiextensions.k8s.io/v1","kind":"CustomResourceDefinition","metadata":{"name":"gateways.gateway.networking.k8s.io"}}`))
	got, err := Objects(t.Context(), console.Console{Err: &talk}, cl)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range got {
		if strings.HasSuffix(o.GetName(), "gateway.networking.k8s.io") {
			t.Errorf("%s would be deleted", o.GetName())
		}
	}
	if !strings.Contains(talk.String(), "httproutes.gateway.networking.k8s.io is kept") {
		t.Errorf("talk: %s", &talk)
	}
}

func TestRefusesWhileProxiesRun(t *testing.T) {
	cl := connect(t)
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "api", Namespace: "production", Labels: map[string]string{"weft.mesh/control-plane-ns": manifests.DefaultNamespace}},
		Spec: corev1.PodSpec{InitContainers: []corev1.Container{{Name: "istio-proxy"}}}}
	var talk bytes.Buffer
	c := console.Console{Err: &talk}
	if err := nobodyNeedsIt(t.Context(), c, cl); err != nil {
		t.Errorf("without pods: %v", err)
	}
	if _, err := cl.Kube.CoreV1().Pods("production").Create(context.Background(), p, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := nobodyNeedsIt(t.Context(), c, cl); err == nil || !strings.Contains(talk.String(), "namespace production: 1 pods") {
		t.Errorf("with a pod: %v, talk %s", err, &talk)
	}
}
