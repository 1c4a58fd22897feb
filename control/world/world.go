package world

import (
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/weftmesh/weft/internal/smiapi"
	"github.com/weftmesh/weft/mesh"
)

// Kind names a kind of object that the World holds.
type Kind string

// The kinds that the World holds.
const (
	KindNamespace      Kind = "Namespace"
	KindService        Kind = "Service"
	KindEndpointSlice  Kind = "EndpointSlice"
	KindPod            Kind = "Pod"
	KindTrafficSplit   Kind = "TrafficSplit"
	KindHTTPRoute      Kind = "HTTPRoute"
	KindReferenceGrant Kind = "ReferenceGrant"
)

// Item is an object and where it was said. Neither may be changed.
type Item[T any] struct {
	Obj    T
	Origin mesh.Origin
}

// Table holds the objects of one kind by namespace and name; the namespace of
// a cluster-wide object is empty.
type Table[T any] map[mesh.Ref]Item[T]

// World is the input of the translators at one revision. It is immutable:
// neither its tables nor the objects in them may be changed.
type World struct {
	// Revision grows by one with each World of a Store; the first is 1.
	Revision       uint64
	Namespaces     Table[*corev1.Namespace]
	Services       Table[*corev1.Service]
	EndpointSlices Table[*discoveryv1.EndpointSlice]
	Pods           Table[*corev1.Pod]
	TrafficSplits  Table[*smiapi.TrafficSplit]
	// HTTPRoutes of any served version, read as v1.
	HTTPRoutes      Table[*gwv1.HTTPRoute]
	ReferenceGrants Table[*gwv1.ReferenceGrant]
	// Problems are what the sources could not read, in canonical order.
	Problems []mesh.Problem
}
