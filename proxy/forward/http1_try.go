package forward

import (
	"context"
	"errors"
	"time"

	"github.com/weftmesh/weft/proxy/http/h1"
	"github.com/weftmesh/weft/proxy/tcp"
	"github.com/weftmesh/weft/proxy/telemetry"
	"github.com/weftmesh/weft/proxy/upstream"
)

// maxInterim bounds the 1xx responses before a final one.
const maxInterim = 64

// run sends the request until it is answered. again says that the downstream
// connection can carry another.
func (w *work) run(ctx context.Context) (end time.Time, again bool) {
	fresh := false
	for {
		if f := w.x.Next(ctx); f != nil {
			return w.give(f)
		}
		up, err := w.x.Endpoint.HTTP1(ctx, fresh)
		if err != nil {
			if w.x.Again(NotConnected, true, false) {
				continue
			}
			return w.give(w.x.Failed(NotConnected, err))
		}
		w.x.Sent()
		var u *upload
		if _, err = up.Write(w.out); err == nil {
			if !w.held {
				u = w.s.upload(up, w.in)
			}
			w.s.guard.wait(up.Conn, w.x.sent)
			var n int
			var rf h1.Framing
			if n, rf, err = w.readHead(up); err == nil {
				if again, end, ok := w.respond(ctx, up, u, n, rf); ok {
					return end, again
				}
				fresh = false
				continue
			}
		}
		w.s.guard.rest()
		reused := up.Reused
		up.Abort()
		gone := u.stop() || w.s.c.PeerGone()
		if gone {
			return w.broken(0, true)
		}
		if w.x.Again(Reset, w.held, reused) {
			fresh = reused
			continue
		}
		f := w.x.Failed(Reset, err)
		if bad := (*h1.Error)(nil); errors.As(err, &bad) {
			f = &Failure{Status: 502, Reason: ReasonBadResponse, Detail: "the response cannot be understood: " + err.Error()}
		}
		return w.give(f)
	}
}

// give answers by ourselves; nothing of the response was sent.
func (w *work) give(f *Failure) (time.Time, bool) {
	again := w.s.answer(w, f, w.held)
	return time.Now(), again
}

// broken ends an exchange whose response cannot be completed; gone says that
// this is for want of a client.
func (w *work) broken(status int, gone bool) (time.Time, bool) {
	w.x.End(Outcome{Status: status, GRPC: telemetry.NoGRPC, Broken: true, Gone: gone, Sent: w.body})
	w.s.c.Abort()
	return time.Time{}, false
}

// readHead reads the final response's head into w.resp and passes interim ones
// on. n is the head's length; it is not discarded yet.
func (w *work) readHead(up *upstream.HTTP1) (n int, rf h1.Framing, err error) {
	if up.Duplex {
		if w.held {
			if err = up.Flush(); err != nil {
				return 0, rf, err
			}
		}
		err = up.Fill()
	} else {
		err = up.FillReply()
	}
	for interim := 0; ; {
		if err != nil {
			return 0, rf, err
		}
		n, rf, err = h1.ParseResponse(up.Buffered(), w.method, &w.resp)
		switch {
		case err != nil:
			return 0, rf, err
		case n == 0:
			err = up.Fill()
			continue
		case w.resp.Status == 101 && !w.in.Upgrade:
			// What follows is not HTTP to the server, and would be to the client.
			return 0, rf, &h1.Error{Status: 502, Reason: "101 without a request for another protocol"}
		case w.resp.Status >= 200 || w.resp.Status == 101:
			return n, rf, nil
		}
		if interim++; interim > maxInterim {
			return 0, rf, &h1.Error{Status: 502, Reason: "too many interim responses"}
		}
		if !w.old {
			if _, err = w.s.c.Write(h1.AppendResponse(w.s.c.AvailableBuffer(), &w.resp, h1.Framing{Kind: h1.None})); err == nil {
				err = w.s.c.Flush()
			}
			if err != nil {
				return 0, rf, err
			}
		}
		up.Discard(n)
	}
}

// respond passes the response on. done false means that the peer did not
// process the request, and that it is to be tried again.
func (w *work) respond(ctx context.Context, up *upstream.HTTP1, u *upload, n int, rf h1.Framing) (again bool, end time.Time, done bool) {
	if w.x.Head(&w.resp, w.held, up.Reused) {
		w.s.guard.rest()
		up.Discard(n)
		if !rf.Close && rf.Kind == h1.Length && int64(len(up.Buffered())) == rf.Length {
			up.Discard(int(rf.Length))
			up.Put()
		} else {
			up.Close()
		}
		return false, end, false
	}
	s, status := w.s, w.resp.Status
	out := rf
	out.Close = w.in.Close || w.old || s.d.draining() || !u.complete()
	if rf.Kind == h1.UntilClose {
		// Chunks tell a complete body from one that was cut off.
		out.Kind = h1.Chunked
	}
	if w.old && out.Kind == h1.Chunked {
		out.Kind = h1.UntilClose
	}
	_, err := s.c.Write(h1.AppendResponse(s.c.AvailableBuffer(), &w.resp, out))
	up.Discard(n)
	if err == nil && rf.Upgrade {
		return false, w.tunnel(ctx, up, u, status), true
	}
	var body int64
	if err == nil && rf.HasBody() {
		body, err = h1.CopyBody(s.c, up.Conn, rf, out)
	}
	s.guard.rest()
	if err != nil {
		up.Abort()
		u.stop()
		var side *h1.CopyError
		end, again = w.broken(status, !errors.As(err, &side) || side.Side == h1.WriteSide)
		return again, end, true
	}
	whole := u.finish(s.c, up)
	if whole && !rf.Close && rf.Kind != h1.UntilClose && len(up.Buffered()) == 0 {
		up.Put()
	} else {
		up.Close()
	}
	if u != nil {
		w.body = u.n.Load()
	}
	end = w.x.End(Outcome{Status: status, GRPC: telemetry.NoGRPC, Sent: w.body, Received: body})
	if out.Close {
		s.linger()
	}
	return !out.Close, end, true
}

// tunnel carries what follows an upgrade or a CONNECT.
func (w *work) tunnel(ctx context.Context, up *upstream.HTTP1, u *upload, status int) time.Time {
	w.s.guard.rest()
	e := w.x.Endpoint
	e.Begin()
	defer e.End()
	defer w.s.d.Activity.Begin()()
	if !u.finished() {
		up.Abort()
		u.stop()
		end, _ := w.broken(status, false)
		return end
	}
	end := w.x.End(Outcome{Status: status, GRPC: telemetry.NoGRPC, Sent: w.body})
	if _, _, err := tcp.Pipe(ctx, w.s.c, up.Conn, tcp.Options{}); err != nil {
		w.s.d.Log.Debug("upgraded connection ended", "error", err)
	}
	return end
}
