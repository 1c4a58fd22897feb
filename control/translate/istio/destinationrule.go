package istio

import (
	"sort"
	"strings"

	networking "istio.io/api/networking/v1alpha3"

	"github.com/weftmesh/weft/control/problem"
	"github.com/weftmesh/weft/control/world"
	"github.com/weftmesh/weft/internal/istioapi"
	"github.com/weftmesh/weft/mesh"
)

// rule is a DestinationRule.
type rule struct {
	item     world.Item[*istioapi.DestinationRule]
	host     string
	exportTo []string
	clients  map[string]string // of its workloadSelector
}

func (r *rule) origin() mesh.Origin { return r.item.Origin }

// subset is the place of a field of a subset.
func (r *rule) subset(name, field string) mesh.Origin {
	for i, s := range r.item.Obj.Spec.Subsets {
		if s.Name == name {
			return r.item.Origin.At(at("spec.subsets[%d]", i) + field)
		}
	}
	return r.item.Origin
}

// ruleIndex finds the rules of a namespace for a host.
type ruleIndex struct {
	exact map[string]map[string][]*rule // by namespace, then host
	wild  map[string][]*rule            // by namespace; the most specific first
	// byHost are the namespaces that have rules for exactly a host.
	byHost map[string][]string
}

func (t *translator) destinationRules() {
	x := ruleIndex{exact: map[string]map[string][]*rule{}, wild: map[string][]*rule{}, byHost: map[string][]string{}}
	var wild []*rule
	for _, item := range byAge(t.w.DestinationRules) {
		o := item.Obj
		if o.Spec.Host == "" {
			t.problem(problem.SchemaInvalid, item.Origin, "spec.host", "no host is given; the rule is not in effect", "name the host of a Service or ServiceEntry")
			continue
		}
		r := &rule{item: item, host: t.hosts.name(o.Spec.Host, o.Namespace), exportTo: exported(o.Spec.ExportTo, o.Namespace), clients: o.Spec.WorkloadSelector.GetMatchLabels()}
		t.portSettings(r)
		if strings.HasPrefix(r.host, "*") {
			x.wild[o.Namespace] = append(x.wild[o.Namespace], r)
			wild = append(wild, r)
			continue
		}
		if t.hosts.byHost[r.host] == nil {
			t.problem(problem.UnknownRuleHost, item.Origin, "spec.host", at("no Service or ServiceEntry has the host %s; the rule is not in effect", r.host), "create it or correct the name")
			continue
		}
		if x.exact[o.Namespace] == nil {
			x.exact[o.Namespace] = map[string][]*rule{}
		}
		if len(x.exact[o.Namespace][r.host]) == 0 {
			x.byHost[r.host] = append(x.byHost[r.host], o.Namespace)
		}
		x.exact[o.Namespace][r.host] = append(x.exact[o.Namespace][r.host], r)
	}
	for _, list := range x.wild {
		sort.SliceStable(list, func(i, j int) bool { return len(list[i].host) > len(list[j].host) })
	}
	for _, s := range t.hosts.all {
		t.destinationsOf(s, &x, wild)
	}
}

// portSettings reports settings of ports that are in effect nowhere.
func (t *translator) portSettings(r *rule) {
	check := func(list []*networking.TrafficPolicy_PortTrafficPolicy, field string) {
		seen := map[uint32]bool{}
		for i, p := range list {
			where, n := at("%s.portLevelSettings[%d].port", field, i), p.GetPort().GetNumber()
			switch s := t.hosts.byHost[r.host]; {
			case p.GetPort() == nil:
				t.problem(problem.SchemaInvalid, r.origin(), where, "no port is given; the settings are not in effect", "give a number from 1 to 65535")
			case n < 1 || n > 65535:
				t.problem(problem.SchemaWarning, r.origin(), where, at("%d is no port; the settings are not in effect", n), "give a number from 1 to 65535")
			case seen[n]:
				t.problem(problem.SchemaWarning, r.origin(), where, at("port %d has settings before these, which are not in effect", n), "put the two together")
			case s != nil && s.PortByNumber(uint16(n)) == nil:
				t.problem(problem.RuleWithoutPort, r.origin(), where, at("%s has no port %d; the settings are not in effect", r.host, n), "name a port of the host")
			}
			seen[n] = true
		}
	}
	spec := r.item.Obj.Spec
	check(spec.GetTrafficPolicy().GetPortLevelSettings(), "spec.trafficPolicy")
	for i, sub := range spec.Subsets {
		check(sub.GetTrafficPolicy().GetPortLevelSettings(), at("spec.subsets[%d].trafficPolicy", i))
	}
}

