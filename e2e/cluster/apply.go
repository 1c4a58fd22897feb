package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/tools/clientcmd"
)

// applying is the field manager of what Apply applies.
const applying = "weft-e2e"

// client is a connection to the API server, made when it is first wanted. It
// costs a request what kubectl costs a process and its discovery.
type client struct {
	once    sync.Once
	err     error
	dynamic dynamic.Interface
	mapper  *restmapper.DeferredDiscoveryRESTMapper
}

func (c *Cluster) connect() (*client, error) {
	k := &c.client
	k.once.Do(func() {
		cfg, err := clientcmd.BuildConfigFromFlags("", c.Kubeconfig())
		if err != nil {
			k.err = err
			return
		}
		cfg.Dial, cfg.QPS, cfg.Timeout = c.Dial, -1, 30*time.Second
		cfg.WarningHandlerWithContext = rest.NoWarnings{}
		if k.dynamic, k.err = dynamic.NewForConfig(cfg); k.err != nil {
			return
		}
		d, err := discovery.NewDiscoveryClientForConfig(cfg)
		if err != nil {
			k.err = err
			return
		}
		k.mapper = restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(d))
	})
	return k, k.err
}

// Apply applies the objects of a manifest, in their order, on the server's side
// and over one connection. Fields of other managers that it sets become its own.
func (c *Cluster) Apply(ctx context.Context, manifest string) error {
	objects, err := decode(manifest)
	if err != nil {
		return err
	}
	k, err := c.connect()
	if err != nil {
		return err
	}
	for _, o := range objects {
		if err := k.apply(ctx, o); err != nil {
			return fmt.Errorf("apply %s %s/%s: %w", o.GetKind(), o.GetNamespace(), o.GetName(), err)
		}
	}
	return nil
}

func (k *client) apply(ctx context.Context, o *unstructured.Unstructured) error {
	gvk := o.GroupVersionKind()
	// A kind that is not known is asked for once more: its CRD may be new.
	m, err := k.mapper.RESTMapping(gvk.GroupKind(), gvk.Version)
	if err != nil {
		return err
	}
	var r dynamic.ResourceInterface = k.dynamic.Resource(m.Resource)
	if m.Scope.Name() == meta.RESTScopeNameNamespace {
		ns := o.GetNamespace()
		if ns == "" {
			ns = metav1.NamespaceDefault
		}
		r = k.dynamic.Resource(m.Resource).Namespace(ns)
	}
	body, err := o.MarshalJSON()
	if err != nil {
		return err
	}
	force := true
	_, err = r.Patch(ctx, o.GetName(), types.ApplyPatchType, body, metav1.PatchOptions{FieldManager: applying, Force: &force, FieldValidation: metav1.FieldValidationStrict})
	return err
}

// decode reads the documents of a YAML text.
func decode(manifest string) ([]*unstructured.Unstructured, error) {
	var out []*unstructured.Unstructured
	d := yaml.NewYAMLOrJSONDecoder(strings.NewReader(manifest), 4096)
	for {
		var m map[string]any
		switch err := d.Decode(&m); {
		case errors.Is(err, io.EOF):
			return out, nil
		case err != nil:
			return nil, fmt.Errorf("manifest: %w", err)
		case len(m) == 0: // between two separators
			continue
		}
		o := &unstructured.Unstructured{Object: m}
		if o.GetKind() == "" || o.GetName() == "" {
			return nil, fmt.Errorf("manifest: an object of kind %q has the name %q", o.GetKind(), o.GetName())
		}
		out = append(out, o)
	}
}
