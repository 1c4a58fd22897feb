package forward

import (
	"github.com/weftmesh/weft/proxy/filter"
	"github.com/weftmesh/weft/proxy/http"
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
}

// Reasons that are part of the contract between proxies.
const (
	ReasonReset           = "reset"
	ReasonConnect         = "connect failed"
	ReasonNoEndpoint      = "no endpoint"
	ReasonNoRoute         = "no route"
	ReasonNoBackend       = "no backend"
	ReasonNoConfiguration = "no configuration"
	ReasonUnknown         = "unknown destination"
	ReasonRefused         = "refused"
	ReasonBadRequest      = "bad request"
	ReasonBadResponse     = "bad response"
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
	body = append([]byte(f.Detail), '\n')
	r.Fields = append(r.Fields, http.Field{Name: []byte("content-type"), Value: []byte("text/plain; charset=utf-8")})
	if d.Mutual || d.Direction == Outbound {
		filter.Failure(r, f.Reason, f.Unprocessed && d.Mutual)
	}
	return body
}

func statusText(code int) string {
	switch code {
	case 400:
		return "Bad Request"
	case 404:
		return "Not Found"
	case 408:
		return "Request Timeout"
	case 414:
		return "URI Too Long"
	case 417:
		return "Expectation Failed"
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
	return "Error"
}
