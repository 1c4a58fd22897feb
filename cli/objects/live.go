package objects

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/weftmesh/weft/cli/cluster"
	"github.com/weftmesh/weft/cli/console"
	"github.com/weftmesh/weft/control/source/kube"
	"github.com/weftmesh/weft/control/world"
	"github.com/weftmesh/weft/mesh"
)

// limit is how long the cluster may take to list everything.
const limit = 30 * time.Second

// live lists the cluster's objects once.
func (f *Flags) live(ctx context.Context, c console.Console, flags *cluster.Flags) (*State, error) {
	cl, err := flags.Connect(c)
	if err != nil {
		return nil, err
	}
	if _, err := cl.Version(); err != nil {
		return nil, fmt.Errorf("%w; -f reads files instead", err)
	}
	typed, dynamic, err := kube.Clients(cl.Config)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", cluster.ErrConnect, err)
	}
	events, err := once(ctx, kube.New(kube.Config{Client: typed, Dynamic: dynamic}), limit)
	if err != nil {
		return nil, err
	}
	s, err := f.settings(ctx, c, cl)
	if err != nil {
		return nil, err
	}
	out := build(s, events, nil)
	out.Known, out.Live = true, true
	return out, nil
}

// once runs a source until it has told everything, or the limit is over.
func once(ctx context.Context, source *kube.Source, limit time.Duration) ([]world.Event, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	l := &listing{done: cancel}
	var watching sync.WaitGroup
	watching.Go(func() {
		endIfDenied(ctx, source.Waiting)
		cancel()
	})
	err := source.Run(ctx, l)
	cancel()
	watching.Wait()
	events, synced := l.take()
	if synced {
		return events, nil
	}
	if waiting := source.Waiting(); len(waiting) > 0 {
		return nil, fmt.Errorf("%w: %s", ErrInput, unlisted(waiting))
	}
	return nil, fmt.Errorf("%w: %w", cluster.ErrConnect, err)
}

// listing collects events until the source has told everything once.
type listing struct {
	done context.CancelFunc

	mu     sync.Mutex
	events []world.Event
	synced bool
}

// errListed ends the source.
var errListed = errors.New("everything is listed")

// Send implements kube.Sender.
func (l *listing) Send(_ context.Context, events ...world.Event) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.synced {
		return errListed
	}
	for _, e := range events {
		if e.IsSynced() {
			l.synced = true
			l.done()
		}
		l.events = append(l.events, e)
	}
	return nil
}

func (l *listing) take() ([]world.Event, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.events, l.synced
}

// settings are those of the control plane in the cluster; without one there,
// the flags'.
func (f *Flags) settings(ctx context.Context, c console.Console, cl *cluster.Cluster) (mesh.Settings, error) {
	s := mesh.Settings{TrustDomain: f.trustDomain, ClusterDomain: f.clusterDomain, RootNamespace: cl.ControlNamespace,
		Outbound: mesh.OutboundMode(f.outbound), Inbound: mesh.Permissive, Combine: mesh.Combine(f.combine)}
	args, err := cl.ControlArgs(ctx)
	switch {
	case apierrors.IsNotFound(err), apierrors.IsForbidden(err):
		c.Printf("warning: the control plane's settings are not known (%s); defaults are assumed\n", err)
		return s, nil
	case err != nil:
		return s, fmt.Errorf("%w: %w", cluster.ErrConnect, err)
	}
	set(args, "--trust-domain", &s.TrustDomain)
	set(args, "--cluster-domain", &s.ClusterDomain)
	set(args, "--outbound", &s.Outbound)
	set(args, "--outbound-policy", &s.Outbound)
	set(args, "--inbound", &s.Inbound)
	set(args, "--combine", &s.Combine)
	return s, nil
}

// set takes over an argument that is given.
func set[T ~string](args map[string]string, name string, to *T) {
	if v, ok := args[name]; ok {
		*to = T(v)
	}
}
