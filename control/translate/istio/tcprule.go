package istio

import (
	"errors"
	"net/netip"

	networking "istio.io/api/networking/v1alpha3"

	"github.com/weftmesh/weft/control/problem"
	"github.com/weftmesh/weft/internal/apifield"
	"github.com/weftmesh/weft/mesh"
)

var errZone = errors.New("an address with a zone")

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
				names := t.serverNames(m.SniHosts, v, where)
				if ok && len(names) > 0 {
					rule.Matches = append(rule.Matches, mesh.TCPMatch{SNI: names, Subnets: subnets, Source: mesh.ClientMatch{Namespace: m.SourceNamespace, Labels: m.SourceLabels}})
				}
			}
			if len(rule.Matches) > 0 && t.leads(r.Route, v, field) {
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
				client, known := t.client(m, v.origin(), where)
				if subnets, ok := t.subnets(m.DestinationSubnets, v.origin(), where); ok && known {
					some = true
					rule.Matches = append(rule.Matches, mesh.TCPMatch{Subnets: subnets, Source: client})
				}
			}
			if some && t.leads(r.Route, v, field) {
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
		p, ok := t.subnet(s, o, at("%s.destinationSubnets[%d]", where, i))
		if !ok {
			return nil, false
		}
		out = append(out, p)
	}
	return out, true
}

// subnet reads an address or a subnet; false means that the match cannot hold.
func (t *translator) subnet(s string, o mesh.Origin, field string) (netip.Prefix, bool) {
	p, err := netip.ParsePrefix(s)
	if err != nil {
		a, e := netip.ParseAddr(s)
		if p, err = netip.PrefixFrom(a, a.BitLen()), e; a.Zone() != "" {
			err = errZone
		}
	}
	if err != nil {
		t.problem(problem.SchemaInvalid, o, field, at("%q is no address or subnet; the match is not in effect", s), "write one such as 10.0.0.0/8")
		return netip.Prefix{}, false
	}
	return plain(p).Masked(), true
}

// plain writes a subnet of IPv4 in IPv6 as one of IPv4, as addresses are.
func plain(p netip.Prefix) netip.Prefix {
	if a := p.Addr(); a.Is4In6() && p.Bits() >= 96 {
		return netip.PrefixFrom(a.Unmap(), p.Bits()-96)
	}
	return p
}

// client reads what a match says of who connects.
func (t *translator) client(m *networking.L4MatchAttributes, o mesh.Origin, where string) (mesh.ClientMatch, bool) {
	out := mesh.ClientMatch{Namespace: m.SourceNamespace, Labels: m.SourceLabels}
	ok := true
	if m.SourceSubnet != "" {
		out.Subnet, ok = t.subnet(m.SourceSubnet, o, where+".sourceSubnet")
	}
	return out, ok
}

// serverNames are those that a client can ask for. It tells of the others, and of
// names that the VirtualService is not for: a client that asks for one has not
// dialled its host.
func (t *translator) serverNames(list []string, v *virtual, where string) (names []string) {
	for i, name := range list {
		if !apifield.ServerName(name) {
			t.problem(problem.SchemaInvalid, v.origin(), at("%s.sniHosts[%d]", where, i), at("%q is no name that clients can ask for; it is left out", name), "write a DNS name, or one that begins with *.")
			continue
		}
		names = append(names, name)
		if !t.hostsOf(v).cover(name) {
			t.problem(problem.SchemaWarning, v.origin(), at("%s.sniHosts[%d]", where, i), at("%s is not within spec.hosts; it is compared all the same", name), "name it in spec.hosts too")
		}
	}
	return names
}

// leads says whether a rule says where connections go, as it must.
func (t *translator) leads(list []*networking.RouteDestination, v *virtual, field string) bool {
	if len(list) == 0 {
		t.problem(problem.SchemaInvalid, v.origin(), field+".route", "no destination is given; the rule is not in effect", "give one")
	}
	return len(list) > 0
}

func (t *translator) tcpBackends(list []*networking.RouteDestination, v *virtual, field string, s *mesh.Service, port *mesh.Port) []mesh.Backend {
	var out []mesh.Backend
	shares := weights(t, list, v.origin(), field, "the connections are closed")
	for i, d := range list {
		b := t.destination(d.Destination, v.item.Obj.Namespace, v.origin(), at("%s.route[%d].destination", field, i), "host", s, port)
		b.Weight = shares[i]
		out = append(out, b)
	}
	return out
}
