package mesh

import (
	"net/netip"

	"github.com/weftmesh/weft/identity"
)

// Workload is one running instance: a pod, or a process in a local mesh.
type Workload struct {
	Ref
	// Addresses are its own; in a local mesh several workloads share one.
	Addresses []netip.Addr      `json:"addresses,omitempty"`
	Labels    map[string]string `json:"labels,omitempty"`
	Identity  identity.ID       `json:"identity"`
	// Owner is the controller that made it, such as deployment/api.
	Owner string `json:"owner,omitempty"`
	Node  string `json:"node,omitempty"`
	// Meshed says that a proxy stands beside it and can receive mutual TLS.
	Meshed bool `json:"meshed"`
	// Ports are what is declared of its inbound ports, by number.
	Ports []Port `json:"ports,omitempty"`
	// Inbound is its mTLS mode; empty means the mesh's.
	Inbound MTLSMode `json:"inbound,omitempty"`
	// AccessLog is what its proxy logs of the requests that it serves, besides
	// what a Telemetry says; empty means nothing.
	AccessLog AccessLog `json:"accessLog,omitempty"`
	Origin    Origin    `json:"origin"`
}
