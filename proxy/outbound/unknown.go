package outbound

import (
	"context"
	"errors"
	"math/rand/v2"

	"github.com/weftmesh/weft/proxy/config"
	"github.com/weftmesh/weft/proxy/conn"
	"github.com/weftmesh/weft/proxy/forward"
	"github.com/weftmesh/weft/proxy/telemetry"
	"github.com/weftmesh/weft/proxy/upstream"
)

func random() uint64 { return rand.Uint64() }

// without decides over a connection whose destination has no configuration:
// it goes to its original address without mutual TLS, or is refused. What
// belongs to the mesh but is not complete yet is always refused, since to go
// round the mesh would give up its protection.
func (p *Proxy) without(ctx context.Context, c *conn.Conn, d *forward.Downstream, err error) {
	d.Logs = p.opts.Logs
	f := forward.Failure{Status: 502, Reason: forward.ReasonNoConfiguration, Unprocessed: true}
	switch {
	case errors.Is(err, config.ErrUnknown) && d.Destination.IsValid() && p.opts.Source.Unknown() == config.AllowAny:
		d.Name = ""
		flow, err := p.original(ctx, d)
		if err != nil {
			p.opts.Log.Debug("connection refused", "destination", d.Destination, "error", err)
			d.Turned(telemetry.Loopback, err)
			c.Abort()
			return
		}
		p.carry(ctx, c, flow, telemetry.Loopback)
		return
	case errors.Is(err, config.ErrUnknown) && d.Destination.IsValid():
		f = unknown(d.Destination.String())
	case errors.Is(err, config.ErrUnknown):
		f.Status = 503
		f.Detail = "there is no configuration for " + d.Name
	default:
		f.Status = 503
		f.Detail = "there is no configuration for " + d.Name + ": " + err.Error()
	}
	p.opts.Log.Info("connection refused", "destination", d.Name, "reason", f.Detail)
	forward.Refuse(ctx, c, d, &f)
}

// original connects to where the client dialled.
func (p *Proxy) original(ctx context.Context, d *forward.Downstream) (*forward.Flow, error) {
	return forward.Connect(ctx, d, p.opts.Registry.Cluster(upstream.PassthroughCluster))
}

// unknown is the answer where traffic may go to known destinations only.
func unknown(destination string) forward.Failure {
	return forward.Failure{Status: 502, Reason: forward.ReasonUnknown, Unprocessed: true,
		Detail: "the destination " + destination + " is not known to the mesh, which lets traffic go to known destinations only (REGISTRY_ONLY)"}
}
