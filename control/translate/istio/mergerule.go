package istio

import (
	"sort"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	networking "istio.io/api/networking/v1alpha3"

	"github.com/weftmesh/weft/control/problem"
	"github.com/weftmesh/weft/mesh"
)

// merged makes one destination of the rules of a host, the most important
// first. Subsets are united; parts of the traffic policy are filled up from the
// later rules, connectionPool and outlierDetection field by field.
func (t *translator) merged(s *mesh.Service, scope string, rules []*rule) *mesh.Destination {
	d := &mesh.Destination{Service: s.Ref, Scope: scope}
	m := merger{t: t}
	var policy *networking.TrafficPolicy
	subsets := map[string]*networking.Subset{}
	from := map[string]*rule{}
	for i, r := range rules {
		spec := r.item.Obj.Spec
		d.Origins = append(d.Origins, r.origin())
		if i > 0 {
			t.problem(problem.RulesCombined, r.origin(), "spec.host", at("host %s has %s too; both are in effect, and where they contradict each other that one decides", r.host, rules[0].origin()), "")
		}
		m.winner, m.loser = rules[0], r
		policy = m.policy(policy, spec.TrafficPolicy, "spec.trafficPolicy")
		for j, sub := range spec.Subsets {
			field := at("spec.subsets[%d]", j)
			first, taken := subsets[sub.Name]
			switch {
			case sub.Name == "" || strings.ContainsAny(sub.Name, "|"):
				t.problem(problem.SubsetUnknown, r.origin(), field+".name", at("%q is no name of a subset; it is left out", sub.Name), "use letters, digits and dashes")
			case !taken:
				subsets[sub.Name], from[sub.Name] = sub, r
			case from[sub.Name] == r:
				t.problem(problem.SubsetUnknown, r.origin(), field+".name", at("the subset %s is given twice; the first is in effect", sub.Name), "name each subset once")
			default:
				m.winner = from[sub.Name]
				if mesh.LabelString(first.Labels) != mesh.LabelString(sub.Labels) {
					m.conflict(field + ".labels")
				}
				both := &networking.Subset{Name: sub.Name, Labels: first.Labels, TrafficPolicy: m.policy(first.TrafficPolicy, sub.TrafficPolicy, field+".trafficPolicy")}
				subsets[sub.Name] = both
			}
		}
	}
	c := converter{t: t, rules: rules, service: s}
	for _, r := range rules {
		c.said = append(c.said, saying{partsOf(r.item.Obj.Spec.TrafficPolicy), r.origin().At("spec.trafficPolicy")})
	}
	d.Policy = c.policy(policy)
	d.Ports = c.ports(policy)
	for _, name := range keys(subsets) {
		d.Subsets = append(d.Subsets, c.subset(subsets[name], policy, from[name]))
	}
	return d
}

// merger fills up what one rule says with what a later one says.
type merger struct {
	t             *translator
	winner, loser *rule
}

func (m *merger) conflict(field string) {
	m.t.problem(problem.RuleConflict, m.loser.origin(), field, at("%s says something else for host %s, and decides", m.winner.origin(), m.loser.host), "say it in one of the two")
}

func (m *merger) policy(a, b *networking.TrafficPolicy, field string) *networking.TrafficPolicy {
	switch {
	case b == nil:
		return a
	case a == nil:
		return b
	case m.t.settings.Combine == mesh.CombineOldest:
		m.conflict(field)
		return a
	}
	out := proto.Clone(a).(*networking.TrafficPolicy)
	ports := b.PortLevelSettings
	bb := proto.Clone(b).(*networking.TrafficPolicy)
	bb.PortLevelSettings = nil
	m.fill(out.ProtoReflect(), bb.ProtoReflect(), field)
	for i, p := range ports {
		where := at("%s.portLevelSettings[%d]", field, i)
		known := false
		for _, have := range out.PortLevelSettings {
			if have.Port.GetNumber() == p.Port.GetNumber() {
				known = true
				m.fill(have.ProtoReflect(), p.ProtoReflect(), where)
			}
		}
		if !known {
			out.PortLevelSettings = append(out.PortLevelSettings, p)
		}
	}
	return out
}

// whole are the parts of a policy that mean something as a whole only.
var whole = map[protoreflect.Name]bool{"load_balancer": true, "tls": true, "tunnel": true, "proxy_protocol": true, "retry_budget": true, "port": true, "tcp_keepalive": true, "http2_keep_alive": true}

// fill sets in a what is set in b alone.
func (m *merger) fill(a, b protoreflect.Message, field string) {
	var set []protoreflect.FieldDescriptor
	b.Range(func(fd protoreflect.FieldDescriptor, _ protoreflect.Value) bool {
		set = append(set, fd)
		return true
	})
	sort.Slice(set, func(i, j int) bool { return set[i].Number() < set[j].Number() })
	for _, fd := range set {
		at := field + "." + fd.JSONName()
		switch {
		case !a.Has(fd):
			a.Set(fd, b.Get(fd))
		case fd.Message() != nil && !fd.IsList() && !fd.IsMap() && !whole[fd.Name()] && !strings.HasPrefix(string(fd.Message().FullName()), "google."):
			m.fill(a.Mutable(fd).Message(), b.Get(fd).Message(), at)
		case !a.Get(fd).Equal(b.Get(fd)):
			m.conflict(at)
		}
	}
}
