package gatewayapi

import (
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/weftmesh/weft/control/problem"
	"github.com/weftmesh/weft/mesh"
)

// maxWeight is the API's (BackendRef.weight).
const maxWeight = 1_000_000

// What becomes of the share of a backend that cannot be used.
const (
	refuseRequests    = "; its share of the requests is answered 500"
	refuseConnections = "; its share of the connections is closed"
	refuseCopies      = "; it receives no copies"
)

// backend reads a backend and its weight, which is 1 where none is given.
func (j *judge) backend(in *gwv1.BackendObjectReference, weight *int32, where string) mesh.Backend {
	b := mesh.Backend{Weight: 1}
	if weight != nil {
		if w := *weight; w < 0 || w > maxWeight {
			j.problem(problem.RouteWeight, where+".weight", at("the weight %d is not between 0 and %d; the backend receives nothing", w, maxWeight), "correct the weight")
			b.Weight = 0
		} else {
			b.Weight = uint32(w)
		}
	}
	j.resolve(in, where, &b, j.consequence())
	return b
}

func (j *judge) consequence() string {
	if j.o.kind == "TLSRoute" || j.o.kind == "TCPRoute" {
		return refuseConnections
	}
	return refuseRequests
}

// refuse says of a backend that it cannot be used.
func (j *judge) refuse(b *mesh.Backend, consequence string, c problem.Code, reason gwv1.RouteConditionReason, field, message, remedy string) {
	j.problem(c, field, message+consequence, remedy)
	j.unresolved(reason, field+": "+message)
	b.Invalid = string(reason)
}

// resolve finds the service of a backend, and says in Invalid why it cannot be
// used.
func (j *judge) resolve(in *gwv1.BackendObjectReference, where string, b *mesh.Backend, consequence string) {
	b.Service = mesh.Ref{Namespace: j.o.ref.Namespace, Name: string(in.Name)}
	if in.Namespace != nil && *in.Namespace != "" {
		b.Service.Namespace = string(*in.Namespace)
	}
	if in.Port != nil && *in.Port > 0 && *in.Port <= 65535 {
		b.Port = uint16(*in.Port)
	}
	fail := func(c problem.Code, reason gwv1.RouteConditionReason, field, message, remedy string) {
		j.refuse(b, consequence, c, reason, where+field, message, remedy)
	}
	if in.Kind != nil && *in.Kind != "Service" || in.Group != nil && !coreGroup(*in.Group) {
		fail(problem.RouteBackendKind, gwv1.RouteReasonInvalidKind, ".kind", "the backend is not a Service", "name a Service")
		return
	}
	if !j.permitted(b.Service) {
		fail(problem.RefNotPermitted, gwv1.RouteReasonRefNotPermitted, ".namespace", at("no ReferenceGrant in namespace %s allows %ss of namespace %s to send to service %s", b.Service.Namespace, j.o.kind, j.o.ref.Namespace, b.Service), "make a ReferenceGrant there")
		return
	}
	s := j.t.services[b.Service]
	switch {
	case s == nil:
		fail(problem.RouteBackend, gwv1.RouteReasonBackendNotFound, ".name", at("service %s does not exist", b.Service), "create the Service or correct the name")
	case s.Kind == mesh.ExternalName:
		fail(problem.RouteBackendKind, gwv1.RouteReasonInvalidKind, ".name", at("service %s is an ExternalName, which cannot be a backend", b.Service), "name a Service with endpoints of its own")
	case in.Port == nil:
		fail(problem.RouteBackend, gwv1.RouteReasonBackendNotFound, ".port", "the port is missing, which a Service needs", "give the port of the Service")
	case s.PortByNumber(b.Port) == nil:
		fail(problem.RouteBackend, gwv1.RouteReasonBackendNotFound, ".port", at("service %s has no port %d", b.Service, *in.Port), "name a port of the Service")
	}
}

// permitted says whether a route may send to a service. Its own namespace is
// always open to it, and so is that of its parent, whose clients reach its
// services anyway; others must grant it (ReferenceGrant).
func (j *judge) permitted(to mesh.Ref) bool {
	from := j.o.ref.Namespace
	if to.Namespace == from || to.Namespace == j.parent {
		return true
	}
	for _, g := range j.t.w.ReferenceGrants {
		if g.Obj.Namespace != to.Namespace {
			continue
		}
		source, dest := false, false
		for _, f := range g.Obj.Spec.From {
			source = source || f.Group == gwv1.GroupName && string(f.Kind) == string(j.o.kind) && string(f.Namespace) == from
		}
		for _, d := range g.Obj.Spec.To {
			dest = dest || coreGroup(d.Group) && d.Kind == "Service" && (d.Name == nil || *d.Name == "" || string(*d.Name) == to.Name)
		}
		if source && dest {
			return true
		}
	}
	return false
}
