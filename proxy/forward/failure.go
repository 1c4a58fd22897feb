package forward

import (
	"errors"

	"github.com/weftmesh/weft/proxy/filter"
	"github.com/weftmesh/weft/proxy/http"
	"github.com/weftmesh/weft/proxy/http/h1"
	"github.com/weftmesh/weft/proxy/http/h2"
	"github.com/weftmesh/weft/proxy/upstream"
)

// Failure is a request that this proxy answers itself.
type Failure struct {
	// Status is that of the response.
	Status int
	// Reason is a short constant phrase for weft-proxy-error.
	Reason string
	// Detail explains it to the human who reads the body.
	Detail string
	// Unprocessed means that the application has certainly not seen the request.
	Unprocessed bool
	// Fields are added to the response's head.
	Fields []http.Field
	// Body is sent instead of Detail where it is not nil: the configuration asks
	// for this very answer (a redirect, say), and no Reason is told.
	Body []byte
	// GRPC is the status for a gRPC request; 0 means one that fits Status.
	GRPC int
}

// Reasons that are part of the contract between proxies.
const (
	ReasonReset           = filter.ReasonReset
	ReasonConnect         = "connect failed"
	ReasonNoEndpoint      = "no endpoint"
	ReasonNoRoute         = "no route"
	ReasonNoBackend       = "no backend"
	ReasonNoConfiguration = "no configuration"
	ReasonUnknown         = "unknown destination"
	ReasonRefused         = "refused"
	ReasonBadRequest      = "bad request"
	ReasonBadResponse     = "bad response"
	ReasonOverload        = "overloaded"
	// ReasonOverflow is a limit of the configuration (circuit breaking).
	ReasonOverflow = "overflow"
	// ReasonFault is a fault that the configuration injects.
	ReasonFault = "fault injected"
	// ReasonTimeout is a deadline of the request that has passed.
	ReasonTimeout = "timeout"
)

// Response fills r with the head of the answer and returns its body. Peers that
// are proxies, and the workload of an outbound proxy, are told the reason; only
// the former are told whether the request was processed.
func (f *Failure) Response(d *Downstream, r *http.Response) (body []byte) {
	r.Reset()
	r.Status = f.Status
	r.Minor = 1
	r.Reason = []byte(statusText(f.Status))
	if body = f.Body; body == nil {
		body = append([]byte(f.Detail), '\n')
	}
	if len(body) > 0 && !has(f.Fields, "content-type") {
		r.Fields = append(r.Fields, http.Field{Name: []byte("content-type"), Value: []byte("text/plain; charset=utf-8")})
	}
	r.Fields = append(r.Fields, f.Fields...)
	if f.Reason != "" && (d.Mutual || d.Direction == Outbound) {
		filter.Failure(r, f.Reason, f.Unprocessed && d.Mutual)
	}
	return body
}

func has(fields []http.Field, name string) bool {
	_, ok := http.Get(fields, name)
	return ok
}

func statusText(code int) string {
	switch code {
	case 200:
		return "OK"
	case 204:
		return "No Content"
	case 301:
		return "Moved Permanently"
	case 302:
		return "Found"
	case 303:
		return "See Other"
	case 307:
		return "Temporary Redirect"
	case 308:
		return "Permanent Redirect"
	case 400:
		return "Bad Request"
	case 401:
		return "Unauthorized"
	case 403:
		return "Forbidden"
	case 404:
		return "Not Found"
	case 408:
		return "Request Timeout"
	case 414:
		return "URI Too Long"
	case 417:
		return "Expectation Failed"
	case 429:
		return "Too Many Requests"
	case 431:
		return "Request Header Fields Too Large"
	case 500:
		return "Internal Server Error"
	case 501:
		return "Not Implemented"
	case 502:
		return "Bad Gateway"
	case 503:
		return "Service Unavailable"
	case 504:
		return "Gateway Timeout"
	case 505:
		return "HTTP Version Not Supported"
	}
	if code < 400 {
		return "Answer"
	}
	return "Error"
}

// unanswered is the cause of a try whose response did not come, but err.
func unanswered(err error) Cause {
	var bad *h1.Error
	switch {
	case errors.As(err, &bad) || h2.Malformed(err):
		return Malformed
	case h2.Unprocessed(err):
		return NotProcessed
	}
	return Reset
}

// Failed makes the answer for a request whose last try ended with err.
func (x *Exchange) Failed(c Cause, err error) *Failure {
	late := x.disarm()
	f := &Failure{Status: 503, Reason: ReasonConnect, Detail: err.Error(), Unprocessed: true}
	switch {
	case late || x.TimedOut():
		*f = Failure{Status: 504, Reason: ReasonTimeout, Detail: "the request was not answered in time"}
	case c == Overflow || errors.Is(err, upstream.ErrOverflow):
		f.Reason = ReasonOverflow
	case c == Reset:
		*f = Failure{Status: 503, Reason: ReasonReset, Detail: "the connection was reset before the response: " + err.Error()}
	case c == Malformed:
		*f = Failure{Status: 502, Reason: ReasonBadResponse, GRPC: grpcInternal, Detail: "the response cannot be understood: " + err.Error()}
	case c == Stale:
		f.Reason, f.Detail = ReasonReset, "the connection had ended before the request reached the other side"
	case c == NotProcessed:
		f.Reason, f.Detail = ReasonRefused, "the other side refused the request: "+err.Error()
	case errors.Is(err, upstream.ErrNoEndpoint):
		f.Reason = ReasonNoEndpoint
	}
	return x.failure(f)
}
