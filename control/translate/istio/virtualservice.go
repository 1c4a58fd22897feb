package istio

import (
	"slices"
	"sort"
	"strings"

	networking "istio.io/api/networking/v1alpha3"

	"github.com/weftmesh/weft/control/problem"
	"github.com/weftmesh/weft/control/translate/fragment"
	"github.com/weftmesh/weft/control/world"
	"github.com/weftmesh/weft/internal/istioapi"
	"github.com/weftmesh/weft/mesh"
)

// meshGateway is what a VirtualService says to bind sidecars.
const meshGateway = "mesh"

// virtual is a VirtualService of the mesh.
type virtual struct {
	item     world.Item[*istioapi.VirtualService]
	exportTo []string
	// rules are the HTTP rules with those of delegates in their place.
	rules []httpSource
	// reach are the ports that it is for.
	reach reach
}

// httpSource is an HTTP rule and where it stands.
type httpSource struct {
	route  *networking.HTTPRoute
	origin mesh.Origin
	field  string
	// namespace by which short names are read.
	namespace string
	// root is the rule that delegates to this one; inherited are the parts that
	// it says for it, and matches the places of the matches, which are joined.
	root      *httpSource
	inherited map[string]bool
	matches   []mesh.Origin
}

// match is the place of a match.
func (s httpSource) match(i int) mesh.Origin {
	if i < len(s.matches) {
		return s.matches[i]
	}
	return s.at(at(".match[%d]", i))
}

// at is the place of a field of the rule.
func (s httpSource) at(field string) mesh.Origin { return s.origin.At(s.field + field) }

func (v *virtual) origin() mesh.Origin { return v.item.Origin }

func (t *translator) virtualServices() {
	exact, wild := map[string][]*virtual{}, map[string][]*virtual{}
	var all []*virtual
	for _, item := range byAge(t.w.VirtualServices) {
		spec := item.Obj.Spec
		if len(spec.Http)+len(spec.Tcp)+len(spec.Tls) == 0 {
			t.problem(problem.SchemaInvalid, item.Origin, "spec", "there is no rule; the VirtualService is not in effect", "give http, tcp or tls rules")
			continue
		}
		if len(spec.Hosts) == 0 {
			continue // a delegate, which is read where it is named
		}
		if !forMesh(spec.Gateways) {
			t.problem(problem.GatewayOnly, item.Origin, "spec.gateways", "the VirtualService is bound to gateways only, which the mesh does not run", "add mesh to spec.gateways to bind sidecars")
			continue
		}
		v := &virtual{item: item, exportTo: exported(spec.ExportTo, item.Obj.Namespace)}
		v.rules = t.withDelegates(v)
		t.unreachable(v)
		all = append(all, v)
		for i, host := range spec.Hosts {
			full := t.hosts.name(host, item.Obj.Namespace)
			if full == "*" {
				t.problem(problem.SchemaInvalid, item.Origin, at("spec.hosts[%d]", i), "* is for gateways only; the rules are not in effect for it", "name the hosts, or those of a namespace such as *.shop.svc."+t.hosts.domain)
				continue
			}
			if strings.HasPrefix(full, "*") {
				if list := wild[full]; len(list) == 0 || list[len(list)-1] != v {
					wild[full] = append(list, v)
				}
				continue
			}
			if t.hosts.byHost[full] == nil {
				t.problem(problem.ReferenceMissing, item.Origin, at("spec.hosts[%d]", i), at("no Service or ServiceEntry has the host %s; the rules are not in effect for it", full), "create it or correct the name")
				continue
			}
			if list := exact[full]; len(list) == 0 || list[len(list)-1] != v {
				exact[full] = append(list, v)
			}
		}
	}
	patterns := make([]string, 0, len(wild))
	for p := range wild {
		patterns = append(patterns, p)
	}
	sort.Slice(patterns, func(i, j int) bool {
		return len(patterns[i]) > len(patterns[j]) || len(patterns[i]) == len(patterns[j]) && patterns[i] < patterns[j]
	})
	covering := map[string]bool{}
	for _, s := range t.hosts.all {
		var tiers [][]*virtual
		if list := exact[s.Host]; len(list) > 0 {
			tiers = append(tiers, list)
		}
		for _, p := range patterns {
			if mesh.HostCovers(p, s.Host) {
				covering[p] = true
				tiers = append(tiers, wild[p])
			}
		}
		for _, list := range tiers {
			for _, v := range list {
				v.reach.add(s)
			}
		}
		if len(tiers) > 0 {
			t.host(s, tiers)
		}
	}
	for _, v := range all {
		t.effect(v, covering)
	}
}

