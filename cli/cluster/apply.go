package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"

	"github.com/weftmesh/weft/manifests"
)

// fieldManager owns the fields that are applied.
const fieldManager = "weft"

// resource finds the client for an object.
func (c *Cluster) resource(mapper meta.RESTMapper, o manifests.Object) (dynamic.ResourceInterface, error) {
	gvk := o.GroupVersionKind()
	m, err := mapper.RESTMapping(gvk.GroupKind(), gvk.Version)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", o.GetKind(), o.GetName(), err)
	}
	if m.Scope.Name() == meta.RESTScopeNameNamespace {
		return c.Dynamic.Resource(m.Resource).Namespace(o.GetNamespace()), nil
	}
	return c.Dynamic.Resource(m.Resource), nil
}

// Apply applies objects one by one with server-side apply, and takes over
// fields that others have set.
func (c *Cluster) Apply(ctx context.Context, mapper meta.RESTMapper, objects []manifests.Object) error {
	for _, o := range objects {
		r, err := c.resource(mapper, o)
		if err != nil {
			return err
		}
		if _, err := r.Apply(ctx, o.GetName(), &o.Unstructured, metav1.ApplyOptions{FieldManager: fieldManager, Force: true}); err != nil {
			return fmt.Errorf("apply %s %s: %w", o.GetKind(), o.GetName(), err)
		}
	}
	return nil
}

// Get fetches the object of that kind and name.
func (c *Cluster) Get(ctx context.Context, mapper meta.RESTMapper, o manifests.Object) (*unstructured.Unstructured, error) {
	r, err := c.resource(mapper, o)
	if err != nil {
		return nil, err
	}
	return r.Get(ctx, o.GetName(), metav1.GetOptions{})
}

// Delete deletes an object with what depends on it; one that is gone already
// is no error.
func (c *Cluster) Delete(ctx context.Context, mapper meta.RESTMapper, o manifests.Object) error {
	r, err := c.resource(mapper, o)
	if err != nil {
		return err
	}
	background := metav1.DeletePropagationBackground
	err = r.Delete(ctx, o.GetName(), metav1.DeleteOptions{PropagationPolicy: &background})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("delete %s %s: %w", o.GetKind(), o.GetName(), err)
	}
	return nil
}

// Until asks every half second until ready returns nil, or the time is over;
// then it returns what ready said last.
func Until(ctx context.Context, limit time.Duration, ready func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var last error
	for {
		err := ready(ctx)
		if err == nil {
			return nil
		}
		if last == nil || !errors.Is(err, context.DeadlineExceeded) {
			last = err
		}
		select {
		case <-ctx.Done():
			return last
		case <-time.After(500 * time.Millisecond):
		}
	}
}
