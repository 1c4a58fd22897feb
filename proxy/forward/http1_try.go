package forward

import (
	"context"
	"errors"
	"time"

	"github.com/weftmesh/weft/proxy/filter"
	"github.com/weftmesh/weft/proxy/http/h1"
	"github.com/weftmesh/weft/proxy/http/h2"
	"github.com/weftmesh/weft/proxy/tcp"
	"github.com/weftmesh/weft/proxy/telemetry"
	"github.com/weftmesh/weft/proxy/upstream"
)

// result is how a try ended.
type result struct {
	end time.Time
	// retry says that Next should follow; otherwise the exchange is over.
	retry bool
	// again says that the downstream connection can carry another request.
	again bool
	// fresh says that the next try needs a connection that is not from the pool.
	fresh bool
}

// run sends the request until it is answered. again says that the downstream
// connection can carry another.
func (w *work) run(ctx context.Context) (end time.Time, again bool) {
	w.ctx = w.ctx.begin(ctx, w)
	defer w.ctx.end()
	fresh := false
	for full := 0; ; {
		if full == 0 {
			if f := w.x.Next(w.ctx); f != nil {
				if w.ctx.left() {
					r := w.deserted(nil)
					return r.end, r.again
				}
				return w.give(f)
			}
		}
		client, up, err := w.connect(w.ctx, fresh)
		var r result
		switch {
		case w.ctx.left():
			if up != nil {
				up.Put()
			}
			r = w.deserted(nil)
		case err != nil:
			r = w.unsent(err)
		case client != nil:
			var busy bool
			if r, busy = w.multiplex(client); busy {
				if full++; full < maxFull {
					continue // it filled up meanwhile
				}
				r = w.unsent(h2.ErrBusy)
			}
		default:
			r = w.direct(ctx, up)
		}
		if !r.retry {
			return r.end, r.again
		}
		fresh, full = r.fresh, 0
	}
}

// connect finds what carries the request: the multiplexed connection of a peer,
// or one of its own.
func (w *work) connect(ctx context.Context, fresh bool) (*h2.Client, *upstream.HTTP1, error) {
	ctx = w.x.Context(ctx)
	if !w.body.whole {
		w.x.attend(w)
		defer w.gathered()
	}
	if w.in.Upgrade {
		// What follows is no longer a request.
		up, err := w.x.Endpoint.HTTP1(ctx, fresh)
		return nil, up, err
	}
	return w.x.Endpoint.Hop(ctx, fresh)
}

// unsent ends a try that found no connection.
func (w *work) unsent(err error) result {
	c := unmade(err)
	if w.x.Again(c, !w.body.begun, false) {
		return result{retry: true}
	}
	return w.fail(w.x.Failed(c, err))
}

// unmade is the cause for want of a connection.
func unmade(err error) Cause {
	if errors.Is(err, upstream.ErrOverflow) {
		return Overflow
	}
	return NotConnected
}

// fail answers by ourselves; nothing of the response was sent.
func (w *work) fail(f *Failure) result {
	end, again := w.give(f)
	return result{end: end, again: again}
}

func (w *work) give(f *Failure) (time.Time, bool) {
	again := w.s.answer(w, f, w.body.whole)
	return time.Now(), again
}

// broken ends an exchange whose response cannot be completed; gone says that
// this is for want of a client.
func (w *work) broken(status int, gone bool) result {
	w.x.End(Outcome{Status: status, GRPC: telemetry.NoGRPC, Broken: true, Gone: gone, Sent: w.sent})
	w.s.c.Abort()
	return result{}
}

// deserted ends an exchange whose client was lost before the response; u is nil
// where no upload had begun.
func (w *work) deserted(u *upload) result {
	if (u.cut() || u == nil && !w.body.whole) && !w.s.c.PeerGone() {
		return w.fail(incomplete())
	}
	return w.broken(0, true)
}

// upload begins to send what is not held; from now on the client's connection
// is read and written by different goroutines. first is sent before.
func (w *work) upload(to sink, first []byte) *upload {
	u := &upload{x: &w.x, to: to, first: first}
	if !w.body.whole {
		w.body.begun = true
		w.s.duplex = true
		w.s.c.SetDuplex()
		u.from = connSource{&w.body.reader, w.s.c}
	}
	return u.start()
}

// direct sends the request on a connection of its own.
func (w *work) direct(ctx context.Context, up *upstream.HTTP1) result {
	w.up = up
	w.x.Via(up.Conn)
	w.x.Sent(w)
	before := up.Mark()
	u, err := w.send(up)
	if err == nil {
		w.sends = u
		w.s.guard.wait(w, w.x.sent)
		var n int
		var rf h1.Framing
		if n, rf, err = readFinal(up, w, &w.resp, w.method, w.body.whole, w.in.Upgrade); err == nil {
			return w.respond(ctx, up, u, n, rf)
		}
	}
	w.s.guard.rest()
	reused, why := up.Reused, unanswered(err)
	silent := w.resp.Status == 0 && len(up.Buffered()) == 0
	if why == Reset && w.body.whole && !up.Arrived(before, err) {
		why = Stale
	}
	up.Abort()
	if u.stop() || w.s.guard.gone() {
		return w.deserted(u)
	}
	if w.x.Again(why, !w.body.begun, reused && silent) {
		return result{retry: true, fresh: reused}
	}
	return w.fail(w.x.Failed(why, err))
}

