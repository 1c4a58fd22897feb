package world

import (
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/weftmesh/weft/internal/istioapi"
	"github.com/weftmesh/weft/internal/linkerdapi"
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
	KindGRPCRoute      Kind = "GRPCRoute"
	KindTLSRoute       Kind = "TLSRoute"
	KindTCPRoute       Kind = "TCPRoute"
	KindReferenceGrant Kind = "ReferenceGrant"

	KindVirtualService  Kind = "VirtualService"
	KindDestinationRule Kind = "DestinationRule"
	KindServiceEntry    Kind = "ServiceEntry"
	KindWorkloadEntry   Kind = "WorkloadEntry"
	KindWorkloadGroup   Kind = "WorkloadGroup"
	KindSidecar         Kind = "Sidecar"
	KindTelemetry       Kind = "Telemetry"

	KindHTTPRouteGroup Kind = "HTTPRouteGroup"
	KindServiceProfile Kind = "ServiceProfile"
	KindServer         Kind = "Server"
	// KindPolicyRoute is the HTTPRoute of policy.linkerd.io.
	KindPolicyRoute Kind = "HTTPRoute.policy.linkerd.io"
)

// Item is an object and where it was said. Neither may be changed.
type Item[T any] struct {
	Obj    T
	Origin mesh.Origin
	// Place finds lines of fields; nil where an object has none.
	Place *Place
}

// Place is where the fields of an object stand in a file.
type Place struct {
	// Layout differs between two forms of an object whose fields stand on
	// different lines, counted from the object's first.
	Layout uint64
	// Line returns that of a field, or of the innermost part of it that exists,
	// counted from 1 in the file; 0 when it is not known.
	Line func(field string) int
}

// Place finds the place of the object of an origin, or nil.
func (w *World) Place(o mesh.Origin) *Place {
	_, place := w.find(o)
	return place
}

// Version is the resourceVersion of the object of an origin; empty for one of a
// file.
func (w *World) Version(o mesh.Origin) string {
	if obj, _ := w.find(o); obj != nil {
		return obj.GetResourceVersion()
	}
	return ""
}

// find finds the object of an origin.
func (w *World) find(o mesh.Origin) (metav1.Object, *Place) {
	ref := mesh.Ref{Namespace: o.Namespace, Name: o.Name}
	switch Kind(o.Kind) {
	case KindNamespace:
		return held(w.Namespaces, ref)
	case KindService:
		return held(w.Services, ref)
	case KindEndpointSlice:
		return held(w.EndpointSlices, ref)
	case KindPod:
		return held(w.Pods, ref)
	case KindTrafficSplit:
		return held(w.TrafficSplits, ref)
	case KindHTTPRoute:
		return held(w.HTTPRoutes, ref)
	case KindGRPCRoute:
		return held(w.GRPCRoutes, ref)
	case KindTLSRoute:
		return held(w.TLSRoutes, ref)
	case KindTCPRoute:
		return held(w.TCPRoutes, ref)
	case KindReferenceGrant:
		return held(w.ReferenceGrants, ref)
	case KindVirtualService:
		return held(w.VirtualServices, ref)
	case KindDestinationRule:
		return held(w.DestinationRules, ref)
	case KindServiceEntry:
		return held(w.ServiceEntries, ref)
	case KindWorkloadEntry:
		return held(w.WorkloadEntries, ref)
	case KindWorkloadGroup:
		return held(w.WorkloadGroups, ref)
	case KindSidecar:
		return held(w.Sidecars, ref)
	case KindTelemetry:
		return held(w.Telemetries, ref)
	case KindHTTPRouteGroup:
		return held(w.HTTPRouteGroups, ref)
	case KindServiceProfile:
		return held(w.ServiceProfiles, ref)
	case KindServer:
		return held(w.Servers, ref)
	case KindPolicyRoute:
		return held(w.PolicyRoutes, ref)
	}
	return nil, nil
}

func held[T metav1.Object](t Table[T], ref mesh.Ref) (metav1.Object, *Place) {
	item, ok := t[ref]
	if !ok {
		return nil, nil
	}
	return item.Obj, item.Place
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
	GRPCRoutes      Table[*gwv1.GRPCRoute]
	TLSRoutes       Table[*gwv1.TLSRoute]
	TCPRoutes       Table[*gwv1.TCPRoute]
	ReferenceGrants Table[*gwv1.ReferenceGrant]
	// Objects of networking.istio.io of any served version.
	VirtualServices  Table[*istioapi.VirtualService]
	DestinationRules Table[*istioapi.DestinationRule]
	ServiceEntries   Table[*istioapi.ServiceEntry]
	WorkloadEntries  Table[*istioapi.WorkloadEntry]
	WorkloadGroups   Table[*istioapi.WorkloadGroup]
	Sidecars         Table[*istioapi.Sidecar]
	Telemetries      Table[*istioapi.Telemetry]
	HTTPRouteGroups  Table[*smiapi.HTTPRouteGroup]
	ServiceProfiles  Table[*linkerdapi.ServiceProfile]
	Servers          Table[*linkerdapi.Server]
	// PolicyRoutes are the HTTPRoutes of policy.linkerd.io.
	PolicyRoutes Table[*linkerdapi.HTTPRoute]
	// Problems are what the sources could not read, in canonical order.
	Problems []mesh.Problem
}
