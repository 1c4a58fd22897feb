package fragment

import (
	"time"

	"github.com/weftmesh/weft/mesh"
)

// Fragment is the part of the mesh that one family asks for.
type Fragment struct {
	Services  []*mesh.Service
	Workloads []*mesh.Workload
	// Routes are at most one per service, port and scope.
	Routes []Route
	// Overlays add policy to whatever routes there are.
	Overlays []Overlay
	// Destinations are at most one per service, scope and clients.
	Destinations []*mesh.Destination
	// Endpoints are those that no EndpointSlice tells.
	Endpoints []*mesh.EndpointSet
	Sidecars  []*mesh.Sidecar
	// Telemetries are at most one per namespace and labels.
	Telemetries []*mesh.Telemetry
	Problems    []mesh.Problem
	// Statuses are of the family's routes, sorted by Ref.
	Statuses []RouteStatus
}

// Route is a route and who asked for it, to be told when it is outranked.
type Route struct {
	*mesh.Route
	Origins []mesh.Origin
	// Defaults fill in what neither a rule nor an overlay says.
	Defaults mesh.RoutePolicy
}

// Overlay is policy for the requests to a service port, whoever decides where
// they go: what the rules do not say themselves is taken from the overlays,
// the oldest first.
type Overlay struct {
	Service mesh.Ref
	Port    uint16
	// Scope is the namespace whose clients it binds; empty means all.
	Scope string
	// Except are namespaces that it does not bind, where it binds all others; they
	// are sorted.
	Except []string
	// Matches limit it to some requests; none means all.
	Matches []mesh.Match
	Policy  mesh.RoutePolicy
	Origin  mesh.Origin
	// Field is where the object says it, such as spec.http[0].
	Field string
	// Created is the age of the object.
	Created time.Time
	// Fields are the places of parts that do not stand below Field, by part.
	Fields map[string]string
	// Code tells the object that a part of it is not in effect.
	Code string
	// Name is given to the rules that are made of it (Matches), or of the
	// service itself; empty leaves the rule's, or the object's.
	Name string
	// Group has overlays of which those with a scope take the place of those for
	// all; empty means that all add up.
	Group string
	// Defaults are of the route that is made where there is none.
	Defaults mesh.RoutePolicy
}

// Services finds the services that core made.
type Services map[mesh.Ref]*mesh.Service

// RouteStatus is what became of one route of the Gateway API, for a status writer.
type RouteStatus struct {
	// Kind is HTTPRoute, GRPCRoute, TLSRoute or TCPRoute.
	Kind  string   `json:"kind"`
	Route mesh.Ref `json:"route"`
	// Generation of the object that was judged (observedGeneration).
	Generation int64 `json:"generation,omitempty"`
	// UID of the object: another one of the same name has no status yet.
	UID string `json:"uid,omitempty"`
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
