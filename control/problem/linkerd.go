package problem

import "github.com/weftmesh/weft/mesh"

// Codes of Linkerd's objects and annotations.
const (
	LinkerdValue           Code = "WEFT0501"
	ProfileService         Code = "WEFT0502"
	ProfileIneffective     Code = "WEFT0503"
	ProfileCondition       Code = "WEFT0504"
	ProfileContradiction   Code = "WEFT0505"
	OverrideMissing        Code = "WEFT0506"
	OverrideWeights        Code = "WEFT0507"
	PolicySaidElsewhere    Code = "WEFT0508"
	OutrankedByLinkerd     Code = "WEFT0509"
	OutrankedLinkerd       Code = "WEFT0510"
	BadAnnotation          Code = "WEFT0511"
	AccrualOutranked       Code = "WEFT0512"
	AnnotationIneffective  Code = "WEFT0513"
	ServerConflict         Code = "WEFT0514"
	RouteTimeout           Code = "WEFT0515"
	ProfileReplacedForSome Code = "WEFT0516"
	TooManyAlternatives    Code = "WEFT0517"
)

// linkerdTable has the codes of Linkerd's objects.
var linkerdTable = []Entry{
	{LinkerdValue, mesh.Error, "Value cannot be used", "A field of a ServiceProfile, Server or HTTPRoute of Linkerd has a value that it cannot have, such as a malformed regular expression or a negative duration. The last good state of the object stays in effect; without one, the object is not in effect."},
	{ProfileService, mesh.Error, "Profile of an unknown service", "The name of the ServiceProfile is not the DNS name of a Service. The profile is not in effect until it is."},
	{ProfileIneffective, mesh.Warning, "Profile has no effect", "The Service of the profile is headless or an ExternalName, or none of its ports can be HTTP, so that there are no requests to which the profile could apply."},
	{ProfileCondition, mesh.Error, "Condition cannot be used", "The condition of a profile's route comes to too many alternatives, or to none. The route is not in effect."},
	{ProfileContradiction, mesh.Warning, "Profile contradicts itself", "A route says the same thing twice with different values, or a part of it that has no effect without another. The message says what is in effect."},
	{OverrideMissing, mesh.Error, "Override names nothing", "A destination of dstOverrides is not a Service with such a port. It receives nothing; the other destinations share its part."},
	{OverrideWeights, mesh.Error, "Overrides leave no destination", "None of the destinations of dstOverrides can be used or has a weight. The overrides are not in effect: the Service receives its own traffic."},
	{PolicySaidElsewhere, mesh.Warning, "Policy not in effect", "Every rule for the port says this part itself, or an older object does, or no rule has requests for it. The part that is named is not in effect."},
	{OutrankedByLinkerd, mesh.Warning, "Linkerd's object outranks split", "An HTTPRoute of policy.linkerd.io, or dstOverrides of a ServiceProfile, decide where the requests of a port go. On that port the TrafficSplit is not in effect."},
	{OutrankedLinkerd, mesh.Warning, "Linkerd's object outranked", "A route of the Gateway API, a VirtualService, or a route of Linkerd that has precedence decides where the requests of a port go. On that port the dstOverrides, or the route, are not in effect; the rest of a ServiceProfile is."},
	{BadAnnotation, mesh.Error, "Bad annotation", "The value of an annotation cannot be used. That annotation is not in effect."},
	{AccrualOutranked, mesh.Warning, "Outlier detection outranks failure accrual", "A DestinationRule has outlierDetection for a Service that is annotated with failure accrual. The outlier detection is in effect."},
	{AnnotationIneffective, mesh.Warning, "Annotation has no effect", "The annotation asks for something that the mesh does not do, or has no meaning without another. The message says what is in effect."},
	{ServerConflict, mesh.Warning, "Two Servers for one port", "Two Servers select the same port of a pod and declare different protocols. The older one is in effect, then the one whose name sorts first."},
	{RouteTimeout, mesh.Error, "Bad timeout", "A timeout of a route is not a duration, or a backend's is longer than the request's. The timeout is not in effect."},
	{ProfileReplacedForSome, mesh.Info, "Profile replaced for a namespace", "A namespace has a profile of its own for the Service, which takes the place of the one in the Service's namespace for its clients."},
	{TooManyAlternatives, mesh.Error, "Too many alternatives", "Each route of a ServiceProfile makes a more special rule before each rule of whoever decides where requests go, where the requests of both can be the same. They come to too many. Requests that no other rule takes have the policy of the profile's routes, and those of as many rules as the bound allows; the others go where they should, without it."},
}
