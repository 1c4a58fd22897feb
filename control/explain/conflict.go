package explain

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/weftmesh/weft/control/problem"
	"github.com/weftmesh/weft/control/world"
	"github.com/weftmesh/weft/mesh"
)

// losing are the codes of the precedence table: what a contest was lost by, or
// is shared with.
var losing = []problem.Code{problem.OutrankedByHTTPRoute, problem.OutrankedVirtualService, problem.OutrankedByVirtualService, problem.ConflictingHosts,
	problem.RuleConflict, problem.DuplicateSplit, problem.EntryShadowed, problem.SidecarConflict, problem.SidecarDuplicate,
	problem.PolicySaidElsewhere, problem.OutrankedByLinkerd, problem.OutrankedLinkerd, problem.RouteKindConflict, problem.RuleShadowed, problem.AccrualOutranked, problem.TooManyAlternatives,
	problem.ProfileReplacedForSome}

// otherPort finds the port that a message is about.
var otherPort = regexp.MustCompile(`\bport (\d+) of (?:service|host) `)

// conflicts gathers the problems of every object that speaks of a service.
func (x *explainer) conflicts(d *Decision, s *mesh.Service) {
	objects := x.objects(s)
	for _, p := range x.in.Problems {
		if !objects[object(p.Origin)] {
			continue
		}
		if m := otherPort.FindStringSubmatch(p.Message); m != nil && m[1] != strconv.Itoa(int(d.Target.Port)) {
			continue
		}
		// Of a field of a policy it tells which of two values is in effect.
		value := strings.HasPrefix(p.Field, "spec.trafficPolicy") || strings.HasPrefix(p.Field, "spec.subsets")
		if p.Code == string(problem.RulesCombined) && !value || p.Code == string(problem.ConflictingHosts) && p.Severity != mesh.Error {
			x.together(d, p.Origin)
			continue
		}
		if value && p.Code == string(problem.RulesCombined) || slices.Contains(losing, problem.Code(p.Code)) {
			d.Losers = append(d.Losers, Loser{p.Code, p.Message, x.source(p.Origin.At(p.Field))})
			continue
		}
		d.Problems = append(d.Problems, Problem{p, x.source(p.Origin.At(p.Field))})
	}
}

// together notes an object that is in effect beside others of its kind, and for
// a DestinationRule the one that is said to be beside it.
func (x *explainer) together(d *Decision, o mesh.Origin) {
	list := []mesh.Origin{o}
	if o.Kind == string(world.KindDestinationRule) {
		for _, dest := range x.in.Mesh.Destinations {
			if d.Target.Service != nil && dest.Service == *d.Target.Service && slices.ContainsFunc(dest.Origins, func(other mesh.Origin) bool { return object(other) == object(o) }) {
				list = dest.Origins
			}
		}
	}
	for _, o := range list {
		if s := x.source(o.At("")); o.Kind == list[0].Kind && !slices.Contains(d.Together, s) {
			d.Together = append(d.Together, s)
		}
	}
}

type objectName struct{ kind, namespace, name string }

func object(o mesh.Origin) objectName { return objectName{o.Kind, o.Namespace, o.Name} }

// objects are those that name a service, whether they are in effect or not.
func (x *explainer) objects(s *mesh.Service) map[objectName]bool {
	out := map[objectName]bool{object(s.Origin): true}
	add := func(o mesh.Origin) { out[object(o)] = true }
	for _, r := range x.in.Mesh.Routes {
		if r.Service == s.Ref {
			for i := range r.Rules {
				add(r.Rules[i].Origin)
			}
		}
	}
	for _, dest := range x.in.Mesh.Destinations {
		if dest.Service == s.Ref {
			for _, o := range dest.Origins {
				add(o)
			}
		}
	}
	if x.in.World != nil {
		x.naming(s, add)
	}
	return out
}

// naming walks through the objects that name their services themselves.
func (x *explainer) naming(s *mesh.Service, add func(mesh.Origin)) {
	w := x.in.World
	for _, item := range w.VirtualServices {
		for _, h := range item.Obj.Spec.Hosts {
			if x.names(h, item.Obj.Namespace, s) {
				add(item.Origin)
			}
		}
	}
	for _, item := range w.DestinationRules {
		if x.names(item.Obj.Spec.Host, item.Obj.Namespace, s) {
			add(item.Origin)
		}
	}
	for _, item := range w.ServiceEntries {
		if slices.Contains(item.Obj.Spec.Hosts, s.Host) {
			add(item.Origin)
		}
	}
	for _, item := range w.TrafficSplits {
		if item.Obj.Namespace == s.Namespace && x.names(item.Obj.Service, item.Obj.Namespace, s) {
			add(item.Origin)
		}
	}
	for _, item := range w.ServiceProfiles {
		if x.names(item.Obj.Name, item.Obj.Namespace, s) {
			add(item.Origin)
		}
	}
	attached := func(namespace string, parents []gwv1.ParentReference, o mesh.Origin) {
		for _, p := range parents {
			if string(p.Name) == s.Name && (p.Namespace == nil && namespace == s.Namespace || p.Namespace != nil && string(*p.Namespace) == s.Namespace) {
				add(o)
			}
		}
	}
	for ref, item := range w.HTTPRoutes {
		attached(ref.Namespace, item.Obj.Spec.ParentRefs, item.Origin)
	}
	for ref, item := range w.PolicyRoutes {
		attached(ref.Namespace, item.Obj.Spec.ParentRefs, item.Origin)
	}
	for ref, item := range w.GRPCRoutes {
		attached(ref.Namespace, item.Obj.Spec.ParentRefs, item.Origin)
	}
	for ref, item := range w.TLSRoutes {
		attached(ref.Namespace, item.Obj.Spec.ParentRefs, item.Origin)
	}
	for ref, item := range w.TCPRoutes {
		attached(ref.Namespace, item.Obj.Spec.ParentRefs, item.Origin)
	}
}

// names says whether a host, as an object in a namespace writes it, is a service.
func (x *explainer) names(host, namespace string, s *mesh.Service) bool {
	domain := x.in.Mesh.Settings.ClusterDomain
	if !strings.Contains(host, ".") {
		host += "." + namespace + ".svc." + domain
	}
	for _, full := range []string{host, host + ".svc." + domain, host + "." + domain} {
		if mesh.HostCovers(full, s.Host) {
			return true
		}
	}
	return false
}
