package inbound

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"runtime/debug"
	"sync"
	"time"

	"github.com/weftmesh/weft/identity"
	"github.com/weftmesh/weft/proxy/accesslog"
	"github.com/weftmesh/weft/proxy/alpn"
	"github.com/weftmesh/weft/proxy/conn"
	"github.com/weftmesh/weft/proxy/filter"
	"github.com/weftmesh/weft/proxy/forward"
	"github.com/weftmesh/weft/proxy/listen"
	"github.com/weftmesh/weft/proxy/policy"
	"github.com/weftmesh/weft/proxy/sniff"
	"github.com/weftmesh/weft/proxy/telemetry"
	"github.com/weftmesh/weft/proxy/trace"
	"github.com/weftmesh/weft/proxy/upstream"
)

// handshakeWithin bounds a TLS handshake.
const handshakeWithin = 10 * time.Second

// ApplicationCluster is the name of the cluster that stands for the workload
// itself.
const ApplicationCluster = "inbound"

// Identities proves who the workload is, and judges its peers (*mtls.Source).
type Identities interface {
	Server(protocols ...string) *tls.Config
	Peer(cs tls.ConnectionState, role identity.Usage) (identity.ID, error)
	Follow(cs *tls.ConnectionState, role identity.Usage, end func()) (stop func())
}

// Options of a Proxy.
type Options struct {
	// Policy gives the policy of the moment; nil accepts nothing.
	Policy    func() *policy.Inbound
	TLS       Identities
	Registry  *upstream.Registry
	Telemetry *telemetry.Registry
	Watch     *forward.Watch
	Limits    forward.Limits
	// Logs are the access logs; nil for none.
	Logs *accesslog.Slot
	// Traces makes the spans of requests; nil for none.
	Traces *trace.Slot
	// Refuse says which original destinations are the proxy's own.
	Refuse func(netip.AddrPort) bool
	// ControlNamespace completes the names of peers (filter.ClientID).
	ControlNamespace string
	Activity         *forward.Activity
	Log              *slog.Logger
}

// Proxy serves the connections to the workload.
type Proxy struct {
	opts        Options
	application *upstream.Cluster
	tls         [2]*tls.Config // by whether the port is opaque

	mu       sync.Mutex
	known    map[netip.AddrPort]bool // what connections came for
	memories map[talk]*forward.Memory
	refused  map[uint16]time.Time // when a refusal was last logged

	flows forward.Flows
}

// talk is who speaks to which port. What was learned holds for both together:
// a proxy of the mesh always speaks first, even to a server that greets others.
type talk struct {
	client netip.Addr
	to     netip.AddrPort
}

// New makes a proxy.
func New(o Options) *Proxy {
	o.Limits = o.Limits.WithDefaults()
	p := &Proxy{opts: o, known: map[netip.AddrPort]bool{}, memories: map[talk]*forward.Memory{}, refused: map[uint16]time.Time{}}
	p.application = o.Registry.Apply(upstream.Spec{Name: ApplicationCluster, Kind: upstream.OriginalDestination, ConnectTimeout: upstream.ApplicationConnectTimeout})
	p.tls[0] = o.TLS.Server(alpn.Mux, alpn.HTTP2, alpn.HTTP1, alpn.TCP, alpn.Flow)
	p.tls[1] = o.TLS.Server(alpn.Mux, alpn.TCP, alpn.Flow)
	return p
}

// Redirected serves connections that the kernel has redirected.
func (p *Proxy) Redirected(ctx context.Context, a listen.Accepted) {
	defer p.recover(a.Conn)
	if !a.Redirected || p.opts.Refuse != nil && p.opts.Refuse(a.Original) {
		p.opts.Log.Debug("connection refused: it was made to the proxy itself", "client", a.Conn.Remote(), "destination", a.Original)
		a.Conn.Abort()
		return
	}
	p.serve(ctx, a.Conn, p.opts.Policy().Application(a.Original), a.Original.Port())
}

// Explicit returns the handler of a listener that stands before one address of
// the application. The policy is that of the listener's own port, which is the
// one that the mesh knows.
func (p *Proxy) Explicit(application netip.AddrPort) listen.Handler {
	return func(ctx context.Context, a listen.Accepted) {
		defer p.recover(a.Conn)
		p.serve(ctx, a.Conn, application, a.Conn.Local().Port())
	}
}

func (p *Proxy) recover(c *conn.Conn) {
	if v := recover(); v != nil {
		p.opts.Activity.Panicked()
		p.opts.Log.Error("inbound connection: internal error", "panic", v, "stack", string(debug.Stack()))
		c.Abort()
	}
}

