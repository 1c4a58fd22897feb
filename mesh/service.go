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
	Ports     []Port       `json:"ports"`
	// External is the DNS name that an ExternalName service stands for.
	External string `json:"external,omitempty"`
	// Balance is how requests spread over the endpoints.
	Balance Balance `json:"balance,omitempty"`
	Origin  Origin  `json:"origin"`
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
)

// Port is one TCP port of a service.
type Port struct {
	Number   uint16   `json:"number"`
	Name     string   `json:"name,omitempty"`
	Protocol Protocol `json:"protocol"`
}

// Balance is a load-balancing algorithm.
type Balance string

const (
	// BalanceDefault leaves the choice to the proxy: peak EWMA for HTTP,
	// least connections for TCP.
	BalanceDefault Balance = ""
	// PeakEWMA is power of two choices by moving-average latency times load.
	PeakEWMA Balance = "PEAK_EWMA"
	// RoundRobin takes endpoints in turn.
	RoundRobin Balance = "ROUND_ROBIN"
)

// PortByNumber returns the port with that number, or nil.
func (s *Service) PortByNumber(n uint16) *Port {
	for i := range s.Ports {
		if s.Ports[i].Number == n {
			return &s.Ports[i]
		}
	}
	return nil
}
