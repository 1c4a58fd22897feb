package kube

import (
	"context"
	"slices"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/tools/cache"

	"github.com/weftmesh/weft/control/world"
	"github.com/weftmesh/weft/mesh"
)

var crdResource = schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}

// custom watches the resources that CRDs define. One goroutine (run) decides
// which informers exist; it learns of CRDs by a channel.
type custom struct {
	source  *Source
	to      Sender
	changes chan change
	ready   chan struct{} // closed when everything was listed once
}

// change says that a resource is served in a version, or, when that is empty,
// no more. A change without a resource asks to wait for what was said before.
type change struct {
	resource *resource
	version  string
}

func newCustom(s *Source, to Sender) *custom {
	return &custom{source: s, to: to, changes: make(chan change), ready: make(chan struct{})}
}

func (c *custom) waitSynced(ctx context.Context) bool {
	select {
	case <-c.ready:
		return true
	case <-ctx.Done():
		return false
	}
}

// running is the informer of a resource in one version.
type running struct {
	version string
	done    <-chan struct{} // closed when it is stopped
	synced  cache.InformerSynced
	end     func() // stops it and waits until it has sent its last event
}

func (c *custom) run(ctx context.Context) {
	var wg sync.WaitGroup
	defer wg.Wait()
	var crds []cache.InformerSynced
	for i := range resources {
		crds = append(crds, c.watchCRD(ctx, &wg, &resources[i]))
	}
	wg.Go(func() {
		if cache.WaitForCacheSync(ctx.Done(), crds...) {
			c.tell(ctx, change{})
		}
	})
	active := map[string]*running{}
	known := map[string]*known{}
	for {
		select {
		case <-ctx.Done():
			for _, r := range active {
				r.end()
			}
			return
		case ch := <-c.changes:
			if ch.resource == nil {
				c.finish(ctx, &wg, active)
				continue
			}
			name := ch.resource.name()
			if known[name] == nil {
				known[name] = newKnown(ch.resource.kind)
			}
			if r := active[name]; r != nil {
				if r.version == ch.version {
					continue
				}
				r.end()
				delete(active, name)
			}
			if ch.version == "" {
				c.source.config.Log.Info("resource is no more", "resource", name)
				known[name].forgetAll(ctx, c.to)
				continue
			}
			c.source.config.Log.Info("watching resource", "resource", name, "version", ch.version)
			active[name] = c.start(ctx, &wg, ch.resource, ch.version, known[name])
		}
	}
}

// finish waits, beside the loop, for the first listings of what is watched now.
func (c *custom) finish(ctx context.Context, wg *sync.WaitGroup, active map[string]*running) {
	var wait []*running
	for _, r := range active {
		wait = append(wait, r)
	}
	wg.Go(func() {
		for _, r := range wait {
			// One that is stopped meanwhile is waited for no longer.
			cache.WaitForCacheSync(r.done, r.synced)
		}
		if ctx.Err() == nil {
			close(c.ready)
		}
	})
}

func (c *custom) tell(ctx context.Context, ch change) {
	select {
	case c.changes <- ch:
	case <-ctx.Done():
	}
}

// watchCRD follows one CRD by its name.
func (c *custom) watchCRD(ctx context.Context, wg *sync.WaitGroup, r *resource) cache.InformerSynced {
	only := func(o *metav1.ListOptions) {
		o.FieldSelector = fields.OneTermEqualSelector("metadata.name", r.name()).String()
	}
	inf := dynamicinformer.NewFilteredDynamicInformer(listing{c.source.config.Dynamic}, crdResource, metav1.NamespaceAll, 0, cache.Indexers{}, only).Informer()
	// Setting these fails only after the start.
	_ = inf.SetTransform(stripCRD)
	_ = inf.SetWatchErrorHandlerWithContext(c.source.watchFailed("customresourcedefinitions/" + r.name()))
	seen := func(obj any) {
		o, ok := obj.(*unstructured.Unstructured)
		if !ok || o.GetName() != r.name() {
			return
		}
		served, established := crdState(o)
		version := ""
		for _, v := range r.versions {
			if established && slices.Contains(served, v) {
				version = v
				break
			}
		}
		c.tell(ctx, change{r, version})
	}
	reg, err := inf.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    seen,
		UpdateFunc: func(_, obj any) { seen(obj) },
		DeleteFunc: func(obj any) {
			if ref, ok := deleted(obj); ok && ref.Name == r.name() {
				c.tell(ctx, change{r, ""})
			}
		},
	})
	if err != nil {
		return func() bool { return false }
	}
	c.source.waits.expect("customresourcedefinitions/"+r.name(), reg.HasSynced)
	wg.Go(func() { inf.RunWithContext(ctx) })
	return reg.HasSynced
}

