package mesh

import (
	"net/netip"
	"sort"

	"github.com/weftmesh/weft/identity"
)

// EndpointKey names the endpoints of one service port.
type EndpointKey struct {
	Service Ref
	Port    uint16
}

// EndpointSet is the instances behind one service port. It is immutable; a
// change is a new set.
type EndpointSet struct {
	Key       EndpointKey
	Endpoints []Endpoint
}

// Endpoint is one instance behind a service port.
type Endpoint struct {
	Address netip.AddrPort `json:"address"`
	// Workload is the instance, if it is known.
	Workload Ref `json:"workload"`
	// Owner is the instance's controller, such as deployment/api.
	Owner string `json:"owner,omitempty"`
	// Identity is whom its proxy proves to be; zero when it is not meshed.
	Identity identity.ID `json:"identity"`
	Health   Health      `json:"health"`
	// Weight is relative to the other endpoints; 0 means 1.
	Weight uint32 `json:"weight,omitempty"`
	// Region, Zone and Subzone are where it runs, as far as that is known.
	Region  string            `json:"region,omitempty"`
	Zone    string            `json:"zone,omitempty"`
	Subzone string            `json:"subzone,omitempty"`
	Labels  map[string]string `json:"labels,omitempty"`
}

// Meshed says whether the endpoint can receive mutual TLS.
func (e Endpoint) Meshed() bool { return !e.Identity.IsZero() }

// Health is the readiness of an endpoint as its platform reports it.
type Health string

const (
	// Ready endpoints receive traffic.
	Ready Health = "ready"
	// Draining endpoints finish what they have and receive nothing new, except
	// where nothing else is left.
	Draining Health = "draining"
)

// Sort orders the endpoints by address.
func (s *EndpointSet) Sort() {
	sort.Slice(s.Endpoints, func(i, j int) bool { return s.Endpoints[i].Address.Compare(s.Endpoints[j].Address) < 0 })
}
