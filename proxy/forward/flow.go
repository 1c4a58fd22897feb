package forward

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/weftmesh/weft/proxy/conn"
	"github.com/weftmesh/weft/proxy/http"
	"github.com/weftmesh/weft/proxy/http/h2"
	"github.com/weftmesh/weft/proxy/tcp"
	"github.com/weftmesh/weft/proxy/telemetry"
	"github.com/weftmesh/weft/proxy/upstream"
)

// connect makes the flow's connection: a stream where the endpoint's proxy takes
// it, which is answered when the application has accepted.
func (f *Flow) connect(ctx context.Context) (err error) {
	var client *h2.Client
	for {
		if client, f.up, err = f.e.Bytes(ctx); err != nil || f.up != nil {
			return err
		}
		start := time.Now()
		st, err := client.Open(&http.Request{Method: []byte("CONNECT"), Authority: []byte("bytes"), Major: http.Bytes}, false)
		switch {
		case errors.Is(err, h2.ErrBusy):
			continue
		case errors.Is(err, h2.ErrNoBytes):
			f.up, err = f.e.DialTCP(ctx)
			return err
		case err != nil:
			return f.e.Unconnected(err)
		}
		return f.await(ctx, st, start)
	}
}

// await waits for the answer to a stream that was begun at start. The time that
// the application has to accept is for its own proxy to keep; the cluster's is for
// what would be a handshake.
func (f *Flow) await(ctx context.Context, st *h2.Stream, start time.Time) error {
	limit, cancel := context.WithTimeout(ctx, f.e.Cluster().Options().ConnectTimeout+upstream.ApplicationConnectTimeout)
	defer cancel()
	ref := st.Ref()
	stop := context.AfterFunc(limit, func() { ref.Reset(h2.CodeCancel) })
	var r http.Response
	err := st.ReadHead(&r)
	switch {
	case err != nil:
		stop()
	case !stop():
		err = context.Cause(limit) // it is being reset
	case r.Status != 200:
		err = fmt.Errorf("status %d", r.Status)
	}
	if err != nil {
		st.Release()
		if ctx.Err() != nil {
			return fmt.Errorf("%w: %s: given up: %w", upstream.ErrConnect, f.e.Address(), ctx.Err())
		}
		return f.e.Unconnected(err)
	}
	f.st = st
	f.token.read(r.Fields)
	f.e.Connected(start)
	return nil
}

// local is this side's address of what carries the flow.
func (f *Flow) local() netip.AddrPort {
	if f.st != nil {
		return f.st.Local()
	}
	return f.up.Local()
}

// awaitWord waits for the server's first byte, unless it is interrupted.
func (f *Flow) awaitWord() (err error) {
	if f.st == nil {
		return f.up.Fill()
	}
	_, err = f.st.Next()
	return err
}

// hasWord says whether the server has spoken.
func (f *Flow) hasWord() bool {
	if f.st == nil {
		return len(f.up.Buffered()) > 0
	}
	n, _ := f.st.Buffered()
	return n > 0
}

// interrupt ends awaitWord, and resume has the flow go on.
func (f *Flow) interrupt() {
	if f.st == nil {
		_ = f.up.SetReadDeadline(time.Unix(1, 0)) // in the past
	} else {
		f.st.Interrupt()
	}
}

func (f *Flow) resume() {
	if f.st == nil {
		_ = f.up.SetReadDeadline(time.Time{})
	}
}

// leaveWithin bounds leave.
const leaveWithin = 5 * time.Second

// leave closes a stream that is not needed, as a connection would be: the
// application is told of an end and not of a reset.
func (f *Flow) leave() {
	defer f.st.Release()
	err := f.st.End()
	ref := f.st.Ref()
	defer time.AfterFunc(leaveWithin, func() { ref.Reset(h2.CodeCancel) }).Stop()
	for err == nil || errors.Is(err, h2.ErrInterrupted) {
		var p []byte
		p, err = f.st.Next()
		f.st.Consume(len(p))
	}
}

// carry is tcp.Pipe over a stream.
func (f *Flow) carry(ctx context.Context, c *conn.Conn, s flowSeries) (out, back int64, err error) {
	r := newRelayed(c, f.st, s, true)
	r.flow = f
	out, back, err = r.run(ctx, f.Idle)
	f.st.Release()
	return out, back, err
}

