package outbound

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weftmesh/weft/proxy/accesslog"
	"github.com/weftmesh/weft/proxy/config"
	"github.com/weftmesh/weft/proxy/conn"
	"github.com/weftmesh/weft/proxy/forward"
	"github.com/weftmesh/weft/proxy/listen"
	"github.com/weftmesh/weft/proxy/route"
	"github.com/weftmesh/weft/proxy/sniff"
	"github.com/weftmesh/weft/proxy/telemetry"
	"github.com/weftmesh/weft/proxy/upstream"
)

// Destination is what the configuration says of one name; every method gives
// what holds now (*config.Destination).
type Destination interface {
	Name() string
	Protocol() config.Protocol
	Routes() *route.Table
	TCP() *route.Split
	ByName() *route.ByName
	// Stale says that it must be asked for again.
	Stale() bool
}

// Source is where destinations come from. Its errors are config.ErrUnknown,
// config.ErrIncomplete and config.ErrNotReady.
type Source interface {
	Destination(ctx context.Context, name string) (Destination, error)
	Unknown() config.Fate
}

// Options of a Proxy.
type Options struct {
	Source    Source
	Registry  *upstream.Registry
	Telemetry *telemetry.Registry
	Watch     *forward.Watch
	Limits    forward.Limits
	// Refuse says which original destinations are the proxy's own.
	Refuse func(netip.AddrPort) bool
	// Logs are the access logs of destinations that are not known.
	Logs *accesslog.Slot
	// Activity counts what is being carried.
	Activity *forward.Activity
	Log      *slog.Logger
}

// Proxy serves the connections of the workload.
type Proxy struct {
	opts Options

	mu    sync.Mutex
	known map[string]*target
}

// target is a destination and what was learned of it.
type target struct {
	Destination
	key    string
	memory forward.Memory
	last   time.Time // guarded by the proxy's lock
}

// maxKnown bounds the remembered destinations; the configuration has them all.
const maxKnown = 4096

// New makes a proxy.
func New(o Options) *Proxy {
	o.Limits = o.Limits.WithDefaults()
	return &Proxy{opts: o, known: map[string]*target{}}
}

// Redirected serves connections that the kernel has redirected: their original
// destination is where they go.
func (p *Proxy) Redirected(ctx context.Context, a listen.Accepted) {
	defer p.recover(a.Conn)
	if !a.Redirected || p.opts.Refuse != nil && p.opts.Refuse(a.Original) {
		p.refuse(a)
		return
	}
	p.serve(ctx, a.Conn, a.Original, listenerName(a.Original))
}

//go:noinline
func (p *Proxy) refuse(a listen.Accepted) {
	p.opts.Log.Debug("connection refused: it was made to the proxy itself", "client", a.Conn.Remote(), "destination", a.Original)
	a.Conn.Abort()
}

// Explicit returns the handler of a listener that stands for one destination,
// <host>:<port>.
func (p *Proxy) Explicit(name string) listen.Handler {
	return func(ctx context.Context, a listen.Accepted) {
		defer p.recover(a.Conn)
		p.serve(ctx, a.Conn, netip.AddrPort{}, name)
	}
}

// listenerName is the name of a destination's listener: <address>_<port>.
//
//go:noinline
func listenerName(a netip.AddrPort) string {
	b := make([]byte, 0, 48)
	b = a.AppendTo(b)
	for i := len(b) - 1; i >= 0; i-- {
		if b[i] == ':' {
			b[i] = '_'
			break
		}
	}
	return string(b)
}

func (p *Proxy) recover(c *conn.Conn) {
	if v := recover(); v != nil {
		p.opts.Activity.Panicked()
		p.opts.Log.Error("outbound connection: internal error", "panic", v, "stack", string(debug.Stack()))
		c.Abort()
	}
}

// serve carries a connection. Its stack lasts as long as the connection does:
// what is done once has functions of its own, which are not part of it.
func (p *Proxy) serve(ctx context.Context, c *conn.Conn, original netip.AddrPort, name string) {
	d, t := p.begin(ctx, c, original, name)
	switch {
	case t == nil:
	case t.Protocol() == config.TCP:
		p.tcp(ctx, c, d, t)
	case t.Protocol() == config.Named:
		p.named(ctx, c, d, t)
	case t.Protocol() == config.Detect:
		p.detect(ctx, c, d, t, true)
	case t.Protocol() == config.HTTP:
		if k, ok := p.spoken(ctx, c, d, t); ok {
			p.http(ctx, c, d, k)
		}
	}
}

