package linkerdapi

import (
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// Groups of the APIs.
const (
	Group       = "linkerd.io"
	PolicyGroup = "policy.linkerd.io"
)

// Versions that can be read, the preferred first.
var (
	ProfileVersions   = []string{"v1alpha2", "v1alpha1"}
	ServerVersions    = []string{"v1beta3", "v1beta2", "v1beta1", "v1alpha1"}
	HTTPRouteVersions = []string{"v1beta3", "v1beta2", "v1beta1", "v1alpha1"}
)

// ServiceProfile is a profile of either version. Its name is the DNS name of a
// service.
type ServiceProfile struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              ProfileSpec `json:"spec"`
}

// ProfileSpec is what a profile says.
type ProfileSpec struct {
	Routes       []Route       `json:"routes,omitempty"`
	RetryBudget  *RetryBudget  `json:"retryBudget,omitempty"`
	DstOverrides []WeightedDst `json:"dstOverrides,omitempty"`
	OpaquePorts  []string      `json:"opaquePorts,omitempty"`
}

// Route is a kind of requests.
type Route struct {
	Name            string          `json:"name"`
	Condition       *RequestMatch   `json:"condition"`
	ResponseClasses []ResponseClass `json:"responseClasses,omitempty"`
	IsRetryable     *bool           `json:"isRetryable,omitempty"`
	// Timeout of a request with all its retries, such as 30s.
	Timeout string `json:"timeout,omitempty"`
	// Retries is the long form of IsRetryable, with a bound.
	Retries *Retries `json:"retries,omitempty"`
}

// Retries of a route.
type Retries struct {
	IsRetryable *bool  `json:"isRetryable,omitempty"`
	MaxRetries  *int32 `json:"maxRetries,omitempty"`
}

// RequestMatch holds where all that it says holds.
type RequestMatch struct {
	All []*RequestMatch `json:"all,omitempty"`
	Any []*RequestMatch `json:"any,omitempty"`
	Not *RequestMatch   `json:"not,omitempty"`
	// PathRegex must hold for the whole path, without the query.
	PathRegex string `json:"pathRegex,omitempty"`
	Method    string `json:"method,omitempty"`
}

// ResponseClass says whether some responses are failures.
type ResponseClass struct {
	Condition *ResponseMatch `json:"condition"`
	IsFailure bool           `json:"isFailure,omitempty"`
}

// ResponseMatch holds where all that it says holds.
type ResponseMatch struct {
	All    []*ResponseMatch `json:"all,omitempty"`
	Any    []*ResponseMatch `json:"any,omitempty"`
	Not    *ResponseMatch   `json:"not,omitempty"`
	Status *Range           `json:"status,omitempty"`
}

// Range of statuses, both ends included; 0 means open.
type Range struct {
	Min int32 `json:"min,omitempty"`
	Max int32 `json:"max,omitempty"`
}

// RetryBudget limits the retries of all routes together.
type RetryBudget struct {
	RetryRatio          float64 `json:"retryRatio"`
	MinRetriesPerSecond int64   `json:"minRetriesPerSecond"`
	TTL                 string  `json:"ttl"`
}

// WeightedDst is a share of the traffic.
type WeightedDst struct {
	// Authority is a DNS name, or one with a port.
	Authority string            `json:"authority"`
	Weight    resource.Quantity `json:"weight"`
}

// Server declares a port of some pods.
type Server struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              ServerSpec `json:"spec"`
}

// ServerSpec is what a Server says.
type ServerSpec struct {
	PodSelector              *metav1.LabelSelector `json:"podSelector,omitempty"`
	ExternalWorkloadSelector *metav1.LabelSelector `json:"externalWorkloadSelector,omitempty"`
	// Port is a number, or the name of a container's port.
	Port intstr.IntOrString `json:"port"`
	// ProxyProtocol is unknown, HTTP/1, HTTP/2, gRPC, opaque or TLS.
	ProxyProtocol string `json:"proxyProtocol,omitempty"`
	AccessPolicy  string `json:"accessPolicy,omitempty"`
}

// HTTPRoute of policy.linkerd.io has the form of the Gateway API's.
type HTTPRoute struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              gwv1.HTTPRouteSpec   `json:"spec"`
	Status            gwv1.HTTPRouteStatus `json:"status,omitzero"`
}
