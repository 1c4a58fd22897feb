package forward

import (
	"errors"
	"io"
	"strconv"

	"github.com/weftmesh/weft/proxy/filter"
	"github.com/weftmesh/weft/proxy/http"
	"github.com/weftmesh/weft/proxy/http/h1"
	"github.com/weftmesh/weft/proxy/http/h2"
)

// multiplex sends the request on a stream of the peer's connection. busy means
// that it took no further stream, and that nothing was done.
func (w *work) multiplex(client *h2.Client) (r result, busy bool) {
	b := &w.body
	all := b.whole && len(b.trailers) == 0
	st, n, err := client.OpenWith(&w.req, b.held, all)
	switch {
	case errors.Is(err, h2.ErrBusy):
		return r, true
	case errors.Is(err, h2.ErrHeadTooLarge):
		return w.fail(&Failure{Status: 431, Reason: ReasonBadRequest, Detail: err.Error(), Unprocessed: true}), false
	case err != nil && st == nil:
		return w.unsent(err), false
	}
	defer st.Release()
	w.up, w.stream = nil, st.Ref()
	w.x.Via(st)
	w.x.Sent(w)
	var u *upload
	switch {
	case err != nil || all && n == len(b.held):
	case b.whole && n == len(b.held):
		err = st.WriteTrailers(b.trailers)
	default:
		u = w.upload(streamSink{st}, b.held[n:])
	}
	w.sends = u
	w.s.guard.wait(w, w.x.sent)
	var p []byte
	var last bool
	if err == nil {
		p, last, err = w.receive(st)
	}
	if err != nil {
		return w.lost(st, u, err), false
	}
	return w.pass(st, u, p, last), false
}

// receive waits for the final response's head and passes interim ones on.
func (w *work) receive(st *h2.Stream) (p []byte, last bool, err error) {
	for interim := 0; ; interim++ {
		var r http.Response
		if p, last, err = st.Receive(&r); err != nil {
			return nil, false, err
		}
		// The stream's memory is not ours to append to.
		r.Fields = append(w.resp.Fields[:0], r.Fields...)
		if w.resp = r; r.Status >= 200 {
			return p, last, nil
		}
		if interim == maxInterim {
			return nil, false, errInterim
		}
		if err = w.interim(); err != nil {
			return nil, false, err
		}
	}
}

// lost ends a try that got no response.
func (w *work) lost(st *h2.Stream, u *upload, err error) result {
	w.s.guard.rest()
	why := unanswered(err)
	if why == NotProcessed {
		w.x.Endpoint.Fail()
	}
	st.Reset(h2.CodeCancel)
	if u.stop() || w.s.guard.gone() {
		return w.deserted(u)
	}
	// The first stream of a connection cannot have crossed its idle end.
	if w.x.Again(why, !w.body.begun, st.ID() > 1) {
		return result{retry: true}
	}
	return w.fail(w.x.Failed(why, err))
}

// pass passes the response on. p is what is here of its body, and last says
// that it is all.
func (w *work) pass(st *h2.Stream, u *upload, p []byte, last bool) result {
	w.s.guard.begun.Store(true)
	if w.x.Head(&w.resp, !w.body.begun, st.ID() > 1) {
		w.s.guard.rest()
		st.Reset(h2.CodeCancel)
		u.stop()
		return result{retry: true}
	}
	c, status := w.s.c, w.resp.Status
	out := w.framing(p, last)
	out.Close = w.last(u)
	if last {
		w.x.Received()
	}
	buf := h1.AppendResponse(c.AvailableBuffer(), &w.resp, out)
	var body int64
	var err error
	gone := true
	if last && out.Kind == h1.Length && int64(len(p)) == out.Length && len(p) <= cap(buf)-len(buf) {
		_, err = c.Write(append(buf, p...))
		body = int64(len(p))
	} else if _, err = c.Write(buf); err == nil && out.HasBody() {
		body, gone, err = w.copyBody(st, out, p, last)
	}
	w.s.guard.rest()
	if err != nil {
		w.x.Done()
		st.Reset(h2.CodeCancel)
		u.stop()
		return w.broken(status, gone)
	}
	w.finish(u)
	w.x.Done()
	return w.complete(status, body, out.Close)
}

// framing is that of the response as the client gets it.
func (w *work) framing(p []byte, last bool) h1.Framing {
	if s := w.resp.Status; string(w.method) == "HEAD" || s == 204 || s == 304 {
		return h1.Framing{Kind: h1.None}
	}
	if n, ok := bodyLength(w.resp.Fields); ok {
		return h1.Framing{Kind: h1.Length, Length: n}
	}
	switch {
	case last && len(p) == 0:
		return h1.Framing{Kind: h1.Length}
	case w.old:
		return h1.Framing{Kind: h1.UntilClose}
	}
	return h1.Framing{Kind: h1.Chunked}
}

// copyBody passes the rest of the response's body on; gone says that the client
// is the one that failed.
func (w *work) copyBody(st *h2.Stream, out h1.Framing, p []byte, last bool) (n int64, gone bool, err error) {
	var to h1.Writer
	to.Reset(w.s.c, out)
	for {
		if len(p) > 0 {
			if _, err = to.Write(p); err != nil {
				return n, true, err
			}
			n += int64(len(p))
			st.Consume(len(p))
		}
		if last {
			return n, true, to.Close(nil)
		}
		if p, last = st.Peek(); len(p) > 0 || last {
			if last {
				w.x.Received()
			}
			continue
		}
		// Nothing is at hand: what was gathered goes first.
		if err = w.s.c.Flush(); err != nil {
			return n, true, err
		}
		if p, err = st.Next(); err == io.EOF { //nolint:errorlint // a lost connection is not the end
			w.x.Received()
			return n, true, to.Close(filter.Trailers(st.Trailers()))
		}
		if err != nil {
			return n, false, err
		}
	}
}

// bodyLength reads content-length, which the codec has checked.
func bodyLength(fields []http.Field) (n int64, ok bool) {
	v, ok := http.Get(fields, "content-length")
	if !ok {
		return 0, false
	}
	for _, d := range v {
		if d < '0' || d > '9' || n > 1<<59 {
			return 0, false
		}
		n = n*10 + int64(d-'0')
	}
	return n, len(v) > 0
}

// lengthField makes the field of a body that this proxy wrote itself.
func lengthField(n int) http.Field {
	return http.Field{Name: []byte("content-length"), Value: strconv.AppendInt(nil, int64(n), 10)}
}
