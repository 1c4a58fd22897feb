package istio

import (
	"strings"

	"github.com/weftmesh/weft/control/problem"
	"github.com/weftmesh/weft/mesh"
)

// reach are the ports that a VirtualService is for: those of all its hosts.
type reach struct {
	// http are the numbers of ports on which requests may be told apart, tcp of
	// those on which connections may.
	http, tcp map[uint16]bool
}

func (r *reach) add(s *mesh.Service) {
	if r.http == nil {
		r.http, r.tcp = map[uint16]bool{}, map[uint16]bool{}
	}
	for _, p := range s.Ports {
		if p.Protocol.MayBeHTTP() {
			r.http[p.Number] = true
		}
		if !p.Protocol.IsHTTP() {
			r.tcp[p.Number] = true
		}
	}
}

// effect reports what of a VirtualService is in effect on no port of its hosts;
// covering are the patterns that cover some.
func (t *translator) effect(v *virtual, covering map[string]bool) {
	spec := v.item.Obj.Spec
	for i, host := range spec.Hosts {
		full := t.hosts.name(host, v.item.Obj.Namespace)
		if strings.HasPrefix(full, "*") && full != "*" && !covering[full] {
			p := problem.New(problem.ReferenceMissing, v.origin(), at("spec.hosts[%d]", i), at("%s covers the host of no Service or ServiceEntry; the rules are not in effect for it", full), "create one or correct the name")
			p.Severity = mesh.Warning
			t.report(p)
			continue
		}
		if s := t.hosts.byHost[full]; s != nil {
			var own reach
			own.add(s)
			http := len(own.http) > 0 && len(v.rules) > 0
			tcp := len(own.tcp) > 0 && len(spec.Tcp)+len(spec.Tls) > 0
			if !http && !tcp && len(spec.Hosts) > 1 && len(s.Ports) > 0 && len(v.rules)+len(spec.Tcp)+len(spec.Tls) > 0 {
				t.problem(problem.RuleWithoutPort, v.origin(), at("spec.hosts[%d]", i), at("no rule is for the protocol of a port of %s, which are %s", full, protocols(s)), "write tcp rules for TCP and http rules for HTTP, or declare the port's protocol")
			}
		}
	}
	if len(v.reach.http)+len(v.reach.tcp) == 0 {
		return // there is no host
	}
	none := func(field, what string) {
		t.problem(problem.RuleWithoutPort, v.origin(), field, at("no port of the hosts carries %s; the rules are not in effect", what), "declare the protocol of the port (its name, or appProtocol), or write rules for what it is")
	}
	switch {
	case len(v.rules) == 0:
	case len(v.reach.http) == 0:
		none("spec.http", "HTTP")
	default:
		for _, src := range v.rules {
			for i, m := range src.route.Match {
				place := src.match(i)
				t.portMatch(m.Port, m.Gateways, v.reach.http, place.At(""), place.Field)
			}
		}
	}
	if len(v.reach.tcp) == 0 {
		if len(spec.Tcp) > 0 {
			none("spec.tcp", "anything but HTTP")
		}
		if len(spec.Tls) > 0 {
			none("spec.tls", "anything but HTTP")
		}
		return
	}
	for i, r := range spec.Tcp {
		portMatches(t, v, r.Match, at("spec.tcp[%d]", i))
	}
	for i, r := range spec.Tls {
		portMatches(t, v, r.Match, at("spec.tls[%d]", i))
	}
}

func portMatches[M interface {
	GetPort() uint32
	GetGateways() []string
}](t *translator, v *virtual, matches []M, field string) {
	for i, m := range matches {
		t.portMatch(m.GetPort(), m.GetGateways(), v.reach.tcp, v.origin(), at("%s.match[%d]", field, i))
	}
}

func (t *translator) portMatch(port uint32, gateways []string, ports map[uint16]bool, o mesh.Origin, field string) {
	if port == 0 || !forMesh(gateways) || port <= 65535 && ports[uint16(port)] {
		return
	}
	t.problem(problem.RuleWithoutPort, o, field+".port", at("no host has a port %d for such rules; the match is not in effect", port), "name a port of the hosts")
}

func protocols(s *mesh.Service) string {
	var out []string
	for _, p := range s.Ports {
		out = append(out, at("%d (%s)", p.Number, p.Protocol))
	}
	return strings.Join(out, ", ")
}