func (p *Proxy) serve(ctx context.Context, c *conn.Conn, to netip.AddrPort, number uint16) {
	if !p.opts.Activity.Accepting() {
		p.opts.Log.Debug("connection refused: the proxy is short of memory", "client", c.Remote(), "destination", to)
		c.Abort()
		return
	}
	in := p.opts.Policy()
	if in == nil {
		p.refuse(c, to, policy.ErrNoPolicy)
		return
	}
	port := in.Port(number)
	d := &forward.Downstream{Direction: forward.Inbound, Application: p.application, Destination: to, Port: number, Client: c.Remote(), Logs: p.opts.Logs, Traces: p.opts.Traces, Draining: p.opts.Activity.Draining(),
		Activity: p.opts.Activity, Limits: p.opts.Limits, Watch: p.opts.Watch, Telemetry: p.opts.Telemetry, Log: p.opts.Log}

	// A client that is silent may wait for the application to speak first; that
	// is for ports only that accept plaintext.
	var connect func(context.Context) (*forward.Flow, error)
	if port.Mode == policy.Permissive && port.Protocol != policy.HTTP {
		connect = func(ctx context.Context) (*forward.Flow, error) { return forward.Connect(ctx, d, p.application) }
	}
	memory := p.memory(talk{c.Remote().Addr(), to})
	got, err := forward.Detect(ctx, c, memory, p.opts.Limits.Head, connect)
	if err != nil {
		p.opts.Log.Debug("connection without a word", "destination", to, "client", c.Remote(), "error", err)
		d.Turned(telemetry.NotFromRemote, err)
		c.Abort()
		return
	}
	own := false
	if got.Kind == sniff.TLS {
		mesh, err := hello(c, p.opts.Limits.Head)
		if err != nil || mesh {
			// The application was asked in vain whether it speaks first.
			if got.Flow != nil {
				got.Flow.Close()
			}
		}
		if err != nil {
			p.opts.Log.Debug("connection ended within its ClientHello", "destination", to, "client", c.Remote(), "error", err)
			d.Turned(telemetry.NotFromRemote, err)
			return
		}
		if mesh {
			memory.SpeaksFirst()
			p.mutual(ctx, c, d, port)
			return
		}
		own = true
	}
	if got.Flow != nil {
		p.carry(ctx, c, got.Flow, telemetry.NotFromRemote)
		return
	}
	action, err := port.Plain(own)
	if err != nil {
		p.refuse(c, to, err)
		return
	}
	p.act(ctx, c, d, action, got.Kind)
}

// mutual takes mesh TLS off and serves what is inside.
func (p *Proxy) mutual(ctx context.Context, c *conn.Conn, d *forward.Downstream, port policy.Port) {
	if port.Mode == policy.Closed {
		p.refuse(c, d.Destination, policy.ErrNoPolicy)
		return
	}
	cfg := p.tls[0]
	if port.Protocol == policy.Opaque {
		cfg = p.tls[1]
	}
	hctx, cancel := context.WithTimeout(ctx, handshakeWithin)
	s, err := conn.Server(hctx, c, cfg)
	cancel()
	if err != nil {
		p.refuse(c, d.Destination, fmt.Errorf("mutual TLS: %w", err))
		return
	}
	defer s.Close()
	cs := s.TLS()
	if d.Peer, err = p.opts.TLS.Peer(*cs, identity.Client); err != nil {
		p.refuse(s, d.Destination, err)
		return
	}
	d.Mutual, d.PeerURI, d.ServerName = true, d.Peer.String(), cs.ServerName
	d.ClientID = filter.ClientID(d.Peer, p.opts.ControlNamespace)
	action, err := port.Mutual(cs.NegotiatedProtocol)
	if err != nil {
		p.refuse(s, d.Destination, err)
		return
	}
	seen := sniff.Opaque
	if action == policy.ServeHTTP {
		got, err := forward.Detect(ctx, s, &forward.Memory{}, p.opts.Limits.Head, nil)
		if err != nil {
			p.opts.Log.Debug("connection without a word", "destination", d.Destination, "client", c.Remote(), "error", err)
			d.Turned(telemetry.Mutual, err)
			s.Abort()
			return
		}
		if seen = got.Kind; seen == sniff.TLS {
			action = policy.Forward
		}
	}
	// Bytes cannot be asked to end: connections of them are left alone.
	ended := make(chan struct{})
	d.Ended = ended
	end := sync.OnceFunc(func() { close(ended) })
	defer p.opts.TLS.Follow(cs, identity.Client, end)()
	d.Flows = &p.flows
	d.Admit = func() bool {
		// What is accepted multiplexed is judged as a connection is, by the policy of
		// the moment; where that has changed the peer is to connect again.
		now, err := p.opts.Policy().Port(d.Port).Mutual(cs.NegotiatedProtocol)
		if err != nil || now != action {
			end()
			return false
		}
		return true
	}
	p.act(ctx, s, d, action, seen)
}

