package control

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/version"
	"k8s.io/client-go/discovery"

	"github.com/weftmesh/weft/control/admin"
	"github.com/weftmesh/weft/control/admission"
	"github.com/weftmesh/weft/control/webhookca"
	"github.com/weftmesh/weft/identity"
	"github.com/weftmesh/weft/inject"
	"github.com/weftmesh/weft/mesh"
)

// nativeSince is the first Kubernetes version with native sidecars.
var nativeSince = version.MustParseGeneric("1.29.0")

// serveWebhooks serves injection and validation until the context ends.
func (c *Control) serveWebhooks(ctx context.Context) error {
	native := &nativeSidecars{choice: c.options.NativeSidecar, discovery: c.client.Discovery(), log: c.options.Log}
	w := inject.Webhook{
		Options:    func() inject.Options { return c.injectOptions(native.get()) },
		Namespaces: c,
		Judge:      admission.NewTurns(admission.Judge{Settings: c.options.mesh(), Services: c}),
		Log:        c.options.Log,
	}
	return admin.Serve(ctx, tls.NewListener(c.webhook, c.serving.WebhookTLS()), w.Handler())
}

// injectOptions are asked for with each pod: the bundle may have changed.
func (c *Control) injectOptions(native bool) inject.Options {
	o := c.options.Inject
	o.ControlNamespace, o.TrustDomain, o.ClusterDomain = c.options.Namespace, c.options.TrustDomain, c.options.ClusterDomain
	o.NativeSidecar = native
	if o.ControlAddress == "" {
		o.ControlAddress = net.JoinHostPort("weft-control."+c.options.Namespace+".svc", "15012")
	}
	if b, err := c.authority.Bundle(); err == nil {
		o.TrustAnchors = string(b.PEM())
	}
	return o
}

// nativeSidecars says whether sidecars are native ones. The cluster's version
// is asked for until it is known.
type nativeSidecars struct {
	choice    Native
	discovery discovery.ServerVersionInterface
	log       *slog.Logger

	mu            sync.Mutex
	known, native bool
}

func (n *nativeSidecars) get() bool {
	if n.choice != NativeAuto {
		return n.choice == NativeOn
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.known {
		return n.native
	}
	info, err := n.discovery.ServerVersion()
	if err != nil {
		n.log.Warn("the cluster's version is not known; this sidecar is an ordinary container", "error", err)
		return false
	}
	v, err := version.ParseGeneric(info.GitVersion)
	n.known, n.native = true, err == nil && v.AtLeast(nativeSince)
	return n.native
}

// Namespace asks the API server itself: a cache may not have seen the
// annotation that was set a moment before the pod.
func (c *Control) Namespace(ctx context.Context, name string) (inject.Namespace, error) {
	ns, err := c.client.CoreV1().Namespaces().Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return inject.Namespace{}, fmt.Errorf("get namespace: %w", err)
	}
	return inject.Namespace{Name: name, Labels: ns.Labels, Annotations: ns.Annotations}, nil
}

// HasService answers from what the control plane has seen.
func (c *Control) HasService(_ context.Context, namespace, name string) (bool, error) {
	w := c.world.Current()
	if w == nil {
		return false, fmt.Errorf("the cluster's services are not listed yet")
	}
	_, ok := w.Services[mesh.Ref{Namespace: namespace, Name: name}]
	return ok, nil
}

// keepWebhookCA keeps the trust bundle in the webhook configurations.
func (c *Control) keepWebhookCA(ctx context.Context) error {
	k := webhookca.New(c.client, c.options.Log)
	c.authority.OnBundle(func(b *identity.Bundle) { k.Set(b.PEM()) })
	return k.Run(ctx)
}
