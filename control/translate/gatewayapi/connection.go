package gatewayapi

import (
	"cmp"
	"slices"
	"strings"

	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/weftmesh/weft/control/problem"
	"github.com/weftmesh/weft/control/world"
	"github.com/weftmesh/weft/internal/apifield"
	"github.com/weftmesh/weft/mesh"
)

// tcpEntry is one rule for connections, with one of its names.
type tcpEntry struct {
	// sni is empty where every connection is meant.
	sni  string
	rule *mesh.TCPRule
	from *object
}

// tlsRules reads the rules of a TLSRoute: of connections with one of its names,
// or with any where it has none, the first rule disposes.
func (j *judge) tlsRules(list []gwv1.TLSRouteRule) rules {
	out := rules{count: len(list)}
	var names []string
	for i, h := range j.o.hostnames {
		name := strings.ToLower(string(h))
		if !apifield.DNSName(strings.TrimPrefix(name, "*.")) {
			j.problem(problem.BadMatch, at("spec.hostnames[%d]", i), at("%q is not a host name; it is left out", h), "write a DNS name, with *. in front for all below it")
			continue
		}
		names = append(names, name)
	}
	for i := range list {
		j.rule = i
		rule := j.connectionRule(list[i].BackendRefs, at("spec.rules[%d]", i))
		if i > 0 {
			j.shadowed(i)
			continue
		}
		if len(j.o.hostnames) == 0 {
			out.tcp = append(out.tcp, tcpEntry{"", rule, j.o})
		}
		for _, n := range names {
			out.tcp = append(out.tcp, tcpEntry{n, rule, j.o})
		}
	}
	return out
}

// tcpRules reads the rules of a TCPRoute, of which the first disposes of every
// connection.
func (j *judge) tcpRules(list []gwv1.TCPRouteRule) rules {
	out := rules{count: len(list)}
	for i := range list {
		j.rule = i
		rule := j.connectionRule(list[i].BackendRefs, at("spec.rules[%d]", i))
		if i > 0 {
			j.shadowed(i)
			continue
		}
		out.tcp = append(out.tcp, tcpEntry{"", rule, j.o})
	}
	return out
}

func (j *judge) shadowed(i int) {
	j.problem(problem.RuleShadowed, at("spec.rules[%d]", i), "the rule before it takes every connection; this one is not in effect", "remove the rule")
	j.fault(gwv1.RouteReasonUnsupportedValue, "a rule before it takes every connection", false)
}

func (j *judge) connectionRule(refs []gwv1.BackendRef, where string) *mesh.TCPRule {
	rule := &mesh.TCPRule{Origin: j.o.origin.At(where)}
	var sum uint64
	for i := range refs {
		b := j.backend(&refs[i].BackendObjectReference, refs[i].Weight, at("%s.backendRefs[%d]", where, i))
		sum += uint64(b.Weight)
		rule.Backends = append(rule.Backends, b)
	}
	if sum == 0 {
		j.problem(problem.RouteWeightsZero, where+".backendRefs", "no backend has a weight above 0; the connections are closed", "give one of them a weight")
	}
	return rule
}

// connections makes the rules of a target that TLSRoutes or TCPRoutes decide.
// What they do not describe is closed: routes take the place of the Service's
// own forwarding.
func (t *translator) connections(r *mesh.Route, e *effect) {
	closed := []mesh.Backend{{Service: r.Service, Port: r.Port, Weight: 1, Invalid: string(gwv1.RouteReasonNoMatchingParent)}}
	slices.SortStableFunc(e.tcp, func(a, b tcpEntry) int { return cmp.Compare(b.special(), a.special()) })
	taken := map[string]*object{}
	for i := range e.tcp {
		te := &e.tcp[i]
		if by := taken[te.sni]; by != nil {
			what := "every connection"
			if te.sni != "" {
				what = te.sni
			}
			te.from.tell(t, problem.RuleShadowed, te.rule.Origin.Field, at("%s to port %d of service %s follows %s, which is older or sorts first", what, r.Port, r.Service, by.origin), "remove one of the two")
			continue
		}
		taken[te.sni] = te.from
		rule := *te.rule
		if !usable(rule.Backends) {
			rule.Backends = closed
		}
		if te.sni != "" {
			rule.Matches = []mesh.TCPMatch{{SNI: []string{te.sni}}}
		}
		r.TCP = append(r.TCP, rule)
	}
	if taken[""] == nil {
		r.TCP = append(r.TCP, mesh.TCPRule{Backends: closed, Origin: e.origins[0].At("spec.hostnames")})
	}
	if e.protocol != mesh.Detect {
		return
	}
	// Connections that turn out to be HTTP are connections no less.
	r.Rules = []mesh.Rule{}
	if by := taken[""]; by != nil && t.won[target{Service: r.Service, Port: r.Port, Scope: r.Scope}] == world.KindTCPRoute {
		last := &r.TCP[len(r.TCP)-1]
		r.Rules = append(r.Rules, mesh.Rule{Name: by.ref.Name, Origin: last.Origin, Backends: last.Backends})
	}
}

// usable says whether any connection has somewhere to go, or is closed by its
// own backend's fault.
func usable(list []mesh.Backend) bool {
	for i := range list {
		if list[i].Weight > 0 {
			return true
		}
	}
	return false
}

// special orders names: the exact before the wildcards, of which the longer is
// the more special, and what takes every connection at the end.
func (e *tcpEntry) special() int {
	switch {
	case e.sni == "":
		return 0
	case strings.HasPrefix(e.sni, "*"):
		return len(e.sni)
	}
	return 1000
}
