package upstream

import (
	"net/netip"
	"slices"
	"time"

	"github.com/weftmesh/weft/identity"
	"github.com/weftmesh/weft/proxy/balance"
)

// Kind says where the endpoints of a cluster come from.
type Kind uint8

const (
	// Pushed clusters get their endpoints from SetEndpoints (xDS type EDS).
	Pushed Kind = iota
	// DNS clusters resolve Spec.Host (xDS type LOGICAL_DNS), or all of Spec.Names
	// (STRICT_DNS).
	DNS
	// OriginalDestination dials the address that the client dialled.
	OriginalDestination
	// BlackHole has no endpoint, ever.
	BlackHole
)

// Names of the clusters that the proxy knows without being told.
const (
	PassthroughCluster = "PassthroughCluster"
	BlackHoleCluster   = "BlackHoleCluster"
)

// DefaultConnectTimeout is used where a Spec says nothing.
const DefaultConnectTimeout = time.Second

// ApplicationConnectTimeout is how long a proxy waits for its own application to
// accept a connection. A full backlog has TCP ask again after 1, 3 and 7 s.
const ApplicationConnectTimeout = 10 * time.Second

// Spec is the configuration of one cluster.
type Spec struct {
	// Name is unique, such as outbound|80||api.production.svc.cluster.local.
	Name string
	Kind Kind
	// Balance is how endpoints are chosen; its zero value is peak EWMA.
	Balance balance.Options
	// Detection takes endpoints out that answer badly.
	Detection   balance.Detection
	Limits      Limits
	Connections Connections
	// HTTP2 says that the endpoints are spoken to in HTTP/2 whatever the client
	// speaks (explicit_http_config), FollowClient that it is what the client speaks.
	HTTP2, FollowClient bool
	// ConnectTimeout bounds TCP connect and TLS handshake together; 0 means
	// DefaultConnectTimeout.
	ConnectTimeout time.Duration
	// Host and Port are the external name of a DNS cluster of one name.
	Host string
	Port uint16
	// Names take the place of Host and Port where there are several.
	Names *Names
	// Plaintext dials endpoints without the mesh's mutual TLS, whatever they say
	// of themselves (DestinationRule DISABLE).
	Plaintext bool
	// Originate takes the place of the mesh's mutual TLS; nil does not.
	Originate *Origination
	// Identity is what endpoints must prove that say nothing of themselves, such
	// as those of a name; zero is none.
	Identity identity.ID
	// Service, Namespace and ServicePort label the telemetry
	// (metadata.filter_metadata["weft"]).
	Service, Namespace, ServicePort string
}

// owner is whose the cluster's connections are: its own where it says anything
// of how they are kept or counted, else everybody's.
func (s *Spec) owner() string {
	l := &s.Limits
	if s.Connections != (Connections{}) || l.MaxConnections.Set || l.MaxPerEndpoint.Set {
		return s.Name
	}
	return ""
}

// Names are what a DNS cluster of several names resolves: each to endpoints of
// its own. It must not be changed.
type Names struct {
	List []NamedEndpoint
	// Overprovisioning is that of an Assignment.
	Overprovisioning uint32
}

// NamedEndpoint is a name or an address, and what its endpoints have in common;
// of their Address the port alone.
type NamedEndpoint struct {
	Host string
	EndpointSpec
}

func (n *Names) equal(m *Names) bool {
	return n == m || n != nil && m != nil && n.Overprovisioning == m.Overprovisioning && slices.Equal(n.List, m.List)
}

// Assignment is the endpoints of a cluster.
type Assignment struct {
	Endpoints []EndpointSpec
	// Overprovisioning is in percent; 0 means 140.
	Overprovisioning uint32
}

// EndpointSpec is the configuration of one endpoint.
type EndpointSpec struct {
	Address netip.AddrPort
	// Identity must be proven by the endpoint in mutual TLS; the zero ID means
	// that it is not meshed and is dialled in plaintext.
	Identity identity.ID
	// Draining endpoints are used only where nothing else is left.
	Draining bool
	// Weight is relative to the other endpoints; 0 means 1.
	Weight uint32
	// Unhealthy endpoints get traffic only where too few others are left.
	Unhealthy bool
	// Region, Zone and SubZone are its locality, LocalityWeight the weight of all
	// of that locality.
	Region, Zone, SubZone string
	LocalityWeight        uint32
	// Priority 0 comes first.
	Priority uint32
	// Workload is the pod, Namespace its namespace, Owner its controller, such
	// as deployment/api. They label the telemetry.
	Workload, Namespace, Owner string
}
