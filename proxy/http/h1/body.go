package h1

import (
	"errors"
	"io"

	"github.com/weftmesh/weft/proxy/conn"
	"github.com/weftmesh/weft/proxy/http"
)

// state of a Reader.
const (
	inData     = iota // left bytes of content to come
	inSize            // a chunk's size line
	inDataEnd         // CRLF behind a chunk
	inTrailers        // trailer section
	inClose           // until the peer closes
	atEnd
)

// Reader decodes one body from a connection, without copying. The zero value
// is ready for Reset.
type Reader struct {
	src      *conn.Conn
	state    int
	kind     Kind
	left     int64
	ext      int // bytes of chunk extensions so far
	taken    int // bytes of the last piece, still buffered in src
	trailers []http.Field
	err      error
}

// Reset begins the body that f describes; the head must have been discarded
// from src.
func (r *Reader) Reset(src *conn.Conn, f Framing) {
	*r = Reader{src: src, kind: f.Kind, left: f.Length, trailers: r.trailers[:0]}
	switch {
	case f.Kind == Chunked:
		r.state, r.left = inSize, 0
	case f.Kind == UntilClose:
		r.state = inClose
	case f.Kind == Length && f.Length > 0:
		r.state = inData
	default:
		r.state = atEnd
	}
}

// Next returns the next piece of the body; it stays valid until the next call.
// It blocks only when Ready is false. io.EOF is the regular end; an *Error is
// bad framing; anything else comes from the connection (io.ErrUnexpectedEOF if
// it ended too early).
func (r *Reader) Next() ([]byte, error) {
	r.settle()
	for {
		p, ok, err := r.step()
		if err != nil || ok {
			return p, err
		}
		if err := r.src.Fill(); err != nil {
			if errors.Is(err, io.EOF) {
				if r.state == inClose {
					r.state = atEnd
					return nil, io.EOF
				}
				err = io.ErrUnexpectedEOF
			}
			r.err = err
			return nil, err
		}
	}
}

// settle consumes the piece that was handed out last.
func (r *Reader) settle() {
	if r.taken > 0 {
		r.src.Discard(r.taken)
		r.taken = 0
	}
}

// step decodes from what is buffered; ok is false when more is needed.
func (r *Reader) step() (p []byte, ok bool, err error) {
	for r.err == nil {
		b := r.src.Buffered()
		switch r.state {
		case atEnd:
			return nil, true, io.EOF
		case inClose:
			if len(b) == 0 {
				return nil, false, nil
			}
			r.taken = len(b)
			return b, true, nil
		case inData:
			if len(b) == 0 {
				return nil, false, nil
			}
			n := int(min(int64(len(b)), r.left))
			r.left -= int64(n)
			if r.left == 0 {
				if r.state = atEnd; r.kind == Chunked {
					r.state = inDataEnd
				}
			}
			r.taken = n
			return b[:n:n], true, nil
		case inDataEnd:
			if len(b) > 0 && b[0] != '\r' || len(b) > 1 && b[1] != '\n' {
				r.err = ErrChunkEnd
				continue
			}
			if len(b) < 2 {
				return nil, false, nil
			}
			r.src.Discard(2)
			r.state = inSize
		case inSize:
			size, n, e := chunkLine(b)
			if e != nil {
				r.err = e
				continue
			}
			if n == 0 {
				return nil, false, nil
			}
			if r.ext += max(0, n-plainChunkLine); r.ext > maxChunkExt {
				r.err = ErrChunkExt
				continue
			}
			r.src.Discard(n)
			r.left = size
			if r.state = inData; size == 0 {
				r.state = inTrailers
			}
		case inTrailers:
			fields, n, e := trailerLines(b, r.trailers[:0])
			r.trailers = fields
			if e != nil {
				r.err = e
				continue
			}
			if n == 0 {
				return nil, false, nil
			}
			r.src.Discard(n)
			r.state = atEnd
		}
	}
	return nil, true, r.err
}

// Ready tells whether Next will return without waiting for the network.
func (r *Reader) Ready() bool {
	r.settle()
	if r.err != nil || r.state == atEnd {
		return true
	}
	b := r.src.Buffered()
	switch r.state {
	case inData, inClose:
		return len(b) > 0
	case inDataEnd:
		if len(b) < 2 {
			return false
		}
		b = b[2:]
	case inTrailers:
		_, n, e := trailerLines(b, r.trailers[:0])
		return n > 0 || e != nil
	}
	size, n, e := chunkLine(b)
	if e != nil {
		return true
	}
	if n == 0 || size > 0 {
		return n > 0 && len(b) > n
	}
	_, m, e := trailerLines(b[n:], r.trailers[:0])
	return m > 0 || e != nil
}

// Done tells whether the body has been read to its end.
func (r *Reader) Done() bool { return r.state == atEnd && r.err == nil }

// Trailers returns the trailer fields after io.EOF; valid until src is read.
func (r *Reader) Trailers() []http.Field {
	if r.state != atEnd {
		return nil
	}
	return r.trailers
}
