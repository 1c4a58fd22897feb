package forward

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/weftmesh/weft/proxy/http"
	"github.com/weftmesh/weft/proxy/http/h2"
	"github.com/weftmesh/weft/proxy/route"
	"github.com/weftmesh/weft/proxy/upstream"
)

const (
	// maxShadow bounds the body of a mirrored request, in bytes: a longer one is
	// not mirrored.
	maxShadow = 1 << 20
	// maxShadows bounds the copies under way, and maxShadowBytes what they hold.
	maxShadows     = 128
	maxShadowBytes = 16 << 20
	// shadowTime bounds a copy's whole life once it is complete.
	shadowTime = 15 * time.Second
)

// shadows is what the copies of mirrored requests have in common.
type shadows struct {
	open  atomic.Int64
	bytes atomic.Int64
	sent  atomic.Uint64
	lost  atomic.Uint64 // not mirrored: too large, too many, or never complete
	bad   atomic.Uint64 // sent in vain
}

// Mirrored is how many requests were mirrored, how many were not although they
// were meant to be, and how many copies found nobody who answered.
func (a *Activity) Mirrored() (sent, skipped, failed uint64) {
	return a.shadows.sent.Load(), a.shadows.lost.Load(), a.shadows.bad.Load()
}

// shadow is a copy of one request on its way to another cluster. It holds all
// of the request before it is sent, so that it never slows the real one.
type shadow struct {
	all     *shadows
	d       *Downstream
	cluster *upstream.Cluster
	req     http.Request
	body    []byte
	gone    bool // given up, or on its way
}

// shadow begins a copy of a head as it is sent; nil where there are too many.
func (x *Exchange) shadow(m *route.Mirror, r *http.Request) *shadow {
	all := &x.Downstream.Activity.shadows
	if m.Cluster == nil || x.Downstream.Activity.Level() != Relaxed || len(r.Protocol) > 0 || string(r.Method) == "CONNECT" || has(r.Fields, "upgrade") {
		all.lost.Add(1)
		return nil
	}
	if all.open.Add(1) > maxShadows {
		all.open.Add(-1)
		all.lost.Add(1)
		return nil
	}
	s := &shadow{all: all, d: x.Downstream, cluster: m.Cluster, req: *r}
	s.req.Method, s.req.Scheme = slices.Clone(r.Method), slices.Clone(r.Scheme)
	s.req.Authority, s.req.Target = slices.Clone(r.Authority), slices.Clone(r.Target)
	s.req.Fields = make([]http.Field, 0, len(r.Fields)+2)
	for _, f := range r.Fields {
		// A copy is sent whole: there is nothing to ask before.
		if !http.EqualFold(f.Name, "expect") {
			s.req.Fields = append(s.req.Fields, http.Field{Name: slices.Clone(f.Name), Value: slices.Clone(f.Value)})
		}
	}
	m.Headers.Request(&s.req, &x.extra.facts)
	switch {
	case m.Host != "":
		s.req.Authority = []byte(m.Host)
	case m.Suffix:
		s.req.Authority = shadowHost(s.req.Authority)
	}
	return s
}

// shadowHost is Envoy's name for a mirrored host: a -shadow before the port.
func shadowHost(a []byte) []byte {
	host, port := a, []byte(nil)
	if i := bytes.LastIndexByte(a, ':'); i > 0 && !strings.Contains(string(a[i:]), "]") {
		host, port = a[:i], a[i:]
	}
	return append(append(slices.Clone(host), "-shadow"...), port...)
}

// add keeps a piece of the body.
func (s *shadow) add(p []byte) {
	if s.gone {
		return
	}
	if s.all.bytes.Add(int64(len(p))) > maxShadowBytes || len(s.body)+len(p) > maxShadow {
		s.all.bytes.Add(-int64(len(p)))
		s.drop()
		return
	}
	s.body = append(s.body, p...)
}

// drop gives the copy up, unless it has been sent.
func (s *shadow) drop() {
	if s.gone {
		return
	}
	s.gone = true
	s.all.lost.Add(1)
	s.release()
}

func (s *shadow) release() {
	s.all.open.Add(-1)
	s.all.bytes.Add(-int64(len(s.body)))
	s.body = nil
}

// send lets the complete copy go; nobody waits for what becomes of it.
func (s *shadow) send(trailers []http.Field) {
	if s.gone {
		return
	}
	s.gone = true
	s.all.sent.Add(1)
	var last []http.Field
	for _, f := range trailers {
		last = append(last, http.Field{Name: slices.Clone(f.Name), Value: slices.Clone(f.Value)})
	}
	go func() {
		defer s.release()
		defer func() {
			if p := recover(); p != nil {
				s.all.bad.Add(1)
				s.d.Activity.Panicked()
				s.d.Log.Error("mirrored request: internal error", "panic", p)
			}
		}()
		ctx, cancel := context.WithTimeout(context.Background(), shadowTime)
		defer cancel()
		if err := s.carry(ctx, last); err != nil {
			s.all.bad.Add(1)
			s.d.Log.Debug("mirrored request failed", "cluster", s.cluster.Name(), "error", err)
		}
	}()
}

// carry sends the copy once and drops the answer.
func (s *shadow) carry(ctx context.Context, trailers []http.Field) error {
	var choice upstream.Choice
	choice.Reset(s.d.Destination)
	e, err := s.cluster.Pick(ctx, &choice)
	if err != nil {
		return err
	}
	if err := e.Enter(); err != nil {
		return err
	}
	defer e.Leave()
	for range maxFull {
		client, up, err := s.connect(ctx, e)
		if err != nil {
			return err
		}
		if client == nil {
			return s.alone(ctx, up, trailers)
		}
		st, err := client.Open(&s.req, len(s.body) == 0 && len(trailers) == 0)
		if err == nil {
			return s.multiplexed(ctx, st, trailers)
		}
		if !errors.Is(err, h2.ErrBusy) {
			return err
		}
	}
	return h2.ErrBusy
}

// connect finds what carries the copy, as for any request.
func (s *shadow) connect(ctx context.Context, e *upstream.Endpoint) (*h2.Client, *upstream.HTTP1, error) {
	if s.req.Major == 1 {
		return e.Hop(ctx, false)
	}
	c, err := e.HTTP2(ctx)
	return c, nil, err
}
