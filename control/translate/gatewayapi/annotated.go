package gatewayapi

import (
	"github.com/weftmesh/weft/control/problem"
	"github.com/weftmesh/weft/control/translate/annotation"
	"github.com/weftmesh/weft/mesh"
)

// annotate lets Linkerd's annotations of the route for retries and timeouts
// stand before what its rule says of the same.
func (j *judge) annotate(rule *mesh.Rule) *mesh.Rule {
	policy, said, problems := annotation.Policy(j.o.annotations, j.o.origin)
	for _, p := range problems {
		j.problem(problem.Code(p.Code), p.Field, p.Message, p.Remedy)
	}
	if !said || rule.Redirect != nil {
		return rule
	}
	to, from := &rule.Timeouts, policy.Timeouts
	if from.Request != nil {
		to.Request = from.Request
		if to.Backend != nil && *from.Request > 0 && *to.Backend > *from.Request {
			j.problem(problem.PolicySaidElsewhere, rule.Origin.Field+".timeouts.backendRequest", "it is longer than the annotation "+annotation.TimeoutRequest+" lets the request take, which is in effect alone", "make it shorter than the annotation")
			to.Backend = nil // the request's own bound is the shorter one
		}
	}
	to.Response, to.Idle = from.Response, from.Idle
	if from.Request != nil || to.Origin == (mesh.Origin{}) {
		to.Origin = from.Origin
	}
	if policy.Retry != nil {
		rule.Retry = policy.Retry
	}
	return rule
}
