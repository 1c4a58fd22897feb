package problem

import "github.com/weftmesh/weft/mesh"

// Codes of Istio's analyzers, for what Istio users know by them.
const (
	ReferenceMissing     Code = "IST0101"
	SchemaInvalid        Code = "IST0106"
	ConflictingHosts     Code = "IST0109"
	SidecarConflict      Code = "IST0110"
	SidecarDuplicate     Code = "IST0111"
	PortRequired         Code = "IST0112"
	NoServerVerification Code = "IST0128"
	UnreachableRule      Code = "IST0130"
	SchemaWarning        Code = "IST0133"
	EntryAddressRequired Code = "IST0134"
	TelemetryProvider    Code = "IST0157"
	TelemetryConflict    Code = "IST0159"
	TelemetryDuplicate   Code = "IST0160"
	UnknownRuleHost      Code = "IST0174"
)

// istioTable has the codes that are Istio's.
var istioTable = []Entry{
	{ReferenceMissing, mesh.Error, "Reference to nothing", "A host, subset, gateway or other object that is named does not exist. What is sent there is answered 503."},
	{SchemaInvalid, mesh.Error, "Object cannot be used", "A field has a value that it cannot have. An object that cannot be decoded keeps its last good state; else the part that is named is not in effect."},
	{ConflictingHosts, mesh.Error, "Several VirtualServices for one host", "VirtualServices of the mesh name the same host. All are in effect where they do not contradict each other, the oldest decides where they do; the message says which part of this one is in effect. With the setting combine: OLDEST only the oldest is."},
	{SidecarConflict, mesh.Error, "Several Sidecars for one workload", "A workload is selected by more than one Sidecar of its namespace. The oldest is in effect."},
	{SidecarDuplicate, mesh.Error, "Several Sidecars without a selector", "A namespace has more than one Sidecar without a workloadSelector. The oldest is in effect."},
	{PortRequired, mesh.Warning, "Port of the destination required", "The destination's host has several ports and the route names none. The port that the request came for is taken."},
	{NoServerVerification, mesh.Warning, "Server not verified", "A tls block of mode SIMPLE or MUTUAL names no certificate authority, so that any server certificate that the system trusts is accepted."},
	{UnreachableRule, mesh.Warning, "Rule never reached", "A rule before this one takes every request that this one could."},
	{SchemaWarning, mesh.Warning, "Odd value", "A field has a value that is accepted but seldom meant."},
	{EntryAddressRequired, mesh.Warning, "Address required", "A TCP port of a ServiceEntry without addresses cannot be told from other destinations of that port."},
	{TelemetryProvider, mesh.Warning, "Provider unknown", "A Telemetry names no provider, or one that the mesh does not have. It logs, or traces, nothing there."},
	{TelemetryConflict, mesh.Error, "Several Telemetries for one workload", "A workload is selected by more than one Telemetry of its namespace. The oldest is in effect."},
	{TelemetryDuplicate, mesh.Error, "Several Telemetries without a selector", "A namespace has more than one Telemetry without a selector. The oldest is in effect."},
	{UnknownRuleHost, mesh.Warning, "Host of a DestinationRule unknown", "No Service or ServiceEntry has the host. The rule is not in effect until one has."},
}
