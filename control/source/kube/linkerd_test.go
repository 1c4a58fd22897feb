package kube

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/weftmesh/weft/control/world"
)

// TestLinkerdsResources: profiles, Servers, Linkerd's HTTPRoutes and SMI's
// route groups are read in the best version that is served, and keep their last
// good form.
func TestLinkerdsResources(t *testing.T) {
	c := start(t, nil)
	ctx := t.Context()
	c.until("an empty World", func(w *world.World) bool { return w.Revision == 1 })
	object := func(version, kind, name string, spec map[string]any) *unstructured.Unstructured {
		return &unstructured.Unstructured{Object: map[string]any{"apiVersion": version, "kind": kind, "metadata": map[string]any{"name": name, "namespace": "shop"}, "spec": spec}}
	}
	profile := func(timeout string) *unstructured.Unstructured {
		return object("linkerd.io/v1alpha2", "ServiceProfile", "api.shop.svc.cluster.local", map[string]any{"routes": []any{map[string]any{
			"name": "r", "condition": map[string]any{"method": "GET"}, "timeout": timeout, "retries": map[string]any{"isRetryable": true, "maxRetries": int64(3)}}}})
	}
	profiles := c.dynamic.Resource(schema.GroupVersionResource{Group: "linkerd.io", Version: "v1alpha2", Resource: "serviceprofiles"}).Namespace("shop")
	if _, err := profiles.Create(ctx, profile("30s"), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, o := range []struct {
		group, version, resource, kind string
		spec                           map[string]any
	}{
		{"policy.linkerd.io", "v1beta3", "servers", "Server", map[string]any{"podSelector": map[string]any{}, "port": int64(80), "proxyProtocol": "HTTP/2"}},
		{"policy.linkerd.io", "v1beta3", "httproutes", "HTTPRoute", map[string]any{"rules": []any{}}},
		{"specs.smi-spec.io", "v1alpha3", "httproutegroups", "HTTPRouteGroup", map[string]any{"matches": []any{map[string]any{"pathRegex": "/x"}}}},
	} {
		gvr := schema.GroupVersionResource{Group: o.group, Version: o.version, Resource: o.resource}
		if _, err := c.dynamic.Resource(gvr).Namespace("shop").Create(ctx, object(o.group+"/"+o.version, o.kind, "x", o.spec), metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		if _, err := c.dynamic.Resource(crdResource).Create(ctx, crd(o.resource+"."+o.group, o.version), metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.dynamic.Resource(crdResource).Create(ctx, crd("serviceprofiles.linkerd.io", "v1alpha1", "v1alpha2"), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	c.until("all four kinds", func(w *world.World) bool {
		return len(w.ServiceProfiles) == 1 && len(w.Servers) == 1 && len(w.PolicyRoutes) == 1 && len(w.HTTPRouteGroups) == 1
	})

	if _, err := profiles.Update(ctx, profile("-30s"), metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	c.until("the problem", func(w *world.World) bool { return len(w.Problems) == 1 })
	if p := c.last.Problems[0]; p.Code != "WEFT0501" || p.Field != "spec.routes[0].timeout" || c.last.ServiceProfiles[ref("api.shop.svc.cluster.local")].Obj.Spec.Routes[0].Timeout != "30s" {
		t.Fatalf("got %+v and %+v", p, c.last.ServiceProfiles)
	}
	if _, err := profiles.Update(ctx, profile("40s"), metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	c.until("the correction", func(w *world.World) bool {
		return len(w.Problems) == 0 && w.ServiceProfiles[ref("api.shop.svc.cluster.local")].Obj.Spec.Routes[0].Timeout == "40s"
	})
	if err := profiles.Delete(ctx, "api.shop.svc.cluster.local", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	c.until("its end", func(w *world.World) bool { return len(w.ServiceProfiles) == 0 })
}
