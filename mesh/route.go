package mesh

// Route is how requests to one service port are sent on. There is at most one
// per service, port and scope: translate merges what the families say.
type Route struct {
	Service Ref    `json:"service"`
	Port    uint16 `json:"port"`
	// Scope is the namespace whose clients it binds (a consumer route); empty
	// means all clients (a producer route).
	Scope string `json:"scope,omitempty"`
	// Rules in order of precedence; the first match wins. A request that
	// matches none is answered 404, as the Gateway API demands.
	Rules []Rule `json:"rules"`
	// TCP are the weighted backends for connections whose requests cannot be
	// told apart; empty means the service itself.
	TCP []Backend `json:"tcp,omitempty"`
}

// Rule sends the requests that one of its matches describes to its backends.
type Rule struct {
	Name string `json:"name,omitempty"`
	// Matches are alternatives; none means every request.
	Matches []Match `json:"matches,omitempty"`
	// Backends share the requests by weight. Where all weights are zero, or
	// there is no backend, requests are answered 500 (Gateway API, HTTPBackendRef).
	Backends        []Backend     `json:"backends,omitempty"`
	RequestHeaders  HeaderChanges `json:"requestHeaders,omitzero"`
	ResponseHeaders HeaderChanges `json:"responseHeaders,omitzero"`
	Origin          Origin        `json:"origin"`
}

// Match describes requests; every part given must hold.
type Match struct {
	Path    PathMatch    `json:"path,omitzero"`
	Method  string       `json:"method,omitempty"`
	Headers []ValueMatch `json:"headers,omitempty"`
	Query   []ValueMatch `json:"query,omitempty"`
}

// PathMatch compares the path without its query. The zero value holds always.
type PathMatch struct {
	Kind  MatchKind `json:"kind,omitempty"`
	Value string    `json:"value,omitempty"`
}

// ValueMatch compares a header field (name in lower case) or a query parameter.
type ValueMatch struct {
	Name  string    `json:"name"`
	Kind  MatchKind `json:"kind"`
	Value string    `json:"value,omitempty"`
}

// MatchKind is a way to compare.
type MatchKind string

const (
	// Exact compares byte for byte.
	Exact MatchKind = "exact"
	// PathPrefix compares whole path segments: /v2 holds /v2/x but not /v2x.
	PathPrefix MatchKind = "prefix"
	// Regex compares the whole value with an RE2 expression.
	Regex MatchKind = "regex"
)

// Backend is a share of the traffic.
type Backend struct {
	Service Ref    `json:"service"`
	Port    uint16 `json:"port"`
	// Weight is relative to the rule's other backends; 0 means no traffic.
	Weight uint32 `json:"weight"`
	// Invalid, when not empty, says why the backend cannot be used; its share
	// of the requests is answered 500.
	Invalid         string        `json:"invalid,omitempty"`
	RequestHeaders  HeaderChanges `json:"requestHeaders,omitzero"`
	ResponseHeaders HeaderChanges `json:"responseHeaders,omitzero"`
}

// HeaderChanges are done in the order set, add, remove. Names are in lower case.
type HeaderChanges struct {
	Set    []Header `json:"set,omitempty"`
	Add    []Header `json:"add,omitempty"`
	Remove []string `json:"remove,omitempty"`
}

// IsZero says whether nothing changes.
func (h HeaderChanges) IsZero() bool { return len(h.Set)+len(h.Add)+len(h.Remove) == 0 }

// Header is one field.
type Header struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

func (r *Route) less(o *Route) bool {
	switch {
	case r.Service != o.Service:
		return r.Service.Less(o.Service)
	case r.Port != o.Port:
		return r.Port < o.Port
	}
	return r.Scope < o.Scope
}
