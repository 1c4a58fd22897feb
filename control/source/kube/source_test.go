package kube

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	dynfake "k8s.io/client-go/dynamic/fake"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/weftmesh/weft/control/world"
	"github.com/weftmesh/weft/mesh"
)

// cluster is a fake API server with a source and a Store on it.
type cluster struct {
	t       *testing.T
	client  *fake.Clientset
	dynamic *dynfake.FakeDynamicClient
	source  *Source
	worlds  chan *world.World
	last    *world.World
}

func crd(name string, versions ...string) *unstructured.Unstructured {
	plural, group, _ := strings.Cut(name, ".")
	var list []any
	for _, v := range versions {
		list = append(list, map[string]any{"name": v, "served": true, "schema": map[string]any{}})
	}
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
		"metadata": map[string]any{"name": name},
		"spec":     map[string]any{"group": group, "names": map[string]any{"plural": plural}, "versions": list},
		"status":   map[string]any{"conditions": []any{map[string]any{"type": "Established", "status": "True"}}},
	}}
}

func split(version, name string, weight any) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "split.smi-spec.io/" + version, "kind": "TrafficSplit",
		"metadata": map[string]any{"name": name, "namespace": "shop", "managedFields": []any{}},
		"spec":     map[string]any{"service": "api", "backends": []any{map[string]any{"service": "api", "weight": weight}}},
	}}
}

func splits(version string) schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: "split.smi-spec.io", Version: version, Resource: "trafficsplits"}
}

func start(t *testing.T, typed []runtime.Object, custom ...runtime.Object) *cluster {
	t.Helper()
	return startWith(t, typed, custom)
}

// startWith lets the API server be changed before the source looks at it.
func startWith(t *testing.T, typed, custom []runtime.Object, reactors ...func(*cluster)) *cluster {
	t.Helper()
	kinds := map[schema.GroupVersionResource]string{crdResource: "CustomResourceDefinitionList"}
	for _, r := range resources {
		for _, v := range r.versions {
			kinds[schema.GroupVersionResource{Group: r.group, Version: v, Resource: r.plural}] = string(r.kind) + "List"
		}
	}
	c := &cluster{t: t, client: fake.NewClientset(typed...), worlds: make(chan *world.World, 100),
		dynamic: dynfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), kinds, custom...)}
	store := world.NewStore(world.Settings{Sources: []string{Name}, TrustDomain: "cluster.local", Quiet: time.Millisecond})
	store.OnWorld(func(w *world.World) { c.worlds <- w })
	ctx, cancel := context.WithCancel(t.Context())
	if len(reactors) > 0 {
		reactors[0](c)
	}
	c.source = New(Config{Client: c.client, Dynamic: c.dynamic})
	ended := make(chan error, 2)
	go func() { ended <- store.Run(ctx) }()
	go func() { ended <- c.source.Run(ctx, store) }()
	t.Cleanup(func() {
		cancel()
		for range 2 {
			select {
			case err := <-ended:
				if !errors.Is(err, context.Canceled) {
					t.Errorf("ended with %v", err)
				}
			case <-time.After(20 * time.Second):
				t.Fatal("does not end")
			}
		}
	})
	return c
}

func (c *cluster) until(what string, ok func(*world.World) bool) {
	c.t.Helper()
	deadline := time.After(20 * time.Second)
	for c.last == nil || !ok(c.last) {
		select {
		case c.last = <-c.worlds:
		case <-deadline:
			c.t.Fatalf("%s did not come to be; last: %+v", what, c.last)
		}
	}
}

func ref(name string) mesh.Ref { return mesh.Ref{Namespace: "shop", Name: name} }

func meta(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: name, Namespace: "shop", ManagedFields: []metav1.ManagedFieldsEntry{{Manager: "kubectl"}},
		Annotations: map[string]string{"kubectl.kubernetes.io/last-applied-configuration": "{}", "config.linkerd.io/opaque-ports": "1"}}
}

