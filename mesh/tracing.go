package mesh

// Tracing is what a Telemetry says of spans.
type Tracing struct {
	// Side is empty for both.
	Side Side `json:"side,omitempty"`
	// Providers by name; none means those that were named before.
	Providers []string `json:"providers,omitempty"`
	// Sampling in percent and Disabled are nil where they are not told.
	Sampling *float64 `json:"sampling,omitempty"`
	Disabled *bool    `json:"disabled,omitempty"`
	// Tags take the place of those that were told before; nil means nothing.
	Tags []TraceTag `json:"tags,omitempty"`
	// Plain leaves Istio's own attributes out; nil means nothing.
	Plain *bool `json:"plain,omitempty"`
}

// TraceTag is an attribute of spans: a value, or that of a variable of the
// proxy's environment or of a field of the request, with Value in its stead.
type TraceTag struct {
	Name  string `json:"name"`
	Value string `json:"value,omitempty"`
	Env   string `json:"env,omitempty"`
	Field string `json:"field,omitempty"`
}

// TraceSettings are the installation's (Istio's MeshConfig).
type TraceSettings struct {
	Providers []TraceProvider
	// Default are the providers that are used where no Telemetry names one.
	Default []string
	// Sampling in percent; nil means DefaultSampling.
	Sampling *float64
	Tags     []TraceTag
}

// DefaultSampling is how many requests are sampled, in percent.
const DefaultSampling = 1

// TraceProvider is a collector.
type TraceProvider struct {
	Name string
	// Host and Port of the service; Host is empty for a provider of a kind that
	// the mesh does not speak with, which is Kind.
	Host string
	Port uint16
	Kind string
}

// Provider finds one by name, or nil.
func (s *TraceSettings) Provider(name string) *TraceProvider {
	if s == nil {
		return nil
	}
	for i := range s.Providers {
		if s.Providers[i].Name == name {
			return &s.Providers[i]
		}
	}
	return nil
}

// Tracer is what a proxy is told of spans.
type Tracer struct {
	Provider string `json:"provider"`
	Host     string `json:"host"`
	Port     uint16 `json:"port"`
	// Service names the workload; empty leaves that to the proxy.
	Service  string     `json:"service,omitempty"`
	Sampling float64    `json:"sampling"`
	Tags     []TraceTag `json:"tags,omitempty"`
	// Operations names the spans of a workload's ports.
	Operations map[uint16]string `json:"operations,omitempty"`
}

// CanonicalLabels tell the service and the revision that a workload is of, the
// most telling first.
var (
	CanonicalLabels = []string{"service.istio.io/canonical-name", "app.kubernetes.io/name", "app"}
	RevisionLabels  = []string{"service.istio.io/canonical-revision", "app.kubernetes.io/version", "version"}
)