func forMesh(gateways []string) bool {
	for _, g := range gateways {
		if g == meshGateway {
			return true
		}
	}
	return len(gateways) == 0
}

// host combines the VirtualServices of one host, which come in the order of
// their age, for each port and each namespace that sees others than the rest.
// Of the tiers, which begin with the most specific name, clients of a namespace
// have the first of which they see something.
func (t *translator) host(s *mesh.Service, tiers [][]*virtual) {
	scopes := []string{""}
	seen := map[string]bool{"": true}
	for _, list := range tiers {
		for _, v := range list {
			for _, ns := range v.exportTo {
				if !seen[ns] {
					seen[ns] = true
					scopes = append(scopes, ns)
				}
			}
		}
	}
	sort.Strings(scopes)
	general := visible(tiers, "")
	var except []string // those who do not have what all others have
	for _, scope := range scopes {
		if len(general) > 0 && !slices.Contains(t.effective(visible(tiers, scope)), general[0]) {
			except = append(except, scope)
		}
	}
	told := map[*virtual]bool{}
	routed := map[uint16]bool{} // the ports that have a route for all others
	for _, scope := range scopes {
		list := visible(tiers, scope)
		if len(list) == 0 {
			continue
		}
		inEffect := t.effective(list)
		for _, v := range list[len(inEffect):] {
			t.problem(problem.ConflictingHosts, v.origin(), "spec.hosts", at("host %s has the older %s, which is in effect alone", s.Host, list[0].origin()), "put the rules into one VirtualService")
		}
		_, other := slices.BinarySearch(except, scope)
		for i := range s.Ports {
			r := t.port(s, &s.Ports[i], scope, except, inEffect)
			routed[s.Ports[i].Number] = routed[s.Ports[i].Number] || scope == "" && len(r.Origins) > 0
			if other && len(r.Origins) == 0 && routed[s.Ports[i].Number] {
				// What all others have is not for these, who go to the host itself.
				for _, v := range inEffect {
					r.Origins = append(r.Origins, v.origin())
				}
			}
			if len(r.Origins) > 0 {
				t.out.Routes = append(t.out.Routes, r)
			}
		}
		if len(inEffect) > 1 {
			t.combined(s, inEffect, told)
		}
	}
}

// effective are those of the VirtualServices of a host that are in effect.
func (t *translator) effective(list []*virtual) []*virtual {
	if t.settings.Combine == mesh.CombineOldest && len(list) > 1 {
		return list[:1]
	}
	return list
}

// visible are the VirtualServices of the first tier that has any for clients of a
// namespace.
func visible(tiers [][]*virtual, scope string) (list []*virtual) {
	for _, all := range tiers {
		for _, v := range all {
			if seenFrom(v.exportTo, scope) {
				list = append(list, v)
			}
		}
		if len(list) > 0 {
			return list
		}
	}
	return nil
}

