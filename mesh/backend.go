package mesh

// Backend is a share of the traffic.
type Backend struct {
	Service Ref    `json:"service"`
	Port    uint16 `json:"port"`
	// Subset names a part of the service's endpoints that a Destination
	// describes; empty means all (DestinationRule subsets).
	Subset string `json:"subset,omitempty"`
	// Weight is relative to the rule's other backends; 0 means no traffic.
	Weight uint32 `json:"weight"`
	// Invalid, when not empty, says why the backend cannot be used.
	Invalid string `json:"invalid,omitempty"`
	// Status is what the share of a backend that is Invalid is answered; 0 means
	// 500 (Gateway API, HTTPBackendRef). 503 says that it does not exist (Istio).
	Status          uint32        `json:"status,omitempty"`
	RequestHeaders  HeaderChanges `json:"requestHeaders,omitzero"`
	ResponseHeaders HeaderChanges `json:"responseHeaders,omitzero"`
	// Host replaces the authority of the requests of this backend.
	Host string `json:"host,omitempty"`
}

// Mirror receives copies of a part of the requests (VirtualService mirrors,
// Gateway API RequestMirror).
type Mirror struct {
	Backend Backend `json:"backend"`
	// Millionths of the requests that are copied; 1,000,000 is all.
	Millionths uint32 `json:"millionths"`
	Origin     Origin `json:"origin"`
}