// send writes the head and what is held of the body, and sees to the rest.
func (w *work) send(up *upstream.HTTP1) (*upload, error) {
	in, b := w.in, &w.body
	if len(w.out) == 0 {
		in.Close = false
		w.out = h1.AppendRequest(w.out, &w.req, in)
		if b.whole && in.Kind == h1.Length {
			w.out = append(w.out, b.held...)
		}
	}
	if _, err := up.Write(w.out); err != nil {
		return nil, err
	}
	if b.whole && in.Kind != h1.Chunked {
		return nil, nil
	}
	to := &connSink{up: up}
	to.Reset(up.Conn, in)
	if b.whole {
		_, err := to.Write(b.held)
		if err == nil {
			err = to.Close(b.trailers)
		}
		return nil, err
	}
	up.Duplex = true
	up.SetDuplex()
	return w.upload(to, b.held), nil
}

// interim implements passer.
func (w *work) interim() error {
	if w.old || !w.x.Interim(w.resp.Status) {
		return nil
	}
	if _, err := w.s.c.Write(h1.AppendResponse(w.s.c.AvailableBuffer(), &w.resp, h1.Framing{Kind: h1.None})); err != nil {
		return err
	}
	return w.s.c.Flush()
}

// respond passes the response on.
func (w *work) respond(ctx context.Context, up *upstream.HTTP1, u *upload, n int, rf h1.Framing) result {
	w.s.guard.begun.Store(true)
	if w.x.Head(&w.resp, !w.body.begun, up.Reused) {
		w.s.guard.rest()
		up.Discard(n)
		if !rf.Close && (rf.Kind == h1.None || rf.Kind == h1.Length && int64(len(up.Buffered())) == rf.Length) && u.finished() {
			up.Discard(len(up.Buffered()))
			up.Put()
		} else {
			up.Abort()
			u.stop()
		}
		return result{retry: true}
	}
	s, status := w.s, w.resp.Status
	out := rf
	out.Close = w.last(u)
	if rf.Kind == h1.UntilClose {
		// Chunks tell a complete body from one that was cut off.
		out.Kind = h1.Chunked
	}
	if w.old && out.Kind == h1.Chunked {
		out.Kind = h1.UntilClose
	}
	if !rf.HasBody() && !rf.Upgrade || rf.Kind == h1.Length && int64(len(up.Buffered())-n) >= rf.Length {
		w.x.Received()
	}
	_, err := s.c.Write(h1.AppendResponse(s.c.AvailableBuffer(), &w.resp, out))
	up.Discard(n)
	if err == nil && rf.Upgrade {
		return w.tunnel(ctx, up, u, status)
	}
	var body int64
	if err == nil && rf.HasBody() {
		body, err = h1.CopyBody(s.c, up.Conn, rf, out, filter.Trailers)
	}
	s.guard.rest()
	if err != nil {
		var side *h1.CopyError
		gone := !errors.As(err, &side) || side.Side == h1.WriteSide
		if !gone {
			_ = s.c.Flush() // what came before the end is the client's
		}
		w.x.Done()
		up.Abort()
		u.stop()
		return w.broken(status, gone)
	}
	whole := w.finish(u)
	w.x.Done()
	if whole && !rf.Close && rf.Kind != h1.UntilClose && len(up.Buffered()) == 0 {
		up.Put()
	} else {
		up.Close()
	}
	return w.complete(status, body, out.Close)
}

// last says whether the client's connection ends with this response.
func (w *work) last(u *upload) bool {
	return w.in.Close || w.old || w.s.d.draining() || !u.complete()
}

// finish sees the request's body to its end after the response.
func (w *work) finish(u *upload) bool {
	if u == nil {
		return true
	}
	if !u.finished() {
		_ = w.s.c.Flush() // a client that has gone ends the upload too
	}
	whole := u.finish()
	w.sent += u.sent()
	return whole
}

// complete ends an exchange whose response was passed on to its end.
func (w *work) complete(status int, body int64, closing bool) result {
	end := w.x.End(Outcome{Status: status, GRPC: telemetry.NoGRPC, Sent: w.sent, Received: body})
	if closing {
		w.s.linger()
	}
	return result{end: end, again: !closing}
}

// tunnel carries what follows an upgrade or a CONNECT.
func (w *work) tunnel(ctx context.Context, up *upstream.HTTP1, u *upload, status int) result {
	w.s.guard.rest()
	w.x.Done()
	e := w.x.Endpoint
	e.Begin()
	defer e.End()
	defer w.s.d.Activity.Begin()()
	if !u.finished() {
		up.Abort()
		u.stop()
		return w.broken(status, false)
	}
	end := w.x.End(Outcome{Status: status, GRPC: telemetry.NoGRPC, Sent: w.sent})
	if _, _, err := tcp.Pipe(ctx, w.s.c, up.Conn, tcp.Options{}); err != nil {
		w.s.d.Log.Debug("upgraded connection ended", "error", err)
	}
	return result{end: end}
}
