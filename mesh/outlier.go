package mesh

// Outlier takes endpoints that fail out of the balancing for a while
// (trafficPolicy.outlierDetection). Nil means the default that is named.
type Outlier struct {
	// Consecutive5xx ejects after as many 5xx or failed tries in a row;
	// default 5, 0 never.
	Consecutive5xx *uint32 `json:"consecutive5xx,omitempty"`
	// ConsecutiveGateway ejects after as many 502, 503 and 504; default never.
	ConsecutiveGateway *uint32 `json:"consecutiveGateway,omitempty"`
	// SplitLocal counts failures to connect and the like for themselves.
	SplitLocal bool `json:"splitLocal,omitempty"`
	// ConsecutiveLocal ejects after as many of those; default 5.
	ConsecutiveLocal *uint32 `json:"consecutiveLocal,omitempty"`
	// Interval between looks at who may return; default 10 s.
	Interval *Duration `json:"interval,omitempty"`
	// BaseEjection is the time of the first ejection; it grows with each;
	// default 30 s.
	BaseEjection *Duration `json:"baseEjection,omitempty"`
	// MaxEjectionPercent of the endpoints at once; default 10.
	MaxEjectionPercent *uint32 `json:"maxEjectionPercent,omitempty"`
	// MinHealthPercent below which ejections are ignored; default 0.
	MinHealthPercent *uint32 `json:"minHealthPercent,omitempty"`
	Origin           Origin  `json:"origin"`
}

// Accrual is Linkerd's circuit breaker for an endpoint
// (balancer.linkerd.io/failure-accrual).
type Accrual struct {
	// MaxFailures in a row after which an endpoint is left alone.
	MaxFailures uint32 `json:"maxFailures"`
	// MinPenalty is how long at first, MaxPenalty how long at most.
	MinPenalty Duration `json:"minPenalty"`
	MaxPenalty Duration `json:"maxPenalty"`
	// Jitter is the random part that is added, as a ratio.
	Jitter float64 `json:"jitter"`
	Origin Origin  `json:"origin"`
}
