package fragment

import (
	"github.com/weftmesh/weft/mesh"
)

// Fragment is the part of the mesh that one family asks for.
type Fragment struct {
	Services  []*mesh.Service
	Workloads []*mesh.Workload
	// Routes are at most one per service, port and scope.
	Routes   []Route
	Problems []mesh.Problem
	// Statuses are of the family's routes, sorted by Ref.
	Statuses []RouteStatus
}

// Route is a route and who asked for it, to be told when it is outranked.
type Route struct {
	*mesh.Route
	Origins []mesh.Origin
}

// Services finds the services that core made.
type Services map[mesh.Ref]*mesh.Service

// RouteStatus is what became of one HTTPRoute, for a status writer.
type RouteStatus struct {
	Route mesh.Ref `json:"route"`
	// Generation of the object that was judged (observedGeneration).
	Generation int64 `json:"generation,omitempty"`
	// Parents are the parentRefs that are Services, in the order written.
	Parents []ParentStatus `json:"parents"`
}

// ParentStatus is the outcome for one parentRef.
type ParentStatus struct {
	// Index is the position in spec.parentRefs.
	Index int `json:"index"`
	// Service and Port as written; Port 0 means every port.
	Service mesh.Ref `json:"service"`
	Port    uint16   `json:"port,omitempty"`
	// SectionName as written, a port's name.
	SectionName  string    `json:"sectionName,omitempty"`
	Accepted     Condition `json:"accepted"`
	ResolvedRefs Condition `json:"resolvedRefs"`
	// PartiallyInvalid is to be written only when it is true.
	PartiallyInvalid Condition `json:"partiallyInvalid,omitzero"`
}

// Condition is the content of a Kubernetes condition.
type Condition struct {
	Status  bool   `json:"status"`
	Reason  string `json:"reason"`
	Message string `json:"message,omitempty"`
}
