package forward

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/weftmesh/weft/proxy/conn"
	"github.com/weftmesh/weft/proxy/http/h2"
	"github.com/weftmesh/weft/proxy/route"
	"github.com/weftmesh/weft/proxy/tcp"
	"github.com/weftmesh/weft/proxy/telemetry"
	"github.com/weftmesh/weft/proxy/upstream"
)

// Flow is a connection to an endpoint for bytes without meaning. It is to be
// carried or closed.
type Flow struct {
	d *Downstream
	e *upstream.Endpoint
	// up is a connection of its own, or st a stream of the multiplexed connection
	// of the endpoint's proxy, which may go on elsewhere by the token.
	up    *conn.Conn
	st    *h2.Stream
	token token
	// Idle ends the flow when nothing moves for so long; 0 for never.
	Idle time.Duration
	// since is when it was connected.
	since time.Time
}

// Connect chooses an endpoint of the cluster and connects to it; when that
// fails another one is tried, at most MaxTries in all.
func Connect(ctx context.Context, d *Downstream, cluster *upstream.Cluster) (*Flow, error) {
	var choice upstream.Choice
	choice.Reset(d.Destination)
	if d.BySource {
		choice.SetHash(route.HashAddress(d.Client.Addr()))
	}
	for {
		e, err := cluster.Pick(ctx, &choice)
		if err != nil {
			return nil, &NotConnectedError{cluster.Name(), err}
		}
		e.Begin()
		f := &Flow{d: d, e: e}
		if err = f.connect(ctx); err == nil {
			f.since = time.Now()
			return f, nil
		}
		e.End()
		if choice.Tried() >= MaxTries || ctx.Err() != nil || errors.Is(err, upstream.ErrRefused) {
			return nil, &NotConnectedError{cluster.Name(), fmt.Errorf("%s: %w", cluster.Name(), err)}
		}
	}
}

// Close drops a flow that is not needed.
func (f *Flow) Close() {
	if f.st != nil {
		go f.leave()
	} else {
		f.up.Close()
	}
	direction := telemetry.Inbound
	if f.d.Direction == Outbound {
		direction = telemetry.Outbound
	}
	f.d.Telemetry.TCP(dst(direction, f.d.Name, f.e)).Open().Close("", time.Since(f.since))
	f.e.End()
}

// Carry moves bytes between the client and the endpoint until both have
// closed. kind is how the accepted connection is protected.
func (f *Flow) Carry(ctx context.Context, c *conn.Conn, kind telemetry.TLS) {
	defer f.e.End()
	s := f.open(kind)
	var out, back int64
	var err error
	local := f.local()
	if f.st != nil {
		out, back, err = f.carry(ctx, c, s)
	} else {
		out, back, err = tcp.Pipe(ctx, c, f.up, tcp.Options{OnBytes: s.pass, Idle: f.Idle})
	}
	s.close(errno(err))
	f.log(s.start, local, out, back, err)
	if err != nil {
		f.d.Log.Debug("connection ended", "direction", f.d.Direction.String(), "destination", f.d.Destination, "error", err)
	}
}

// ServeOpaque connects to the cluster and carries bytes; where that fails the
// client's connection is reset.
func ServeOpaque(ctx context.Context, c *conn.Conn, d *Downstream, cluster *upstream.Cluster, kind telemetry.TLS) {
	f, err := Connect(ctx, d, cluster)
	if err != nil {
		d.Log.Debug("connection refused", "direction", d.Direction.String(), "destination", d.Destination, "error", err)
		d.Turned(kind, err)
		c.Abort()
		return
	}
	f.Carry(ctx, c, kind)
}
