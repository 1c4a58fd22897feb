package h2

import (
	"errors"
	"fmt"
	"io"
)

// Code is an error code of RFC 9113, section 7.
type Code uint32

// The error codes of RFC 9113, section 7.
const (
	CodeNo                 Code = 0x0
	CodeProtocol           Code = 0x1
	CodeInternal           Code = 0x2
	CodeFlowControl        Code = 0x3
	CodeSettingsTimeout    Code = 0x4
	CodeStreamClosed       Code = 0x5
	CodeFrameSize          Code = 0x6
	CodeRefusedStream      Code = 0x7
	CodeCancel             Code = 0x8
	CodeCompression        Code = 0x9
	CodeConnect            Code = 0xa
	CodeEnhanceYourCalm    Code = 0xb
	CodeInadequateSecurity Code = 0xc
	CodeHTTP11Required     Code = 0xd
)

var codeNames = [...]string{"NO_ERROR", "PROTOCOL_ERROR", "INTERNAL_ERROR", "FLOW_CONTROL_ERROR", "SETTINGS_TIMEOUT",
	"STREAM_CLOSED", "FRAME_SIZE_ERROR", "REFUSED_STREAM", "CANCEL", "COMPRESSION_ERROR", "CONNECT_ERROR",
	"ENHANCE_YOUR_CALM", "INADEQUATE_SECURITY", "HTTP_1_1_REQUIRED"}

// String returns the code's name in the RFC.
func (c Code) String() string {
	if int(c) < len(codeNames) {
		return codeNames[c]
	}
	return fmt.Sprintf("code %#x", uint32(c))
}

var (
	// ErrBusy means that the connection takes no further stream: it is full,
	// draining or closed. Nothing was sent.
	ErrBusy = errors.New("http/2 connection takes no new stream")
	// ErrClosed means that the connection was closed on this side.
	ErrClosed = errors.New("http/2 connection closed")
	// ErrExtendedConnect means that the peer does not offer extended CONNECT
	// (RFC 8441). Nothing was sent.
	ErrExtendedConnect = errors.New("peer does not accept extended CONNECT")
	// ErrNoBytes means that the peer takes no connections without HTTP on this one.
	// Nothing was sent.
	ErrNoBytes = errors.New("peer does not carry bytes on this connection")
	// ErrHeadTooLarge means that the peer's limit of a head's size forbids to
	// send this one. Nothing was sent.
	ErrHeadTooLarge = errors.New("head exceeds the peer's header list limit")
	// ErrInterrupted is what Next returns after Interrupt.
	ErrInterrupted = errors.New("interrupted")
	// ErrStreamDone means a write after the end of the stream or in the wrong
	// order (body before head, two heads).
	ErrStreamDone = errors.New("http/2 stream does not take this now")
)

// StreamError ends one stream.
type StreamError struct {
	Code Code
	// Remote says that the peer reset the stream; otherwise this side did.
	Remote bool
	// Unprocessed says that the peer certainly did nothing with the request:
	// REFUSED_STREAM, or an id above the last one of its GOAWAY.
	Unprocessed bool
	Reason      string
}

func (e *StreamError) Error() string {
	who := "reset here"
	if e.Remote {
		who = "reset by peer"
	}
	if e.Reason != "" {
		return fmt.Sprintf("http/2 stream %s: %s: %s", who, e.Code, e.Reason)
	}
	return fmt.Sprintf("http/2 stream %s: %s", who, e.Code)
}

// ConnError ends the connection; every open stream fails with it.
type ConnError struct {
	Code Code
	// Remote says that the peer ended the connection (GOAWAY with an error).
	Remote bool
	Reason string
	// Err is the failure of the transport below, if that was the cause.
	Err error
}

func (e *ConnError) Error() string {
	switch {
	case e.Err != nil:
		return fmt.Sprintf("http/2 connection: %s: %v", e.Reason, e.Err)
	case e.Remote:
		return fmt.Sprintf("http/2 connection ended by peer: %s: %s", e.Code, e.Reason)
	}
	return fmt.Sprintf("http/2 connection: %s: %s", e.Code, e.Reason)
}

func (e *ConnError) Unwrap() error { return e.Err }

// Unprocessed reports whether the request of the stream that failed with err
// was certainly not processed, so that any method may be tried again.
func Unprocessed(err error) bool {
	var se *StreamError
	return errors.Is(err, ErrBusy) || (errors.As(err, &se) && se.Unprocessed)
}

// Malformed reports whether what the peer sent on the stream that failed with err
// breaks a rule. The connection goes on.
func Malformed(err error) bool {
	var se *StreamError
	return errors.As(err, &se) && !se.Remote && !se.Unprocessed && se.Reason != ""
}

// CodeOf returns the code of a stream's or connection's error; INTERNAL_ERROR
// for any other.
func CodeOf(err error) Code {
	var se *StreamError
	if errors.As(err, &se) {
		return se.Code
	}
	var ce *ConnError
	if errors.As(err, &ce) {
		return ce.Code
	}
	return CodeInternal
}

// notEOF keeps a failure of the connection from being taken for an end.
func notEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

func connErr(c Code, reason string) *ConnError { return &ConnError{Code: c, Reason: reason} }
