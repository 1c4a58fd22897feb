package grpcwire

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/weftmesh/weft/proxy/http"
	"github.com/weftmesh/weft/proxy/http/h2"
)

// MaxMessage bounds a received message, in bytes.
const MaxMessage = 64 << 20

// ErrEnded is what Send returns when the server has ended the call: Recv tells
// why.
var ErrEnded = errors.New("rpc: the server has ended the call")

// Stream is a call under way. One goroutine may send while another receives.
type Stream struct {
	ctx  context.Context
	h2   *h2.Stream
	stop func() bool

	// of the receiver
	started bool
	end     error // what every further Recv returns
	head    [5]byte
}

// Send sends one message. It waits while the server does not read.
func (s *Stream) Send(msg []byte) error {
	if uint64(len(msg)) > 1<<32-1 {
		return &Status{Code: ResourceExhausted, Message: "message exceeds 4 GiB"}
	}
	frame := make([]byte, 5, 5+len(msg))
	binary.BigEndian.PutUint32(frame[1:], uint32(len(msg)))
	if _, err := s.h2.Write(append(frame, msg...)); err != nil {
		if s.ctx.Err() != nil {
			return fromTransport(s.ctx, err)
		}
		return ErrEnded
	}
	return nil
}

// CloseSend tells the server that no further message comes.
func (s *Stream) CloseSend() {
	// Failure is seen by Recv.
	_ = s.h2.End()
}

// Recv waits for the next message, which is the caller's. io.EOF means that the
// call has ended with status OK; any other error is a *Status.
func (s *Stream) Recv() ([]byte, error) {
	if s.end != nil {
		return nil, s.end
	}
	msg, err := s.recv()
	if err != nil {
		if err != io.EOF { //nolint:errorlint // a lost connection may wrap io.EOF, and is not the end
			err = fromTransport(s.ctx, err)
		}
		s.end = err
		s.Close()
	}
	return msg, err
}

func (s *Stream) recv() ([]byte, error) {
	if !s.started {
		if err := s.readHead(); err != nil {
			return nil, err
		}
		s.started = true
	}
	if _, err := io.ReadFull(s.h2, s.head[:]); err == io.EOF {
		return nil, s.finish(s.h2.Trailers())
	} else if err != nil {
		return nil, s.cut(err)
	}
	n := binary.BigEndian.Uint32(s.head[1:])
	if s.head[0] != 0 {
		return nil, &Status{Code: Internal, Message: "the server compressed a message, which was not offered"}
	}
	if n > MaxMessage {
		return nil, &Status{Code: ResourceExhausted, Message: fmt.Sprintf("message of %d bytes exceeds the limit of %d", n, MaxMessage)}
	}
	// Memory follows what arrives, not what is announced.
	var buf bytes.Buffer
	buf.Grow(int(min(n, 64<<10)))
	if _, err := io.CopyN(&buf, s.h2, int64(n)); err != nil {
		return nil, s.cut(err)
	}
	return buf.Bytes(), nil
}

// readHead reads the response's head, which may be all that comes.
func (s *Stream) readHead() error {
	var r http.Response
	for r.Status < 200 {
		if err := s.h2.ReadHead(&r); err != nil {
			return s.cut(err)
		}
	}
	st, ok := fromFields(r.Fields)
	ct, _ := http.Get(r.Fields, "content-type")
	switch {
	case ok && st.Code != OK:
		return st
	case r.Status != 200:
		return &Status{Code: fromHTTP(r.Status), Message: fmt.Sprintf("HTTP status %d", r.Status)}
	case !bytes.HasPrefix(ct, []byte("application/grpc")):
		return &Status{Code: Unknown, Message: fmt.Sprintf("the response is not gRPC (content-type %q)", ct)}
	case ok:
		return io.EOF
	}
	return nil
}

// finish reads the status that ends the call.
func (s *Stream) finish(trailers []http.Field) error {
	st, ok := fromFields(trailers)
	if !ok {
		return &Status{Code: Internal, Message: "the call ended without a status"}
	}
	if st.Code != OK {
		return st
	}
	return io.EOF
}

// cut explains the end of the stream within a message.
func (s *Stream) cut(err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF { //nolint:errorlint // a lost connection may wrap io.EOF, and has its own code
		if st, ok := fromFields(s.h2.Trailers()); ok && st.Code != OK {
			return st
		}
		return &Status{Code: Internal, Message: "the response ends within a message"}
	}
	return err
}

// Close ends the call; if it is not over, the server sees it canceled.
func (s *Stream) Close() {
	s.stop()
	s.h2.Close()
}
