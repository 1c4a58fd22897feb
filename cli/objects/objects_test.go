package objects

import (
	"errors"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	dynfake "k8s.io/client-go/dynamic/fake"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/weftmesh/weft/control/source/kube"
	"github.com/weftmesh/weft/mesh"
)

var settings = mesh.Settings{TrustDomain: "cluster.local", ClusterDomain: "cluster.local"}

func source(objects []runtime.Object, custom []runtime.Object, change func(*fake.Clientset)) *kube.Source {
	client := fake.NewClientset(objects...)
	if change != nil {
		change(client)
	}
	kinds := map[schema.GroupVersionResource]string{
		{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}: "CustomResourceDefinitionList",
		{Group: "split.smi-spec.io", Version: "v1alpha4", Resource: "trafficsplits"}:          "TrafficSplitList",
	}
	return kube.New(kube.Config{Client: client, Dynamic: dynfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), kinds, custom...)})
}

// TestOnce: everything that the cluster has is there when the listing ends.
func TestOnce(t *testing.T) {
	api := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "api"}, Spec: corev1.ServiceSpec{ClusterIP: "10.96.0.1", Ports: []corev1.ServicePort{{Port: 80, Name: "http"}}}}
	crd := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
		"metadata": map[string]any{"name": "trafficsplits.split.smi-spec.io"},
		"spec":     map[string]any{"versions": []any{map[string]any{"name": "v1alpha4", "served": true}}},
		"status":   map[string]any{"conditions": []any{map[string]any{"type": "Established", "status": "True"}}}}}
	split := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "split.smi-spec.io/v1alpha4", "kind": "TrafficSplit",
		"metadata": map[string]any{"name": "s", "namespace": "shop"},
		"spec":     map[string]any{"service": "api", "backends": []any{map[string]any{"service": "api", "weight": int64(1)}}}}}
	events, err := once(t.Context(), source([]runtime.Object{api}, []runtime.Object{crd, split}, nil), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	s := build(settings, events, nil)
	if len(s.Result.Mesh.Services) != 1 || len(s.World.TrafficSplits) != 1 || len(s.Result.Mesh.Routes) != 1 {
		t.Errorf("%d services, %d splits, %d routes", len(s.Result.Mesh.Services), len(s.World.TrafficSplits), len(s.Result.Mesh.Routes))
	}
}

// TestOnceForbidden: what may not be listed is named.
func TestOnceForbidden(t *testing.T) {
	_, err := once(t.Context(), source(nil, nil, func(c *fake.Clientset) {
		c.PrependReactor("list", "endpointslices", func(clienttesting.Action) (bool, runtime.Object, error) {
			return true, nil, apierrors.NewForbidden(schema.GroupResource{Group: "discovery.k8s.io", Resource: "endpointslices"}, "", errors.New("no right"))
		})
	}), 2*time.Second)
	if !errors.Is(err, ErrInput) || !strings.Contains(err.Error(), "endpointslices") || !strings.Contains(err.Error(), "right to list and watch") {
		t.Errorf("got %v", err)
	}
}

// TestTemplates: what is described counts as a client.
func TestTemplates(t *testing.T) {
	doc := document{"a.yaml", []byte(`apiVersion: v1
kind: List
items:
- apiVersion: apps/v1
  kind: StatefulSet
  metadata: {name: db, namespace: shop}
  spec:
    template:
      metadata: {labels: {app: db}, annotations: {linkerd.io/inject: disabled}}
      spec: {serviceAccountName: keeper}
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: tick}
spec: {jobTemplate: {spec: {template: {metadata: {labels: {app: tick}}}}}}
---
kind: Deployment
spec: 7
---
: : :
`)}
	list := workloads(doc, settings)
	if len(list) != 2 {
		t.Fatalf("%d workloads: %+v", len(list), list)
	}
	db, tick := list[0], list[1]
	if db.Owner != "statefulset/db" || db.Meshed || db.Identity.ServiceAccount != "keeper" || db.Labels["app"] != "db" {
		t.Errorf("%+v", db)
	}
	if tick.Namespace != "default" || !tick.Meshed || tick.Labels["app"] != "tick" || tick.Origin.Line != 12 {
		t.Errorf("%+v", tick)
	}
}
