package mesh

// CORS answers preflight requests and marks responses (VirtualService
// corsPolicy, Gateway API CORS filter; Fetch standard, section 3.2).
type CORS struct {
	// Origins are compared with the header origin; names are empty.
	Origins []ValueMatch `json:"origins,omitempty"`
	Methods []string     `json:"methods,omitempty"`
	Headers []string     `json:"headers,omitempty"`
	Expose  []string     `json:"expose,omitempty"`
	MaxAge  *Duration    `json:"maxAge,omitempty"`
	// Credentials, nil means that nothing is said of them.
	Credentials *bool `json:"credentials,omitempty"`
	// ForwardUnmatched sends preflights of other origins to the backend
	// (unmatchedPreflights: FORWARD, Istio's default); else they are answered
	// without permission.
	ForwardUnmatched bool   `json:"forwardUnmatched,omitempty"`
	Origin           Origin `json:"origin"`
}