// of returns the rules of a namespace for a host that clients of another (the
// empty one stands for those that nobody names) can see: those whose host is
// the most specific.
func (x *ruleIndex) of(namespace, host, client string) []*rule {
	see := func(list []*rule) (out []*rule) {
		for _, r := range list {
			if seenFrom(r.exportTo, client) {
				out = append(out, r)
			}
		}
		return out
	}
	if out := see(x.exact[namespace][host]); len(out) > 0 {
		return out
	}
	var out []*rule
	for _, r := range see(x.wild[namespace]) {
		if mesh.HostCovers(r.host, host) && (len(out) == 0 || out[0].host == r.host) {
			out = append(out, r)
		}
	}
	return out
}

// lookup finds the rules that bind the clients of a namespace: the namespace's
// own, else the service's, else the root namespace's. The root namespace's own
// clients begin with the second.
func (t *translator) lookup(x *ruleIndex, s *mesh.Service, client string) []*rule {
	if client != "" && client != t.settings.RootNamespace {
		if out := x.of(client, s.Host, client); len(out) > 0 {
			return out
		}
	}
	if out := x.of(s.Namespace, s.Host, client); len(out) > 0 || s.Namespace == t.settings.RootNamespace {
		return out
	}
	return x.of(t.settings.RootNamespace, s.Host, client)
}

// destinationsOf makes the destinations of a service: one for all clients, and
// one for each namespace whose clients have other rules.
func (t *translator) destinationsOf(s *mesh.Service, x *ruleIndex, wild []*rule) {
	if len(x.byHost[s.Host]) == 0 && len(wild) == 0 {
		return
	}
	scopes := map[string]bool{}
	note := func(r *rule) {
		scopes[r.item.Obj.Namespace] = true
		for _, ns := range r.exportTo {
			scopes[ns] = true
		}
	}
	for _, ns := range x.byHost[s.Host] {
		for _, r := range x.exact[ns][s.Host] {
			note(r)
		}
	}
	for _, r := range wild {
		if mesh.HostCovers(r.host, s.Host) {
			note(r)
		}
	}
	all := t.lookup(x, s, "")
	t.addDestination(s, "", all)
	for _, ns := range keys(scopes) {
		if own := t.lookup(x, s, ns); !sameRules(own, all) || anySelector(own) {
			t.addDestination(s, ns, own)
		}
	}
}

func sameRules(a, b []*rule) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

func anySelector(list []*rule) bool {
	for _, r := range list {
		if len(r.clients) > 0 {
			return true
		}
	}
	return false
}

// addDestination merges rules to the destination of one scope. Rules with a
// workloadSelector make one of their own for the workloads that they select, in
// their own namespace; what they do not say is taken from the others.
func (t *translator) addDestination(s *mesh.Service, scope string, list []*rule) {
	var plain []*rule
	selectors := map[string][]*rule{}
	for _, r := range list {
		switch {
		case len(r.clients) == 0:
			plain = append(plain, r)
		case r.item.Obj.Namespace == scope:
			k := mesh.LabelString(r.clients)
			selectors[k] = append(selectors[k], r)
		}
	}
	if len(plain) > 0 {
		t.out.Destinations = append(t.out.Destinations, t.merged(s, scope, plain))
	}
	for _, k := range keys(selectors) {
		rules := selectors[k]
		clients := rules[0].clients
		if t.settings.Combine != mesh.CombineOldest {
			rules = append(rules[:len(rules):len(rules)], plain...)
		}
		d := t.merged(s, scope, rules)
		d.Clients = clients
		t.out.Destinations = append(t.out.Destinations, d)
	}
}
