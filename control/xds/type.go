package xds

import "strings"

// Type is the type URL of a resource.
type Type string

// The resource types that are served.
const (
	ListenerType Type = "type.googleapis.com/envoy.config.listener.v3.Listener"
	RouteType    Type = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration"
	ClusterType  Type = "type.googleapis.com/envoy.config.cluster.v3.Cluster"
	EndpointType Type = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"
	SecretType   Type = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"
)

// Types returns every type in the order in which changes must reach a client,
// so that nothing refers to what it has not got yet (xDS protocol, "Eventual
// consistency considerations"). Removals go in the opposite order.
func Types() []Type { return []Type{SecretType, ClusterType, EndpointType, ListenerType, RouteType} }

// Short is the abbreviation that people and metrics use: LDS, RDS, CDS, EDS, SDS.
func (t Type) Short() string {
	switch t {
	case ListenerType:
		return "LDS"
	case RouteType:
		return "RDS"
	case ClusterType:
		return "CDS"
	case EndpointType:
		return "EDS"
	case SecretType:
		return "SDS"
	}
	return string(t)
}

// Kind is what sort of client asks; some fields suit only some of them.
type Kind string

const (
	// Weft is our own proxy.
	Weft Kind = "weft"
	// Envoy is any client that reads the whole standard.
	Envoy Kind = "envoy"
	// GRPC is proxyless gRPC, which refuses or ignores parts of it.
	GRPC Kind = "grpc"
)

// KindOf tells the kind from a node's user_agent_name.
func KindOf(userAgent string) Kind {
	switch {
	case userAgent == "weft-proxy":
		return Weft
	case strings.HasPrefix(strings.ToLower(userAgent), "grpc"):
		return GRPC
	}
	return Envoy
}