// combined tells every VirtualService of a host of the others, once.
func (t *translator) combined(s *mesh.Service, list []*virtual, told map[*virtual]bool) {
	for _, v := range list {
		if told[v] {
			continue
		}
		told[v] = true
		var others []string
		for i := 0; i < len(list) && len(others) < mostNamed; i++ {
			if o := list[i]; o != v {
				others = append(others, o.item.Obj.Namespace+"/"+o.item.Obj.Name)
			}
		}
		names := strings.Join(others, ", ")
		if more := len(list) - 1 - len(others); more > 0 {
			names += at(" and %d more", more)
		}
		p := problem.New(problem.ConflictingHosts, v.origin(), "spec.hosts", at("host %s has other VirtualServices: %s; all are in effect, and where they contradict each other the oldest decides", s.Host, names), "put the rules into one VirtualService to be independent of their order")
		p.Severity = mesh.Warning
		t.report(p)
	}
}

// mostNamed is how many other objects a problem names.
const mostNamed = 3

// port makes the overlays of one port, and its route, which has no origins where
// there is none.
func (t *translator) port(s *mesh.Service, port *mesh.Port, scope string, except []string, list []*virtual) fragment.Route {
	r := fragment.Route{Route: &mesh.Route{Service: s.Ref, Port: port.Number, Scope: scope}}
	r.Defaults.Retry = t.shared.retry
	var itself *mesh.Rule
	var routing []*virtual
	var said [][]httpRule
	same := true
	for _, v := range list {
		rules, ofAll := t.rulesOf(v, s, port)
		if len(rules) == 1 && rules[0].onlyPolicy(s, port) {
			t.overlay(s, port, scope, except, v, rules[0])
			if itself == nil {
				itself = &rules[0].rule
			}
			continue
		}
		routing, said, same = append(routing, v), append(said, rules), same && ofAll
	}
	all := t.together(routing, said, port.Number, same)
	r.Rules, r.Origins = all.rules, all.origins
	for _, l := range all.late {
		t.problem(problem.ConflictingHosts, l.origin, l.field, at("on port %d of host %s the older %s takes all requests that no other rule takes; this rule is not in effect", port.Number, s.Host, all.last.origin()), "keep one rule that takes everything")
	}
	if all.last == nil && itself != nil && len(r.Rules) > 0 {
		// What no rule takes goes where the overlay says; its policy is laid upon it.
		r.Rules = append(r.Rules, mesh.Rule{Name: itself.Name, Origin: itself.Origin, Backends: itself.Backends})
	}
	r.TCP = t.connections(s, port, list)
	if len(r.TCP) > 0 && len(r.Origins) == 0 {
		for _, v := range list {
			r.Origins = append(r.Origins, v.origin())
		}
	}
	if len(r.Rules)+len(r.TCP) == 0 {
		r.Origins = nil
	}
	return r
}

// overlay hands over the policy of an object that does not choose where
// requests go. One that everybody sees is said once.
func (t *translator) overlay(s *mesh.Service, port *mesh.Port, scope string, except []string, v *virtual, r httpRule) {
	if scope != "" {
		if v.exportTo == nil {
			return
		}
		except = nil
	}
	t.out.Overlays = append(t.out.Overlays, fragment.Overlay{
		Service: s.Ref, Port: port.Number, Scope: scope, Except: except, Policy: r.rule.RoutePolicy, Origin: v.origin(), Field: r.field, Created: created(v.item),
		Code: string(problem.ConflictingHosts), Defaults: mesh.RoutePolicy{Retry: defaultRetry()},
	})
}

// unreachable reports rules behind one that takes everything.
func (t *translator) unreachable(v *virtual) {
	for i, r := range v.rules {
		if i == len(v.rules)-1 {
			return
		}
		all := len(r.route.Match) == 0
		for _, m := range r.route.Match {
			if len(m.Gateways) == 0 && m.Port == 0 {
				if mm, ok := t.match(m, r, 0, false); ok && mm.IsAll() {
					all = true
				}
			}
		}
		if all {
			for _, behind := range v.rules[i+1:] {
				t.problem(problem.UnreachableRule, behind.origin, behind.field, at("%s takes every request; this rule is never reached", r.field), "move the rule before it")
			}
			return
		}
	}
}
