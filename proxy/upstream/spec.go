package upstream

import (
	"net/netip"
	"time"

	"github.com/weftmesh/weft/identity"
)

// Kind says where the endpoints of a cluster come from.
type Kind uint8

const (
	// Pushed clusters get their endpoints from SetEndpoints (xDS type EDS).
	Pushed Kind = iota
	// DNS clusters resolve Spec.Host (xDS type LOGICAL_DNS).
	DNS
	// OriginalDestination dials the address that the client dialled.
	OriginalDestination
	// BlackHole has no endpoint, ever.
	BlackHole
)

// Policy is how a cluster chooses among its endpoints.
type Policy uint8

const (
	// PeakEWMA takes the better of two random endpoints by latency and load
	// (xDS LEAST_REQUEST).
	PeakEWMA Policy = iota
	// RoundRobin takes them in turn.
	RoundRobin
)

// Names of the clusters that the proxy knows without being told.
const (
	PassthroughCluster = "PassthroughCluster"
	BlackHoleCluster   = "BlackHoleCluster"
)

// DefaultConnectTimeout is used where a Spec says nothing.
const DefaultConnectTimeout = time.Second

// Spec is the configuration of one cluster.
type Spec struct {
	// Name is unique, such as outbound|80||api.production.svc.cluster.local.
	Name   string
	Kind   Kind
	Policy Policy
	// ConnectTimeout bounds TCP connect and TLS handshake together; 0 means
	// DefaultConnectTimeout.
	ConnectTimeout time.Duration
	// Host and Port are the external name of a DNS cluster.
	Host string
	Port uint16
	// Service, Namespace and ServicePort label the telemetry
	// (metadata.filter_metadata["weft"]).
	Service, Namespace, ServicePort string
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
	Zone   string
	// Workload is the pod, Namespace its namespace, Owner its controller, such
	// as deployment/api. They label the telemetry.
	Workload, Namespace, Owner string
}
