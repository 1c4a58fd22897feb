package mesh

// Route is how requests and connections to one service port are sent on. There
// is at most one per service, port and scope: translate merges what the
// families say.
type Route struct {
	Service Ref    `json:"service"`
	Port    uint16 `json:"port"`
	// Scope is the namespace whose clients it binds (a consumer route, or an
	// object that is exported to some namespaces only); empty means all others.
	Scope string `json:"scope,omitempty"`
	// Rules in order of precedence; the first match wins. A request that
	// matches none is answered 404, as the Gateway API and Istio demand.
	Rules []Rule `json:"rules"`
	// TCP are the rules for connections whose requests cannot be told apart;
	// the first match wins, and none means the service itself.
	TCP []TCPRule `json:"tcp,omitempty"`
}

// Rule does with the requests that one of its matches describes what Redirect
// or Direct says, or else sends them to its backends.
type Rule struct {
	Name string `json:"name,omitempty"`
	// Matches are alternatives; none means every request.
	Matches []Match `json:"matches,omitempty"`
	// Backends share the requests by weight. Where all weights are zero, or
	// there is no backend, requests are answered 500 (Gateway API, HTTPBackendRef).
	Backends []Backend       `json:"backends,omitempty"`
	Redirect *Redirect       `json:"redirect,omitempty"`
	Direct   *DirectResponse `json:"directResponse,omitempty"`
	RoutePolicy
	Origin Origin `json:"origin"`
}

// IsAll says whether the rule holds for every request of every client.
func (r *Rule) IsAll() bool {
	for i := range r.Matches {
		if r.Matches[i].IsAll() {
			return true
		}
	}
	return len(r.Matches) == 0
}

// RoutePolicy is what is done to requests beside choosing where they go. Of
// each part the zero value means that nothing was said, so that another object
// may say it (translate/precedence.go).
type RoutePolicy struct {
	Timeouts Timeouts `json:"timeouts,omitzero"`
	Retry    *Retry   `json:"retry,omitempty"`
	Fault    *Fault   `json:"fault,omitempty"`
	// Mirrors get copies of the requests; their answers are thrown away.
	Mirrors         []Mirror        `json:"mirrors,omitempty"`
	CORS            *CORS           `json:"cors,omitempty"`
	Rewrite         *Rewrite        `json:"rewrite,omitempty"`
	RequestHeaders  HeaderChanges   `json:"requestHeaders,omitzero"`
	ResponseHeaders HeaderChanges   `json:"responseHeaders,omitzero"`
	Classes         []ResponseClass `json:"responseClasses,omitempty"`
	StatPrefix      string          `json:"statPrefix,omitempty"`
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
