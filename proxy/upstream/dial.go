package upstream

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/weftmesh/weft/identity"
	"github.com/weftmesh/weft/proxy/alpn"
	"github.com/weftmesh/weft/proxy/conn"
)

// complainEvery bounds the warnings about one peer.
const complainEvery = 10 * time.Second

// DialTCP connects for opaque bytes. The caller closes the connection. An error
// is an ErrConnect or ErrRefused, and the endpoint has been penalised for it.
func (e *Endpoint) DialTCP(ctx context.Context) (*conn.Conn, error) {
	start := time.Now()
	c, err := e.dial(ctx, alpn.TCP)
	if err == nil {
		// There is no response whose latency could be observed.
		e.Observe(time.Since(start))
	}
	return c, err
}

// dial connects and, where the endpoint has an identity, has it proven.
func (e *Endpoint) dial(ctx context.Context, protocol string) (*conn.Conn, error) {
	p, r := e.peer, e.peer.registry
	if r.opts.Refuse != nil && r.opts.Refuse(p.key.addr) {
		return nil, fmt.Errorf("%w: %s is the proxy's own address", ErrRefused, p.key.addr)
	}
	caller := ctx
	ctx, cancel := context.WithTimeout(ctx, e.cluster.Spec().ConnectTimeout)
	defer cancel()
	var d net.Dialer
	// Whether the peer lives is told by the traffic; probes cost wake-ups.
	d.KeepAlive = time.Minute
	nc, err := d.DialContext(ctx, "tcp", p.key.addr.String())
	if err != nil {
		return nil, e.unreachable(caller, ctx, err)
	}
	c := conn.New(nc)
	if p.key.id.IsZero() {
		return c, nil
	}
	s, err := e.secure(ctx, c, protocol)
	if err != nil {
		c.Abort()
		return nil, e.unreachable(caller, ctx, err)
	}
	return s, nil
}

func (e *Endpoint) dialled(c *conn.Conn) {
	if f := e.peer.registry.opts.Dialled; f != nil {
		f(e, c)
	}
}

func (e *Endpoint) secure(ctx context.Context, c *conn.Conn, protocol string) (*conn.Conn, error) {
	p := e.peer
	if p.registry.opts.TLS == nil {
		return nil, fmt.Errorf("%s demands mutual TLS, and the proxy has no certificate", p.key.id)
	}
	cfg, err := p.registry.opts.TLS.Client(p.key.id, protocol)
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
	if got := s.TLS().NegotiatedProtocol; got != protocol {
		s.Close()
		return nil, fmt.Errorf("TLS handshake: the peer does not speak %s (got %q)", protocol, got)
	}
	return s, nil
}

// unreachable penalises the endpoint and tells the operator, now and then.
func (e *Endpoint) unreachable(caller, ctx context.Context, err error) error {
	if caller.Err() != nil {
		return fmt.Errorf("%w: %s: given up: %w", ErrConnect, e.peer.key.addr, caller.Err())
	}
	e.Fail()
	p := e.peer
	if ctx.Err() != nil && !errors.Is(err, ErrIdentity) {
		err = fmt.Errorf("no connection within %s: %w", e.cluster.Spec().ConnectTimeout, err)
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
