package grpcwire

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/weftmesh/weft/proxy/http"
	"github.com/weftmesh/weft/proxy/http/h2"
)

// Code is a gRPC status code.
type Code uint32

// The status codes of gRPC.
const (
	OK Code = iota
	Canceled
	Unknown
	InvalidArgument
	DeadlineExceeded
	NotFound
	AlreadyExists
	PermissionDenied
	ResourceExhausted
	FailedPrecondition
	Aborted
	OutOfRange
	Unimplemented
	Internal
	Unavailable
	DataLoss
	Unauthenticated
)

var codeNames = [...]string{"OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND",
	"ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE",
	"UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED"}

// String returns the code's name in gRPC.
func (c Code) String() string {
	if int(c) < len(codeNames) {
		return codeNames[c]
	}
	return "code " + strconv.Itoa(int(c))
}

// Status is how a call failed.
type Status struct {
	Code    Code
	Message string
	// Err is the failure of the connection or context, if that was the cause.
	Err error
}

func (s *Status) Error() string {
	if s.Message == "" {
		return "rpc: " + s.Code.String()
	}
	return fmt.Sprintf("rpc: %s: %s", s.Code, s.Message)
}

func (s *Status) Unwrap() error { return s.Err }

// CodeOf returns the code of a call's error: OK for nil, Unknown for an error
// that is no Status.
func CodeOf(err error) Code {
	if err == nil {
		return OK
	}
	var s *Status
	if errors.As(err, &s) {
		return s.Code
	}
	return Unknown
}

// fromTransport makes a status of an HTTP/2 failure.
func fromTransport(ctx context.Context, err error) error {
	var s *Status
	switch {
	case errors.As(err, &s):
		return s
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return &Status{DeadlineExceeded, "the deadline has passed", ctx.Err()}
	case ctx.Err() != nil:
		return &Status{Canceled, "the call was canceled", ctx.Err()}
	}
	code := Unavailable
	var se *h2.StreamError
	if errors.As(err, &se) && !se.Unprocessed {
		switch se.Code {
		case h2.CodeCancel:
			// The server watches the same deadline, and may be the first to act.
			if d, ok := ctx.Deadline(); ok && !d.After(time.Now()) {
				return &Status{DeadlineExceeded, "the deadline has passed", context.DeadlineExceeded}
			}
			code = Canceled
		case h2.CodeEnhanceYourCalm:
			code = ResourceExhausted
		case h2.CodeInadequateSecurity:
			code = PermissionDenied
		case h2.CodeRefusedStream:
		default:
			code = Internal
		}
	}
	return &Status{code, err.Error(), err}
}

// fromFields reads grpc-status and grpc-message; ok is false without the former.
func fromFields(fields []http.Field) (s *Status, ok bool) {
	v, ok := http.Get(fields, "grpc-status")
	if !ok {
		return nil, false
	}
	n, err := strconv.ParseUint(string(v), 10, 32)
	if err != nil {
		return &Status{Code: Unknown, Message: fmt.Sprintf("malformed grpc-status %q", v)}, true
	}
	msg, _ := http.Get(fields, "grpc-message")
	return &Status{Code: Code(n), Message: percentDecode(msg)}, true
}

// fromHTTP maps a response that is not gRPC
// (https://github.com/grpc/grpc/blob/master/doc/http-grpc-status-mapping.md).
func fromHTTP(status int) Code {
	switch status {
	case 400:
		return Internal
	case 401:
		return Unauthenticated
	case 403:
		return PermissionDenied
	case 404:
		return Unimplemented
	case 429, 502, 503, 504:
		return Unavailable
	}
	return Unknown
}

// percentDecode undoes the encoding of grpc-message; what is malformed stays
// as it is.
func percentDecode(b []byte) string {
	out := make([]byte, 0, len(b))
	for i := 0; i < len(b); i++ {
		if b[i] == '%' && i+2 < len(b) {
			if n, err := strconv.ParseUint(string(b[i+1:i+3]), 16, 8); err == nil {
				out = append(out, byte(n))
				i += 2
				continue
			}
		}
		out = append(out, b[i])
	}
	return string(out)
}
