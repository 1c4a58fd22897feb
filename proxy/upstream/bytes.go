package upstream

import (
	"context"
	"fmt"
	"time"

	"github.com/weftmesh/weft/proxy/alpn"
	"github.com/weftmesh/weft/proxy/conn"
	"github.com/weftmesh/weft/proxy/http/h2"
)

// claimWithin is how long a connection waits for whoever asked for it.
const claimWithin = 5 * time.Second

// keep has c wait for the first of those who asked for it.
func (d *dialing) keep(c *conn.Conn) {
	d.own.Store(c)
	time.AfterFunc(claimWithin, func() {
		// Who asked may have gone.
		if c := d.own.Swap(nil); c != nil {
			_ = c.Close()
		}
	})
}

// Bytes returns what carries a connection without HTTP to the endpoint: the
// multiplexed connection of its proxy, which the caller opens a stream on and
// neither closes nor keeps, or a connection as from DialTCP. Just one of them is
// set. Where the cluster counts connections, each has its own.
func (e *Endpoint) Bytes(ctx context.Context) (*h2.Client, *conn.Conn, error) {
	if !e.Mutual() || e.counted() {
		c, err := e.DialTCP(ctx)
		return nil, c, err
	}
	start := time.Now()
	for {
		c, d, err := e.shared(ctx, wantBytes)
		switch {
		case c != nil || err != nil:
			return c, nil, err
		case d == nil:
			return e.singleBytes(ctx, start)
		}
		if own := d.own.Swap(nil); own != nil {
			e.Connected(start)
			return nil, own, nil
		}
	}
}

// counted says whether it matters how many connections there are, or what each
// of them carries.
func (e *Endpoint) counted() bool {
	o := e.cluster.Options()
	return o.Limits.MaxConnections.Set || o.Limits.MaxPerEndpoint.Set || o.Limits.MaxPending.Set ||
		o.Connections.MaxRequests > 0 || o.Connections.MaxAge > 0
}

// singleBytes connects to a peer that did not multiplex when it was last asked.
// Each new connection asks again.
func (e *Endpoint) singleBytes(ctx context.Context, start time.Time) (*h2.Client, *conn.Conn, error) {
	c, err := e.dial(ctx, alpn.Mux, alpn.TCP)
	if err != nil {
		return nil, nil, err
	}
	p := e.peer
	p.mu.Lock()
	protocol := negotiated(c)
	p.http2.learn(protocol)
	if protocol == alpn.Mux {
		client := e.share(c, true)
		p.mu.Unlock()
		return client, nil, nil
	}
	p.mu.Unlock()
	e.Connected(start)
	return nil, c, nil
}

// DialFlow connects for the bytes of a connection that began multiplexed. The
// caller closes it.
func (e *Endpoint) DialFlow(ctx context.Context) (*conn.Conn, error) { return e.dial(ctx, alpn.Flow) }

// Unconnected notes that the endpoint's proxy could not connect to its
// application.
func (e *Endpoint) Unconnected(err error) error {
	e.Fail()
	return fmt.Errorf("%w: %s: %w", ErrConnect, e.peer.key.addr, err)
}
