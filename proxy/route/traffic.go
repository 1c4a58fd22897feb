package route

import (
	"time"

	"github.com/weftmesh/weft/proxy/filter"
	"github.com/weftmesh/weft/proxy/http"
	"github.com/weftmesh/weft/proxy/retry"
	"github.com/weftmesh/weft/proxy/upstream"
)

// Traffic is what a rule asks for besides a backend. A rule that asks for
// nothing has none at all, so that its requests pay for nothing. It is
// immutable.
type Traffic struct {
	// Timeout bounds the response from the end of the request on, with all
	// tries; 0 for no bound.
	Timeout time.Duration
	// Stream bounds the whole request from its beginning on; 0 for no bound.
	Stream time.Duration
	// TryTimeout bounds each try until its response begins; 0 for no bound.
	TryTimeout time.Duration
	// Response bounds each try from the end of the request to the end of the
	// response; 0 for no bound.
	Response time.Duration
	// Classes say which responses are failures; the first that holds counts.
	Classes []Class
	// MaxHeld bounds the body that is held for another try, in bytes; 0 for the
	// proxy's default.
	MaxHeld int
	// Retry replaces the safe default retries; nil leaves them.
	Retry *retry.Policy
	// Budget limits the retries of all rules that share it; nil for none.
	Budget *retry.Budget
	// Delay and Abort are faults to be injected.
	Delay *Delay
	Abort *Abort
	// Redirect and Direct answer the request; at most one is set.
	Redirect *filter.Redirect
	Direct   *Direct
	Rewrite  *filter.Rewrite
	Mirrors  []Mirror
	CORS     *filter.CORS
	Hash     []HashPolicy
}

// Million is what shares are counted in: the finest denominator of
// envoy.type.v3.FractionalPercent.
const Million = 1_000_000

// Share is a part of a Million.
type Share uint32

// Draws says whether a request is among them; random is uniformly distributed.
func (s Share) Draws(random uint64) bool {
	// The high bits times the range: without the bias of a remainder.
	return uint32((random>>32)*Million>>32) < uint32(s)
}

// Delay holds requests up before they are sent.
type Delay struct {
	For   time.Duration
	Share Share
}

// Abort answers requests instead of the backend.
type Abort struct {
	// Status is of HTTP; GRPC is a status of gRPC where Status is 0.
	Status, GRPC int
	Share        Share
}

// Direct is an answer.
type Direct struct {
	Status int
	Body   []byte
}

// Mirror sends a copy of requests to another cluster too.
type Mirror struct {
	Name    string
	Cluster *upstream.Cluster
	Share   Share
	// Suffix appends -shadow to the authority's host.
	Suffix bool
	// Host replaces the authority instead.
	Host    string
	Headers filter.HeaderOps
}

// HashKind is what of a request is hashed.
type HashKind uint8

const (
	// HashHeader is a header field, or a pseudo-header.
	HashHeader HashKind = iota
	// HashCookie is a cookie; one is made where the client has none and TTL is set.
	HashCookie
	// HashSource is the client's IP address.
	HashSource
	// HashQuery is a query parameter.
	HashQuery
)

// HashPolicy is one contribution to the hash that a backend may choose its
// endpoint by.
type HashPolicy struct {
	Kind HashKind
	Name string // header: lower case
	// Terminal ends the list where this policy has found something.
	Terminal bool
	// Generate makes a cookie where there is none. TTL 0 makes one for the session.
	Generate   bool
	TTL        time.Duration
	Path       string
	Attributes string // such as "; HttpOnly", as they follow the value
}

// HeaderCondition is one condition on a message's fields (retry.Condition).
type HeaderCondition struct{ m valueMatcher }

// NewHeaderCondition compiles a condition. Its errors name the field.
func NewHeaderCondition(v ValueMatch) (*HeaderCondition, error) {
	m, err := newHeader(v)
	return &HeaderCondition{m}, err
}

// Holds looks at the fields.
func (c *HeaderCondition) Holds(fields []http.Field) bool {
	return c.m.matchHeader(&http.Request{Fields: fields})
}
