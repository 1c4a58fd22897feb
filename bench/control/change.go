package main

import (
	"context"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// The functions of this file change one object each: policy of service 0, endpoints of service 1.

// put creates or replaces an object whatever its version is.
func (b *bench) put(ctx context.Context, r schema.GroupVersionResource, o *unstructured.Unstructured) error {
	api := b.api.dynamic.Resource(r).Namespace(o.GetNamespace())
	old, err := api.Get(ctx, o.GetName(), metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		_, err = api.Create(ctx, o, metav1.CreateOptions{})
	case err == nil:
		o.SetResourceVersion(old.GetResourceVersion())
		_, err = api.Update(ctx, o, metav1.UpdateOptions{})
	}
	return err
}

func (b *bench) setVirtualService(ctx context.Context, weight int64) error {
	return b.put(ctx, virtualServices, virtualService(0, weight, ""))
}

func (b *bench) setRule(ctx context.Context, connections int64) error {
	return b.put(ctx, rules, destinationRule(0, connections, ""))
}

func (b *bench) setSidecar(ctx context.Context, mode string) error {
	return b.put(ctx, sidecars, rootSidecar(mode, ""))
}

func (b *bench) setSlice(ctx context.Context, endpoints int) error {
	api := b.api.client.DiscoveryV1().EndpointSlices(namespaceOf(1))
	old, err := api.Get(ctx, endpointSlice(1, 0, false).Name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	s := endpointSlice(1, endpoints, b.size.pods)
	s.ResourceVersion = old.ResourceVersion
	_, err = api.Update(ctx, s, metav1.UpdateOptions{})
	return err
}

func (b *bench) newService(ctx context.Context) error {
	n := b.made % newServices
	b.made++
	_, err := b.api.client.CoreV1().Services(namespaceOf(0)).Create(ctx, service(newName(n), namespaceOf(0), addressAt(firstNewService, n+1)), metav1.CreateOptions{})
	return err
}

func newName(n int) string { return "new-" + nameOf(n) }

// clean brings everything back to what was loaded.
func (b *bench) clean(ctx context.Context) error {
	for n := range min(b.made, newServices) {
		err := b.api.client.CoreV1().Services(namespaceOf(0)).Delete(ctx, newName(n), metav1.DeleteOptions{})
		if err != nil && !apierrors.IsNotFound(err) {
			return err
		}
	}
	b.made = 0
	if err := b.setSlice(ctx, endpointsEach); err != nil {
		return err
	}
	if err := b.setRule(ctx, 100); err != nil {
		return err
	}
	return b.setVirtualService(ctx, 90)
}
