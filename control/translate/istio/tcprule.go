package istio

import (
	"net/netip"

	networking "istio.io/api/networking/v1alpha3"

	"github.com/weftmesh/weft/control/problem"
	"github.com/weftmesh/weft/mesh"
)

// tcpRules are the tls and tcp rules of the VirtualServices of a host for one
// port. Those of tls match by the name in the application's own TLS; where no
// rule matches, connections go to the host itself.
func (t *translator) tcpRules(s *mesh.Service, port *mesh.Port, list []*virtual) []mesh.TCPRule {
	if port.Protocol.IsHTTP() {
		return nil
	}
	var out []mesh.TCPRule
	var last *mesh.TCPRule
	add := func(r mesh.TCPRule) {
		if !allConnections(&r) {
			out = append(out, r)
		} else if last == nil {
			last = &r
		}
	}
	for _, v := range list {
		spec := v.item.Obj.Spec
		for i, r := range spec.Tls {
			field := at("spec.tls[%d]", i)
			rule := mesh.TCPRule{Origin: v.origin().At(field)}
			for j, m := range r.Match {
				if m.Port != 0 && m.Port != uint32(port.Number) || !forMesh(m.Gateways) {
					continue
				}
				where := at("%s.match[%d]", field, j)
				subnets, ok := t.subnets(m.DestinationSubnets, v.origin(), where)
				if len(m.SniHosts) == 0 {
					t.problem(problem.SchemaInvalid, v.origin(), where+".sniHosts", "no name is given; the match is not in effect", "name what the clients ask for")
					continue
				}
				if ok {
					rule.Matches = append(rule.Matches, mesh.TCPMatch{SNI: m.SniHosts, Subnets: subnets, Source: mesh.ClientMatch{Namespace: m.SourceNamespace, Labels: m.SourceLabels}})
				}
			}
			if len(rule.Matches) > 0 && port.Protocol != mesh.HTTP {
				rule.Backends = t.tcpBackends(r.Route, v, field, s, port)
				add(rule)
			}
		}
		for i, r := range spec.Tcp {
			field := at("spec.tcp[%d]", i)
			rule := mesh.TCPRule{Origin: v.origin().At(field)}
			some := len(r.Match) == 0
			for j, m := range r.Match {
				if m.Port != 0 && m.Port != uint32(port.Number) || !forMesh(m.Gateways) {
					continue
				}
				where := at("%s.match[%d]", field, j)
				if subnets, ok := t.subnets(m.DestinationSubnets, v.origin(), where); ok {
					some = true
					rule.Matches = append(rule.Matches, mesh.TCPMatch{Subnets: subnets, Source: mesh.ClientMatch{Namespace: m.SourceNamespace, Labels: m.SourceLabels}})
				}
			}
			if some {
				rule.Backends = t.tcpBackends(r.Route, v, field, s, port)
				if allConnections(&rule) {
					rule.Matches = nil
				}
				add(rule)
			}
		}
	}
	if last != nil {
		out = append(out, *last)
	}
	return out
}

func allConnections(r *mesh.TCPRule) bool {
	for i := range r.Matches {
		if m := &r.Matches[i]; m.AllConnections() && m.Source.IsZero() {
			return true
		}
	}
	return len(r.Matches) == 0
}

func (t *translator) subnets(list []string, o mesh.Origin, where string) ([]netip.Prefix, bool) {
	var out []netip.Prefix
	for i, s := range list {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			var a netip.Addr
			if a, err = netip.ParseAddr(s); err == nil {
				p = netip.PrefixFrom(a, a.BitLen())
			}
		}
		if err != nil {
			t.problem(problem.SchemaInvalid, o, at("%s.destinationSubnets[%d]", where, i), at("%q is no address or subnet; the match is not in effect", s), "write one such as 10.0.0.0/8")
			return nil, false
		}
		out = append(out, p.Masked())
	}
	return out, true
}

func (t *translator) tcpBackends(list []*networking.RouteDestination, v *virtual, field string, s *mesh.Service, port *mesh.Port) []mesh.Backend {
	var out []mesh.Backend
	for i, d := range list {
		b := t.destination(d.Destination, v.item.Obj.Namespace, v.origin(), at("%s.route[%d].destination", field, i), "host", s, port)
		b.Weight = weight(d.Weight, len(list))
		out = append(out, b)
	}
	return out
}
