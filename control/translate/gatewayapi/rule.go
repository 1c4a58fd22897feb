package gatewayapi

import (
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/weftmesh/weft/control/problem"
	"github.com/weftmesh/weft/control/translate/httproute"
	"github.com/weftmesh/weft/mesh"
)

// httpRules reads the rules of an HTTPRoute.
func (j *judge) httpRules(list []gwv1.HTTPRouteRule) rules {
	if len(list) == 0 {
		// The API's default: one rule that holds always and has no backend.
		list = []gwv1.HTTPRouteRule{{}}
	}
	out := rules{count: len(list)}
	for i := range list {
		in := &list[i]
		j.rule = i
		where := at("spec.rules[%d]", i)
		matches := j.matches(in.Matches, where)
		if len(in.Matches) > 0 && len(matches) == 0 {
			j.fault(gwv1.RouteReasonUnsupportedValue, "no match can be used", false)
		}
		rule := j.httpRule(in, matches, where)
		for _, m := range matches {
			out.http = append(out.http, httproute.Entry{Match: m, Rule: forMatch(rule, &m)})
		}
	}
	return out
}

// forMatch is the rule as it is for one of its matches: where the prefix / is
// replaced, what follows is a segment of its own.
func forMatch(rule *mesh.Rule, m *mesh.Match) *mesh.Rule {
	if !m.Path.IsAll() {
		return rule
	}
	out := *rule
	changed := false
	if r := rule.Rewrite; r != nil && r.PrefixPath != nil {
		c := *r
		c.PrefixPath = withSlash(*r.PrefixPath)
		out.Rewrite, changed = &c, true
	}
	if r := rule.Redirect; r != nil && r.PrefixPath != nil {
		c := *r
		c.PrefixPath = withSlash(*r.PrefixPath)
		out.Redirect, changed = &c, true
	}
	if !changed {
		return rule
	}
	return &out
}

func (j *judge) newRule(name *gwv1.SectionName, where string) *mesh.Rule {
	rule := &mesh.Rule{Name: j.o.ref.Name, Origin: j.o.origin.At(where)}
	if name != nil && *name != "" {
		rule.Name = string(*name)
	}
	return rule
}

// httpRule reads one rule but for its matches.
func (j *judge) httpRule(in *gwv1.HTTPRouteRule, matches []mesh.Match, where string) *mesh.Rule {
	rule := j.newRule(in.Name, where)
	if in.SessionPersistence != nil {
		j.bad(problem.UnsupportedField, where+".sessionPersistence", "the mesh does not keep sessions at one endpoint", "remove the field, or use a consistent hash of a DestinationRule")
	}
	f := &filters{j: j, where: where, matches: matches, request: &rule.RequestHeaders, response: &rule.ResponseHeaders, rule: rule}
	f.read(in.Filters)
	j.timeouts(in, rule, where)
	if rule.Redirect == nil {
		refs := make([]backendRef, 0, len(in.BackendRefs))
		for i := range in.BackendRefs {
			refs = append(refs, backendRef{&in.BackendRefs[i].BackendRef, in.BackendRefs[i].Filters})
		}
		rule.Backends = j.backends(refs, where)
	} else if len(in.BackendRefs) > 0 {
		j.problem(problem.RedirectWithBackends, where+".backendRefs", "the rule redirects every request; its backends receive none", "remove the backends")
	}
	return j.finish(rule)
}

// finish makes of a rule that cannot be done one that answers 500: a filter
// that is not applied must never be passed (HTTPRouteFilter.type).
func (j *judge) finish(rule *mesh.Rule) *mesh.Rule {
	if f, bad := j.faults[j.rule]; bad && !f.part {
		return &mesh.Rule{Name: rule.Name, Origin: rule.Origin}
	}
	return j.annotate(rule)
}

func (j *judge) timeouts(in *gwv1.HTTPRouteRule, rule *mesh.Rule, where string) {
	if t := in.Timeouts; t != nil {
		rule.Timeouts.Request = j.duration(t.Request, where+".timeouts.request")
		rule.Timeouts.Backend = j.duration(t.BackendRequest, where+".timeouts.backendRequest")
		if r, b := rule.Timeouts.Request, rule.Timeouts.Backend; r != nil && b != nil && *r > 0 && *b > *r {
			j.bad(problem.BadTimeout, where+".timeouts.backendRequest", at("%s is longer than the whole request may take, %s", b.Std(), r.Std()), "shorten it")
		}
		if !rule.Timeouts.IsZero() {
			rule.Timeouts.Origin = j.o.origin.At(where + ".timeouts")
		}
	}
	r := in.Retry
	if r == nil {
		return
	}
	// Connection errors are retried whatever the codes say (GEP-1731).
	out := &mesh.Retry{Attempts: 1, On: []mesh.RetryCondition{mesh.OnConnectFailure, mesh.OnRefusedStream, mesh.OnReset}, Origin: j.o.origin.At(where + ".retry")}
	if r.Attempts != nil {
		if *r.Attempts < 0 {
			j.bad(problem.BadTimeout, where+".retry.attempts", at("%d is negative", *r.Attempts), "correct the number")
			return
		}
		out.Attempts = uint32(min(*r.Attempts, maxAttempts))
	}
	for i, c := range r.Codes {
		if c < 400 || c > 599 {
			j.bad(problem.BadTimeout, at("%s.retry.codes[%d]", where, i), at("%d is not a status of an error", c), "use statuses from 400 to 599")
			return
		}
		out.Statuses = append(out.Statuses, uint32(c))
	}
	if len(out.Statuses) > 0 {
		out.On = append(out.On, mesh.OnRetriableStatusCodes)
	}
	if d := j.duration(r.Backoff, where+".retry.backoff"); d != nil {
		out.Backoff, out.BackoffFloor = *d, true
	}
	rule.Retry = out
}

// maxAttempts keeps a slip of the pen from becoming a storm.
const maxAttempts = 100

// backendRef is a backend of a rule with requests.
type backendRef struct {
	*gwv1.BackendRef
	filters []gwv1.HTTPRouteFilter
}

func (j *judge) backends(refs []backendRef, where string) []mesh.Backend {
	where += ".backendRefs"
	if len(refs) == 0 {
		j.problem(problem.RuleWithoutBackend, where, "the rule names no backend; its requests are answered 500", "name a Service")
		return nil
	}
	var out []mesh.Backend
	var sum uint64
	for i, ref := range refs {
		w := at("%s[%d]", where, i)
		b := j.backend(&ref.BackendObjectReference, ref.Weight, w)
		sum += uint64(b.Weight)
		if b.Invalid == "" && !j.t.mayBeHTTP(b) {
			j.refuse(&b, refuseRequests, problem.BackendProtocol, gwv1.RouteReasonUnsupportedProtocol, w+".port", at("port %d of service %s is declared as TLS, which the mesh does not originate", b.Port, b.Service), "name a port that speaks HTTP in the clear")
		}
		f := &filters{j: j, where: w, request: &b.RequestHeaders, response: &b.ResponseHeaders, backend: &b}
		f.read(ref.filters)
		out = append(out, b)
	}
	if sum == 0 {
		j.problem(problem.RouteWeightsZero, where, "no backend has a weight above 0; the requests are answered 500", "give one of them a weight")
	}
	return out
}

// mayBeHTTP says whether requests can be sent to a backend's port. TCP only
// means that the mesh would not look into it.
func (t *translator) mayBeHTTP(b mesh.Backend) bool {
	return t.services[b.Service].PortByNumber(b.Port).Protocol != mesh.TLS
}
