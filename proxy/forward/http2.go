package forward

import (
	"context"
	"runtime/debug"
	"time"

	"github.com/weftmesh/weft/proxy/conn"
	"github.com/weftmesh/weft/proxy/http/h2"
)

// streamWindow is how much of a request's body may be under way, in bytes.
const streamWindow = 256 << 10

// ServeHTTP2 serves the requests of one HTTP/2 connection and closes it. Each
// request has a goroutine; each of a body's directions holds no more than its
// stream's window.
func ServeHTTP2(ctx context.Context, c *conn.Conn, d *Downstream) {
	d.accepted(c)
	serveStreams(ctx, c, d, h2.Options{MaxHead: d.Limits.HeadBytes, Window: streamWindow, Memory: d.Activity}, func(s *h2.Stream) { serveStream(ctx, s, d) })
}

// serveStreams runs a handler for each stream of a connection.
func serveStreams(ctx context.Context, c *conn.Conn, d *Downstream, o h2.Options, handle func(*h2.Stream)) {
	o.Crashed = d.crashed
	srv := h2.NewServer(c, o)
	over := make(chan struct{})
	keeper := make(chan struct{})
	go func() {
		defer close(keeper)
		defer d.guard(srv.Close)
		keep(srv, d, over)
	}()
	err := srv.Serve(ctx, func(s *h2.Stream) {
		defer func() {
			if p := recover(); p != nil {
				// The stream is reset when this returns; the others go on.
				d.Activity.Panicked()
				d.Log.Error("request: internal error", "panic", p, "stack", string(debug.Stack()))
			}
		}()
		handle(s)
	})
	close(over)
	<-keeper
	if err != nil {
		d.Log.Debug("http/2 connection ended", "direction", d.Direction.String(), "client", c.Remote(), "error", err)
	}
}

// keep drains the connection when it is asked to, or has carried nothing for
// too long.
func keep(srv *h2.Server, d *Downstream, over <-chan struct{}) {
	limit := d.Limits.WithDefaults().Idle
	tick := time.NewTicker(limit / 4)
	defer tick.Stop()
	since, seen := time.Now(), srv.Opened()
	for {
		select {
		case <-over:
			return
		case <-d.Draining:
			srv.Drain()
			<-over
			return
		case <-d.Ended:
			srv.Drain()
			<-over
			return
		case now := <-tick.C:
			if n := srv.Opened(); n != seen || srv.Active() > 0 {
				since, seen = now, n
			} else if now.Sub(since) >= limit {
				srv.Drain()
				<-over
				return
			}
		}
	}
}
