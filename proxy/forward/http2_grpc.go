package forward

import (
	"bytes"
	"strconv"
	"time"

	"github.com/weftmesh/weft/proxy/filter"
	"github.com/weftmesh/weft/proxy/http"
	"github.com/weftmesh/weft/proxy/telemetry"
)

// Status codes of gRPC that a proxy answers with.
const (
	grpcDeadlineExceeded  = 4
	grpcPermissionDenied  = 7
	grpcResourceExhausted = 8
	grpcUnimplemented     = 12
	grpcInternal          = 13
	grpcUnavailable       = 14
)

// isGRPC says whether the message is gRPC, by its content-type.
func isGRPC(fields []http.Field) bool {
	ct, ok := http.Get(fields, "content-type")
	if !ok || !bytes.HasPrefix(ct, []byte("application/grpc")) {
		return false
	}
	rest := ct[len("application/grpc"):]
	return len(rest) == 0 || rest[0] == '+' || rest[0] == ';'
}

// grpcCode maps the HTTP status of a failure.
func grpcCode(status int) int {
	switch status {
	case 403:
		return grpcPermissionDenied
	case 404, 501:
		return grpcUnimplemented
	case 400:
		return grpcInternal
	case 431:
		return grpcResourceExhausted
	case 504:
		return grpcDeadlineExceeded
	}
	return grpcUnavailable
}

// grpc is the gRPC status that the answer has.
func (f *Failure) grpc() int {
	if f.GRPC != 0 {
		return f.GRPC
	}
	return grpcCode(f.Status)
}

// grpcResponse fills r with the answer to a gRPC request: HTTP status 200, and
// the status of the call in the head, which is all of the response.
func grpcResponse(f *Failure, d *Downstream, r *http.Response) *http.Response {
	r.Reset()
	r.Status = 200
	r.Fields = append(r.Fields, http.Field{Name: []byte("content-type"), Value: []byte("application/grpc")})
	r.Fields = grpcFields(r.Fields, f.grpc(), f.Detail)
	r.Fields = append(r.Fields, f.Fields...)
	if f.Reason != "" && (d.Mutual || d.Direction == Outbound) {
		filter.Failure(r, f.Reason, f.Unprocessed && d.Mutual)
	}
	return r
}

// grpcFields appends the status of a call.
func grpcFields(fields []http.Field, code int, msg string) []http.Field {
	return append(fields,
		http.Field{Name: []byte("grpc-status"), Value: strconv.AppendInt(nil, int64(code), 10)},
		http.Field{Name: []byte("grpc-message"), Value: percentEncode(msg)})
}

// percentEncode writes grpc-message as the gRPC protocol wants it: printable
// ASCII except '%'.
func percentEncode(s string) []byte {
	const hex = "0123456789ABCDEF"
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c < ' ' || c > '~' || c == '%':
			out = append(out, '%', hex[c>>4], hex[c&15])
		case c == ' ' && (i == 0 || i == len(s)-1):
			out = append(out, "%20"...)
		default:
			out = append(out, c)
		}
	}
	return out
}

// grpcStatus reads grpc-status of a complete response: from its trailers, or
// from its head where that is all.
func grpcStatus(trailers, head []http.Field) int {
	v, ok := http.Get(trailers, "grpc-status")
	if !ok {
		if v, ok = http.Get(head, "grpc-status"); !ok {
			return telemetry.NoGRPC
		}
	}
	n, err := strconv.ParseUint(string(v), 10, 16)
	if err != nil {
		return telemetry.NoGRPC
	}
	return int(n)
}

// grpcTimeout reads grpc-timeout; ok is false where there is none, or none that
// can be understood.
func grpcTimeout(fields []http.Field) (d time.Duration, ok bool) {
	v, found := http.Get(fields, "grpc-timeout")
	if !found || len(v) < 2 || len(v) > 9 {
		return 0, false
	}
	var unit time.Duration
	switch v[len(v)-1] {
	case 'n':
		unit = time.Nanosecond
	case 'u':
		unit = time.Microsecond
	case 'm':
		unit = time.Millisecond
	case 'S':
		unit = time.Second
	case 'M':
		unit = time.Minute
	case 'H':
		unit = time.Hour
	default:
		return 0, false
	}
	n, err := strconv.ParseUint(string(v[:len(v)-1]), 10, 32)
	if err != nil {
		return 0, false
	}
	if n > uint64(1<<62/unit) {
		return 1 << 62, true
	}
	return time.Duration(n) * unit, true
}

// deadline is the grpc-timeout of a request, which shrinks from try to try.
type deadline struct {
	set   bool
	at    time.Time
	value [10]byte
}

func (d *deadline) read(fields []http.Field, start time.Time) {
	if t, ok := grpcTimeout(fields); ok {
		d.set, d.at = true, start.Add(t)
	}
}

// shorten makes the field tell what is left.
func (d *deadline) shorten(fields []http.Field) {
	if !d.set {
		return
	}
	for i := range fields {
		if http.EqualFold(fields[i].Name, "grpc-timeout") {
			fields[i].Value = appendTimeout(d.value[:0], time.Until(d.at))
		}
	}
}

// appendTimeout writes t in the finest unit that takes at most eight digits,
// rounded down, and at least a nanosecond.
func appendTimeout(dst []byte, t time.Duration) []byte {
	const most = 99999999
	t = max(t, 1)
	for _, u := range [...]struct {
		d time.Duration
		c byte
	}{{1, 'n'}, {time.Microsecond, 'u'}, {time.Millisecond, 'm'}, {time.Second, 'S'}, {time.Minute, 'M'}} {
		if n := t / u.d; n <= most {
			return append(strconv.AppendInt(dst, int64(n), 10), u.c)
		}
	}
	return append(strconv.AppendInt(dst, int64(min(t/time.Hour, most)), 10), 'H')
}
