package upstream_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/weftmesh/weft/identity"
	"github.com/weftmesh/weft/internal/porttest"
	"github.com/weftmesh/weft/internal/waittest"
	"github.com/weftmesh/weft/proxy/balance"
	"github.com/weftmesh/weft/proxy/upstream"
)

func registry(t *testing.T, o upstream.Options) *upstream.Registry {
	r := upstream.NewRegistry(o)
	t.Cleanup(r.Close)
	return r
}

func spec(a string) upstream.EndpointSpec {
	return upstream.EndpointSpec{Address: netip.MustParseAddrPort(a)}
}

// listener accepts and keeps connections.
type listener struct {
	net.Listener
	mu    sync.Mutex
	conns []net.Conn
	ended int
}

func listen(t *testing.T) *listener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &listener{Listener: ln}
	t.Cleanup(l.stop)
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			l.mu.Lock()
			l.conns = append(l.conns, c)
			l.mu.Unlock()
			go func() {
				c.Read(make([]byte, 1)) // nobody sends: it returns at the end
				l.mu.Lock()
				l.ended++
				l.mu.Unlock()
			}()
		}
	}()
	return l
}

func (l *listener) stop() {
	l.Close()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.conns {
		c.Close()
	}
}

// count is how many connections were accepted, and how many of them are open.
func (l *listener) count() (all, open int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.conns), len(l.conns) - l.ended
}

func (l *listener) addr() string { return l.Addr().String() }

