package forward

import (
	"errors"
	"io"
	"time"

	"github.com/weftmesh/weft/proxy/conn"
	"github.com/weftmesh/weft/proxy/filter"
	"github.com/weftmesh/weft/proxy/http"
	"github.com/weftmesh/weft/proxy/http/h1"
)

// body1 is the body of a request that came by HTTP/1. What is at hand is held,
// so that it leaves with the head, and again with another try; the rest is sent
// by an upload.
type body1 struct {
	// held is the first part of the content, in the client connection's buffer
	// or in mem.
	held []byte
	// whole says that held is all, and trailers are what followed.
	whole    bool
	trailers []http.Field
	// begun says that more than held was taken from the client: the request
	// cannot be sent again.
	begun bool
	// reader decodes what is not held.
	reader h1.Reader
	// gathering is closed when what takes the body while a connection is being made
	// has ended; nil where nothing does.
	gathering chan struct{}
	// mem and head are memory for what the connection's buffer does not keep.
	mem, head []byte
}

// hold takes the body, where it is short or here already.
func (w *work) hold(start time.Time) error {
	b, c := &w.body, w.s.c
	if !w.in.HasBody() {
		b.whole = true
		w.x.Complete(nil)
		return nil
	}
	if w.in.Kind == h1.Length {
		n := int(min(w.in.Length, conn.MaxBuffered+1))
		if n > min(conn.MaxBuffered, w.x.MaxHeld()) || w.in.Expect100 && len(c.Buffered()) < n {
			b.reader.Reset(c, w.in)
			return nil
		}
		if err := w.wait(n, start); err != nil {
			return err
		}
		b.held, b.whole = c.Buffered()[:n], true
		c.Discard(n)
		w.x.Tee(b.held)
		w.x.Complete(nil)
		return nil
	}
	// Nothing is waited for: chunks may come at any time, or after an answer.
	b.reader.Reset(c, w.in)
	limit := w.x.MaxHeld()
	for len(b.mem) < limit && b.reader.Ready() {
		p, err := b.reader.Next()
		if errors.Is(err, io.EOF) {
			b.whole, b.trailers = true, filter.Trailers(b.reader.Trailers())
			w.x.Complete(b.trailers)
			break
		}
		if err != nil {
			return err
		}
		w.x.Tee(p)
		b.mem = append(b.mem, p...)
	}
	b.held = b.mem
	return nil
}

// waiting implements waiter: while the connection is being made, the body is
// taken as far as it can be held, since the request's time begins with its end.
func (w *work) waiting() {
	b := &w.body
	if b.whole || b.begun || b.gathering != nil {
		return
	}
	w.pin()
	done := make(chan struct{})
	b.gathering = done
	go func() {
		defer close(done)
		defer w.s.d.guard(w.s.c.Abort)
		w.gather()
	}()
}

// gather takes what it may hold. Whatever is wrong is met again by the upload.
func (w *work) gather() {
	b := &w.body
	for len(b.mem) < w.x.MaxHeld() {
		if !b.reader.Ready() {
			if w.s.c.Fill() != nil {
				return
			}
			continue
		}
		p, err := b.reader.Next()
		if errors.Is(err, io.EOF) {
			b.whole, b.trailers = true, filter.Trailers(b.reader.Trailers())
			w.x.Complete(b.trailers)
			return
		}
		if err != nil {
			return
		}
		w.x.Tee(p)
		b.mem = append(b.mem, p...)
	}
}

// gathered ends what waiting began.
func (w *work) gathered() {
	w.x.attend(nil)
	b := &w.body
	if b.gathering == nil {
		return
	}
	from := connSource{&b.reader, w.s.c}
	from.interrupt()
	<-b.gathering
	from.resume()
	b.gathering, b.held = nil, b.mem
	w.sent = int64(len(b.held))
	if b.whole {
		w.out = w.out[:0] // it goes with the head now
	}
}

// wait reads until n bytes of the body are buffered.
func (w *work) wait(n int, start time.Time) error {
	c := w.s.c
	if len(c.Buffered()) >= n {
		return nil
	}
	w.pin()
	w.s.guard.expect(start.Add(w.s.d.Limits.Head))
	defer w.s.guard.rest() // what follows may take longer
	for len(c.Buffered()) < n {
		if err := w.s.flush(); err != nil {
			return err
		}
		if err := c.Fill(); err != nil {
			return err
		}
	}
	return nil
}

// pin copies the head out of the connection's buffer, which is about to be
// read into.
func (w *work) pin() {
	r := &w.req
	n := len(r.Method) + len(r.Scheme) + len(r.Authority) + len(r.Target) + len(r.Protocol)
	for i := range r.Fields {
		n += len(r.Fields[i].Name) + len(r.Fields[i].Value)
	}
	if cap(w.body.head) < n {
		w.body.head = make([]byte, 0, n)
	}
	m := w.body.head[:0]
	keep := func(p []byte) []byte {
		at := len(m)
		m = append(m, p...)
		return m[at:len(m):len(m)]
	}
	r.Method, r.Scheme, r.Authority, r.Target, r.Protocol = keep(r.Method), keep(r.Scheme), keep(r.Authority), keep(r.Target), keep(r.Protocol)
	for i := range r.Fields {
		f := &r.Fields[i]
		f.Name, f.Value = keep(f.Name), keep(f.Value)
	}
	w.body.head = m
}
