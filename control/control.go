package control

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"

	"github.com/weftmesh/weft/control/admin"
	"github.com/weftmesh/weft/control/ca"
	"github.com/weftmesh/weft/control/hold"
	"github.com/weftmesh/weft/control/push"
	"github.com/weftmesh/weft/control/snapshot"
	"github.com/weftmesh/weft/control/source/file"
	"github.com/weftmesh/weft/control/source/kube"
	"github.com/weftmesh/weft/control/translate"
	"github.com/weftmesh/weft/control/world"
	"github.com/weftmesh/weft/identity"
)

// errNotRead means that not everything has been listed once.
var errNotRead = errors.New("the sources are not read yet")

// Control is a control plane. Make it with New.
type Control struct {
	options   Options
	world     *world.Store
	snapshot  *snapshot.Store
	authority *ca.Authority
	serving   *ca.Serving
	push      *push.Server
	registry  *prometheus.Registry

	client  kubernetes.Interface // nil without Kubernetes
	dynamic dynamic.Interface
	cluster *kube.Source // nil without Kubernetes

	discovery, admin, webhook net.Listener // the latter two may be nil

	latest chan *world.World // one, the newest
	result atomic.Pointer[translate.Result]
	// work is what the translators have done so far.
	work atomic.Pointer[translate.Work]
}

// New checks the options and opens the ports; nothing runs before Run, which
// must be called to close them again.
func New(o Options) (*Control, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	c := &Control{options: o, registry: prometheus.NewRegistry(), latest: make(chan *world.World, 1)}
	c.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	if o.Source == Kube {
		if c.client, c.dynamic, err = kube.Clients(o.Kube); err != nil {
			return nil, err
		}
		c.cluster = kube.New(kube.Config{Client: c.client, Dynamic: c.dynamic, Log: o.Log})
	}
	c.wire()
	var listen net.ListenConfig
	for _, l := range []struct {
		what, address string
		to            *net.Listener
	}{{"discovery", o.Listen, &c.discovery}, {"admin", o.AdminListen, &c.admin}, {"webhooks", o.WebhookListen, &c.webhook}} {
		if l.address == "" {
			continue
		}
		if *l.to, err = listen.Listen(context.Background(), "tcp", l.address); err != nil {
			c.close()
			return nil, fmt.Errorf("listen for %s: %w", l.what, err)
		}
	}
	return c, nil
}

// wire connects the stages; data flows in the order of the lines.
func (c *Control) wire() {
	o := c.options
	c.world = world.NewStore(world.Settings{Sources: []string{string(o.Source)}, TrustDomain: o.TrustDomain})
	c.snapshot = snapshot.New(o.Log)
	c.world.OnEndpoints(c.snapshot.SetEndpoints)
	c.world.OnWorld(c.offer)

	c.authority = ca.NewAuthority(o.Namespace, o.Log, nil)
	c.authority.OnBundle(func(b *identity.Bundle) { c.snapshot.SetRoots(b.PEM()) })
	c.serving = ca.NewServing(c.authority, servingNames(o), net.IPv4(127, 0, 0, 1))

	c.push = push.NewServer(push.Settings{Store: c.snapshot, Identify: c.identify, Log: o.Log, Metrics: push.NewMetrics(c.registry)})
	c.registerMetrics()
}

// offer keeps the newest World for translation; one that nobody took yet is
// replaced.
func (c *Control) offer(w *world.World) {
	select {
	case <-c.latest:
	default:
	}
	c.latest <- w
}

// translate turns Worlds into meshes until the context ends.
func (c *Control) translate(ctx context.Context, written chan translate.Result) error {
	problems := reporter{log: c.options.Log}
	_, notes, _ := readTracing(c.options.Tracing) // whose errors check has told
	for _, n := range notes {
		c.options.Log.Warn("part of MeshConfig is not in effect", "field", n)
	}
	translator := translate.NewIncremental(c.options.mesh())
	holder := hold.New(translator.Build, time.Now)
	again := time.NewTimer(hold.Bound)
	defer again.Stop()
	again.Stop()
	var w *world.World
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case w = <-c.latest:
		case <-again.C:
		}
		start := time.Now()
		r, wait := holder.Next(w)
		if again.Stop(); wait > 0 {
			again.Reset(wait)
		}
		work := translator.Work()
		c.work.Store(&work)
		c.result.Store(&r)
		c.snapshot.SetMesh(r.Mesh)
		problems.report(r.Problems)
		c.options.Log.Debug("mesh built", "revision", r.Mesh.Revision, "services", len(r.Mesh.Services), "problems", len(r.Problems), "took", time.Since(start))
		replace(written, r)
	}
}

// Run serves until the context ends, or until something fails without which
// nothing works. The end of the context is not an error.
func (c *Control) Run(ctx context.Context) error {
	defer c.close()
	g, ctx := errgroup.WithContext(ctx)
	run := func(what string, f func(context.Context) error) {
		g.Go(func() error {
			if err := f(ctx); err != nil && ctx.Err() == nil {
				return fmt.Errorf("%s: %w", what, err)
			}
			return nil
		})
	}
	callers, err := c.callers()
	if err != nil {
		return err
	}
	if err := c.issuer(run); err != nil {
		return err
	}
	results := make(chan translate.Result, 1)
	run("world", c.world.Run)
	run("source", c.source)
	run("translate", func(ctx context.Context) error { return c.translate(ctx, results) })
	run("discovery", func(ctx context.Context) error { return c.serveDiscovery(ctx, callers) })
	if c.admin != nil {
		run("admin", func(ctx context.Context) error { return admin.Serve(ctx, c.admin, c.adminPages()) })
	}
	if c.webhook != nil {
		run("webhooks", c.serveWebhooks)
		run("webhook configurations", c.keepWebhookCA)
	}
	if c.client != nil {
		run("status", func(ctx context.Context) error { return c.writeStatus(ctx, results) })
	}
	c.options.Log.Info("control plane started", "source", c.options.Source, "discovery", c.discovery.Addr().String())
	if err := g.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

func (c *Control) source(ctx context.Context) error {
	if c.options.Source == Kube {
		return c.cluster.Run(ctx, c.world)
	}
	return file.New(file.Config{Folder: c.options.Dir, Log: c.options.Log}).Run(ctx, c.world)
}

// Listed is closed when everything has been listed once and translated.
func (c *Control) Listed() <-chan struct{} { return c.snapshot.Ready() }

// Ready returns nil once clients can be served, else the reason.
func (c *Control) Ready() error {
	if _, err := c.authority.Issuer(); err != nil {
		if c.client != nil && c.options.IssuerSecret != "" {
			err = fmt.Errorf("%w (Secret %s/%s)", err, c.options.Namespace, c.options.IssuerSecret)
		}
		return errors.Join(err, c.authority.Refused())
	}
	select {
	case <-c.snapshot.Ready():
		return nil
	default:
	}
	if c.cluster != nil {
		if waiting := c.cluster.Waiting(); len(waiting) > 0 {
			return fmt.Errorf("%w: %s", errNotRead, strings.Join(waiting, "; "))
		}
	}
	return errNotRead
}

func (c *Control) close() {
	for _, l := range []net.Listener{c.discovery, c.admin, c.webhook} {
		if l != nil {
			// Closed already where its server ended.
			_ = l.Close()
		}
	}
}
