package problem

import (
	"slices"

	"github.com/weftmesh/weft/mesh"
)

// Table lists every code in ascending order. It is read only.
var Table = slices.Concat(istioTable, ownTable, linkerdTable)

// ownTable has the codes that are ours alone.
var ownTable = []Entry{
	{Malformed, mesh.Error, "Malformed file", "The file is not YAML or JSON that can be read. What it last said when it could be read stays in effect."},
	{UnknownField, mesh.Warning, "Unknown field", "The object has a field that its kind does not know, or has twice. The field is ignored, the rest is in effect."},
	{UnknownKind, mesh.Info, "Unknown kind", "The mesh has no use for objects of this kind. It is ignored."},
	{DuplicateObject, mesh.Error, "Object defined twice", "Two files, or two documents of one file, define the same object. The one in the file whose name sorts first is in effect."},
	{BadObject, mesh.Error, "Object cannot be decoded", "A field has a value of the wrong type, or a required one is missing. The last good state stays in effect."},
	{Unreadable, mesh.Error, "Cannot be read", "The operating system refuses to read the file or folder. What it last said stays in effect."},
	{WatchFailed, mesh.Error, "Watch failed", "The Kubernetes API does not let the control plane list or watch a resource. The last known objects stay in effect."},

	{UnknownAppProtocol, mesh.Info, "Unknown appProtocol", "The port's appProtocol is not one that the mesh knows. The port's name, and then the connection's first bytes, decide instead."},
	{BadOpaquePorts, mesh.Warning, "Bad opaque-ports annotation", "An entry of config.linkerd.io/opaque-ports is no port, range or port name. That entry is ignored."},
	{BadAddress, mesh.Error, "Bad address", "The object carries an address that is not an IP address. That address is ignored."},
	{AddressTaken, mesh.Error, "Address used twice", "Two Services claim the same address. The older one has it, then the one whose namespace and name sort first."},
	{BadIdentity, mesh.Error, "No identity possible", "Namespace and service account do not make a valid SPIFFE ID. The workload is treated as not meshed."},
	{NoExternalName, mesh.Error, "ExternalName without a name", "The Service is of type ExternalName but names no DNS name. It is left out."},
	{UnknownTargetPort, mesh.Warning, "Unknown named target port", "No container of a selected pod declares a port of the name in targetPort. The pod gets no traffic through that port."},

	{BadWeight, mesh.Error, "Bad weight", "The weight is negative, too large, or not a number or quantity. The last good state of the object stays in effect; without one, the object is not in effect."},
	{AllWeightsZero, mesh.Error, "All weights are zero", "The split leaves no backend to send to. It is not in effect: the root Service receives its own traffic."},
	{RootMissing, mesh.Error, "Root service missing", "The split's root Service does not exist. The split is not in effect until it does."},
	{BackendMissing, mesh.Error, "Backend service missing", "A backend Service does not exist. It receives nothing; the other backends share its part."},
	{BackendPortMissing, mesh.Error, "Backend port missing", "A backend Service has no port of the root's number. On that port it receives nothing; the other backends share its part."},
	{DuplicateSplit, mesh.Error, "Two splits for one service", "Two TrafficSplits have the same root Service. The older one is in effect, then the one whose name sorts first."},
	{SelfReference, mesh.Info, "Root is its own backend", "The root Service is also one of the backends. Its share goes to its own endpoints; the split is not applied again."},
	{SplitMatches, mesh.Error, "Matches cannot be used", "The split is limited to some requests by an HTTPRouteGroup, or a match of one, that does not exist or cannot be used. It is not in effect, since it would bind other requests than it says."},
	{NoBackends, mesh.Error, "No usable backend", "None of the split's backends can be used. It is not in effect: the root Service receives its own traffic."},
	{DuplicateBackend, mesh.Warning, "Backend named twice", "The split names the same backend more than once. The weights are added."},
	{ChainedSplit, mesh.Info, "Backend is itself split", "A backend is the root of another split. Its share goes to its own endpoints; that other split is not applied."},
	{SplitWithoutPorts, mesh.Error, "Root cannot be split", "The root Service is of type ExternalName or has no TCP port. The split is not in effect."},
	{OutrankedByHTTPRoute, mesh.Warning, "HTTPRoute outranks split", "An HTTPRoute is attached to a port of the split's root Service. On that port the HTTPRoute is in effect and the split is not."},

	{ParentMissing, mesh.Error, "Parent service missing", "The Service that the route is attached to does not exist. The route is not in effect there."},
	{ParentPortMissing, mesh.Error, "Parent port missing", "The Service has no port of that number or name. The route is not in effect there."},
	{ParentPortNotHTTP, mesh.Error, "Parent port cannot be HTTP", "The port is declared to speak something else than HTTP. The route is not in effect there."},
	{ParentUnsupported, mesh.Error, "Parent cannot have routes", "Routes cannot be attached to headless and ExternalName Services, nor to ServiceEntries. The route is not in effect there."},
	{RouteBackend, mesh.Error, "Backend not found", "The backend Service or its port does not exist. Its share of the requests is answered 500."},
	{RouteBackendKind, mesh.Error, "Backend kind not supported", "The backend is not a Service of type ClusterIP or headless. Its share of the requests is answered 500."},
	{RefNotPermitted, mesh.Error, "Reference not permitted", "The backend is in a namespace that is neither the route's nor the parent's, and no ReferenceGrant there allows it. Its share of the requests is answered 500."},
	{UnsupportedFilter, mesh.Error, "Filter not supported", "The mesh cannot do what the filter asks. Requests that would pass it are answered 500."},
	{UnsupportedField, mesh.Error, "Field not supported", "The mesh cannot do what the field asks. Requests of the rule are answered 500."},
	{BadMatch, mesh.Error, "Match cannot be used", "The match holds a value that cannot be compared with, such as a malformed regular expression. The match is dropped, and the rule with it when it has no other."},
	{RouteWeight, mesh.Error, "Bad weight", "The weight is negative or above 1,000,000. The backend receives nothing."},
	{RouteWeightsZero, mesh.Warning, "All weights are zero", "The rule leaves no backend to send to. Its requests are answered 500."},
	{HostnamesIgnored, mesh.Info, "Hostnames do not apply", "Routes attached to a Service apply to all requests to it; hostnames are ignored, as the Gateway API demands for meshes."},
	{BackendProtocol, mesh.Error, "Backend does not speak HTTP", "The backend port is declared as TLS, which the mesh does not originate. Its share of the requests is answered 500."},
	{RuleWithoutBackend, mesh.Warning, "Rule without a backend", "The rule names no backend. Its requests are answered 500."},
	{BadHeaderChange, mesh.Error, "Header change cannot be done", "A header name or value is not valid in HTTP. Requests that would pass the filter are answered 500."},
	{ParentPortHTTP, mesh.Error, "Parent port is HTTP", "The port is declared to speak HTTP, so that its connections are not routed as such. The TLSRoute or TCPRoute is not in effect there."},
	{RouteKindConflict, mesh.Error, "Routes of several kinds on one port", "A GRPCRoute outranks an HTTPRoute, that a TLSRoute, and that a TCPRoute. The route is not in effect on the port."},
	{RuleShadowed, mesh.Warning, "Rule takes nothing", "A rule of this route, or a route that is older, takes all the connections that this one could. It is not in effect."},
	{RedirectWithBackends, mesh.Warning, "Redirect with backends", "A rule that redirects sends no request to its backends."},
	{BadTimeout, mesh.Error, "Bad timeout or retry", "A duration, a number of retries or a status cannot be used. Requests of the rule are answered 500."},

	{OutrankedVirtualService, mesh.Warning, "Route outranks VirtualService", "A route of the Gateway API is attached to a port of the VirtualService's host. On that port it decides where requests go; the rules of the VirtualService are not in effect."},
	{OutrankedByVirtualService, mesh.Warning, "VirtualService outranks split", "A VirtualService has rules for a port of the split's root Service. On that port the VirtualService is in effect and the split is not."},
	{RulesCombined, mesh.Info, "Destination rules combined", "Several DestinationRules of one namespace are for the same host. All are in effect; of different limits the tighter one is in effect, and where they contradict each other otherwise, the older one decides."},
	{RuleConflict, mesh.Warning, "Destination rules contradict each other", "Two DestinationRules for one host give different values to a field. The older object's value is in effect."},
	{IstioUnsupported, mesh.Warning, "Field not supported", "The mesh does not act on this field. The rest of the object is in effect."},
	{BadDelegate, mesh.Error, "Delegate cannot be used", "The VirtualService that is named as delegate does not exist, has hosts of its own, or delegates again. The rule is not in effect."},
	{GatewayOnly, mesh.Info, "Not for the mesh", "The VirtualService is bound to gateways only, which the mesh does not run. It is not in effect for sidecars."},
	{EntryShadowed, mesh.Error, "ServiceEntry shadowed", "The host of a ServiceEntry is that of a Service, or of an older ServiceEntry of its namespace. That one is in effect. As a warning: an older entry of another namespace has the host too, and clients have that of their own namespace, else the oldest that they see; or one of the addresses belongs to another host."},
	{SubsetUnknown, mesh.Error, "Subset unknown", "A DestinationRule or route names a subset twice, or one that cannot be used."},
	{ChangeHeld, mesh.Info, "Change waits", "The change of a VirtualService names what does not exist, or that of a DestinationRule takes away what a VirtualService names. What was in effect before stays for at most a second, in case the rest is about to be applied; then the change is in effect as it is."},
	{RuleWithoutPort, mesh.Error, "Rule for no port", "No port of the hosts is one that the rules or the match are for: none has that number, or their protocol is another. They are not in effect."},
}
