package config

import (
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/proto"

	"github.com/weftmesh/weft/identity"
	"github.com/weftmesh/weft/internal/waittest"
	"github.com/weftmesh/weft/proxy/http"
	"github.com/weftmesh/weft/proxy/policy"
	"github.com/weftmesh/weft/proxy/upstream"
)

const (
	apiKey   = "10.96.5.6_80"
	apiHost  = "api.production.svc.cluster.local:80"
	clusterA = "outbound|80||api-a.production.svc.cluster.local"
	clusterB = "outbound|80||api-b.production.svc.cluster.local"
)

type rig struct {
	*server
	store    *Store
	registry *upstream.Registry
	roots    chan *identity.Bundle
}

// newRig starts a store against a server that has what every proxy needs, and more.
func newRig(t *testing.T, adjust func(*Options), more ...proto.Message) *rig {
	t.Helper()
	r := &rig{server: newServer(t), roots: make(chan *identity.Bundle, 16)}
	r.set(inboundListener(inboundChains(8080, "http", false), inboundChains(0, "detect", false)),
		tcpListener(virtualOutbound, "out", upstream.PassthroughCluster), rootsSecret(newRoot(t)))
	r.set(more...)
	r.registry = upstream.NewRegistry(upstream.Options{})
	t.Cleanup(r.registry.Close)
	o := Options{Dial: r.dial, Registry: r.registry, MinBackoff: 5 * time.Millisecond, MaxBackoff: 20 * time.Millisecond,
		Wait: 10 * time.Second, Roots: func(b *identity.Bundle) { r.roots <- b },
		Node: Node{ID: "sidecar~10.0.0.1~web.production~production.svc.cluster.local", Version: "1", Metadata: map[string]string{"NAMESPACE": "production"}}}
	if adjust != nil {
		adjust(&o)
	}
	r.store = New(o)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = r.store.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		select {
		case <-done:
		case <-time.After(10 * time.Second):
			t.Error("Run did not end with its context")
		}
	})
	select {
	case <-r.store.Ready():
	case <-time.After(10 * time.Second):
		t.Fatal("not ready")
	}
	return r
}

func (r *rig) destination(name string) (*Destination, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	return r.store.Destination(ctx, name)
}

// backendsOf are the clusters that a request for / is shared among.
func backendsOf(d *Destination) map[string]uint32 {
	rule := d.Routes().Match(&http.Request{Method: []byte("GET"), Target: []byte("/")})
	if rule == nil {
		return nil
	}
	out := map[string]uint32{}
	for _, b := range rule.Backends() {
		out[b.Name] = b.Weight
	}
	return out
}

func TestEssentials(t *testing.T) {
	r := newRig(t, nil)
	if got := r.store.Unknown(); got != AllowAny {
		t.Errorf("unknown destinations: %v", got)
	}
	in := r.store.Inbound()
	if p := in.Port(8080); p != (policy.Port{Mode: policy.Permissive, Protocol: policy.HTTP}) {
		t.Errorf("port 8080: %v", p)
	}
	if p := in.Port(9); p != (policy.Port{Mode: policy.Permissive, Protocol: policy.Detect}) {
		t.Errorf("other ports: %v", p)
	}
	first := <-r.roots
	r.set(rootsSecret(newRoot(t)))
	if second := <-r.roots; second.Equal(first) {
		t.Error("the trust bundle did not change")
	}
	r.set(tcpListener(virtualOutbound, "out", upstream.BlackHoleCluster), inboundListener(inboundChains(0, "opaque", true)))
	waittest.Until(t, "changed policies", func() bool {
		return r.store.Unknown() == RegistryOnly && r.store.Inbound().Port(8080) == policy.Port{Mode: policy.Strict, Protocol: policy.Opaque}
	})
	r.mu.Lock()
	n := r.requests[0].Node
	r.mu.Unlock()
	if n.GetId() == "" || n.GetUserAgentName() != "weft-proxy" || n.GetUserAgentVersion() != "1" || n.GetMetadata().GetFields()["NAMESPACE"].GetStringValue() != "production" {
		t.Errorf("node: %v", n)
	}
	// What every proxy needs is never taken back.
	r.remove(urlListener, virtualInbound)
	r.remove(urlSecret, rootCA)
	r.remove(urlListener, virtualOutbound)
	if _, err := r.destination("sync"); !errors.Is(err, ErrUnknown) { // answers after the removals
		t.Fatal(err)
	}
	if r.store.Inbound() == nil || r.store.Unknown() != RegistryOnly {
		t.Error("the removal of an essential listener took effect")
	}
}