// crdState reads the served versions of a CRD, and whether the API server
// answers for them yet.
func crdState(o *unstructured.Unstructured) (served []string, established bool) {
	versions, _, _ := unstructured.NestedSlice(o.Object, "spec", "versions")
	for _, v := range versions {
		if m, ok := v.(map[string]any); ok && m["served"] == true {
			if name, ok := m["name"].(string); ok {
				served = append(served, name)
			}
		}
	}
	conditions, _, _ := unstructured.NestedSlice(o.Object, "status", "conditions")
	for _, c := range conditions {
		if m, ok := c.(map[string]any); ok && m["type"] == "Established" && m["status"] == "True" {
			established = true
		}
	}
	return served, established
}

// start watches a resource in a version. What an earlier version has told
// stays until this one has been listed, so that a change of version never
// looks as if everything were deleted.
func (c *custom) start(ctx context.Context, wg *sync.WaitGroup, r *resource, version string, k *known) *running {
	ctx, cancel := context.WithCancel(ctx)
	gvr := schema.GroupVersionResource{Group: r.group, Version: version, Resource: r.plural}
	inf := dynamicinformer.NewFilteredDynamicInformer(listing{c.source.config.Dynamic}, gvr, metav1.NamespaceAll, 0, cache.Indexers{}, nil).Informer()
	_ = inf.SetTransform(func(obj any) (any, error) { return r.read(obj), nil })
	_ = inf.SetWatchErrorHandlerWithContext(c.source.watchFailed(r.name()))
	k.next()
	h := customHandler{ctx, r, k, c.to}
	reg, err := inf.AddEventHandler(h)
	synced := func() bool { return false }
	if err == nil {
		synced = reg.HasSynced
	}
	c.source.waits.expect(r.name(), synced)
	var own sync.WaitGroup
	own.Go(func() { inf.RunWithContext(ctx) })
	own.Go(func() {
		if !cache.WaitForCacheSync(ctx.Done(), synced) {
			return
		}
		// The handler has seen the whole first listing.
		k.forgetOlder(ctx, c.to)
	})
	wg.Go(own.Wait)
	return &running{version: version, done: ctx.Done(), synced: synced, end: func() {
		cancel()
		own.Wait()
		c.source.waits.forget(r.name())
	}}
}

// listing has informers list before they watch. A watch that streams the list
// wraps each object in JSON of its own, which costs more time than all the rest
// of a start; it saves memory, of which custom resources need little.
type listing struct{ dynamic.Interface }

// IsWatchListSemanticsUnSupported is asked by client-go's reflectors.
func (listing) IsWatchListSemanticsUnSupported() bool { return true }

// known remembers what was told of a resource, over informers that come and go.
type known struct {
	kind world.Kind
	mu   sync.Mutex
	// informer counts them; refs has the last that told of each object.
	informer int
	refs     map[mesh.Ref]int
}

func newKnown(kind world.Kind) *known { return &known{kind: kind, refs: map[mesh.Ref]int{}} }

// next begins with another informer.
func (k *known) next() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.informer++
}

// add notes an object that is about to be told.
func (k *known) add(ref mesh.Ref) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.refs[ref] = k.informer
}

func (k *known) forget(ref mesh.Ref) []world.Event {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.drop(ref)
}

func (k *known) drop(ref mesh.Ref) []world.Event {
	delete(k.refs, ref)
	return []world.Event{world.Delete(k.kind, ref), world.Problems(Name, string(k.kind)+" "+ref.String(), nil)}
}

// forgetOlder withdraws what only earlier informers have told. It sends under
// the lock, so that an object that comes to be meanwhile is told afterwards.
func (k *known) forgetOlder(ctx context.Context, to Sender) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for ref, by := range k.refs {
		if by < k.informer {
			_ = to.Send(ctx, k.drop(ref)...)
		}
	}
}

// forgetAll withdraws everything; no informer runs.
func (k *known) forgetAll(ctx context.Context, to Sender) {
	k.next()
	k.forgetOlder(ctx, to)
}
