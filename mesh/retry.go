package mesh

// Retry says when a request is tried again. A rule without one has the safe
// retries of every proxy.
type Retry struct {
	// Attempts are the tries after the first; 0 forbids retries
	// (VirtualService retries.attempts, ServiceProfile maxRetries, HTTPRoute
	// retry.attempts, retry.linkerd.io/limit).
	Attempts uint32 `json:"attempts"`
	// On are the conditions, by the names that Envoy gives them (retries.retryOn).
	On []RetryCondition `json:"on,omitempty"`
	// Statuses are answered statuses to retry on, beside those of On.
	Statuses []uint32 `json:"statuses,omitempty"`
	// PerTry bounds each try; nil leaves it to the request's timeout.
	PerTry *Duration `json:"perTry,omitempty"`
	// Backoff before the first retry; it doubles from try to try, at most to
	// BackoffMax. Zero means the defaults: 25 ms, and ten times as long.
	Backoff    Duration `json:"backoff,omitempty"`
	BackoffMax Duration `json:"backoffMax,omitempty"`
	// BackoffFloor makes Backoff the least wait, with that of the default on top,
	// where it is the most else (HTTPRoute retry.backoff).
	BackoffFloor bool `json:"backoffFloor,omitempty"`
	// SameHost allows endpoints that have failed already
	// (retryIgnorePreviousHosts: false).
	SameHost bool `json:"sameHost,omitempty"`
	// RemoteLocalities lets retries leave the locality (retryRemoteLocalities).
	RemoteLocalities bool `json:"remoteLocalities,omitempty"`
	// Budget limits retries by the number of requests (ServiceProfile retryBudget).
	Budget *RetryBudget `json:"budget,omitempty"`
	Origin Origin       `json:"origin"`
}

// RetryCondition is a reason to try again.
type RetryCondition string

// The conditions.
const (
	On5xx                  RetryCondition = "5xx"
	OnGatewayError         RetryCondition = "gateway-error"
	OnReset                RetryCondition = "reset"
	OnResetBeforeRequest   RetryCondition = "reset-before-request"
	OnConnectFailure       RetryCondition = "connect-failure"
	OnRateLimited          RetryCondition = "envoy-ratelimited"
	OnRetriable4xx         RetryCondition = "retriable-4xx" // 409
	OnRefusedStream        RetryCondition = "refused-stream"
	OnRetriableStatusCodes RetryCondition = "retriable-status-codes" // Retry.Statuses
	OnRetriableHeaders     RetryCondition = "retriable-headers"
	OnHTTP3PostConnect     RetryCondition = "http3-post-connect-failure"
	OnCancelled            RetryCondition = "cancelled" // gRPC, as the next four
	OnDeadlineExceeded     RetryCondition = "deadline-exceeded"
	OnInternal             RetryCondition = "internal"
	OnResourceExhausted    RetryCondition = "resource-exhausted"
	OnUnavailable          RetryCondition = "unavailable"
)

// RetryConditions are all that there are.
var RetryConditions = []RetryCondition{On5xx, OnGatewayError, OnReset, OnResetBeforeRequest, OnConnectFailure, OnRateLimited, OnRetriable4xx,
	OnRefusedStream, OnRetriableStatusCodes, OnRetriableHeaders, OnHTTP3PostConnect, OnCancelled, OnDeadlineExceeded, OnInternal, OnResourceExhausted, OnUnavailable}

// RetryBudget limits retries to a share of the requests (Linkerd).
type RetryBudget struct {
	// Ratio of retries to requests (retryRatio).
	Ratio float64 `json:"ratio"`
	// MinPerSecond are allowed whatever the ratio (minRetriesPerSecond).
	MinPerSecond uint32 `json:"minPerSecond"`
	// TTL is how long a request counts (ttl).
	TTL Duration `json:"ttl"`
}
