package upstream

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/weftmesh/weft/identity"
	"github.com/weftmesh/weft/proxy/alpn"
	"github.com/weftmesh/weft/proxy/balance"
	"github.com/weftmesh/weft/proxy/conn"
)

// complainEvery bounds the warnings about one peer.
const complainEvery = 10 * time.Second

// DialTCP connects for opaque bytes. The caller closes the connection. An error
// is an ErrOverflow, ErrConnect or ErrRefused; for the latter two the endpoint
// has been penalised.
func (e *Endpoint) DialTCP(ctx context.Context) (*conn.Conn, error) {
	start := time.Now()
	c, err := e.dial(ctx, alpn.TCP)
	if err == nil {
		e.Connected(start)
	}
	return c, err
}

// Connected notes that a connection for bytes came about, which was begun at
// start. There is no response whose latency could be observed.
func (e *Endpoint) Connected(start time.Time) {
	now := time.Now()
	e.observe(now, now.Sub(start))
	e.report(balance.Connected, now)
}

// dial makes a connection, unless the cluster has as many as it may; see
// dialClaimed.
func (e *Endpoint) dial(ctx context.Context, protocols ...string) (*conn.Conn, error) {
	if !e.charge() {
		return nil, e.cluster.overflow("connections", e.cluster.Options().Limits.MaxConnections, &e.cluster.counters.connOver)
	}
	return e.connect(ctx, protocols)
}

// dialClaimed makes a connection with the right that claim gave.
func (e *Endpoint) dialClaimed(ctx context.Context, protocols ...string) (*conn.Conn, error) {
	defer e.unpend()
	return e.connect(ctx, protocols)
}

// connect connects and, where the endpoint has an identity, has it proven; the
// peer chooses one of the protocols. The connection has been charged for, which
// ends with it.
func (e *Endpoint) connect(ctx context.Context, protocols []string) (*conn.Conn, error) {
	c, err := e.reach(ctx, protocols)
	if err != nil {
		e.cluster.counters.failed.Add(1)
		e.discharge()
		return nil, err
	}
	e.cluster.counters.connected.Add(1)
	c.OnEnd(e.discharge)
	e.cluster.warmOthers(e, protocols)
	return c, nil
}

func (e *Endpoint) reach(ctx context.Context, protocols []string) (*conn.Conn, error) {
	p, r := e.peer, e.peer.registry
	if r.opts.Refuse != nil && r.opts.Refuse(p.key.addr) {
		return nil, fmt.Errorf("%w: %s is the proxy's own address", ErrRefused, p.key.addr)
	}
	o := e.cluster.Options()
	caller := ctx
	ctx, cancel := context.WithTimeout(ctx, o.ConnectTimeout)
	defer cancel()
	nc, err := o.Connections.KeepAlive.dialer().DialContext(ctx, "tcp", p.key.addr.String())
	if err != nil {
		return nil, e.unreachable(caller, ctx, err)
	}
	c := conn.New(nc)
	var s *conn.Conn
	switch {
	case p.key.origin != nil:
		s, err = p.key.origin.secure(ctx, c, protocols)
	case !p.key.id.IsZero():
		s, err = e.secure(ctx, c, protocols)
	default:
		return c, nil
	}
	if err != nil {
		c.Abort()
		return nil, e.unreachable(caller, ctx, err)
	}
	return s, nil
}

func (k KeepAlive) dialer() *net.Dialer {
	if k == (KeepAlive{}) {
		// Whether the peer lives is told by the traffic; probes cost wake-ups.
		return &net.Dialer{KeepAlive: time.Minute}
	}
	system := func(d time.Duration) time.Duration {
		if d == 0 {
			return -1
		}
		return d
	}
	c := net.KeepAliveConfig{Enable: true, Idle: system(k.Time), Interval: system(k.Interval), Count: int(k.Probes)}
	if c.Count == 0 {
		c.Count = -1
	}
	return &net.Dialer{KeepAliveConfig: c}
}

// count begins to count a connection that is for HTTP requests alone.
func (e *Endpoint) count(c *conn.Conn) {
	if f := e.peer.registry.opts.Meter; f != nil {
		c.SetMeter(f(e))
	}
}

// countRequests is count for a connection that may be for others too, once there
// is a request (h2.Options.Meter).
func (e *Endpoint) countRequests(c *conn.Conn) func() (read, written *atomic.Uint64) {
	f := e.peer.registry.opts.Meter
	if f == nil {
		return nil
	}
	return func() (read, written *atomic.Uint64) { return c.SetPartMeter(f(e)) }
}

func (e *Endpoint) secure(ctx context.Context, c *conn.Conn, protocols []string) (*conn.Conn, error) {
	p := e.peer
	if p.registry.opts.TLS == nil {
		return nil, fmt.Errorf("%s demands mutual TLS, and the proxy has no certificate", p.key.id)
	}
	cfg, err := p.registry.opts.TLS.Client(p.key.id, protocols...)
	if err != nil {
		return nil, err
	}
	s, err := conn.Client(ctx, c, cfg)
	if err != nil {
		var cert *tls.CertificateVerificationError
		if errors.As(err, &cert) || errors.Is(err, identity.ErrRefused) || errors.Is(err, identity.ErrUntrusted) || errors.Is(err, identity.ErrNoIdentity) || errors.Is(err, identity.ErrNoCertificate) {
			return nil, fmt.Errorf("%w: %w", ErrIdentity, err)
		}
		return nil, fmt.Errorf("TLS handshake: %w", err)
	}
	if got := s.TLS().NegotiatedProtocol; !slices.Contains(protocols, got) {
		s.Close()
		return nil, fmt.Errorf("TLS handshake: the peer does not speak %s (got %q)", strings.Join(protocols, " or "), got)
	}
	return s, nil
}

// unreachable penalises the endpoint and tells the operator, now and then.
func (e *Endpoint) unreachable(caller, ctx context.Context, err error) error {
	if caller.Err() != nil {
		return fmt.Errorf("%w: %s: given up: %w", ErrConnect, e.peer.key.addr, caller.Err())
	}
	now := time.Now()
	e.load.Fail(e.cluster.registry.at(now))
	e.report(balance.ConnectFailed, now)
	p := e.peer
	if ctx.Err() != nil && !errors.Is(err, ErrIdentity) {
		err = fmt.Errorf("no connection within %s: %w", e.cluster.Options().ConnectTimeout, err)
	}
	p.mu.Lock()
	loud := time.Since(p.complained) > complainEvery
	if loud {
		p.complained = time.Now()
	}
	p.mu.Unlock()
	if loud {
		p.registry.opts.Log.Warn("endpoint cannot be connected to", "cluster", e.cluster.name, "endpoint", p.key.addr,
			"workload", e.spec.Workload, "identity", p.key.id.String(), "error", err)
	}
	return fmt.Errorf("%w: %s: %w", ErrConnect, p.key.addr, err)
}

// OwnPorts makes an Options.Refuse for the proxy's own listeners: the given
// ports at the workload's addresses and at loopback.
func OwnPorts(own []netip.Addr, ports ...uint16) func(netip.AddrPort) bool {
	return func(a netip.AddrPort) bool {
		ip := a.Addr().Unmap()
		local := ip.IsLoopback() || ip.IsUnspecified()
		for _, o := range own {
			local = local || o == ip
		}
		if !local {
			return false
		}
		for _, p := range ports {
			if p == a.Port() {
				return true
			}
		}
		return false
	}
}