func pick(t *testing.T, c *upstream.Cluster, ch *upstream.Choice) *upstream.Endpoint {
	t.Helper()
	e, err := c.Pick(context.Background(), ch)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestHandleOutlivesConfiguration(t *testing.T) {
	r := registry(t, upstream.Options{})
	c := r.Apply(upstream.Spec{Name: "api"})
	select {
	case <-c.Known():
		t.Error("endpoints are known before they were set")
	default:
	}
	r.SetEndpoints("api", []upstream.EndpointSpec{spec("10.0.0.1:80"), spec("10.0.0.2:80"), spec("10.0.0.1:80")})
	<-c.Known()
	if n := len(c.Endpoints()); n != 2 {
		t.Errorf("%d endpoints, want 2: one was named twice", n)
	}
	old := c.Endpoints()
	if r.Apply(upstream.Spec{Name: "api", Balance: balance.Options{Algorithm: balance.RoundRobin}, ConnectTimeout: time.Minute}) != c || c.Spec().ConnectTimeout != time.Minute {
		t.Error("another handle, or the old configuration")
	}
	changed := spec("10.0.0.2:80")
	changed.Draining = true
	r.SetEndpoints("api", []upstream.EndpointSpec{spec("10.0.0.1:80"), changed})
	if c.Endpoints()[0] != old[0] {
		t.Error("an unchanged endpoint was made anew")
	}
	for range 20 {
		if e := pick(t, c, &upstream.Choice{}); e.Address().String() != "10.0.0.1:80" {
			t.Fatal("a draining endpoint was picked while another is fit")
		}
	}
	r.Remove("api")
	if _, err := c.Pick(context.Background(), &upstream.Choice{}); !errors.Is(err, upstream.ErrNoEndpoint) || r.Cluster("api") != nil {
		t.Errorf("a removed cluster gives %v", err)
	}
	if r.Cluster(upstream.PassthroughCluster) == nil || r.Cluster(upstream.BlackHoleCluster) == nil {
		t.Error("the built-in clusters are missing")
	}
}

func TestChoiceTriesOthersFirst(t *testing.T) {
	r := registry(t, upstream.Options{})
	c := r.Apply(upstream.Spec{Name: "api"})
	r.SetEndpoints("api", []upstream.EndpointSpec{spec("10.0.0.1:80"), spec("10.0.0.2:80"), spec("10.0.0.3:80")})
	for range 50 {
		var ch upstream.Choice
		seen := map[*upstream.Endpoint]bool{}
		for range 3 {
			seen[pick(t, c, &ch)] = true
		}
		if len(seen) != 3 || ch.Tried() != 3 {
			t.Fatalf("three tries went to %d endpoints", len(seen))
		}
		pick(t, c, &ch) // all were tried: any of them again
	}
}

func TestPenaltyAfterFailedConnect(t *testing.T) {
	dead, live := porttest.Nobody(t), listen(t)
	r := registry(t, upstream.Options{})
	c := r.Apply(upstream.Spec{Name: "api"})
	r.SetEndpoints("api", []upstream.EndpointSpec{spec(dead.String()), spec(live.addr())})
	bad := c.Endpoints()[0]
	// What is picked at a time, whatever time it is.
	picked := func(at time.Time) *upstream.Endpoint { return pick(t, c, &upstream.Choice{Now: at}) }
	failed := time.Now()
	if _, err := bad.DialTCP(context.Background()); !errors.Is(err, upstream.ErrConnect) {
		t.Fatal(err)
	}
	over := time.Now().Add(balance.MinPenalty)
	for range 20 {
		if picked(failed.Add(balance.MinPenalty-1)) == bad {
			t.Fatal("an endpoint was picked right after it failed")
		}
	}
	waittest.Until(t, "the end of the penalty", func() bool { return picked(over) == bad })
	// A client that gave up is no fault of the endpoint.
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	good := c.Endpoints()[1]
	if _, err := good.DialTCP(gone); !errors.Is(err, upstream.ErrConnect) {
		t.Fatal(err)
	}
	waittest.Until(t, "the penalty is over, whatever time it is", func() bool { return time.Now().After(over) })
	failed = time.Now()
	if _, err := bad.DialTCP(context.Background()); !errors.Is(err, upstream.ErrConnect) {
		t.Fatal(err)
	}
	if picked(failed) != good {
		t.Error("the good endpoint was penalised for a client that gave up")
	}
}

func TestPool(t *testing.T) {
	l := listen(t)
	r := registry(t, upstream.Options{})
	c := r.Apply(upstream.Spec{Name: "api"})
	r.Apply(upstream.Spec{Name: "apex"})
	for _, name := range []string{"api", "apex"} {
		r.SetEndpoints(name, []upstream.EndpointSpec{spec(l.addr())})
	}
	e := c.Endpoints()[0]
	get := func(e *upstream.Endpoint, fresh bool) *upstream.HTTP1 {
		t.Helper()
		h, err := e.HTTP1(context.Background(), fresh)
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	a, b := get(e, false), get(e, false)
	if a.Reused || b.Reused {
		t.Error("new connections call themselves reused")
	}
	a.Put()
	b.Put()
	if got := get(r.Cluster("apex").Endpoints()[0], false); got != b || !got.Reused {
		t.Error("the connection that was used last is not shared with the same endpoint of another cluster")
	}
	b.Put()
	if got := get(e, true); got == a || got == b {
		t.Error("a fresh connection was not")
	} else {
		got.Close()
	}
	waittest.Until(t, "three were accepted, two are open", func() bool { all, open := l.count(); return all == 3 && open == 2 })
	l.mu.Lock()
	for _, nc := range l.conns {
		nc.Close()
	}
	l.mu.Unlock()
	waittest.Until(t, "dead connections are no longer given out", func() bool {
		h := get(e, false)
		h.Put()
		return h != a && h != b
	})

	f := get(e, false)
	r.SetEndpoints("api", nil)
	r.SetEndpoints("apex", nil)
	if !f.Alive() {
		t.Error("a connection in use ended with its endpoint")
	}
	f.Put()
	waittest.Until(t, "the connection to a removed endpoint is closed", func() bool { _, open := l.count(); return open == 0 })
}

func TestIdleConnectionsEnd(t *testing.T) {
	l := listen(t)
	r := registry(t, upstream.Options{IdleTimeout: 100 * time.Millisecond})
	c := r.Apply(upstream.Spec{Name: "api"})
	r.SetEndpoints("api", []upstream.EndpointSpec{spec(l.addr())})
	a, b := get(t, c.Endpoints()[0]), get(t, c.Endpoints()[0])
	a.Put()
	b.Put()
	waittest.Until(t, "idle connections end", func() bool { all, open := l.count(); return all == 2 && open == 0 })
}

func TestRefusedAddresses(t *testing.T) {
	own := netip.MustParseAddr("10.1.1.1")
	refuse := upstream.OwnPorts([]netip.Addr{own}, 4140, 4143)
	for a, want := range map[string]bool{"10.1.1.1:4140": true, "127.0.0.1:4143": true, "[::ffff:10.1.1.1]:4140": true, "10.1.1.1:80": false, "10.1.1.2:4140": false} {
		if got := refuse(netip.MustParseAddrPort(a)); got != want {
			t.Errorf("%s refused: %t", a, got)
		}
	}
	r := registry(t, upstream.Options{Refuse: refuse})
	e, err := r.Cluster(upstream.PassthroughCluster).Pick(context.Background(), &upstream.Choice{Destination: netip.MustParseAddrPort("127.0.0.1:4140")})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.DialTCP(context.Background()); !errors.Is(err, upstream.ErrRefused) {
		t.Errorf("the proxy dials itself: %v", err)
	}
	if _, err := r.Cluster(upstream.PassthroughCluster).Pick(context.Background(), &upstream.Choice{}); !errors.Is(err, upstream.ErrNoEndpoint) {
		t.Errorf("without an original destination: %v", err)
	}
	if _, err := r.Cluster(upstream.BlackHoleCluster).Pick(context.Background(), &upstream.Choice{Destination: netip.MustParseAddrPort("10.0.0.1:1")}); !errors.Is(err, upstream.ErrNoEndpoint) {
		t.Errorf("the black hole gives %v", err)
	}
}

func TestMeshedEndpointIsNeverDialledInPlaintext(t *testing.T) {
	l := listen(t)
	r := registry(t, upstream.Options{})
	c := r.Apply(upstream.Spec{Name: "api"})
	s := spec(l.addr())
	s.Identity = identity.ID{TrustDomain: "a", Namespace: "b", ServiceAccount: "c"}
	r.SetEndpoints("api", []upstream.EndpointSpec{s})
	if _, err := c.Endpoints()[0].DialTCP(context.Background()); !errors.Is(err, upstream.ErrConnect) {
		t.Errorf("without a certificate: %v", err)
	}
}

// names is a resolver.
type names struct {
	mu    sync.Mutex
	addrs []netip.Addr
	err   error
	n     int
}

func (n *names) Lookup(context.Context, string) ([]netip.Addr, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.n++
	return n.addrs, n.err
}

func TestNamesAreResolved(t *testing.T) {
	n := &names{err: errors.New("no such host")}
	r := registry(t, upstream.Options{Resolver: n})
	c := r.Apply(upstream.Spec{Name: "ext", Kind: upstream.DNS, Host: "example.com", Port: 443})
	if _, err := c.Pick(context.Background(), &upstream.Choice{}); !errors.Is(err, upstream.ErrNoEndpoint) {
		t.Fatalf("a name that cannot be resolved gives %v", err)
	}
	n.mu.Lock()
	n.addrs, n.err = []netip.Addr{netip.MustParseAddr("::ffff:192.0.2.1")}, nil
	n.mu.Unlock()
	r.Apply(upstream.Spec{Name: "ext", Kind: upstream.DNS, Host: "example.org", Port: 444})
	if e := pick(t, c, &upstream.Choice{}); e.Address().String() != "192.0.2.1:444" {
		t.Errorf("resolved to %s", e.Address())
	}
	for range 10 {
		pick(t, c, &upstream.Choice{})
	}
	if n.n != 2 {
		t.Errorf("%d lookups, want 2", n.n)
	}
}
