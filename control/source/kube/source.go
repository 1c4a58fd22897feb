package kube

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"

	"github.com/weftmesh/weft/control/world"
	"github.com/weftmesh/weft/mesh"
)

// Name of this source, for world.Settings.Sources.
const Name = "kube"

// errSync means that the context ended before everything was listed.
var errSync = errors.New("ended before the first listing was complete")

// Config of a Source.
type Config struct {
	Client  kubernetes.Interface
	Dynamic dynamic.Interface
	Log     *slog.Logger
}

// Clients makes the two clients of a Config from a rest.Config, which is not
// changed. The typed one speaks protobuf, which costs a fraction of JSON.
func Clients(c *rest.Config) (kubernetes.Interface, dynamic.Interface, error) {
	typed := rest.CopyConfig(c)
	typed.ContentType = "application/vnd.kubernetes.protobuf"
	typed.AcceptContentTypes = "application/vnd.kubernetes.protobuf,application/json"
	k, err := kubernetes.NewForConfig(typed)
	if err != nil {
		return nil, nil, fmt.Errorf("make the Kubernetes client: %w", err)
	}
	d, err := dynamic.NewForConfig(c)
	if err != nil {
		return nil, nil, fmt.Errorf("make the Kubernetes client: %w", err)
	}
	return k, d, nil
}

// Sender takes events in order; *world.Store is one.
type Sender interface {
	Send(ctx context.Context, events ...world.Event) error
}

// Source watches an API server.
type Source struct {
	config Config
	waits  waits
}

// New makes a source; nothing is asked before Run.
func New(c Config) *Source {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return &Source{config: c}
}

// Run lists and watches until the context ends, and reports synced when
// everything has been listed once, resources of CRDs that exist included. An
// API server that cannot be reached, or refuses, is asked again and again; its
// last known objects stay.
func (s *Source) Run(ctx context.Context, to Sender) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	factory := informers.NewSharedInformerFactory(s.config.Client, 0)
	kinds := []struct {
		resource  string
		kind      world.Kind
		informer  cache.SharedIndexInformer
		transform cache.TransformFunc
	}{
		{"namespaces", world.KindNamespace, factory.Core().V1().Namespaces().Informer(), stripNamespace},
		{"services", world.KindService, factory.Core().V1().Services().Informer(), stripService},
		{"pods", world.KindPod, factory.Core().V1().Pods().Informer(), stripPod},
		{"endpointslices", world.KindEndpointSlice, factory.Discovery().V1().EndpointSlices().Informer(), stripSlice},
	}
	var synced []cache.InformerSynced
	for _, k := range kinds {
		if err := k.informer.SetTransform(k.transform); err != nil {
			return fmt.Errorf("watch %s: %w", k.resource, err)
		}
		if err := k.informer.SetWatchErrorHandlerWithContext(s.watchFailed(k.resource)); err != nil {
			return fmt.Errorf("watch %s: %w", k.resource, err)
		}
		reg, err := k.informer.AddEventHandler(typedHandler{ctx, k.kind, to})
		if err != nil {
			return fmt.Errorf("watch %s: %w", k.resource, err)
		}
		s.waits.expect(k.resource, reg.HasSynced)
		synced = append(synced, reg.HasSynced)
	}
	custom := newCustom(s, to)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	wg.Go(func() { custom.run(ctx) })
	factory.StartWithContext(ctx)
	defer factory.Shutdown()
	defer cancel()
	if !cache.WaitForCacheSync(ctx.Done(), synced...) || !custom.waitSynced(ctx) {
		return errors.Join(errSync, ctx.Err())
	}
	s.config.Log.Info("listed the cluster's objects")
	if err := to.Send(ctx, world.Synced(Name)); err != nil {
		return err
	}
	<-ctx.Done()
	return ctx.Err()
}

// watchFailed logs what an informer cannot list or watch; it tries again by itself.
func (s *Source) watchFailed(resource string) cache.WatchErrorHandlerWithContext {
	return func(_ context.Context, _ *cache.Reflector, err error) {
		s.waits.failed(resource, err)
		s.config.Log.Warn("cannot list or watch; trying again", "resource", resource, "error", err)
	}
}

// typedHandler turns what an informer sees into events.
type typedHandler struct {
	ctx  context.Context
	kind world.Kind
	to   Sender
}

var _ cache.ResourceEventHandler = typedHandler{}

func (h typedHandler) OnAdd(obj any, _ bool) { h.put(obj) }
func (h typedHandler) OnUpdate(_, obj any)   { h.put(obj) }

func (h typedHandler) OnDelete(obj any) {
	if o, ok := deleted(obj); ok {
		h.send(world.Delete(h.kind, o))
	}
}

func (h typedHandler) put(obj any) {
	switch o := obj.(type) {
	case *corev1.Namespace:
		h.send(world.Put(o, origin(h.kind, o)))
	case *corev1.Service:
		h.send(world.Put(o, origin(h.kind, o)))
	case *corev1.Pod:
		h.send(world.Put(o, origin(h.kind, o)))
	case *discoveryv1.EndpointSlice:
		h.send(world.Put(o, origin(h.kind, o)))
	}
}

// send hands an event over. It fails only when the process ends, of which Run
// tells.
func (h typedHandler) send(e world.Event) { _ = h.to.Send(h.ctx, e) }

func origin(kind world.Kind, o metav1.Object) mesh.Origin {
	return mesh.Origin{Kind: string(kind), Namespace: o.GetNamespace(), Name: o.GetName()}
}

// deleted finds the name of an object that is gone, even where the informer
// has missed its last form.
func deleted(obj any) (mesh.Ref, bool) {
	key, err := cache.DeletionHandlingMetaNamespaceKeyFunc(obj)
	if err != nil {
		return mesh.Ref{}, false
	}
	ns, name, err := cache.SplitMetaNamespaceKey(key)
	return mesh.Ref{Namespace: ns, Name: name}, err == nil
}
