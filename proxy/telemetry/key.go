package telemetry

import (
	"net/netip"

	"github.com/weftmesh/weft/identity"
)

// Direction is the side of the proxy that traffic passes.
type Direction uint8

const (
	// Inbound is towards the workload.
	Inbound Direction = iota
	// Outbound is from the workload.
	Outbound
)

func (d Direction) String() string {
	if d == Outbound {
		return "outbound"
	}
	return "inbound"
}

// TLS is how a connection is protected (label tls, and Istio's
// connection_security_policy). Where it is not, the reason is told.
type TLS uint8

const (
	// NotProvided is outbound, to an endpoint that is not meshed.
	NotProvided TLS = iota
	// Mutual TLS of the mesh.
	Mutual
	// NotFromRemote is inbound, from a peer that sent plaintext.
	NotFromRemote
	// OpaqueTLS is the application's own TLS, passed through.
	OpaqueTLS
	// Loopback is the workload's own side.
	Loopback
	// Disabled says that mesh TLS is switched off.
	Disabled
)

func (t TLS) label() (tls, reason string) {
	switch t {
	case Mutual:
		return "true", ""
	case OpaqueTLS:
		return "opaque", ""
	case Disabled:
		return "disabled", ""
	case NotFromRemote:
		return "no_identity", "no_tls_from_remote"
	case Loopback:
		return "no_identity", "loopback"
	}
	return "no_identity", "not_provided_by_service_discovery"
}

// Peer is the other side: the server of outbound traffic, the client of
// inbound. Unknown parts are empty.
type Peer struct {
	// Identity as proven in mutual TLS.
	Identity identity.ID
	// Workload is the pod, Namespace its namespace, Owner its controller, such
	// as deployment/api.
	Workload, Namespace, Owner string
}

// HTTPKey names the series of requests. It is a map key: equal keys give equal
// handles.
type HTTPKey struct {
	Direction Direction
	TLS       TLS
	Peer      Peer
	// Authority is the destination as configured (host:port), never what a
	// client wrote; inbound it may be empty.
	Authority string
	// Target is the endpoint (outbound) or the application's port (inbound).
	Target netip.AddrPort
	// Service, Namespace and Port are of the backend that serves, from the
	// cluster's metadata.
	Service, Namespace, Port string
	// Route names the rule, by its origin (kind namespace/name); empty for none.
	Route string
}

// Side is which of its two connections the proxy counts.
type Side uint8

const (
	// Src is the accepted connection, from the client.
	Src Side = iota
	// Dst is the connection to the server.
	Dst
)

// TCPKey names the series of connections.
type TCPKey struct {
	Direction Direction
	Side      Side
	TLS       TLS
	Peer      Peer
	Target    netip.AddrPort
	// Authority, Service, Namespace and Port as in HTTPKey.
	Authority, Service, Namespace, Port string
	// Opaque connections carry no HTTP; only they are counted in Istio's
	// istio_tcp_* family, once for each flow: on the Dst side outbound, on the
	// Src side inbound.
	Opaque bool
}

// Self is the workload that the proxy stands beside.
type Self struct {
	Workload, Namespace, Owner string
	Identity                   identity.ID
	// Version of the proxy.
	Version string
}
