package gatewayapi

import (
	"fmt"
	"slices"

	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/weftmesh/weft/control/problem"
	"github.com/weftmesh/weft/control/translate/fragment"
	"github.com/weftmesh/weft/control/world"
	"github.com/weftmesh/weft/internal/istioapi"
	"github.com/weftmesh/weft/mesh"
)

func at(format string, args ...any) string { return fmt.Sprintf(format, args...) }

// isService says whether the parent is ours: a Service of the core group,
// which must be written out, since the default group is the API's own.
func isService(ref *gwv1.ParentReference) bool {
	return ref.Kind != nil && *ref.Kind == "Service" && ref.Group != nil && coreGroup(*ref.Group)
}

// coreGroup accepts the legacy spelling as well.
func coreGroup(g gwv1.Group) bool { return g == "" || g == "core" }

func refused(reason gwv1.RouteConditionReason, message string) fragment.Condition {
	return fragment.Condition{Reason: string(reason), Message: message}
}

// attach finds the service ports that an object's parents mean, and takes part
// in the contest for them.
func (t *translator) attach(o *object) {
	for i := range o.parents {
		if p := &o.parents[i]; !isService(p) {
			if p.Kind != nil && *p.Kind == gwv1.Kind(world.KindServiceEntry) && p.Group != nil && *p.Group == istioapi.Group {
				o.tell(t, problem.ParentUnsupported, at("spec.parentRefs[%d].kind", i), "routes cannot be attached to a ServiceEntry; the route is not in effect there", "write a VirtualService for its host")
			}
			continue
		}
		a := t.parent(o, &o.parents[i], i)
		for _, tg := range a.targets {
			if e := t.effects[tg]; e == nil {
				t.effects[tg] = &effect{protocol: t.services[tg.Service].PortByNumber(tg.Port).Protocol}
			}
			if k, ok := t.won[tg]; !ok || slices.Index(kinds, o.kind) < slices.Index(kinds, k) {
				t.won[tg] = o.kind
			}
		}
		if len(a.targets) > 0 && len(o.hostnames) > 0 && o.kind != world.KindTLSRoute {
			o.tell(t, problem.HostnamesIgnored, "spec.hostnames", "routes of a Service apply to all requests to it; the hostnames are ignored", "remove spec.hostnames")
		}
		o.attached = append(o.attached, a)
	}
}

func (t *translator) parent(o *object, ref *gwv1.ParentReference, i int) attachment {
	svc := mesh.Ref{Namespace: o.ref.Namespace, Name: string(ref.Name)}
	if ref.Namespace != nil && *ref.Namespace != "" {
		svc.Namespace = string(*ref.Namespace)
	}
	ps := fragment.ParentStatus{Index: i, Service: svc}
	if ref.SectionName != nil {
		ps.SectionName = string(*ref.SectionName)
	}
	if ref.Port != nil && *ref.Port > 0 && *ref.Port <= 65535 {
		ps.Port = uint16(*ref.Port)
	}
	where := at("spec.parentRefs[%d]", i)
	deny := func(c problem.Code, field, message, remedy string) attachment {
		o.tell(t, c, field, message+"; the route is not in effect there", remedy)
		ps.Accepted = refused(gwv1.RouteReasonNoMatchingParent, message)
		return attachment{status: ps}
	}
	s := t.services[svc]
	switch {
	case s == nil:
		return deny(problem.ParentMissing, where+".name", at("service %s does not exist", svc), "create the Service or correct the name")
	case s.Kind != mesh.ClusterIP:
		return deny(problem.ParentUnsupported, where+".name", at("service %s is of kind %s, to which routes cannot be attached", svc, s.Kind), "attach the route to a Service with a cluster address")
	}
	scope := ""
	if o.ref.Namespace != svc.Namespace {
		scope = o.ref.Namespace
	}
	var targets []target
	named := false
	for _, p := range s.Ports {
		if ref.Port != nil && p.Number != ps.Port || ps.SectionName != "" && p.Name != ps.SectionName {
			continue
		}
		named = true
		if carries(p.Protocol, o.kind) {
			targets = append(targets, target{Service: svc, Port: p.Number, Scope: scope})
		}
	}
	switch {
	case !named && ref.Port != nil:
		return deny(problem.ParentPortMissing, where+".port", at("service %s has no port %d of that description", svc, *ref.Port), "name a port of the Service, or none for all")
	case !named && ps.SectionName != "":
		return deny(problem.ParentPortMissing, where+".sectionName", at("service %s has no port named %q", svc, ps.SectionName), "name a port of the Service, or none for all")
	case len(targets) == 0 && (o.kind == world.KindTLSRoute || o.kind == world.KindTCPRoute):
		return deny(problem.ParentPortHTTP, where, at("the ports of service %s that are meant are declared to speak HTTP", svc), "attach an HTTPRoute, or declare the port with appProtocol: tcp or tls")
	case len(targets) == 0:
		return deny(problem.ParentPortNotHTTP, where, at("no such port of service %s can be HTTP as its protocol is declared", svc), "declare the port with appProtocol: http, kubernetes.io/h2c or grpc")
	}
	ps.Accepted = fragment.Condition{Status: true, Reason: string(gwv1.RouteReasonAccepted)}
	return attachment{ps, targets}
}

// carries says whether a port may carry what a kind of route describes.
func carries(p mesh.Protocol, k world.Kind) bool {
	if k == world.KindTLSRoute || k == world.KindTCPRoute {
		return !p.IsHTTP()
	}
	return p.MayBeHTTP()
}
