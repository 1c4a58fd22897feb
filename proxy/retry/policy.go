package retry

import (
	"slices"
	"strings"
	"time"

	"github.com/weftmesh/weft/proxy/http"
)

// On is a set of outcomes that a policy retries (Envoy's retry_on and
// retry_grpc_on).
type On uint32

// The outcomes, by Envoy's names.
const (
	ServerError        On = 1 << iota // 5xx, and no response at all
	GatewayError                      // gateway-error: 502, 503, 504, and no response at all
	Reset                             // reset: no response at all
	ResetBeforeRequest                // reset-before-request: nothing of the request was sent
	ConnectFailure                    // connect-failure
	RateLimited                       // envoy-ratelimited: the header x-envoy-ratelimited
	Retriable4xx                      // retriable-4xx: 409
	RefusedStream                     // refused-stream
	StatusCodes                       // retriable-status-codes: Policy.Statuses
	Headers                           // retriable-headers: Policy.Headers
	HTTP3PostConnect                  // http3-post-connect-failure: never, this proxy speaks no HTTP/3
	Cancelled                         // cancelled: gRPC status 1
	DeadlineExceeded                  // deadline-exceeded: gRPC status 4
	Internal                          // internal: gRPC status 13
	ResourceExhausted                 // resource-exhausted: gRPC status 8
	Unavailable                       // unavailable: gRPC status 14
)

var names = []string{"5xx", "gateway-error", "reset", "reset-before-request", "connect-failure", "envoy-ratelimited",
	"retriable-4xx", "refused-stream", "retriable-status-codes", "retriable-headers", "http3-post-connect-failure",
	"cancelled", "deadline-exceeded", "internal", "resource-exhausted", "unavailable"}

// ParseOn reads a comma list of names; unknown holds those that are none.
func ParseOn(list string) (on On, unknown []string) {
	for n := range strings.SplitSeq(list, ",") {
		if n = strings.TrimSpace(n); n == "" {
			continue
		}
		if i := slices.Index(names, n); i >= 0 {
			on |= 1 << i
		} else {
			unknown = append(unknown, n)
		}
	}
	return on, unknown
}

// String is the comma list that ParseOn reads.
func (o On) String() string {
	var out []string
	for i, n := range names {
		if o&(1<<i) != 0 {
			out = append(out, n)
		}
	}
	return strings.Join(out, ",")
}

// Condition looks at the fields of a response.
type Condition interface {
	Holds(fields []http.Field) bool
}

// Defaults of Policy (envoy.config.route.v3.RetryPolicy).
const (
	DefaultBase = 25 * time.Millisecond
	// maxFactor is how much longer than the base the longest pause is.
	maxFactor = 10
)

// Policy is a route's own rule for retries. It is immutable.
type Policy struct {
	On On
	// Retries is how many tries may follow the first.
	Retries int
	// Base is the longest pause before the first retry; it doubles with each,
	// up to Max. 0 means DefaultBase, and ten times Base.
	Base, Max time.Duration
	// Floor is added to each pause: the least time before a retry.
	Floor time.Duration
	// Statuses and Headers belong to StatusCodes and Headers of On.
	Statuses []uint32
	Headers  []Condition
	// AvoidPrevious keeps endpoints that were tried for the last.
	AvoidPrevious bool
}

// NoGRPC is the gRPC status of a response that tells none in its head.
const NoGRPC = -1

// Response says whether a response is to be replaced by another try. grpc is
// the grpc-status in its head, or NoGRPC.
func (p *Policy) Response(status, grpc int, fields []http.Field) bool {
	o := p.On
	switch {
	case o&ServerError != 0 && status >= 500 && status < 600,
		o&GatewayError != 0 && status >= 502 && status <= 504,
		o&Retriable4xx != 0 && status == 409,
		o&StatusCodes != 0 && slices.Contains(p.Statuses, uint32(status)):
		return true
	}
	switch grpc {
	case 1:
		o &= Cancelled
	case 4:
		o &= DeadlineExceeded
	case 8:
		o &= ResourceExhausted
	case 13:
		o &= Internal
	case 14:
		o &= Unavailable
	default:
		o = 0
	}
	if o != 0 {
		return true
	}
	if p.On&RateLimited != 0 {
		if _, ok := http.Get(fields, "x-envoy-ratelimited"); ok {
			return true
		}
	}
	if p.On&Headers != 0 {
		for _, c := range p.Headers {
			if c.Holds(fields) {
				return true
			}
		}
	}
	return false
}

// Without is a try that ended without a response.
type Without uint8

const (
	// NotConnected means that no connection came about.
	NotConnected Without = iota
	// Refused means that the other side said that it did not process the request.
	Refused
	// Broken means that the connection ended after something was sent.
	Broken
	// Late means that the try's own time was over.
	Late
)

// Failure says whether a try without a response is followed by another.
func (p *Policy) Failure(w Without) bool {
	on := ServerError | GatewayError | Reset
	switch w {
	case NotConnected:
		on |= ConnectFailure | ResetBeforeRequest
	case Refused:
		on |= RefusedStream | ResetBeforeRequest
	case Broken, Late:
	}
	return p.On&on != 0
}

// Pause is how long to wait before a retry, the first being 1: a random time
// (full jitter) below a bound that doubles, on top of Floor. random is uniformly distributed.
func (p *Policy) Pause(retry int, random uint64) time.Duration {
	base, longest := p.Base, p.Max
	if base <= 0 {
		base = DefaultBase
	}
	if longest <= 0 {
		longest = maxFactor * base
	}
	bound := longest
	if s := retry - 1; s < 30 && base<<s > 0 && base<<s>>s == base {
		bound = min(longest, base<<s)
	}
	return p.Floor + time.Duration(random%uint64(max(bound, 1)))
}
