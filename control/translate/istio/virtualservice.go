package istio

import (
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
}

// httpSource is an HTTP rule and where it stands.
type httpSource struct {
	route  *networking.HTTPRoute
	origin mesh.Origin
	field  string
	// namespace by which short names are read.
	namespace string
}

// at is the place of a field of the rule.
func (s httpSource) at(field string) mesh.Origin { return s.origin.At(s.field + field) }

func (v *virtual) origin() mesh.Origin { return v.item.Origin }

func (t *translator) virtualServices() {
	exact, wild := map[string][]*virtual{}, map[string][]*virtual{}
	for _, item := range byAge(t.w.VirtualServices) {
		spec := item.Obj.Spec
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
		for i, host := range spec.Hosts {
			full := t.hosts.name(host, item.Obj.Namespace)
			if strings.HasPrefix(full, "*") {
				wild[full] = append(wild[full], v)
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
	for _, s := range t.hosts.all {
		list := exact[s.Host]
		for _, p := range patterns {
			if len(list) == 0 && mesh.HostCovers(p, s.Host) {
				list = wild[p]
			}
		}
		if len(list) > 0 {
			t.host(s, list)
		}
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
func (t *translator) host(s *mesh.Service, list []*virtual) {
	scopes := []string{""}
	seen := map[string]bool{"": true}
	for _, v := range list {
		for _, ns := range v.exportTo {
			if !seen[ns] {
				seen[ns] = true
				scopes = append(scopes, ns)
			}
		}
	}
	sort.Strings(scopes)
	for _, scope := range scopes {
		var visible []*virtual
		for _, v := range list {
			if seenFrom(v.exportTo, scope) {
				visible = append(visible, v)
			}
		}
		if len(visible) == 0 {
			continue
		}
		inEffect := visible
		if t.settings.Combine == mesh.CombineOldest && len(visible) > 1 {
			inEffect = visible[:1]
			for _, v := range visible[1:] {
				t.problem(problem.ConflictingHosts, v.origin(), "spec.hosts", at("host %s has the older %s, which is in effect alone", s.Host, visible[0].origin()), "put the rules into one VirtualService")
			}
		}
		for i := range s.Ports {
			t.port(s, &s.Ports[i], scope, inEffect)
		}
		if len(inEffect) > 1 {
			t.combined(s, inEffect)
		}
	}
}

// combined tells every VirtualService of a host of the others.
func (t *translator) combined(s *mesh.Service, list []*virtual) {
	for _, v := range list {
		var others []string
		for _, o := range list {
			if o != v {
				others = append(others, o.item.Obj.Namespace+"/"+o.item.Obj.Name)
			}
		}
		p := problem.New(problem.ConflictingHosts, v.origin(), "spec.hosts", at("host %s has other VirtualServices: %s; all are in effect, and where they contradict each other the oldest decides", s.Host, strings.Join(others, ", ")), "put the rules into one VirtualService to be independent of their order")
		p.Severity = mesh.Warning
		t.report(p)
	}
}

// port makes the route and the overlays of one port.
func (t *translator) port(s *mesh.Service, port *mesh.Port, scope string, list []*virtual) {
	r := fragment.Route{Route: &mesh.Route{Service: s.Ref, Port: port.Number, Scope: scope}}
	r.Defaults.Retry = defaultRetry()
	var last *mesh.Rule
	var lastOf *virtual
	for _, v := range list {
		rules := t.rules(v, s, port)
		if len(rules) == 1 && rules[0].onlyPolicy(s, port) {
			t.overlay(s, port, scope, v, rules[0])
			continue
		}
		if len(rules) > 0 {
			r.Origins = append(r.Origins, v.origin())
		}
		for i := range rules {
			rule := rules[i].rule
			if !rule.IsAll() {
				r.Rules = append(r.Rules, rule)
				continue
			}
			if last == nil {
				last, lastOf = &rule, v
			} else {
				t.problem(problem.ConflictingHosts, rules[i].origin, rules[i].field, at("on port %d of host %s the older %s takes all requests that no other rule takes; this rule is not in effect", port.Number, s.Host, lastOf.origin()), "keep one rule that takes everything")
			}
			break // nothing behind it is ever reached
		}
	}
	if last != nil {
		r.Rules = append(r.Rules, *last)
	}
	r.TCP = t.tcpRules(s, port, list)
	if len(r.TCP) > 0 && len(r.Origins) == 0 {
		for _, v := range list {
			r.Origins = append(r.Origins, v.origin())
		}
	}
	if len(r.Rules)+len(r.TCP) > 0 {
		t.out.Routes = append(t.out.Routes, r)
	}
}

// overlay hands over the policy of an object that does not choose where
// requests go. One that everybody sees is said once.
func (t *translator) overlay(s *mesh.Service, port *mesh.Port, scope string, v *virtual, r httpRule) {
	if scope != "" && v.exportTo == nil {
		return
	}
	t.out.Overlays = append(t.out.Overlays, fragment.Overlay{
		Service: s.Ref, Port: port.Number, Scope: scope, Policy: r.rule.RoutePolicy, Origin: v.origin(), Field: r.field, Created: created(v.item),
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