func TestNotReadyRefuses(t *testing.T) {
	s := New(Options{Registry: upstream.NewRegistry(upstream.Options{})})
	defer s.opts.Registry.Close()
	if _, err := s.Destination(context.Background(), apiKey); !errors.Is(err, ErrNotReady) {
		t.Errorf("err = %v", err)
	}
	if s.Unknown() != RegistryOnly || s.Inbound() != nil {
		t.Error("a store without configuration lets something through")
	}
	select {
	case <-s.Ready():
		t.Error("ready without configuration")
	default:
	}
}

func TestChainedSubscriptionsAndUpdates(t *testing.T) {
	r := newRig(t, nil)
	r.set(detectListener(apiKey, apiHost, clusterA), routesTo(apiHost, map[string]uint32{clusterA: 90, clusterB: 10}),
		edsCluster(clusterA), edsCluster(clusterB), assignmentOf(clusterA, "10.0.0.1", "10.0.0.2"), assignmentOf(clusterB, "10.0.0.3"))
	r.mu.Lock()
	early := r.subscribed(urlListener, apiKey)
	r.mu.Unlock()
	if early {
		t.Fatal("subscribed before anybody asked")
	}
	d, err := r.destination(apiKey)
	if err != nil {
		t.Fatal(err)
	}
	if d.Name() != apiHost || d.Key() != apiKey || d.Protocol() != Detect {
		t.Errorf("destination: %q %q %v", d.Name(), d.Key(), d.Protocol())
	}
	if b := d.TCP().Pick(0); b == nil || b.Cluster != r.registry.Cluster(clusterA) || b.Cluster == nil {
		t.Errorf("tcp: %+v", b)
	}
	if got := backendsOf(d); got[clusterA] != 90 || got[clusterB] != 10 {
		t.Errorf("backends: %v", got)
	}
	if n := len(r.registry.Cluster(clusterA).Endpoints()); n != 2 {
		t.Errorf("endpoints: %d", n)
	}
	before := r.registry.Cluster(clusterA)

	r.set(routesTo(apiHost, map[string]uint32{clusterA: 50, clusterB: 50}))
	waittest.Until(t, "changed weights", func() bool { return backendsOf(d)[clusterB] == 50 })
	r.set(assignmentOf(clusterB, "10.0.0.3", "10.0.0.4", "10.0.0.5"))
	waittest.Until(t, "changed endpoints", func() bool { return len(r.registry.Cluster(clusterB).Endpoints()) == 3 })
	if r.registry.Cluster(clusterA) != before || d.Stale() {
		t.Error("an update replaced the handle of a cluster that stayed")
	}

	// A cluster that nothing names any more is given up, here and there.
	r.set(routesTo(apiHost, map[string]uint32{clusterA: 1}))
	r.until("unsubscribed cluster", func() bool {
		return !r.subscribed(urlCluster, clusterB) && !r.subscribed(urlAssignment, clusterB)
	})
	if r.registry.Cluster(clusterB) != nil {
		t.Error("the registry kept a cluster without use")
	}
}

func TestWarming(t *testing.T) {
	r := newRig(t, nil)
	r.set(httpListener(apiKey, apiHost), routesTo(apiHost, map[string]uint32{clusterA: 1}), edsCluster(clusterA), assignmentOf(clusterA, "10.0.0.1"), edsCluster(clusterB), assignmentOf(clusterB, "10.0.0.9"))
	d, err := r.destination(apiKey)
	if err != nil {
		t.Fatal(err)
	}
	// The new cluster's endpoints do not come: the old routes stay.
	r.mute(clusterB)
	r.set(routesTo(apiHost, map[string]uint32{clusterB: 1}))
	r.until("subscription to the new cluster", func() bool { return r.subscribed(urlCluster, clusterB) })
	r.unmute(urlCluster, clusterB)
	r.mute(clusterB)
	r.until("subscription to its endpoints", func() bool { return r.subscribed(urlAssignment, clusterB) })
	if got := backendsOf(d); got[clusterA] != 1 {
		t.Fatalf("switched to a cluster without endpoints: %v", got)
	}
	r.unmute(urlAssignment, clusterB)
	waittest.Until(t, "switch when warm", func() bool { return backendsOf(d)[clusterB] == 1 })
	if len(r.registry.Cluster(clusterB).Endpoints()) != 1 {
		t.Error("switched before the endpoints had come")
	}
}

