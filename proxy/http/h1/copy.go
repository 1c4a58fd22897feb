package h1

import (
	"errors"
	"io"
	"strconv"

	"github.com/weftmesh/weft/proxy/conn"
	"github.com/weftmesh/weft/proxy/http"
)

// ErrLongBody is a Write of more than the head promised.
var ErrLongBody = errors.New("http/1: body is longer than its Content-Length")

// ErrShortBody is a Close before what the head promised was written.
var ErrShortBody = errors.New("http/1: body is shorter than its Content-Length")

// Writer encodes one body onto a connection. It never flushes.
type Writer struct {
	dst  *conn.Conn
	kind Kind
	left int64
}

// Reset begins a body framed as f says; the head must have been written.
func (w *Writer) Reset(dst *conn.Conn, f Framing) {
	*w = Writer{dst: dst, kind: f.Kind, left: f.Length}
}

// Write sends a piece. More bytes than a Length framing has left is an error;
// in framing None bytes are dropped.
func (w *Writer) Write(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	switch w.kind {
	case None:
		return len(p), nil
	case Length:
		if int64(len(p)) > w.left {
			return 0, ErrLongBody
		}
		w.left -= int64(len(p))
	case Chunked:
		b := strconv.AppendInt(w.dst.AvailableBuffer(), int64(len(p)), 16)
		if _, err := w.dst.Write(append(b, '\r', '\n')); err != nil {
			return 0, err
		}
	}
	n, err := w.dst.Write(p)
	if err == nil && w.kind == Chunked {
		_, err = w.dst.Write(crlf2[:2])
	}
	return n, err
}

// Close ends the body. Trailers are sent only in Chunked framing. Fewer bytes
// than promised is an error: the connection must then be aborted.
func (w *Writer) Close(trailers []http.Field) error {
	switch w.kind {
	case Length:
		if w.left > 0 {
			return ErrShortBody
		}
	case Chunked:
		b := append(w.dst.AvailableBuffer(), "0\r\n"...)
		for i := range trailers {
			if own(trailers[i].Name) == fieldKeep {
				b = appendField(b, &trailers[i])
			}
		}
		_, err := w.dst.Write(append(b, '\r', '\n'))
		return err
	}
	return nil
}

// Side tells at which end of a copy an error happened.
type Side uint8

const (
	// ReadSide is a source that failed, or sent bad framing.
	ReadSide Side = iota
	// WriteSide is a destination that did not take the bytes.
	WriteSide
)

// CopyError is what CopyBody returns.
type CopyError struct {
	Side Side
	Err  error
}

func (e *CopyError) Error() string {
	if e.Side == WriteSide {
		return "writing a body: " + e.Err.Error()
	}
	return "reading a body: " + e.Err.Error()
}

func (e *CopyError) Unwrap() error { return e.Err }

// CopyBody streams one body with its trailers from src, framed as in says, to
// dst, framed as out says, and its trailers as the function makes them, and returns the bytes of content. dst is flushed
// whenever src has nothing at hand, but not at the end: the next Fill on dst,
// or the caller, does that. err is a *CopyError.
func CopyBody(dst, src *conn.Conn, in, out Framing, trailers func([]http.Field) []http.Field) (n int64, err error) {
	if !in.HasBody() && !out.HasBody() {
		return 0, nil
	}
	var r Reader
	var w Writer
	r.Reset(src, in)
	w.Reset(dst, out)
	for {
		if !r.Ready() {
			if err := dst.Flush(); err != nil {
				return n, &CopyError{WriteSide, err}
			}
		}
		p, err := r.Next()
		if errors.Is(err, io.EOF) {
			if err := w.Close(trailers(r.Trailers())); err != nil {
				return n, &CopyError{WriteSide, err}
			}
			return n, nil
		}
		if err != nil {
			return n, &CopyError{ReadSide, err}
		}
		if _, err := w.Write(p); err != nil {
			return n, &CopyError{WriteSide, err}
		}
		n += int64(len(p))
	}
}
