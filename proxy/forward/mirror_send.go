package forward

import (
	"context"
	"errors"
	"io"

	"github.com/weftmesh/weft/proxy/http"
	"github.com/weftmesh/weft/proxy/http/h1"
	"github.com/weftmesh/weft/proxy/http/h2"
	"github.com/weftmesh/weft/proxy/upstream"
)

// alone sends the copy on a connection that carries one request at a time.
func (s *shadow) alone(ctx context.Context, up *upstream.HTTP1, trailers []http.Field) error {
	in := h1.Framing{Kind: h1.None}
	switch {
	case has(s.req.Fields, "content-length") || len(s.body) > 0 && len(trailers) == 0:
		in = h1.Framing{Kind: h1.Length, Length: int64(len(s.body))}
	case len(s.body) > 0 || len(trailers) > 0:
		in.Kind = h1.Chunked
	}
	stop := context.AfterFunc(ctx, func() { up.Abort() })
	defer stop()
	resp, err := s.exchange(up, in, trailers)
	if err != nil || !stop() || resp.Close || resp.Kind == h1.UntilClose || len(up.Buffered()) > 0 {
		up.Abort()
		return err
	}
	up.Put()
	return nil
}

// exchange sends all, and reads the response to its end.
func (s *shadow) exchange(up *upstream.HTTP1, in h1.Framing, trailers []http.Field) (out h1.Framing, err error) {
	if _, err = up.Write(h1.AppendRequest(nil, &s.req, in)); err != nil {
		return out, err
	}
	if in.HasBody() {
		var w h1.Writer
		w.Reset(up.Conn, in)
		if _, err = w.Write(s.body); err == nil {
			err = w.Close(trailers)
		}
		if err != nil {
			return out, err
		}
	}
	if err = up.Flush(); err != nil {
		return out, err
	}
	var resp http.Response
	method := keepMethod(s.req.Method)
	for {
		var n int
		if n, out, err = h1.ParseResponse(up.Buffered(), method, &resp); err != nil {
			return out, err
		}
		up.Discard(n)
		if n > 0 && resp.Status >= 200 {
			break
		}
		if n == 0 {
			if err = up.Fill(); err != nil {
				return out, err
			}
		}
	}
	if !out.HasBody() {
		return out, nil
	}
	var r h1.Reader
	r.Reset(up.Conn, out)
	for {
		if _, err = r.Next(); errors.Is(err, io.EOF) {
			return out, nil
		} else if err != nil {
			return out, err
		}
	}
}

// multiplexed sends the rest of the copy on a stream of a shared connection.
func (s *shadow) multiplexed(ctx context.Context, up *h2.Stream, trailers []http.Field) error {
	defer up.Close()
	stop := context.AfterFunc(ctx, func() { up.Reset(h2.CodeCancel) })
	defer stop()
	if len(s.body) > 0 {
		if _, err := up.Write(s.body); err != nil {
			return err
		}
	}
	if len(s.body) > 0 || len(trailers) > 0 {
		if err := up.WriteTrailers(trailers); err != nil {
			return err
		}
	}
	var resp http.Response
	for {
		if err := up.ReadHead(&resp); err != nil {
			return err
		}
		if resp.Status >= 200 {
			break
		}
	}
	for {
		p, err := up.Next()
		if err == io.EOF { //nolint:errorlint // a lost connection may wrap io.EOF, and is not the end
			return nil
		}
		if err != nil {
			return err
		}
		up.Consume(len(p))
	}
}
