package istioapi

import (
	"google.golang.org/protobuf/proto"
	networking "istio.io/api/networking/v1alpha3"
	telemetry "istio.io/api/telemetry/v1alpha1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Group of the API.
const Group = "networking.istio.io"

// Versions that can be read, the preferred first.
var Versions = []string{"v1", "v1beta1", "v1alpha3"}

// Object is one object; its spec must not be changed.
type Object[S proto.Message] struct {
	metav1.TypeMeta
	metav1.ObjectMeta
	Spec S
}

// VirtualService routes requests and connections to a host.
type VirtualService = Object[*networking.VirtualService]

// DestinationRule says how the endpoints of a host are used.
type DestinationRule = Object[*networking.DestinationRule]

// ServiceEntry adds hosts to the mesh.
type ServiceEntry = Object[*networking.ServiceEntry]

// WorkloadEntry is an instance outside of the platform.
type WorkloadEntry = Object[*networking.WorkloadEntry]

// WorkloadGroup is what WorkloadEntries have in common.
type WorkloadGroup = Object[*networking.WorkloadGroup]

// Sidecar limits what workloads see.
type Sidecar = Object[*networking.Sidecar]

// Telemetry says what proxies report.
type Telemetry = Object[*telemetry.Telemetry]

// TelemetryGroup is the group of Telemetry, TelemetryVersions are its versions.
const TelemetryGroup = "telemetry.istio.io"

// TelemetryVersions that can be read, the preferred first.
var TelemetryVersions = []string{"v1", "v1alpha1"}

const telemetryKind = "Telemetry"

// Kind is a kind of object.
type Kind struct {
	// Name in the singular, such as VirtualService; Plural as in a path.
	Name, Plural string
	ShortNames   []string
	// Columns of kubectl get: title and JSON path.
	Columns [][2]string
	make    func() object
}

// Group is the kind's.
func (k Kind) Group() string {
	if k.Name == telemetryKind {
		return TelemetryGroup
	}
	return Group
}

// Versions that can be read, the preferred first.
func (k Kind) Versions() []string {
	if k.Name == telemetryKind {
		return TelemetryVersions
	}
	return Versions
}

// Spec returns an empty spec, for its descriptor.
func (k Kind) Spec() proto.Message { return k.make().spec() }

// object is what Decode fills.
type object interface {
	metav1.Object
	spec() proto.Message
	meta() (*metav1.TypeMeta, *metav1.ObjectMeta)
}

func (o *Object[S]) spec() proto.Message { return o.Spec }
func (o *Object[S]) meta() (*metav1.TypeMeta, *metav1.ObjectMeta) {
	return &o.TypeMeta, &o.ObjectMeta
}

// Kinds are all that can be read. The list is read only.
var Kinds = []Kind{
	{"VirtualService", "virtualservices", []string{"vs"}, [][2]string{{"Gateways", ".spec.gateways"}, {"Hosts", ".spec.hosts"}},
		func() object { return &VirtualService{Spec: &networking.VirtualService{}} }},
	{"DestinationRule", "destinationrules", []string{"dr"}, [][2]string{{"Host", ".spec.host"}},
		func() object { return &DestinationRule{Spec: &networking.DestinationRule{}} }},
	{"ServiceEntry", "serviceentries", []string{"se"}, [][2]string{{"Hosts", ".spec.hosts"}, {"Location", ".spec.location"}, {"Resolution", ".spec.resolution"}},
		func() object { return &ServiceEntry{Spec: &networking.ServiceEntry{}} }},
	{"WorkloadEntry", "workloadentries", []string{"we"}, [][2]string{{"Address", ".spec.address"}},
		func() object { return &WorkloadEntry{Spec: &networking.WorkloadEntry{}} }},
	{"WorkloadGroup", "workloadgroups", []string{"wg"}, nil,
		func() object { return &WorkloadGroup{Spec: &networking.WorkloadGroup{}} }},
	{"Sidecar", "sidecars", nil, nil,
		func() object { return &Sidecar{Spec: &networking.Sidecar{}} }},
	{telemetryKind, "telemetries", []string{"telemetry"}, nil,
		func() object { return &Telemetry{Spec: &telemetry.Telemetry{}} }},
}

// KindOf finds a kind by its name.
func KindOf(name string) (Kind, bool) {
	for _, k := range Kinds {
		if k.Name == name {
			return k, true
		}
	}
	return Kind{}, false
}