func (p *Proxy) act(ctx context.Context, c *conn.Conn, d *forward.Downstream, a policy.Action, seen sniff.Kind) {
	kind := telemetry.NotFromRemote
	switch {
	case d.Mutual:
		kind = telemetry.Mutual
	case seen == sniff.TLS:
		kind = telemetry.OpaqueTLS
	}
	switch a {
	case policy.ServeHTTP1:
		forward.ServeHTTP1(ctx, c, d)
	case policy.ServeHTTP2:
		forward.ServeHTTP2(ctx, c, d)
	case policy.ServeMux:
		forward.ServeMux(ctx, c, d, forward.Anything)
	case policy.ServeRequests:
		forward.ServeMux(ctx, c, d, forward.Requests)
	case policy.ServeBytes:
		forward.ServeMux(ctx, c, d, forward.Bytes)
	case policy.Continue:
		p.flows.Continue(ctx, c, d)
	case policy.ServeHTTP:
		if seen == sniff.HTTP2 {
			forward.ServeHTTP2(ctx, c, d)
			return
		}
		forward.ServeHTTP1(ctx, c, d)
	case policy.Sniff:
		switch seen {
		case sniff.HTTP1:
			forward.ServeHTTP1(ctx, c, d)
		case sniff.HTTP2:
			forward.ServeHTTP2(ctx, c, d)
		default:
			p.opaque(ctx, c, d, kind)
		}
	case policy.Forward:
		p.opaque(ctx, c, d, kind)
	case policy.Refuse:
		c.Abort()
	}
}

func (p *Proxy) opaque(ctx context.Context, c *conn.Conn, d *forward.Downstream, kind telemetry.TLS) {
	defer p.opts.Activity.Begin()()
	forward.ServeOpaque(ctx, c, d, p.application, kind)
}

func (p *Proxy) carry(ctx context.Context, c *conn.Conn, f *forward.Flow, kind telemetry.TLS) {
	defer p.opts.Activity.Begin()()
	f.Carry(ctx, c, kind)
}

// hello reads a whole ClientHello and says whether a proxy of the mesh sent it.
func hello(c *conn.Conn, limit time.Duration) (mesh bool, err error) {
	c.SetReadDeadline(time.Now().Add(min(limit, handshakeWithin)))
	defer c.SetReadDeadline(time.Time{})
	for {
		h, more, err := sniff.ClientHello(c.Buffered())
		if !more {
			// What cannot be parsed is not ours: the application may know better.
			return err == nil && h.Mesh(), nil
		}
		if err := c.Fill(); err != nil {
			if errors.Is(err, conn.ErrBufferFull) {
				return false, nil
			}
			return false, err
		}
	}
}

// maxMemories bounds what is remembered, and maxKnown the remembered ports.
const (
	maxMemories = 4096
	maxKnown    = 1024
)

func (p *Proxy) memory(t talk) *forward.Memory {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.known[t.to] && len(p.known) < maxKnown {
		p.known[t.to] = true
	}
	m := p.memories[t]
	if m == nil {
		if len(p.memories) >= maxMemories {
			clear(p.memories)
		}
		m = &forward.Memory{}
		p.memories[t] = m
	}
	return m
}

// Applications returns the addresses of the application that connections have
// come for.
func (p *Proxy) Applications() []netip.AddrPort {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := make([]netip.AddrPort, 0, len(p.known))
	for a := range p.known {
		out = append(out, a)
	}
	return out
}

// refuse resets a connection and tells the operator why, once a while for each
// port.
func (p *Proxy) refuse(c *conn.Conn, to netip.AddrPort, err error) {
	p.mu.Lock()
	loud := time.Since(p.refused[to.Port()]) > 10*time.Second
	if loud {
		if len(p.refused) >= maxKnown {
			clear(p.refused)
		}
		p.refused[to.Port()] = time.Now()
	}
	p.mu.Unlock()
	level := slog.LevelDebug
	if loud {
		level = slog.LevelWarn
	}
	d := forward.Downstream{Direction: forward.Inbound, Telemetry: p.opts.Telemetry, Destination: to, Client: c.Remote(), Logs: p.opts.Logs}
	d.Turned(telemetry.NotFromRemote, &forward.RefusedError{Flag: "NR", Details: "filter_chain_not_found", Err: err})
	p.opts.Log.Log(context.Background(), level, "inbound connection refused", "client", c.Remote().String(), "destination", to.String(), "reason", err)
	c.Abort()
}
