package forward

import (
	"errors"
	"io"

	"github.com/weftmesh/weft/proxy/filter"
	"github.com/weftmesh/weft/proxy/http"
	"github.com/weftmesh/weft/proxy/http/h1"
	"github.com/weftmesh/weft/proxy/http/h2"
	"github.com/weftmesh/weft/proxy/telemetry"
	"github.com/weftmesh/weft/proxy/upstream"
)

// maxBatch bounds what is gathered of a response's body to leave with its head,
// in bytes.
const maxBatch = 16 << 10

// respond passes the application's response on. again means that Next should
// follow.
func (r *relay) respond(up *upstream.HTTP1, u *upload, n int, rf h1.Framing) (again bool) {
	if r.x.Head(&r.resp, r.whole, up.Reused) {
		up.Abort()
		u.stop()
		r.use(nil)
		return true
	}
	status := r.resp.Status
	up.Discard(n)
	body, side, err := r.copyBody(up, rf)
	if err != nil {
		r.x.Done()
		up.Abort()
		u.stop()
		if !r.headed && side == h1.ReadSide && unanswered(err) == Malformed {
			r.use(nil)
			r.sent += u.sent()
			r.fail(r.x.Failed(Malformed, err))
			return false
		}
		gone := r.left() || side == h1.WriteSide
		r.use(nil)
		r.sent += u.sent()
		r.x.End(Outcome{Status: status, GRPC: telemetry.NoGRPC, Broken: true, Gone: gone, Sent: r.sent, Received: body})
		r.down.Reset(h2.CodeInternal)
		return false
	}
	whole := u.finish()
	r.sent += u.sent()
	// From here on the connection is not ours to abort.
	r.x.Done()
	alive := r.use(nil)
	reuse := alive && whole && !rf.Close && rf.Kind != h1.UntilClose && len(up.Buffered()) == 0
	// Whoever has seen the request counted finds its connection given back.
	if reuse {
		up.Put()
	} else {
		up.Close()
	}
	r.x.End(Outcome{Status: status, GRPC: telemetry.NoGRPC, Sent: r.sent, Received: body})
	return false
}

// copyBody sends the head with what is here of the body, and then the rest.
func (r *relay) copyBody(up *upstream.HTTP1, rf h1.Framing) (n int64, side h1.Side, err error) {
	switch b := up.Buffered(); {
	case !rf.HasBody():
		_, err = r.down.WriteResponse(&r.resp, nil, nil, true)
		return 0, h1.WriteSide, err
	case rf.Kind == h1.Length && int64(len(b)) >= rf.Length:
		b = b[:rf.Length]
		m, err := r.down.WriteResponse(&r.resp, b, nil, true)
		up.Discard(len(b))
		return int64(m), h1.WriteSide, err
	}
	rd := &r.reader
	rd.Reset(up.Conn, rf)
	r.mem = r.mem[:0] // what was held of the request has been sent
	end := false
	first := r.mem
	for !end && len(r.mem) < maxBatch && rd.Ready() {
		p, err := rd.Next()
		if err != nil && !errors.Is(err, io.EOF) {
			return 0, h1.ReadSide, err
		}
		end = err != nil
		if first = p; len(r.mem) == 0 && len(p) >= maxBatch {
			break // a long piece goes from where it lies
		}
		r.mem = append(r.mem, p...)
		first = r.mem
	}
	n = int64(len(first))
	var trailers []http.Field
	if end {
		trailers = filter.Trailers(rd.Trailers())
	}
	r.headed = true
	if _, err = r.down.WriteResponse(&r.resp, first, trailers, end); err != nil {
		return n, h1.WriteSide, err
	}
	for !end {
		p, err := rd.Next()
		if errors.Is(err, io.EOF) {
			return n, h1.WriteSide, r.down.WriteTrailers(filter.Trailers(rd.Trailers()))
		}
		if err != nil {
			return n, h1.ReadSide, err
		}
		m, err := r.down.Write(p)
		n += int64(m)
		if err != nil {
			return n, h1.WriteSide, err
		}
	}
	return n, h1.WriteSide, nil
}
