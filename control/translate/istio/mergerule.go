package istio

import (
	"slices"
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
// later rules, connectionPool and outlierDetection field by field. Rules that
// are for some workloads only come before the others; among equals the tighter
// limit is in effect.
func (t *translator) merged(s *mesh.Service, scope string, rules []*rule) *mesh.Destination {
	d := &mesh.Destination{Service: s.Ref, Scope: scope}
	n := 0
	for i, r := range rules {
		d.Origins = append(d.Origins, r.origin())
		if i > 0 {
			t.problem(problem.RulesCombined, r.origin(), "spec.host", at("host %s has %s too; both are in effect, and where they contradict each other that one decides", r.host, rules[0].origin()), "")
		}
		if len(r.clients) > 0 {
			n++
		}
	}
	m := merger{t: t, equals: true}
	first := rules
	if n > 0 {
		first = rules[:n]
	}
	all := m.union(first)
	if n > 0 && n < len(rules) {
		general := m.union(rules[n:])
		m.equals, m.winners, m.losers = false, rules[:n], rules[n:]
		all.policy = m.policy(all.policy, general.policy, "spec.trafficPolicy")
		for _, name := range keys(general.subsets) {
			m.subset(all, general.subsets[name], general.from[name])
		}
	}
	c := converter{t: t, rules: rules, service: s}
	for _, r := range rules {
		c.said = append(c.said, saying{partsOf(r.item.Obj.Spec.TrafficPolicy), r.origin().At("spec.trafficPolicy")})
	}
	d.Policy = c.policy(all.policy)
	d.Ports = c.ports(all.policy)
	for _, name := range keys(all.subsets) {
		d.Subsets = append(d.Subsets, c.subset(all.subsets[name], all.policy, all.from[name]))
	}
	return d
}

// sum is what several rules say together.
type sum struct {
	policy  *networking.TrafficPolicy
	subsets map[string]*networking.Subset
	from    map[string]*rule // who names a subset first
}

// merger fills up what one rule says with what a later one says.
type merger struct {
	t *translator
	// winners and losers are whom the two sides may be of, the most important
	// first.
	winners, losers []*rule
	// equals says that both sides are for the same clients.
	equals bool
}

// union is what rules say that are for the same clients, the oldest first.
func (m *merger) union(rules []*rule) sum {
	out := sum{subsets: map[string]*networking.Subset{}, from: map[string]*rule{}}
	for i, r := range rules {
		m.winners, m.losers = rules[:i], rules[i:i+1]
		out.policy = m.policy(out.policy, r.item.Obj.Spec.TrafficPolicy, "spec.trafficPolicy")
		for j, sub := range r.item.Obj.Spec.Subsets {
			field := at("spec.subsets[%d]", j)
			switch {
			case sub.Name == "" || strings.ContainsAny(sub.Name, "|"):
				m.t.problem(problem.SubsetUnknown, r.origin(), field+".name", at("%q is no name of a subset; it is left out", sub.Name), "use letters, digits and dashes")
			case out.from[sub.Name] == r:
				m.t.problem(problem.SubsetUnknown, r.origin(), field+".name", at("the subset %s is given twice; the first is in effect", sub.Name), "name each subset once")
			default:
				m.subset(out, sub, r)
			}
		}
	}
	return out
}

func (m *merger) subset(to sum, sub *networking.Subset, r *rule) {
	first := to.subsets[sub.Name]
	if first == nil {
		to.subsets[sub.Name], to.from[sub.Name] = sub, r
		return
	}
	losers, field := m.losers, subsetPath(sub.Name)
	m.losers = []*rule{r}
	if mesh.LabelString(first.Labels) != mesh.LabelString(sub.Labels) {
		m.conflict(field+".labels", protoreflect.Value{})
	}
	to.subsets[sub.Name] = &networking.Subset{Name: sub.Name, Labels: first.Labels, TrafficPolicy: m.policy(first.TrafficPolicy, sub.TrafficPolicy, field+".trafficPolicy")}
	m.losers = losers
}

// conflict tells the loser who has decided; value is what is in effect, if that is
// one value.
func (m *merger) conflict(field string, value protoreflect.Value) {
	in, _ := saidWith(m.winners, field, value)
	out, where := saidBy(m.losers, field)
	m.t.problem(problem.RuleConflict, out, where, at("%s says something else for host %s, and decides", in, m.losers[0].host), "say it in one of the two")
}

// tighten tells who gives the other limit; value is that of the winners, and
// second says that it is the other one.
func (m *merger) tighten(field string, value protoreflect.Value, second bool) {
	in, inAt := saidWith(m.winners, field, value)
	out, where := saidBy(m.losers, field)
	if second {
		in, out, where = out, in, inAt
	}
	m.t.problem(problem.RulesCombined, out, where, at("%s gives host %s a tighter limit, which is in effect and keeps this one too", in, m.losers[0].host), "")
}

func (m *merger) policy(a, b *networking.TrafficPolicy, field string) *networking.TrafficPolicy {
	switch {
	case b == nil:
		return a
	case a == nil:
		return b
	case m.t.settings.Combine == mesh.CombineOldest:
		m.conflict(field, protoreflect.Value{})
		return a
	}
	out := proto.Clone(a).(*networking.TrafficPolicy)
	ports := b.PortLevelSettings
	m.replaced(a, b, field, m.losers, m.winners)
	m.replaced(b, a, field, m.winners, m.losers)
	bb := proto.Clone(b).(*networking.TrafficPolicy)
	bb.PortLevelSettings = nil
	m.fill(out.ProtoReflect(), bb.ProtoReflect(), field)
	for _, p := range ports {
		where := portPath(field, p.Port.GetNumber())
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

// replaced tells the rules that say something for all ports where others have
// settings of a port, which replace it there: a port takes over nothing.
func (m *merger) replaced(ports, all *networking.TrafficPolicy, field string, those, others []*rule) {
	if partsOf(all) == (parts{budget: all.GetRetryBudget(), protocol: all.GetProxyProtocol()}) {
		return
	}
	for _, p := range ports.GetPortLevelSettings() {
		n := p.GetPort().GetNumber()
		if slices.ContainsFunc(all.GetPortLevelSettings(), func(o *networking.TrafficPolicy_PortTrafficPolicy) bool { return o.GetPort().GetNumber() == n }) {
			continue
		}
		by, _ := saidBy(others, portPath(field, n))
		o, where := saidBy(those, field)
		m.t.problem(problem.RuleConflict, o, where, at("%s has settings of its own for port %d of host %s, which replace these there", by, n, m.losers[0].host), "say them for the port too")
	}
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
			have := a.Get(fd)
			second, limit := tighter(fd, have, b.Get(fd))
			switch {
			case !limit || !m.equals:
				m.conflict(at, have)
				continue
			case second:
				a.Set(fd, b.Get(fd))
			}
			m.tighten(at, have, second)
		}
	}
}