// TestWhatGoesStaysUntilItsSuccessorIsWarm: a control plane says what is new
// before what is gone, and does not wait in between.
func TestWhatGoesStaysUntilItsSuccessorIsWarm(t *testing.T) {
	r := newRig(t, nil)
	r.set(httpListener(apiKey, apiHost), routesTo(apiHost, map[string]uint32{clusterA: 1}), edsCluster(clusterA), assignmentOf(clusterA, "10.0.0.1"), edsCluster(clusterB), assignmentOf(clusterB, "10.0.0.9"))
	d, err := r.destination(apiKey)
	if err != nil {
		t.Fatal(err)
	}
	r.mute(clusterB)
	r.set(routesTo(apiHost, map[string]uint32{clusterB: 1}))
	r.remove(urlAssignment, clusterA)
	r.remove(urlCluster, clusterA)
	if _, err := r.destination("sync"); !errors.Is(err, ErrUnknown) { // answers after the removals
		t.Fatal(err)
	}
	rule := d.Routes().Match(&http.Request{Target: []byte("/")})
	if c := rule.Pick(0).Cluster; c == nil || c.Name() != clusterA || len(c.Endpoints()) != 1 || r.registry.Cluster(clusterA) != c {
		t.Fatalf("the old routes have lost their cluster: %+v", rule.Pick(0))
	}
	r.unmute(urlCluster, clusterB)
	r.unmute(urlAssignment, clusterB)
	waittest.Until(t, "switch when warm", func() bool { return backendsOf(d)[clusterB] == 1 })
	waittest.Until(t, "the old cluster is given up", func() bool { return r.registry.Cluster(clusterA) == nil })
}

func TestWarmingIsBounded(t *testing.T) {
	r := newRig(t, func(o *Options) { o.Wait = 200 * time.Millisecond })
	r.mute(clusterA)
	r.set(httpListener(apiKey, apiHost), routesTo(apiHost, map[string]uint32{clusterA: 1}))
	var d *Destination
	waittest.Until(t, "destination without its cluster", func() (ok bool) {
		var err error
		d, err = r.destination(apiKey)
		return err == nil
	})
	b := d.Routes().Match(&http.Request{Target: []byte("/")}).Pick(0)
	if b.Cluster != nil || b.Status != 503 {
		t.Errorf("backend: %+v", b)
	}
	r.set(edsCluster(clusterA), assignmentOf(clusterA, "10.0.0.1"))
	r.unmute(urlCluster, clusterA)
	r.until("subscription to endpoints", func() bool { return r.subscribed(urlAssignment, clusterA) })
	waittest.Until(t, "late cluster", func() bool {
		return d.Routes().Match(&http.Request{Target: []byte("/")}).Pick(0).Cluster != nil
	})
}

func TestUnknownDestinations(t *testing.T) {
	r := newRig(t, nil)
	start := time.Now()
	if _, err := r.destination(apiKey); !errors.Is(err, ErrUnknown) {
		t.Fatalf("err = %v", err)
	}
	if time.Since(start) > 5*time.Second {
		t.Error("the answer that there is none was not taken at once")
	}
	for _, n := range []string{"", virtualInbound, virtualOutbound} {
		if _, err := r.destination(n); !errors.Is(err, ErrUnknown) {
			t.Errorf("%q: %v", n, err)
		}
	}
	// It comes to exist, and ceases to.
	r.set(tcpListener(apiKey, apiHost, clusterA), edsCluster(clusterA), assignmentOf(clusterA, "10.0.0.1"))
	var d *Destination
	waittest.Until(t, "late answer", func() (ok bool) {
		var err error
		d, err = r.destination(apiKey)
		return err == nil
	})
	if d.Protocol() != TCP || d.Routes() != nil || d.TCP().Pick(0).Name != clusterA {
		t.Errorf("destination: %+v", d.state.Load())
	}
	r.remove(urlListener, apiKey)
	waittest.Until(t, "stale handle", d.Stale)
	if _, err := r.destination(apiKey); !errors.Is(err, ErrUnknown) {
		t.Errorf("removed: %v", err)
	}
	if d.TCP() == nil {
		t.Error("the removal took the content from under those who hold it")
	}
}

