package mesh

import "net/netip"

// Match describes requests; every part given must hold.
//
// Comparisons of the method other than for equality, and those of scheme,
// authority or once more the path, are Headers named :method, :scheme,
// :authority and :path (which has the query with it).
type Match struct {
	// Name tells the alternatives of a rule apart (HTTPMatchRequest.name).
	Name string    `json:"name,omitempty"`
	Path PathMatch `json:"path,omitzero"`
	// Method is compared for equality.
	Method  string       `json:"method,omitempty"`
	Headers []ValueMatch `json:"headers,omitempty"`
	Query   []ValueMatch `json:"query,omitempty"`
	// Source limits the match to some clients; package scope resolves it, so
	// that no proxy ever sees it.
	Source ClientMatch `json:"source,omitzero"`
	// StatPrefix names the requests in metrics (HTTPMatchRequest.statPrefix).
	StatPrefix string `json:"statPrefix,omitempty"`
}

// IsAll says whether the match holds for every request of every client.
func (m *Match) IsAll() bool { return m.AllRequests() && m.Source.IsZero() }

// AllRequests says whether the match holds for every request of the clients
// that it is for.
func (m *Match) AllRequests() bool {
	return m.Path.IsAll() && m.Method == "" && len(m.Headers)+len(m.Query) == 0
}

// PathMatch compares the path without its query. The zero value holds always.
type PathMatch struct {
	Kind  MatchKind `json:"kind,omitempty"`
	Value string    `json:"value,omitempty"`
	// IgnoreCase is of Exact and the two prefixes only (ignoreUriCase).
	IgnoreCase bool `json:"ignoreCase,omitempty"`
}

// IsAll says whether every path matches.
func (p PathMatch) IsAll() bool {
	return p.Kind == "" || (p.Kind == PathPrefix || p.Kind == StringPrefix) && (p.Value == "" || p.Value == "/")
}

// ValueMatch compares a header field (name in lower case) or a query parameter.
type ValueMatch struct {
	Name  string    `json:"name"`
	Kind  MatchKind `json:"kind"`
	Value string    `json:"value,omitempty"`
	// IgnoreCase compares without regard to the case of ASCII letters.
	IgnoreCase bool `json:"ignoreCase,omitempty"`
	// Invert holds where the comparison does not, an absent value included
	// (withoutHeaders; not of a ServiceProfile).
	Invert bool `json:"invert,omitempty"`
}

// MatchKind is a way to compare.
type MatchKind string

const (
	// Exact compares byte for byte.
	Exact MatchKind = "exact"
	// PathPrefix compares whole path segments: /v2 holds /v2/x but not /v2x
	// (Gateway API).
	PathPrefix MatchKind = "prefix"
	// StringPrefix compares the first bytes: /v2 holds /v2x too (Istio).
	StringPrefix MatchKind = "stringPrefix"
	// Suffix compares the last bytes; for values only.
	Suffix MatchKind = "suffix"
	// Regex compares the whole value with an RE2 expression.
	Regex MatchKind = "regex"
	// Present holds where there is a value at all; for values only.
	Present MatchKind = "present"
)

// ClientMatch describes clients; the zero value is all of them.
type ClientMatch struct {
	// Namespace of the client (sourceNamespace).
	Namespace string `json:"namespace,omitempty"`
	// Labels that the client's workload must have (sourceLabels, workloadSelector).
	Labels map[string]string `json:"labels,omitempty"`
	// Subnet of the client's own address (sourceSubnet); the zero value is any.
	Subnet netip.Prefix `json:"subnet,omitzero"`
}

// IsZero says whether all clients are meant.
func (c ClientMatch) IsZero() bool {
	return c.Namespace == "" && len(c.Labels) == 0 && !c.Subnet.IsValid()
}

// Holds says whether a client is meant. Its labels are those of the workload,
// and one of SubnetLabel for each subnet that it is in.
func (c ClientMatch) Holds(namespace string, labels map[string]string) bool {
	if c.Subnet.IsValid() {
		if _, in := labels[SubnetLabel(c.Subnet)]; !in {
			return false
		}
	}
	return (c.Namespace == "" || c.Namespace == namespace) && HasLabels(labels, c.Labels)
}

// SubnetLabel stands among a client's labels for being in a subnet; no user can
// write such a label.
func SubnetLabel(p netip.Prefix) string { return "@" + p.String() }

// HasLabels says whether the labels include every wanted one.
func HasLabels(labels, want map[string]string) bool {
	for k, v := range want {
		if have, ok := labels[k]; !ok || have != v {
			return false
		}
	}
	return true
}
