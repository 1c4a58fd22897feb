package linkerd

import (
	"github.com/weftmesh/weft/control/problem"
	"github.com/weftmesh/weft/control/translate/annotation"
	"github.com/weftmesh/weft/control/translate/fragment"
	"github.com/weftmesh/weft/mesh"
)

// annotated reads the annotations of Services.
func (t *translator) annotated() {
	for _, item := range byAge(t.w.Services) {
		if len(item.Obj.Annotations) == 0 {
			continue
		}
		ref := mesh.Ref{Namespace: item.Obj.Namespace, Name: item.Obj.Name}
		s := t.services[ref]
		policy, said, problems := annotation.Policy(item.Obj.Annotations, item.Origin)
		accrual, more := annotation.Accrual(item.Obj.Annotations, item.Origin)
		t.out.Problems = append(append(t.out.Problems, problems...), more...)
		if s == nil || !said && accrual == nil {
			continue
		}
		ports := httpPorts(s)
		if s.Kind == mesh.ExternalName || len(ports) == 0 {
			t.problem(problem.AnnotationIneffective, item.Origin, "metadata.annotations", at("no port of service %s can be HTTP; its annotations for retries, timeouts and failure accrual have no effect", ref), "declare the port with appProtocol: http")
			continue
		}
		if accrual != nil {
			t.out.Destinations = append(t.out.Destinations, &mesh.Destination{Service: ref, Policy: mesh.Policy{Accrual: accrual}, Origins: []mesh.Origin{item.Origin}})
		}
		if !said {
			continue
		}
		if policy.Retry != nil {
			policy.Retry.Budget = t.saidBudget(s)
		}
		for _, p := range ports {
			t.out.Overlays = append(t.out.Overlays, fragment.Overlay{
				Service: ref, Port: p.Number, Policy: policy, Origin: item.Origin, Field: "metadata.annotations", Fields: annotation.PolicyFields,
				Created: item.Obj.CreationTimestamp.Time, Code: string(problem.PolicySaidElsewhere), Name: defaultName,
			})
		}
	}
}

// saidBudget is the budget that the service's profile says, which binds the
// retries of annotations too; they have none of their own.
func (t *translator) saidBudget(s *mesh.Service) *mesh.RetryBudget {
	p, ok := t.w.ServiceProfiles[mesh.Ref{Namespace: s.Namespace, Name: s.Host}]
	if !ok || p.Obj.Spec.RetryBudget == nil {
		return nil
	}
	return budgetOf(&p.Obj.Spec)
}
