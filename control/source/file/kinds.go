package file

import (
	"errors"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
	sigsjson "sigs.k8s.io/json"

	"github.com/weftmesh/weft/control/problem"
	"github.com/weftmesh/weft/control/world"
	"github.com/weftmesh/weft/internal/apifield"
	"github.com/weftmesh/weft/internal/istioapi"
	"github.com/weftmesh/weft/internal/linkerdapi"
	"github.com/weftmesh/weft/internal/smiapi"
)

// kind is a kind that the mesh reads; make is nil for a version that it cannot.
type kind struct {
	kind world.Kind
	make func(doc []byte) (obj metav1.Object, strict []error, errs []fieldError)
	want string
}

// fieldError is a reason why an object cannot be decoded.
type fieldError struct {
	code    problem.Code
	field   string
	message string
	// got is the JSON type that was found instead, if that is what is wrong.
	got string
}

// served lists what is read, by group and kind.
var served = []struct {
	group, kind string
	versions    []string
	world       world.Kind
	make        func(doc []byte) (metav1.Object, []error, []fieldError)
}{
	{"", "Namespace", []string{"v1"}, world.KindNamespace, decodeInto[corev1.Namespace]},
	{"", "Service", []string{"v1"}, world.KindService, decodeInto[corev1.Service]},
	{"", "Pod", []string{"v1"}, world.KindPod, decodeInto[corev1.Pod]},
	{discoveryv1.GroupName, "EndpointSlice", []string{"v1"}, world.KindEndpointSlice, decodeInto[discoveryv1.EndpointSlice]},
	{smiapi.Group, smiapi.Kind, smiapi.Versions, world.KindTrafficSplit, decodeSplit},
	{gwv1.GroupName, "HTTPRoute", []string{"v1", "v1beta1"}, world.KindHTTPRoute, decodeInto[gwv1.HTTPRoute]},
	{gwv1.GroupName, "GRPCRoute", []string{"v1"}, world.KindGRPCRoute, decodeInto[gwv1.GRPCRoute]},
	{gwv1.GroupName, "TLSRoute", []string{"v1", "v1alpha3", "v1alpha2"}, world.KindTLSRoute, decodeInto[gwv1.TLSRoute]},
	{gwv1.GroupName, "TCPRoute", []string{"v1", "v1alpha2"}, world.KindTCPRoute, decodeInto[gwv1.TCPRoute]},
	{gwv1.GroupName, "ReferenceGrant", []string{"v1", "v1beta1"}, world.KindReferenceGrant, decodeInto[gwv1.ReferenceGrant]},
	{istioapi.Group, "VirtualService", istioapi.Versions, world.KindVirtualService, decodeIstio},
	{istioapi.Group, "DestinationRule", istioapi.Versions, world.KindDestinationRule, decodeIstio},
	{istioapi.Group, "ServiceEntry", istioapi.Versions, world.KindServiceEntry, decodeIstio},
	{istioapi.Group, "WorkloadEntry", istioapi.Versions, world.KindWorkloadEntry, decodeIstio},
	{istioapi.Group, "WorkloadGroup", istioapi.Versions, world.KindWorkloadGroup, decodeIstio},
	{istioapi.Group, "Sidecar", istioapi.Versions, world.KindSidecar, decodeIstio},
	{istioapi.TelemetryGroup, "Telemetry", istioapi.TelemetryVersions, world.KindTelemetry, decodeIstio},
	{smiapi.SpecsGroup, smiapi.GroupKind, smiapi.GroupVersions, world.KindHTTPRouteGroup, decodeGroup},
	{linkerdapi.Group, "ServiceProfile", linkerdapi.ProfileVersions, world.KindServiceProfile, decodeLinkerd},
	{linkerdapi.PolicyGroup, "Server", linkerdapi.ServerVersions, world.KindServer, decodeLinkerd},
	{linkerdapi.PolicyGroup, "HTTPRoute", linkerdapi.HTTPRouteVersions, world.KindPolicyRoute, decodeLinkerd},
}

// kindOf finds the kind; false means that the mesh has no use for it.
func kindOf(apiVersion, name string) (kind, bool) {
	group, version, grouped := strings.Cut(apiVersion, "/")
	if !grouped {
		group, version = "", apiVersion
	}
	for _, s := range served {
		if s.group != group || s.kind != name {
			continue
		}
		prefix := ""
		if group != "" {
			prefix = group + "/"
		}
		k := kind{kind: s.world, want: prefix + s.versions[0]}
		for _, v := range s.versions {
			if v == version {
				k.make = s.make
			}
		}
		return k, true
	}
	return kind{}, false
}

// object is a pointer to T that has metadata.
type object[T any] interface {
	*T
	metav1.Object
}

func decodeInto[T any, P object[T]](doc []byte) (metav1.Object, []error, []fieldError) {
	var v T
	strict, err := sigsjson.UnmarshalStrict(doc, P(&v))
	if err != nil {
		return nil, nil, []fieldError{typeError(err)}
	}
	return P(&v), strict, nil
}

// typeError takes the field out of the message of encoding/json, whose type is
// not exported by the decoder that is used here:
// "... into Go struct field ServicePort.spec.ports.port of type int32".
func typeError(err error) fieldError {
	msg := err.Error()
	e := fieldError{code: problem.BadObject, message: msg}
	_, rest, ok := strings.Cut(msg, "Go struct field ")
	if !ok {
		return e
	}
	path, typ, _ := strings.Cut(rest, " of type ")
	if _, field, ok := strings.Cut(path, "."); ok {
		e.field = field
	}
	if _, rest, ok := strings.Cut(msg, "json: cannot unmarshal "); ok {
		msg = rest
	}
	if got, _, ok := strings.Cut(msg, " into "); ok {
		e.got = got
		e.message = "a " + got + " stands where a value of type " + typ + " belongs"
	}
	return e
}

func decodeSplit(doc []byte) (metav1.Object, []error, []fieldError) {
	var w smiapi.Wire
	strict, err := sigsjson.UnmarshalStrict(doc, &w)
	if err != nil {
		return nil, nil, []fieldError{typeError(err)}
	}
	split, err := smiapi.Decode(doc)
	if err == nil {
		return split, strict, nil
	}
	return nil, nil, fieldErrors(problem.BadObject, err)
}

func decodeGroup(doc []byte) (metav1.Object, []error, []fieldError) {
	g, unknown, err := smiapi.DecodeGroup(doc)
	if err == nil {
		return g, unknown, nil
	}
	return nil, nil, fieldErrors(problem.BadObject, err)
}

func decodeLinkerd(doc []byte) (metav1.Object, []error, []fieldError) {
	o, unknown, err := linkerdapi.Decode(doc)
	if err == nil {
		return o, unknown, nil
	}
	if errors.Is(err, linkerdapi.ErrJSON) {
		return nil, nil, []fieldError{typeError(err)}
	}
	return nil, nil, fieldErrors(problem.LinkerdValue, err)
}

func decodeIstio(doc []byte) (metav1.Object, []error, []fieldError) {
	o, unknown, err := istioapi.Decode(doc)
	if err == nil {
		return o, unknown, nil
	}
	return nil, nil, fieldErrors(problem.SchemaInvalid, err)
}

// fieldErrors unfolds what is wrong with an object.
func fieldErrors(code problem.Code, err error) []fieldError {
	var out []fieldError
	for _, fault := range apifield.All(err) {
		e := fieldError{code: code, field: fault.Field, message: fault.Err.Error()}
		if errors.Is(fault, smiapi.ErrWeight) {
			e.code = problem.BadWeight
		}
		out = append(out, e)
	}
	return out
}
