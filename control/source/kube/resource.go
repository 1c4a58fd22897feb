package kube

import (
	"context"
	"encoding/json"
	"errors"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/cache"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/weftmesh/weft/control/problem"
	"github.com/weftmesh/weft/control/world"
	"github.com/weftmesh/weft/internal/apifield"
	"github.com/weftmesh/weft/internal/istioapi"
	"github.com/weftmesh/weft/internal/linkerdapi"
	"github.com/weftmesh/weft/internal/smiapi"
	"github.com/weftmesh/weft/mesh"
)

// resource is one that a CRD defines.
type resource struct {
	group, plural string
	// versions that can be read, the preferred first.
	versions []string
	kind     world.Kind
	decode   func(*unstructured.Unstructured) (metav1.Object, error)
}

// name is that of the CRD.
func (r *resource) name() string { return r.plural + "." + r.group }

// resources are all that are watched. The list is read only.
var resources = []resource{
	{gwv1.GroupName, "httproutes", []string{"v1", "v1beta1"}, world.KindHTTPRoute, convert[gwv1.HTTPRoute]},
	{gwv1.GroupName, "grpcroutes", []string{"v1"}, world.KindGRPCRoute, convert[gwv1.GRPCRoute]},
	{gwv1.GroupName, "tlsroutes", []string{"v1", "v1alpha3", "v1alpha2"}, world.KindTLSRoute, convert[gwv1.TLSRoute]},
	{gwv1.GroupName, "tcproutes", []string{"v1", "v1alpha2"}, world.KindTCPRoute, convert[gwv1.TCPRoute]},
	{gwv1.GroupName, "referencegrants", []string{"v1", "v1beta1"}, world.KindReferenceGrant, convert[gwv1.ReferenceGrant]},
	{smiapi.Group, smiapi.Resource, smiapi.Versions, world.KindTrafficSplit, decodeSplit},
	{istioapi.Group, "virtualservices", istioapi.Versions, world.KindVirtualService, decodeIstio},
	{istioapi.Group, "destinationrules", istioapi.Versions, world.KindDestinationRule, decodeIstio},
	{istioapi.Group, "serviceentries", istioapi.Versions, world.KindServiceEntry, decodeIstio},
	{istioapi.Group, "workloadentries", istioapi.Versions, world.KindWorkloadEntry, decodeIstio},
	{istioapi.Group, "workloadgroups", istioapi.Versions, world.KindWorkloadGroup, decodeIstio},
	{istioapi.Group, "sidecars", istioapi.Versions, world.KindSidecar, decodeIstio},
	{istioapi.TelemetryGroup, "telemetries", istioapi.TelemetryVersions, world.KindTelemetry, decodeIstio},
	{smiapi.SpecsGroup, smiapi.GroupResource, smiapi.GroupVersions, world.KindHTTPRouteGroup, decodeGroup},
	{linkerdapi.Group, "serviceprofiles", linkerdapi.ProfileVersions, world.KindServiceProfile, decodeLinkerd},
	{linkerdapi.PolicyGroup, "servers", linkerdapi.ServerVersions, world.KindServer, decodeLinkerd},
	{linkerdapi.PolicyGroup, "httproutes", linkerdapi.HTTPRouteVersions, world.KindPolicyRoute, decodeLinkerd},
}

func convert[T any, P interface {
	*T
	metav1.Object
}](u *unstructured.Unstructured) (metav1.Object, error) {
	var v T
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, P(&v)); err != nil {
		return nil, err
	}
	return P(&v), nil
}

func decodeSplit(u *unstructured.Unstructured) (metav1.Object, error) {
	doc, err := json.Marshal(u.Object)
	if err != nil {
		return nil, err
	}
	return smiapi.Decode(doc)
}

func decodeIstio(u *unstructured.Unstructured) (metav1.Object, error) {
	doc, err := json.Marshal(u.Object)
	if err != nil {
		return nil, err
	}
	// The API server has warned of unknown fields, and dropped them.
	o, _, err := istioapi.Decode(doc)
	return o, err
}

func decodeGroup(u *unstructured.Unstructured) (metav1.Object, error) {
	doc, err := json.Marshal(u.Object)
	if err != nil {
		return nil, err
	}
	g, _, err := smiapi.DecodeGroup(doc)
	if err != nil {
		return nil, err
	}
	return g, nil
}

func decodeLinkerd(u *unstructured.Unstructured) (metav1.Object, error) {
	doc, err := json.Marshal(u.Object)
	if err != nil {
		return nil, err
	}
	// The API server has warned of unknown fields, and dropped them.
	o, _, err := linkerdapi.Decode(doc)
	return o, err
}

// customHandler turns what the informer of a resource sees into events. An
// object that cannot be decoded is reported, and its last good form stays.
type customHandler struct {
	ctx   context.Context
	r     *resource
	known *known
	to    Sender
}

var _ cache.ResourceEventHandler = customHandler{}

// OnAdd implements cache.ResourceEventHandler.
func (h customHandler) OnAdd(obj any, _ bool) { h.put(obj) }

// OnUpdate implements cache.ResourceEventHandler.
func (h customHandler) OnUpdate(_, obj any) { h.put(obj) }

// OnDelete implements cache.ResourceEventHandler.
func (h customHandler) OnDelete(obj any) {
	if ref, ok := deleted(obj); ok {
		_ = h.to.Send(h.ctx, h.known.forget(ref)...)
	}
}

func (h customHandler) put(obj any) {
	o, ok := h.r.read(obj).(metav1.Object)
	if !ok {
		return
	}
	ref := mesh.Ref{Namespace: o.GetNamespace(), Name: o.GetName()}
	at := origin(h.r.kind, o)
	scope := string(h.r.kind) + " " + ref.String()
	h.known.add(ref)
	if bad, ok := o.(*unreadable); ok {
		// Sending fails only when the process ends.
		_ = h.to.Send(h.ctx, world.Problems(Name, scope, faults(at, h.r.group, bad.err)))
		return
	}
	_ = h.to.Send(h.ctx, world.Put(o, at), world.Problems(Name, scope, nil))
}

// unreadable stands for an object that cannot be decoded.
type unreadable struct {
	metav1.ObjectMeta
	err error
}

// read decodes what the API server sent; what is decoded already stays. The
// informer keeps the result, which is thus the only copy.
func (r *resource) read(obj any) any {
	u, ok := obj.(*unstructured.Unstructured)
	if !ok {
		return obj
	}
	drop(u)
	o, err := r.decode(u)
	if err != nil {
		return &unreadable{metav1.ObjectMeta{Name: u.GetName(), Namespace: u.GetNamespace(), UID: u.GetUID(), ResourceVersion: u.GetResourceVersion()}, err}
	}
	return o
}

// faults unfolds what is wrong with an object.
func faults(o mesh.Origin, group string, err error) []mesh.Problem {
	var out []mesh.Problem
	for _, fault := range apifield.All(err) {
		code := problem.BadObject
		switch {
		case errors.Is(fault, smiapi.ErrWeight):
			code = problem.BadWeight
		case group == istioapi.Group || group == istioapi.TelemetryGroup:
			code = problem.SchemaInvalid
		case group == linkerdapi.Group || group == linkerdapi.PolicyGroup:
			code = problem.LinkerdValue
		}
		out = append(out, problem.New(code, o, fault.Field, fault.Err.Error()+"; the last good state of the object stays in effect", "correct the field"))
	}
	return out
}