// begin finds the destination; it is nil for a connection that is over already.
//
//go:noinline
func (p *Proxy) begin(ctx context.Context, c *conn.Conn, original netip.AddrPort, name string) (*forward.Downstream, *target) {
	if !p.opts.Activity.Accepting() {
		p.opts.Log.Debug("connection refused: the proxy is short of memory", "client", c.Remote(), "destination", name)
		c.Abort()
		return nil, nil
	}
	d := p.downstream(c, original, name)
	t, err := p.lookup(ctx, name)
	if original.IsValid() && errors.Is(err, config.ErrUnknown) {
		// It is nobody's address. Somebody may be known by name at the port.
		n, e := p.lookup(ctx, config.NamesListener(original.Port()))
		if e == nil {
			d.Name, d.Logs = "", p.opts.Logs
			return d, n
		} else if !errors.Is(e, config.ErrUnknown) {
			err = e
		}
	}
	if err != nil {
		p.without(ctx, c, d, err)
		return nil, nil
	}
	d.Name = t.Name()
	d.Routes = p.routes(ctx, name, t)
	return d, t
}

// downstream is what the requests of a connection share.
func (p *Proxy) downstream(c *conn.Conn, original netip.AddrPort, name string) *forward.Downstream {
	return &forward.Downstream{Direction: forward.Outbound, Name: name, Destination: original, Client: c.Remote(), Draining: p.opts.Activity.Draining(),
		Activity: p.opts.Activity, Limits: p.opts.Limits, Watch: p.opts.Watch, Telemetry: p.opts.Telemetry, Log: p.opts.Log}
}

//go:noinline
func (p *Proxy) tcp(ctx context.Context, c *conn.Conn, d *forward.Downstream, t *target) {
	if split := t.TCP(); !split.ByName() {
		p.opaque(ctx, c, d, split.For(route.Connection{To: d.Destination.Addr()}), telemetry.Loopback)
		return
	}
	// What the client asks for decides; one that is silent may wait for its
	// server to speak.
	p.detect(ctx, c, d, t, false)
}

// spoken finds out which version of HTTP the client speaks.
//
//go:noinline
func (p *Proxy) spoken(ctx context.Context, c *conn.Conn, d *forward.Downstream, t *target) (k sniff.Kind, ok bool) {
	got, err := forward.Detect(ctx, c, &t.memory, p.opts.Limits.Head, nil)
	if err != nil {
		p.opts.Log.Debug("connection without a request", "destination", d.Name, "error", err)
		d.Turned(telemetry.Loopback, err)
		return 0, false
	}
	return got.Kind, true
}

// routes gives the latest routes for as long as a connection lives: where the
// destination was given up while the connection rested, it is asked for again.
// One that is not known any more keeps what it had last, whose clusters are
// gone: its requests are refused, not sent round the mesh.
func (p *Proxy) routes(ctx context.Context, name string, t *target) func() *route.Table {
	var now atomic.Pointer[target]
	now.Store(t)
	return func() *route.Table {
		t := now.Load()
		if t.Stale() {
			if n, err := p.lookup(ctx, name); err == nil {
				now.Store(n)
				t = n
			}
		}
		return t.Routes()
	}
}

func (p *Proxy) http(ctx context.Context, c *conn.Conn, d *forward.Downstream, k sniff.Kind) {
	if k == sniff.HTTP2 {
		forward.ServeHTTP2(ctx, c, d)
		return
	}
	forward.ServeHTTP1(ctx, c, d)
}

// lookup finds the destination, and what was learned of it.
func (p *Proxy) lookup(ctx context.Context, name string) (*target, error) {
	now := time.Now()
	p.mu.Lock()
	t := p.known[name]
	if t != nil && !t.Stale() {
		t.last = now
		p.mu.Unlock()
		return t, nil
	}
	p.mu.Unlock()
	d, err := p.opts.Source.Destination(ctx, name)
	if err != nil {
		return nil, err
	}
	n := &target{Destination: d, key: name, last: now}
	if t != nil {
		n.memory.Copy(&t.memory)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.known) >= maxKnown {
		p.forget()
	}
	p.known[name] = n
	return n, nil
}

// forget drops what is stale, or else whatever was used longest ago. It is
// called with the lock.
func (p *Proxy) forget() {
	var oldest *target
	for k, t := range p.known {
		if t.Stale() {
			delete(p.known, k)
		} else if oldest == nil || t.last.Before(oldest.last) {
			oldest = t
		}
	}
	if len(p.known) >= maxKnown && oldest != nil {
		delete(p.known, oldest.key)
	}
}
