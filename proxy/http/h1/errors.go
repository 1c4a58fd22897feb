package h1

import "fmt"

// Error is a message that cannot be accepted. The connection that it came from
// must be closed: where the next message begins is not known.
type Error struct {
	// Status is what to answer: 400, 414, 431, 501 or 505 for a request, 502
	// for a response.
	Status int
	Reason string
}

func (e *Error) Error() string { return fmt.Sprintf("http/1: %s", e.Reason) }

// The errors of the parsers. They are values, so that refusing costs nothing.
var (
	ErrBareLF       = &Error{400, "line ends in a bare LF"}
	ErrBareCR       = &Error{400, "bare CR"}
	ErrRequestLine  = &Error{400, "malformed request line"}
	ErrMethod       = &Error{400, "malformed method"}
	ErrTarget       = &Error{400, "malformed request target"}
	ErrTargetLong   = &Error{414, "request target is too long"}
	ErrHeadLong     = &Error{431, "head is too large"}
	ErrManyFields   = &Error{431, "too many fields"}
	ErrVersion      = &Error{505, "unsupported version"}
	ErrFold         = &Error{400, "folded field line"}
	ErrFieldName    = &Error{400, "malformed field name"}
	ErrFieldValue   = &Error{400, "control character in a field value"}
	ErrHostMissing  = &Error{400, "missing Host"}
	ErrHostTwice    = &Error{400, "more than one Host"}
	ErrHost         = &Error{400, "malformed Host"}
	ErrLength       = &Error{400, "malformed Content-Length"}
	ErrLengths      = &Error{400, "differing Content-Length"}
	ErrLengthCoding = &Error{400, "both Content-Length and Transfer-Encoding"}
	ErrCoding       = &Error{400, "malformed Transfer-Encoding"}
	ErrCodingOther  = &Error{501, "unsupported transfer coding"}
	ErrCoding10     = &Error{400, "Transfer-Encoding in HTTP/1.0"}
	ErrConnectBody  = &Error{400, "CONNECT with a body"}
	ErrStatusLine   = &Error{502, "malformed status line"}
	ErrChunkSize    = &Error{400, "malformed chunk size"}
	ErrChunkExt     = &Error{400, "malformed or too long chunk extension"}
	ErrChunkEnd     = &Error{400, "chunk does not end where it says"}
	ErrTrailer      = &Error{400, "malformed or forbidden trailer field"}
	ErrTrailersLong = &Error{431, "trailers are too large"}
)

// inResponse is the same fault when a response has it.
func inResponse(e *Error) *Error {
	if e.Status == 502 {
		return e
	}
	return &Error{502, e.Reason}
}
