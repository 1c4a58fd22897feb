package outbound

import (
	"context"
	"errors"
	"time"

	"github.com/weftmesh/weft/proxy/conn"
	"github.com/weftmesh/weft/proxy/forward"
	"github.com/weftmesh/weft/proxy/route"
	"github.com/weftmesh/weft/proxy/sniff"
	"github.com/weftmesh/weft/proxy/telemetry"
)

// errNoBackend means that the share of a split that was chosen cannot be used.
var errNoBackend = errors.New("the backend cannot be used")

// detect serves a connection by its first bytes. Where they are no request, or
// http is false, they are carried as they are.
func (p *Proxy) detect(ctx context.Context, c *conn.Conn, d *forward.Downstream, t *target, http bool) {
	split := t.TCP()
	seen := route.Connection{To: d.Destination.Addr()}
	rest := split.For(seen)
	got, err := forward.Detect(ctx, c, &t.memory, p.opts.Limits.Head, func(ctx context.Context) (*forward.Flow, error) { return p.connect(ctx, d, rest) })
	if err != nil {
		p.opts.Log.Debug("connection without a word", "destination", d.Name, "error", err)
		d.Turned(telemetry.Loopback, err)
		c.Abort()
		return
	}
	kind := telemetry.Loopback
	if got.Kind == sniff.TLS {
		kind = telemetry.OpaqueTLS
		if split.ByName() {
			if seen.Name, err = p.serverName(c); err != nil {
				p.opts.Log.Debug("connection ended within its ClientHello", "destination", d.Name, "error", err)
				d.Turned(kind, err)
				if got.Flow != nil {
					got.Flow.Close()
				}
				c.Abort()
				return
			}
			seen.TLS = true
			d.ServerName = seen.Name
			if own := split.For(seen); own != rest && got.Flow != nil {
				// The server was asked in vain whether it speaks first.
				got.Flow.Close()
				got.Flow = nil
			}
		}
	}
	switch {
	case got.Flow != nil:
		p.carry(ctx, c, got.Flow, kind)
	case http && (got.Kind == sniff.HTTP1 || got.Kind == sniff.HTTP2):
		p.http(ctx, c, d, got.Kind)
	default:
		p.opaque(ctx, c, d, split.For(seen), kind)
	}
}

// helloWithin bounds how long a client may take for its ClientHello.
const helloWithin = 10 * time.Second

// serverName reads on until it is known by what name the client asks for its
// server; empty for none, or where that cannot be made out.
func (p *Proxy) serverName(c *conn.Conn) (string, error) {
	c.SetReadDeadline(time.Now().Add(min(p.opts.Limits.Head, helloWithin)))
	defer c.SetReadDeadline(time.Time{})
	for {
		h, more, err := sniff.ClientHello(c.Buffered())
		if !more || err != nil {
			return h.SNI, nil
		}
		if err := c.Fill(); err != nil {
			if errors.Is(err, conn.ErrBufferFull) {
				return "", nil
			}
			return "", err
		}
	}
}

func (p *Proxy) connect(ctx context.Context, d *forward.Downstream, split *route.Split) (*forward.Flow, error) {
	b := split.Pick(random())
	if b == nil || b.Cluster == nil {
		if split != nil {
			d.BytesLog = split.Log
		}
		return nil, &forward.RefusedError{Flag: "NC", Details: "cluster_not_found", Err: errNoBackend}
	}
	d.BySource, d.BytesLog = split.BySource, split.Log
	f, err := forward.Connect(ctx, d, b.Cluster)
	if err == nil {
		f.Idle = split.Idle
	}
	return f, err
}

func (p *Proxy) opaque(ctx context.Context, c *conn.Conn, d *forward.Downstream, split *route.Split, kind telemetry.TLS) {
	f, err := p.connect(ctx, d, split)
	if err != nil {
		p.opts.Log.Debug("connection refused", "destination", d.Name, "error", err)
		d.Turned(kind, err)
		c.Abort()
		return
	}
	p.carry(ctx, c, f, kind)
}

func (p *Proxy) carry(ctx context.Context, c *conn.Conn, f *forward.Flow, kind telemetry.TLS) {
	defer p.opts.Activity.Begin()()
	f.Carry(ctx, c, kind)
}
