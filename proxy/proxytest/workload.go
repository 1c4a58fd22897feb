package proxytest

import (
	"context"
	"log/slog"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weftmesh/weft/identity"
	"github.com/weftmesh/weft/proxy/accesslog"
	"github.com/weftmesh/weft/proxy/config"
	"github.com/weftmesh/weft/proxy/forward"
	"github.com/weftmesh/weft/proxy/inbound"
	"github.com/weftmesh/weft/proxy/listen"
	"github.com/weftmesh/weft/proxy/mtls"
	"github.com/weftmesh/weft/proxy/outbound"
	"github.com/weftmesh/weft/proxy/policy"
	"github.com/weftmesh/weft/proxy/telemetry"
	"github.com/weftmesh/weft/proxy/trace"
	"github.com/weftmesh/weft/proxy/upstream"
)

// Workload is the proxy of one workload.
type Workload struct {
	ID        identity.ID
	TLS       *mtls.Source
	Registry  *upstream.Registry
	Source    *Source
	Telemetry *telemetry.Registry
	Activity  *forward.Activity
	Inbound   *inbound.Proxy
	Outbound  *outbound.Proxy

	t      testing.TB
	policy atomic.Pointer[policy.Inbound]
}

// Options of a Workload; the zero value of each is usual.
type Options struct {
	// Issuer signs; nil means the authority's usual one.
	Issuer *Issuer
	Limits forward.Limits
	// Own are addresses of the workload itself (upstream.Options.Own).
	Own []netip.Addr
	// Now is the clock that certificates are judged by; nil means time.Now.
	Now func() time.Time
	// Look is how often connections are looked through (mtls.Options.Look).
	Look time.Duration
	Log  *slog.Logger
	// Logs are the access logs of inbound ports and of unknown destinations.
	Logs *accesslog.Slot
	// Traces makes the spans of inbound requests.
	Traces *trace.Slot
}

// New starts the proxy of a workload. It ends with the test.
func New(t testing.TB, ca *CA, id identity.ID, o Options) *Workload {
	t.Helper()
	if o.Issuer == nil {
		o.Issuer = &Issuer{CA: ca, ID: id}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	w := &Workload{ID: id, t: t, Source: &Source{destinations: map[string]*Destination{}}, Activity: forward.NewActivity(),
		Telemetry: telemetry.NewRegistry(telemetry.Self{Workload: id.ServiceAccount, Namespace: id.Namespace, Identity: id, Version: "test"})}
	t.Cleanup(func() {
		if n := w.Activity.Panics(); n > 0 {
			t.Errorf("%d connections of %s died of a panic", n, id)
		}
	})
	var err error
	w.TLS, err = mtls.New(mtls.Options{Identity: id, ControlNamespace: "weft-system", Signer: o.Issuer, Anchors: ca.Bundle(), Log: o.Log, Now: o.Now, Look: o.Look})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); w.TLS.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	select {
	case <-w.TLS.Ready():
	case <-time.After(10 * time.Second):
		t.Fatal("no certificate")
	}
	w.Registry = upstream.NewRegistry(upstream.Options{TLS: w.TLS, Own: o.Own, Log: o.Log, Memory: w.Activity,
		Crashed: func(reason any, stack []byte) { w.Activity.Crashed(o.Log, reason, stack) },
		Meter:   forward.DialledMeter(w.Telemetry, inbound.ApplicationCluster)})
	t.Cleanup(w.Registry.Close)
	w.Policy(policy.Port{Mode: policy.Permissive})
	watch := &forward.Watch{}
	w.Inbound = inbound.New(inbound.Options{Policy: w.policy.Load, TLS: w.TLS, Registry: w.Registry, Telemetry: w.Telemetry, Watch: watch,
		Limits: o.Limits, ControlNamespace: "weft-system", Activity: w.Activity, Log: o.Log, Logs: o.Logs, Traces: o.Traces})
	w.Outbound = outbound.New(outbound.Options{Source: w.Source, Registry: w.Registry, Telemetry: w.Telemetry, Watch: watch,
		Limits: o.Limits, Activity: w.Activity, Log: o.Log, Logs: o.Logs})
	return w
}

// Policy sets what every inbound port does.
func (w *Workload) Policy(p policy.Port) { w.policy.Store(&policy.Inbound{Default: p}) }

// Redirected opens an outbound listener whose connections appear to have been
// redirected on their way to original.
func (w *Workload) Redirected(original netip.AddrPort) netip.AddrPort {
	w.t.Helper()
	return w.Listen(func(ctx context.Context, a listen.Accepted) {
		a.Original, a.Redirected = original, true
		w.Outbound.Redirected(ctx, a)
	}).Addr()
}

// NoPolicy makes the workload one that never had a configuration.
func (w *Workload) NoPolicy() { w.policy.Store(nil) }

// Before opens an inbound listener before an application.
func (w *Workload) Before(application netip.AddrPort) netip.AddrPort {
	w.t.Helper()
	return w.Listen(w.Inbound.Explicit(application)).Addr()
}

// Towards opens an outbound listener for the destination of that name.
func (w *Workload) Towards(name string) netip.AddrPort {
	w.t.Helper()
	return w.Listen(w.Outbound.Explicit(name)).Addr()
}

// Listen runs a handler on a loopback listener until the test ends.
func (w *Workload) Listen(h listen.Handler) *listen.Listener {
	w.t.Helper()
	l, err := listen.Listen(context.Background(), "127.0.0.1:0", slog.New(slog.DiscardHandler))
	if err != nil {
		w.t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = l.Serve(h) // a listener that failed is seen by who connects
	}()
	w.t.Cleanup(func() {
		_ = l.Close() // its connections are cut either way
		<-done
	})
	return l
}

// patient is how long a connection may take in tests: no machine need be fast.
const patient = 10 * time.Second

// Cluster makes a cluster of the endpoints.
func (w *Workload) Cluster(name string, endpoints ...upstream.EndpointSpec) *upstream.Cluster {
	c := w.Registry.Apply(upstream.Spec{Name: name, Kind: upstream.Pushed, Service: name, Namespace: "default", ConnectTimeout: patient})
	w.Registry.SetEndpoints(name, endpoints)
	return c
}

// Destination makes a destination that goes to the shares, and a listener
// for it.
func (w *Workload) Destination(name string, p config.Protocol, shares ...Share) (*Destination, netip.AddrPort) {
	w.t.Helper()
	d := &Destination{name: name, protocol: p}
	d.Route(w.t, shares...)
	w.Source.mu.Lock()
	if old := w.Source.destinations[name]; old != nil {
		old.stale.Store(true)
	}
	w.Source.destinations[name] = d
	w.Source.mu.Unlock()
	return d, w.Towards(name)
}

// Meshed is an endpoint behind a proxy of the given identity.
func Meshed(a netip.AddrPort, id identity.ID) upstream.EndpointSpec {
	return upstream.EndpointSpec{Address: a, Identity: id, Workload: id.ServiceAccount + "-0", Namespace: id.Namespace}
}

// Plain is an endpoint without a proxy.
func Plain(a netip.AddrPort) upstream.EndpointSpec { return upstream.EndpointSpec{Address: a} }