func TestSilentControlPlane(t *testing.T) {
	r := newRig(t, func(o *Options) { o.Wait = 150 * time.Millisecond })
	r.mute(apiKey)
	r.set(tcpListener(apiKey, apiHost, clusterA), edsCluster(clusterA), assignmentOf(clusterA, "10.0.0.1"))
	start := time.Now()
	if _, err := r.destination(apiKey); !errors.Is(err, ErrUnknown) {
		t.Fatalf("err = %v", err)
	}
	if d := time.Since(start); d < 150*time.Millisecond {
		t.Errorf("gave up after %v", d)
	}
	r.unmute(urlListener, apiKey)
	waittest.Until(t, "late answer", func() bool { _, err := r.destination(apiKey); return err == nil })
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	r.mute("x_1")
	if _, err := r.store.Destination(ctx, "x_1"); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestControlPlaneAway(t *testing.T) {
	r := newRig(t, nil)
	r.set(httpListener(apiKey, apiHost), routesTo(apiHost, map[string]uint32{clusterA: 1}), edsCluster(clusterA), assignmentOf(clusterA, "10.0.0.1"))
	d, err := r.destination(apiKey)
	if err != nil {
		t.Fatal(err)
	}
	// Somebody waits for an answer when the stream breaks.
	r.mute("late_1")
	waiting := make(chan error, 1)
	go func() { _, err := r.destination("late_1"); waiting <- err }()
	r.until("question", func() bool { return r.subscribed(urlListener, "late_1") })
	r.stop()
	select {
	case err := <-waiting:
		if !errors.Is(err, ErrUnknown) {
			t.Errorf("waiting: %v", err)
		}
	case <-time.After(5 * time.Second):
		t.Fatal("the waiting one was not told that the stream is down")
	}
	waittest.Until(t, "stream down", func() bool { return !r.store.Connected() })
	start := time.Now()
	if _, err := r.destination("10.9.9.9_9"); !errors.Is(err, ErrUnknown) {
		t.Errorf("first time meanwhile: %v", err)
	}
	if time.Since(start) > 2*time.Second {
		t.Error("waited although the stream is known to be down")
	}
	if again, err := r.destination(apiKey); err != nil || again != d || backendsOf(d)[clusterA] != 1 || r.store.Inbound() == nil {
		t.Errorf("the last good configuration is gone: %v", err)
	}

	// It returns, on the same address, with one change; the rest is not sent again.
	r.mu.Lock()
	r.requests = nil
	r.mu.Unlock()
	r.set(assignmentOf(clusterA, "10.0.0.1", "10.0.0.2"), tcpListener("10.9.9.9_9", "late:9", clusterA))
	r.listen(r.addr)
	waittest.Until(t, "changes flow again", func() bool { return len(r.registry.Cluster(clusterA).Endpoints()) == 2 })
	waittest.Until(t, "the destination of meanwhile", func() bool { _, err := r.destination("10.9.9.9_9"); return err == nil })
	if d.Stale() {
		t.Error("reconnecting replaced a handle")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	versions := map[string]string{}
	for _, q := range r.requests {
		for n, v := range q.InitialResourceVersions {
			versions[shortType(q.TypeUrl)+" "+n] = v
		}
		for _, n := range q.ResourceNamesSubscribe {
			if n == "10.9.9.9_9" && q.InitialResourceVersions[n] != "" {
				t.Error("a version of what never came")
			}
		}
	}
	for _, n := range []string{"Listener " + apiKey, "Listener " + virtualInbound, "RouteConfiguration " + apiHost, "Cluster " + clusterA, "ClusterLoadAssignment " + clusterA, "Secret " + rootCA} {
		if versions[n] == "" {
			t.Errorf("no initial version of %s: %v", n, versions)
		}
	}
}

func TestRefusedResources(t *testing.T) {
	r := newRig(t, nil)
	r.set(httpListener(apiKey, apiHost), routesTo(apiHost, map[string]uint32{clusterA: 1}), edsCluster(clusterA), assignmentOf(clusterA, "10.0.0.1"))
	d, err := r.destination(apiKey)
	if err != nil {
		t.Fatal(err)
	}
	bad := routesWith(apiHost, &routev3.Route{Match: &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_SafeRegex{SafeRegex: &matcherv3.RegexMatcher{Regex: "("}}},
		Action: &routev3.Route_DirectResponse{DirectResponse: &routev3.DirectResponseAction{Status: 500}}})
	r.set(bad)
	var detail string
	r.until("NACK", func() bool {
		for _, q := range r.requests {
			if q.ErrorDetail != nil {
				detail = q.ErrorDetail.Message
				return q.ResponseNonce != "" && q.TypeUrl == urlRoutes && q.ErrorDetail.Code == 3
			}
		}
		return false
	})
	for _, want := range []string{apiHost, "RouteConfiguration", "routes[0]", "match", "regular expression"} {
		if !strings.Contains(detail, want) {
			t.Errorf("the error detail does not tell %q: %s", want, detail)
		}
	}
	if backendsOf(d)[clusterA] != 1 {
		t.Error("the last good routes are gone")
	}
	if r.store.Refused() != 1 {
		t.Errorf("refused: %d", r.store.Refused())
	}
	r.set(routesTo(apiHost, map[string]uint32{clusterA: 7}))
	waittest.Until(t, "good routes again", func() bool { return backendsOf(d)[clusterA] == 7 })

	// A destination of the mesh whose listener is refused must not be taken for
	// unknown: it would be dialled without mutual TLS.
	l := httpListener("10.96.0.2_80", apiHost)
	l.DefaultFilterChain.Filters[0].ConfigType = &listenerv3.Filter_TypedConfig{TypedConfig: pack(rootsSecret(nil))}
	r.set(l)
	if _, err := r.destination("10.96.0.2_80"); !errors.Is(err, ErrIncomplete) {
		t.Errorf("refused listener: %v", err)
	}
}

// Nor must one be taken for unknown whose routes do not come.
func TestDestinationWithoutRoutes(t *testing.T) {
	r := newRig(t, func(o *Options) { o.Wait = 300 * time.Millisecond })
	r.mute("other:80")
	r.set(httpListener("10.96.0.3_80", "other:80"))
	var err error
	waittest.Until(t, "the listener", func() bool { _, err = r.destination("10.96.0.3_80"); return !errors.Is(err, ErrUnknown) })
	if !errors.Is(err, ErrIncomplete) {
		t.Errorf("without routes: %v", err)
	}
}

func TestIdleDestinationsAreGivenUp(t *testing.T) {
	r := newRig(t, func(o *Options) { o.Idle = time.Hour }) // looked for here alone
	r.set(httpListener(apiKey, apiHost), routesTo(apiHost, map[string]uint32{clusterA: 1}), edsCluster(clusterA), assignmentOf(clusterA, "10.0.0.1"),
		tcpListener("10.0.9.9_9", "used:9", clusterB), edsCluster(clusterB), assignmentOf(clusterB, "10.0.0.2"))
	idle, err := r.destination(apiKey)
	if err != nil {
		t.Fatal(err)
	}
	used, err := r.destination("10.0.9.9_9")
	if err != nil {
		t.Fatal(err)
	}
	for n := 1; !idle.Stale(); n++ {
		used.TCP()
		r.store.sweep()
		if idle.Stale() && n < sweeps || n > 2*sweeps {
			t.Fatalf("after %d looks: given up %v", n, idle.Stale())
		}
	}
	if used.Stale() {
		t.Error("a destination in use was given up")
	}
	r.until("unsubscription", func() bool {
		return !r.subscribed(urlListener, apiKey) && !r.subscribed(urlRoutes, apiHost) && !r.subscribed(urlCluster, clusterA) && !r.subscribed(urlAssignment, clusterA)
	})
	if r.registry.Cluster(clusterA) != nil {
		t.Error("the registry kept the cluster")
	}
	again, err := r.destination(apiKey)
	if err != nil || again == idle || backendsOf(again)[clusterA] != 1 {
		t.Errorf("asked again: %v", err)
	}
}

func TestIdleDestinationsAreLookedFor(t *testing.T) {
	r := newRig(t, func(o *Options) { o.Idle = 100 * time.Millisecond })
	r.set(tcpListener(apiKey, apiHost, clusterA), edsCluster(clusterA), assignmentOf(clusterA, "10.0.0.1"))
	d, err := r.destination(apiKey)
	if err != nil {
		t.Fatal(err)
	}
	waittest.Until(t, "idle handle is stale", d.Stale)
}

func TestDump(t *testing.T) {
	r := newRig(t, nil)
	a := assignmentOf(clusterA, "10.0.0.1")
	r.set(httpListener(apiKey, apiHost), routesTo(apiHost, map[string]uint32{clusterA: 3, invalidBackend: 1}), edsCluster(clusterA), a)
	if _, err := r.destination(apiKey); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := r.store.Dump(&b); err != nil {
		t.Fatal(err)
	}
	var got dump
	if err := json.Unmarshal([]byte(b.String()), &got); err != nil {
		t.Fatal(err)
	}
	if !got.Connected || !got.Ready || got.Unknown != "ALLOW_ANY" || got.Inbound.Ports[8080].Protocol != "http" || got.Roots == "" {
		t.Errorf("dump: %s", b.String())
	}
	if len(got.Routes) != 1 || got.Routes[0].Rules[0].Backends[1].Cluster != clusterA || got.Routes[0].Rules[0].Backends[0].Status != 500 {
		t.Errorf("routes: %+v", got.Routes)
	}
	found := false
	for _, c := range got.Clusters {
		found = found || c.Name == clusterA && len(c.Endpoints) == 1 && c.Endpoints[0].Address == netip.MustParseAddrPort("10.0.0.1:80").String()
	}
	if !found {
		t.Errorf("clusters: %+v", got.Clusters)
	}
}

// What was known before the control plane went away stays known, used or not.
func TestIdleDestinationsOutliveTheStream(t *testing.T) {
	r := newRig(t, func(o *Options) { o.Idle = 100 * time.Millisecond })
	r.set(httpListener(apiKey, apiHost), routesTo(apiHost, map[string]uint32{clusterA: 1}), edsCluster(clusterA), assignmentOf(clusterA, "10.0.0.1"))
	d, err := r.destination(apiKey)
	if err != nil {
		t.Fatal(err)
	}
	r.stop()
	waittest.Until(t, "the stream is down", func() bool { return !r.store.Connected() })
	for range 2 * sweeps {
		r.store.sweep()
	}
	if d.Stale() {
		t.Fatal("a known destination was given up while nobody could be asked for it again")
	}
	if again, err := r.destination(apiKey); err != nil || again != d {
		t.Errorf("asked again: %v", err)
	}
}

// A workload that dials at random must not push its mesh's destinations out
// into plaintext.
func TestManyUnknownDestinations(t *testing.T) {
	r := newRig(t, func(o *Options) { o.Wait = 20 * time.Millisecond })
	r.set(httpListener(apiKey, apiHost), routesTo(apiHost, map[string]uint32{clusterA: 1}), edsCluster(clusterA), assignmentOf(clusterA, "10.0.0.1"))
	r.store.mu.Lock()
	for i := range maxDestinations {
		x := newTracked("10.1." + itoa(i/256) + "." + itoa(i%256) + "_80")
		x.settle(ErrUnknown)
		r.store.dests[x.dest.key] = x
	}
	r.store.mu.Unlock()
	waittest.Until(t, "a destination of the mesh", func() bool { _, err := r.destination(apiKey); return err == nil })

	// With nobody to answer, nothing changes what follows.
	r.stop()
	waittest.Until(t, "the stream is down", func() bool { return !r.store.Connected() })
	r.store.mu.Lock()
	for i := len(r.store.dests); i < maxDestinations; i++ {
		x := newTracked("10.2." + itoa(i/256) + "." + itoa(i%256) + "_80")
		x.settle(nil)
		r.store.dests[x.dest.key] = x
	}
	for _, x := range r.store.dests {
		x.settled, x.err = true, nil
	}
	r.store.mu.Unlock()
	if _, err := r.destination("10.9.9.9_9"); !errors.Is(err, ErrIncomplete) {
		t.Errorf("with no room left: %v, which lets what may belong to the mesh pass in plaintext", err)
	}
}
