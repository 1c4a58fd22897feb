package mesh

// Timeouts of a rule. Nil means that nothing was said, 0 that there is none.
type Timeouts struct {
	// Request bounds the whole exchange, with all its tries (VirtualService
	// timeout, ServiceProfile timeout, HTTPRoute timeouts.request,
	// timeout.linkerd.io/request).
	Request *Duration `json:"request,omitempty"`
	// Backend bounds one try (HTTPRoute timeouts.backendRequest). Retry.PerTry
	// outranks it.
	Backend *Duration `json:"backend,omitempty"`
	// Response bounds the time from the end of the request to the end of the
	// response (timeout.linkerd.io/response).
	Response *Duration `json:"response,omitempty"`
	// Idle bounds the time in which nothing is sent either way
	// (timeout.linkerd.io/idle).
	Idle *Duration `json:"idle,omitempty"`
	// Origin of the request timeout, else of the first that was said.
	Origin Origin `json:"origin,omitzero"`
}

// IsZero says whether nothing was said.
func (t Timeouts) IsZero() bool {
	return t.Request == nil && t.Backend == nil && t.Response == nil && t.Idle == nil
}
