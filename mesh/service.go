package mesh

import "net/netip"

// Service is a named destination.
type Service struct {
	Ref
	Kind ServiceKind `json:"kind"`
	// Host is the fully qualified DNS name, such as api.production.svc.cluster.local.
	Host string `json:"host"`
	// Addresses are the virtual addresses; empty for headless and external services.
	Addresses []netip.Addr `json:"addresses,omitempty"`
	// Subnets are destinations that are nobody else's (ServiceEntry addresses).
	Subnets []netip.Prefix `json:"subnets,omitempty"`
	Ports   []Port         `json:"ports"`
	// External is the DNS name that an ExternalName service stands for.
	External string `json:"external,omitempty"`
	// ExportTo are the namespaces whose clients can see it; nil means all, ~
	// means none (networking.istio.io/exportTo, ServiceEntry exportTo).
	ExportTo []string `json:"exportTo,omitempty"`
	// Rank is how many services of other namespaces have the same host and come
	// first. A client has one of those that it sees: that of its own namespace,
	// else the one of the lowest rank.
	Rank int `json:"rank,omitempty"`
	// OutsideMesh says that its endpoints are not workloads of the mesh, so
	// that mutual TLS is never tried (ServiceEntry location MESH_EXTERNAL).
	OutsideMesh bool `json:"outsideMesh,omitempty"`
	// Names are what the certificates of its endpoints must hold; none means
	// their identities (ServiceEntry subjectAltNames).
	Names []string `json:"names,omitempty"`
	// Endpoints are the DNS names of a service of kind DNS, or ExternalName.
	Endpoints []NamedEndpoint `json:"endpoints,omitempty"`
	Origin    Origin          `json:"origin"`
}

// NamedEndpoint is an endpoint that the proxy resolves itself.
type NamedEndpoint struct {
	// Host is a DNS name or an address.
	Host string `json:"host"`
	// Ports by service port; one that is missing has the same number.
	Ports    map[uint16]uint16 `json:"ports,omitempty"`
	Weight   uint32            `json:"weight,omitempty"`
	Labels   map[string]string `json:"labels,omitempty"`
	Locality Locality          `json:"locality,omitzero"`
}

// VisibleTo says whether clients of a namespace can see the service.
func (s *Service) VisibleTo(namespace string) bool {
	if s.ExportTo == nil {
		return true
	}
	for _, ns := range s.ExportTo {
		if ns == namespace || ns == "*" {
			return true
		}
	}
	return false
}

// FoundBy says by which names connections to a port are found that are made to
// an address: the host of requests, the server name of TLS. That is the way of
// services that were written down without any address.
func (s *Service) FoundBy(port uint16) (host, sni bool) {
	switch s.Kind {
	case Static, DNS, OneOfDNS, Original:
	default:
		return false, false
	}
	p := s.PortByNumber(port)
	if p == nil || len(s.Addresses)+len(s.Subnets) > 0 {
		return false, false
	}
	return p.Protocol.MayBeHTTP(), p.Protocol == TLS || p.Protocol == Detect
}

// ServiceKind tells how a service finds its endpoints.
type ServiceKind string

const (
	// ClusterIP services have virtual addresses and endpoint sets.
	ClusterIP ServiceKind = "ClusterIP"
	// Headless services have endpoint sets only; clients dial pods by address.
	Headless ServiceKind = "Headless"
	// ExternalName services are an alias of a DNS name.
	ExternalName ServiceKind = "ExternalName"
	// Static services have endpoints that were written down (ServiceEntry,
	// resolution STATIC, or with a workloadSelector).
	Static ServiceKind = "Static"
	// DNS services have endpoints that the proxy resolves (resolution DNS).
	DNS ServiceKind = "DNS"
	// OneOfDNS services do too, and use one address at a time
	// (DNS_ROUND_ROBIN).
	OneOfDNS ServiceKind = "OneOfDNS"
	// Original services are reached where the client dialled (resolution NONE).
	Original ServiceKind = "Original"
)

// Port is one TCP port of a service.
type Port struct {
	Number   uint16   `json:"number"`
	Name     string   `json:"name,omitempty"`
	Protocol Protocol `json:"protocol"`
	// Application is where a workload's application takes the port's connections;
	// an unspecified address stands for the one that was dialled. Zero is what
	// was dialled (Sidecar defaultEndpoint).
	Application netip.AddrPort `json:"application,omitzero"`
}

// PortByNumber returns the port with that number, or nil.
func (s *Service) PortByNumber(n uint16) *Port {
	for i := range s.Ports {
		if s.Ports[i].Number == n {
			return &s.Ports[i]
		}
	}
	return nil
}
