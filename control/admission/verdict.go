package admission

import (
	"github.com/weftmesh/weft/control/problem"
	"github.com/weftmesh/weft/control/world"
	"github.com/weftmesh/weft/mesh"
)

// class is what a problem means for one object by itself.
type class int

const (
	// warned problems are told to whoever applies the object.
	warned class = iota
	// refused problems are faults of the object that no other object can mend.
	refused
	// elsewhere is what depends on other objects, which stand-ins cannot tell.
	elsewhere
)

// classes of the codes that are not just warned of.
var classes = map[problem.Code]class{
	problem.Malformed:        refused,
	problem.BadObject:        refused,
	problem.BadWeight:        refused,
	problem.NoBackends:       refused,
	problem.BadMatch:         refused,
	problem.RouteWeight:      refused,
	problem.BadHeaderChange:  refused,
	problem.BadTimeout:       refused,
	problem.SchemaInvalid:    refused,
	problem.SubsetUnknown:    refused,
	problem.LinkerdValue:     refused,
	problem.ProfileCondition: refused,
	problem.BadAnnotation:    refused,
	problem.RouteTimeout:     refused,

	problem.UnknownKind:               elsewhere,
	problem.DuplicateObject:           elsewhere,
	problem.Unreadable:                elsewhere,
	problem.WatchFailed:               elsewhere,
	problem.AddressTaken:              elsewhere,
	problem.UnknownTargetPort:         elsewhere,
	problem.RootMissing:               elsewhere,
	problem.BackendMissing:            elsewhere,
	problem.BackendPortMissing:        elsewhere,
	problem.DuplicateSplit:            elsewhere,
	problem.SplitMatches:              elsewhere,
	problem.ChainedSplit:              elsewhere,
	problem.SplitWithoutPorts:         elsewhere,
	problem.OutrankedByHTTPRoute:      elsewhere,
	problem.ParentMissing:             elsewhere,
	problem.ParentPortMissing:         elsewhere,
	problem.ParentPortNotHTTP:         elsewhere,
	problem.ParentPortHTTP:            elsewhere,
	problem.ParentUnsupported:         elsewhere,
	problem.RouteBackend:              elsewhere,
	problem.RefNotPermitted:           elsewhere,
	problem.BackendProtocol:           elsewhere,
	problem.RouteKindConflict:         elsewhere,
	problem.ReferenceMissing:          elsewhere,
	problem.PortRequired:              elsewhere,
	problem.ConflictingHosts:          elsewhere,
	problem.SidecarConflict:           elsewhere,
	problem.SidecarDuplicate:          elsewhere,
	problem.TelemetryConflict:         elsewhere,
	problem.TelemetryDuplicate:        elsewhere,
	problem.UnknownRuleHost:           elsewhere,
	problem.EntryShadowed:             elsewhere,
	problem.RulesCombined:             elsewhere,
	problem.RuleConflict:              elsewhere,
	problem.BadDelegate:               elsewhere,
	problem.RuleWithoutPort:           elsewhere,
	problem.OutrankedVirtualService:   elsewhere,
	problem.OutrankedByVirtualService: elsewhere,
	problem.ProfileService:            elsewhere,
	problem.ProfileIneffective:        elsewhere,
	problem.OverrideMissing:           elsewhere,
	problem.PolicySaidElsewhere:       elsewhere,
	problem.TooManyAlternatives:       elsewhere,
	problem.OutrankedByLinkerd:        elsewhere,
	problem.OutrankedLinkerd:          elsewhere,
	problem.AccrualOutranked:          elsewhere,
	problem.ServerConflict:            elsewhere,
}

// settled are the kinds whose API changes no more: a field that is not known is
// a mistake there. Elsewhere it may be one of a newer version.
var settled = map[string]bool{string(world.KindTrafficSplit): true, string(world.KindHTTPRouteGroup): true, string(world.KindServiceProfile): true}

// core are kinds of the platform, of which only what the mesh reads is judged.
var core = map[string]bool{string(world.KindService): true, string(world.KindNamespace): true, string(world.KindPod): true, string(world.KindEndpointSlice): true}

// classify says what is to be done about a problem of the object.
func classify(p mesh.Problem) class {
	code := problem.Code(p.Code)
	c := classes[code]
	switch {
	case code == problem.UnknownField && settled[p.Origin.Kind]:
		return refused
	case core[p.Origin.Kind] && code != problem.BadAnnotation && c == refused:
		// What the platform itself has taken is not ours to refuse.
		return warned
	case c == warned && p.Severity == mesh.Info:
		return elsewhere
	}
	return c
}
