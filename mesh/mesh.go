package mesh

import "sort"

// Mesh is everything that the proxies of a mesh may need to know, at one
// revision. Endpoints are apart (EndpointSet), since they change far more often.
type Mesh struct {
	// Revision grows by one with each build.
	Revision uint64
	// Settings hold for the whole mesh.
	Settings Settings
	// Services are sorted by Ref.
	Services []*Service
	// Workloads are sorted by Ref.
	Workloads []*Workload
	// Routes are sorted by service, port and scope.
	Routes []*Route
	// Destinations are sorted by service, scope and clients.
	Destinations []*Destination
	// Sidecars are sorted by Ref.
	Sidecars []*Sidecar
	// Telemetries are sorted by Ref.
	Telemetries []*Telemetry
	// Endpoints are those that no EndpointSlice tells, sorted by service and
	// port; they add to those that one does.
	Endpoints []*EndpointSet
}

// Settings are mesh-wide choices of the installation.
type Settings struct {
	// TrustDomain of every workload identity.
	TrustDomain string
	// ClusterDomain is the DNS suffix of services, such as cluster.local.
	ClusterDomain string
	// RootNamespace is the namespace of the control plane.
	RootNamespace string
	// Outbound says what happens to destinations that the mesh does not know.
	Outbound OutboundMode
	// Inbound says whether plaintext is accepted where no policy speaks.
	Inbound MTLSMode
	// Combine says how several objects for one host are taken together.
	Combine Combine
	// AccessLog is what every proxy logs where no Telemetry speaks.
	AccessLog LogSettings
	// Tracing is what every proxy traces where no Telemetry speaks; nil for
	// nothing.
	Tracing *TraceSettings
}

// Combine says what becomes of several VirtualServices, or DestinationRules,
// for one host.
type Combine string

const (
	// CombineAll gives effect to all; where they contradict each other, the
	// older object decides. It is the default.
	CombineAll Combine = "ALL"
	// CombineOldest is Istio's way: the oldest VirtualService decides alone, and
	// so does the oldest traffic policy of the DestinationRules.
	CombineOldest Combine = "OLDEST"
)

// OutboundMode is the fate of traffic to unknown destinations.
type OutboundMode string

const (
	// AllowAny passes it on to its original address, without mutual TLS.
	AllowAny OutboundMode = "ALLOW_ANY"
	// RegistryOnly refuses it.
	RegistryOnly OutboundMode = "REGISTRY_ONLY"
)

// MTLSMode says which connections a workload accepts.
type MTLSMode string

const (
	// Permissive accepts mutual TLS and plaintext.
	Permissive MTLSMode = "PERMISSIVE"
	// Strict accepts mutual TLS only.
	Strict MTLSMode = "STRICT"
)

// Ref names an object within the mesh.
type Ref struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
}

// String returns namespace/name.
func (r Ref) String() string { return r.Namespace + "/" + r.Name }

// Less orders by namespace, then name.
func (r Ref) Less(o Ref) bool {
	return r.Namespace < o.Namespace || r.Namespace == o.Namespace && r.Name < o.Name
}

// Sort brings every list into its canonical order, so that equal inputs give
// equal dumps and equal pushes.
func (m *Mesh) Sort() {
	sort.SliceStable(m.Services, func(i, j int) bool { return m.Services[i].Ref.Less(m.Services[j].Ref) })
	sort.SliceStable(m.Workloads, func(i, j int) bool { return m.Workloads[i].Ref.Less(m.Workloads[j].Ref) })
	sort.SliceStable(m.Routes, func(i, j int) bool { return m.Routes[i].less(m.Routes[j]) })
	sort.SliceStable(m.Destinations, func(i, j int) bool { return m.Destinations[i].less(m.Destinations[j]) })
	sort.SliceStable(m.Sidecars, func(i, j int) bool { return m.Sidecars[i].Ref.Less(m.Sidecars[j].Ref) })
	sort.SliceStable(m.Telemetries, func(i, j int) bool { return m.Telemetries[i].Ref.Less(m.Telemetries[j].Ref) })
	sort.SliceStable(m.Endpoints, func(i, j int) bool {
		a, b := m.Endpoints[i].Key, m.Endpoints[j].Key
		return a.Service.Less(b.Service) || a.Service == b.Service && a.Port < b.Port
	})
	for _, s := range m.Services {
		sort.SliceStable(s.Ports, func(i, j int) bool { return s.Ports[i].Number < s.Ports[j].Number })
	}
}
