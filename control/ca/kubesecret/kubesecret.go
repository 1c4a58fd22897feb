// Package kubesecret follows the issuer's Secret and the trust bundle's
// ConfigMap through the Kubernetes API, which is faster than mounted files by
// up to a minute.
package kubesecret

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	"github.com/weftmesh/weft/control/ca"
)

// errKeys means that the Secret has no certificate or key under a known name.
var errKeys = errors.New("no certificate and key")

// Keys of the Secret, the first that is there counts: ours (and Linkerd's),
// then those of type kubernetes.io/tls, which cert-manager writes.
var (
	certKeys = []string{"crt.pem", "tls.crt"}
	keyKeys  = []string{"key.pem", "tls.key"}
)

const (
	// bundleKey of the ConfigMap.
	bundleKey = "ca-bundle.crt"
	// rootKey of the Secret is the bundle where there is no ConfigMap.
	rootKey = "ca.crt"
)

// Watcher follows the two objects.
type Watcher struct {
	Client    kubernetes.Interface
	Namespace string
	// Secret and ConfigMap are names; the ConfigMap need not exist.
	Secret, ConfigMap string
	Log               *slog.Logger
	// Update takes new material; what it refuses it reports by itself.
	Update func(ca.Material) error
}

// Run follows the objects until the context ends. While the Secret is missing
// or incomplete the last good material stays in use.
func (w Watcher) Run(ctx context.Context) error {
	secrets := make(chan *corev1.Secret)
	// Room for one: the first listing must not wait for follow to receive.
	maps := make(chan *corev1.ConfigMap, 1)
	secretInformer := single[*corev1.Secret](ctx, w.Client, w.Secret, &corev1.Secret{}, secrets,
		func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			return w.Client.CoreV1().Secrets(w.Namespace).List(ctx, o)
		},
		func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			return w.Client.CoreV1().Secrets(w.Namespace).Watch(ctx, o)
		})
	mapInformer := single[*corev1.ConfigMap](ctx, w.Client, w.ConfigMap, &corev1.ConfigMap{}, maps,
		func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			return w.Client.CoreV1().ConfigMaps(w.Namespace).List(ctx, o)
		},
		func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			return w.Client.CoreV1().ConfigMaps(w.Namespace).Watch(ctx, o)
		})
	done := make(chan struct{})
	go func() {
		defer close(done)
		secretInformer.RunWithContext(ctx)
	}()
	bundleDone := make(chan struct{})
	go func() {
		defer close(bundleDone)
		mapInformer.RunWithContext(ctx)
	}()
	defer func() { <-done; <-bundleDone }()
	// The bundle first, so that a Secret is never judged without it.
	if !cache.WaitForCacheSync(ctx.Done(), mapInformer.HasSynced) {
		return ctx.Err()
	}
	return w.follow(ctx, secrets, maps)
}

func (w Watcher) follow(ctx context.Context, secrets <-chan *corev1.Secret, maps <-chan *corev1.ConfigMap) error {
	var secret *corev1.Secret
	var bundle *corev1.ConfigMap
	missing := false
	select {
	case bundle = <-maps:
	default:
	}
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case secret = <-secrets:
		case bundle = <-maps:
		}
		if secret == nil {
			continue
		}
		m, err := material(secret, bundle)
		if err != nil {
			if !missing {
				w.Log.Error("issuer Secret cannot be used; the last good one serves on", "secret", w.Namespace+"/"+w.Secret, "error", err)
			}
			missing = true
			continue
		}
		missing = false
		_ = w.Update(m)
	}
}

func material(s *corev1.Secret, c *corev1.ConfigMap) (ca.Material, error) {
	m := ca.Material{Cert: first(s.Data, certKeys), Key: first(s.Data, keyKeys), Roots: s.Data[rootKey]}
	if len(m.Cert) == 0 || len(m.Key) == 0 {
		return ca.Material{}, fmt.Errorf("%w; it needs the keys %s and %s, or %s and %s", errKeys, certKeys[0], keyKeys[0], certKeys[1], keyKeys[1])
	}
	if c != nil && c.Data[bundleKey] != "" {
		m.Roots = []byte(c.Data[bundleKey])
	}
	return m, nil
}

func first(data map[string][]byte, keys []string) []byte {
	for _, k := range keys {
		if len(data[k]) > 0 {
			return data[k]
		}
	}
	return nil
}

// single makes an informer of one object and sends each form of it.
func single[T metav1.Object](ctx context.Context, client kubernetes.Interface, name string, kind runtime.Object, out chan<- T,
	list func(context.Context, metav1.ListOptions) (runtime.Object, error), follow func(context.Context, metav1.ListOptions) (watch.Interface, error),
) cache.Controller {
	only := fields.OneTermEqualSelector("metadata.name", name).String()
	send := func(obj any) {
		o, ok := obj.(T)
		if !ok || o.GetName() != name {
			return
		}
		select {
		case out <- o:
		case <-ctx.Done():
		}
	}
	_, c := cache.NewInformerWithOptions(cache.InformerOptions{
		ListerWatcher: cache.ToListWatcherWithWatchListSemantics(&cache.ListWatch{
			ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
				o.FieldSelector = only
				return list(ctx, o)
			},
			WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
				o.FieldSelector = only
				return follow(ctx, o)
			},
		}, client),
		ObjectType: kind,
		Handler: cache.ResourceEventHandlerFuncs{
			AddFunc:    send,
			UpdateFunc: func(_, obj any) { send(obj) },
		},
	})
	return c
}