// serveBytes carries a connection without HTTP that came multiplexed.
func serveBytes(ctx context.Context, s *h2.Stream, d *Downstream) {
	if !d.Activity.Accepting() || !d.Admit() {
		s.Reset(h2.CodeRefusedStream)
		return
	}
	defer d.Activity.Begin()()
	// Who leaves meanwhile takes the connection along.
	connecting, cancel := context.WithCancel(ctx)
	defer cancel()
	s.OnAbort(h2.AbortFunc(func(error) { cancel() }))
	f, err := Connect(connecting, d, d.Application)
	s.OnAbort(nil)
	if err != nil {
		d.Log.Debug("connection refused", "direction", d.Direction.String(), "destination", d.Destination, "error", err)
		d.Turned(telemetry.Mutual, err)
		s.Reset(h2.CodeConnect)
		return
	}
	defer f.e.End()
	series, local := f.open(telemetry.Mutual), f.up.Local()
	r := newRelayed(f.up, s, series, false)
	t := newToken()
	d.Flows.add(t, r, d)
	defer d.Flows.remove(t)
	var back, out int64
	if err = s.WriteHead(&http.Response{Status: 200, Major: 2, Fields: t.field()}, false); err != nil {
		f.up.Abort()
	} else {
		back, out, err = r.run(ctx, 0)
	}
	series.close(errno(err))
	f.log(series.start, local, out, back, err)
	if err != nil {
		d.Log.Debug("connection ended", "direction", d.Direction.String(), "destination", d.Destination, "error", err)
	}
}

// relayed is a connection whose bytes go over a stream, of either side, and may
// go on over a connection of their own.
type relayed struct {
	c      *conn.Conn
	s      *h2.Stream
	ref    h2.Ref
	series flowSeries
	// client says that the stream was opened here; c is the client's then, else the
	// application's.
	client bool
	flow   *Flow         // of a client
	moved  atomic.Uint64 // grows with each piece

	sent, received int64 // each of one goroutine
	left           bool  // what is sent goes elsewhere; of the sending goroutine
	large          atomic.Int64
	asked          atomic.Bool
	movers         sync.WaitGroup
	ctx            context.Context //nolint:containedctx // of the mover
	cancel         context.CancelFunc
	over           chan struct{} // closed at the end
	decided        chan struct{} // closed when own is set, or nothing goes on

	mu      sync.Mutex
	own     atomic.Pointer[conn.Conn] // where it goes on
	settled bool                      // whether it goes on anywhere
	done    bool
	err     error // the first one
}

func newRelayed(c *conn.Conn, s *h2.Stream, series flowSeries, client bool) *relayed {
	return &relayed{c: c, s: s, ref: s.Ref(), series: series, client: client, over: make(chan struct{}), decided: make(chan struct{})}
}

// run carries until both ends have closed, one fails, nothing moved for idle, or
// ctx ends. The connections are closed then.
func (r *relayed) run(ctx context.Context, idle time.Duration) (sent, received int64, err error) {
	r.c.SetDuplex()
	r.ctx, r.cancel = context.WithCancel(ctx)
	stop := context.AfterFunc(ctx, func() { r.fail(context.Cause(ctx)) })
	defer stop()
	defer tcp.WatchIdle(idle, &r.moved, r.fail)()
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := r.receive(); err != nil {
			r.fail(err)
		}
	})
	if err := r.send(); err != nil {
		r.fail(err)
	}
	wg.Wait()
	r.cancel()
	r.movers.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.end()
	r.c.Close()
	r.c.Free()
	if own := r.own.Load(); own != nil {
		own.Close()
		own.Free()
	}
	close(r.over)
	return r.sent, r.received, r.err
}

// end has nothing go on elsewhere any more. mu is held.
func (r *relayed) end() {
	r.done = true
	r.settle()
}

// fail ends both directions at once: whoever waits for either end is told by a
// reset that bytes are missing.
func (r *relayed) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.done {
		return
	}
	r.err = err
	r.end()
	r.ref.Reset(h2.CodeCancel)
	// Each may have to wait for a direction that only the other's end wakes.
	var wg sync.WaitGroup
	if own := r.own.Load(); own != nil {
		wg.Go(own.Abort)
	}
	r.c.Abort()
	wg.Wait()
}

// lost is the error of a stream, as that of a connection would be.
func lost(err error) error { return fmt.Errorf("%w: %w", syscall.ECONNRESET, err) }

// count counts n bytes that were passed on.
func (r *relayed) count(n int, sent bool) {
	r.moved.Add(1)
	if sent {
		r.sent += int64(n)
	} else {
		r.received += int64(n)
	}
	if sent == r.client {
		r.series.pass(n, 0)
	} else {
		r.series.pass(0, n)
	}
}