func TestFirstWorldHoldsEverything(t *testing.T) {
	yes := true
	pod := &corev1.Pod{ObjectMeta: meta("api-1"), Spec: corev1.PodSpec{ServiceAccountName: "api", Volumes: []corev1.Volume{{Name: "v"}},
		Containers: []corev1.Container{{Name: "api", Image: "api", Env: []corev1.EnvVar{{Name: "A"}}, Ports: []corev1.ContainerPort{{ContainerPort: 80}}}}},
		Status: corev1.PodStatus{PodIP: "10.0.0.1", Phase: corev1.PodRunning}}
	pod.OwnerReferences = []metav1.OwnerReference{{Kind: "ReplicaSet", Name: "api-x", Controller: &yes}}
	c := start(t, []runtime.Object{
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop"}},
		&corev1.Service{ObjectMeta: meta("api"), Spec: corev1.ServiceSpec{ClusterIP: "10.96.0.1", Ports: []corev1.ServicePort{{Port: 80}}}},
		&discoveryv1.EndpointSlice{ObjectMeta: meta("api-s"), AddressType: discoveryv1.AddressTypeIPv4},
		pod,
	}, crd("trafficsplits.split.smi-spec.io", "v1alpha1", "v1alpha2"), split("v1alpha2", "canary", int64(90)),
		crd("httproutes.gateway.networking.k8s.io", "v1beta1"), &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "gateway.networking.k8s.io/v1beta1", "kind": "HTTPRoute", "metadata": map[string]any{"name": "r", "namespace": "shop"},
			"spec":   map[string]any{"rules": []any{map[string]any{"backendRefs": []any{map[string]any{"name": "api", "port": int64(80), "weight": int64(3)}}}}},
			"status": map[string]any{"parents": []any{}},
		}})
	// The very first World must hold all: nothing may be lost at a restart.
	c.until("a World", func(*world.World) bool { return true })
	w := c.last
	if w.Revision != 1 || len(w.Namespaces) != 1 || len(w.Services) != 1 || len(w.EndpointSlices) != 1 || len(w.Pods) != 1 || len(w.TrafficSplits) != 1 || len(w.HTTPRoutes) != 1 {
		t.Fatalf("the first World is not whole: %+v", w)
	}
	p := w.Pods[ref("api-1")].Obj
	if len(p.ManagedFields) != 0 || len(p.Annotations) != 1 || len(p.Spec.Volumes) != 0 || p.Spec.Containers[0].Image != "" || len(p.OwnerReferences) != 1 || p.Spec.Containers[0].Ports[0].ContainerPort != 80 {
		t.Errorf("the pod is not cut down: %+v", p)
	}
	r := w.HTTPRoutes[ref("r")]
	if r.Obj.Spec.Rules[0].BackendRefs[0].Weight == nil || *r.Obj.Spec.Rules[0].BackendRefs[0].Weight != 3 || r.Origin.String() != "HTTPRoute shop/r" {
		t.Errorf("the route is not read: %+v", r)
	}
}

func TestResourcesComeAndGo(t *testing.T) {
	c := start(t, nil)
	ctx := t.Context()
	c.until("an empty World", func(w *world.World) bool { return w.Revision == 1 })
	if _, err := c.dynamic.Resource(splits("v1alpha1")).Namespace("shop").Create(ctx, split("v1alpha1", "canary", "900m"), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	crds := c.dynamic.Resource(crdResource)
	if _, err := crds.Create(ctx, crd("trafficsplits.split.smi-spec.io", "v1alpha1"), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	c.until("the split of a CRD that came later", func(w *world.World) bool { return len(w.TrafficSplits) == 1 })

	// A weight that cannot be read leaves the last good form.
	if _, err := c.dynamic.Resource(splits("v1alpha1")).Namespace("shop").Update(ctx, split("v1alpha1", "canary", "-1"), metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	c.until("the problem", func(w *world.World) bool { return len(w.Problems) == 1 })
	if p := c.last.Problems[0]; p.Code != "WEFT0201" || p.Field != "spec.backends[0].weight" || c.last.TrafficSplits[ref("canary")].Obj.Backends[0].MilliWeight != 900 {
		t.Fatalf("got %+v and %+v", p, c.last.TrafficSplits)
	}
	if _, err := c.dynamic.Resource(splits("v1alpha1")).Namespace("shop").Update(ctx, split("v1alpha1", "canary", "100m"), metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	c.until("the correction", func(w *world.World) bool {
		return len(w.Problems) == 0 && w.TrafficSplits[ref("canary")].Obj.Backends[0].MilliWeight == 100
	})

	// A newer version is served: it is watched instead, and what it does not
	// have is gone.
	if _, err := c.dynamic.Resource(splits("v1alpha4")).Namespace("shop").Create(ctx, split("v1alpha4", "newer", int64(1)), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := crds.Update(ctx, crd("trafficsplits.split.smi-spec.io", "v1alpha1", "v1alpha4"), metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	c.until("the change of version", func(w *world.World) bool {
		_, newer := w.TrafficSplits[ref("newer")]
		return newer && len(w.TrafficSplits) == 1
	})
	if err := crds.Delete(ctx, "trafficsplits.split.smi-spec.io", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	c.until("the end of the CRD", func(w *world.World) bool { return len(w.TrafficSplits) == 0 })
}

func TestTypedObjectsAreFollowed(t *testing.T) {
	c := start(t, nil)
	ctx := t.Context()
	c.until("an empty World", func(w *world.World) bool { return w.Revision == 1 })
	services := c.client.CoreV1().Services("shop")
	if _, err := services.Create(ctx, &corev1.Service{ObjectMeta: meta("api")}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	c.until("a new service", func(w *world.World) bool { return len(w.Services) == 1 })
	if _, err := services.Update(ctx, &corev1.Service{ObjectMeta: meta("api"), Spec: corev1.ServiceSpec{ClusterIP: "10.0.0.1"}}, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	c.until("its change", func(w *world.World) bool { return w.Services[ref("api")].Obj.Spec.ClusterIP == "10.0.0.1" })
	if err := services.Delete(ctx, "api", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	c.until("its end", func(w *world.World) bool { return len(w.Services) == 0 })
}
