package translate

import (
	"slices"
	"sort"
	"strconv"

	"github.com/weftmesh/weft/control/problem"
	"github.com/weftmesh/weft/control/translate/fragment"
	"github.com/weftmesh/weft/control/translate/gatewayapi"
	"github.com/weftmesh/weft/control/translate/istio"
	"github.com/weftmesh/weft/control/translate/linkerd"
	"github.com/weftmesh/weft/control/translate/smi"
	"github.com/weftmesh/weft/control/world"
	"github.com/weftmesh/weft/mesh"
)

// families is the precedence of the API families on one service port: the first
// that has a route there decides where requests and connections go, and the
// others are told.
//
//	family       object          within the family
//	Gateway API  HTTPRoute       all routes of the same parent port and scope are merged; a
//	                             match wins by: exact path, regular expression, longest prefix,
//	                             method, number of headers, number of query parameters, oldest
//	                             route, namespace/name, position
//	Istio        VirtualService  the rules of all objects of the host, the oldest object first;
//	                             of the rules that take every request only the oldest object's,
//	                             at the end. With combine: OLDEST the oldest object alone
//	Linkerd      HTTPRoute of policy.linkerd.io: as the Gateway API's; else dstOverrides of
//	             the ServiceProfile in the client's namespace, else in the service's
//	SMI          TrafficSplit    those with matches of a root service, the oldest first, then
//	             one without: the oldest, then the first by name
//
// Objects that do not choose where requests go (a VirtualService whose only rule
// is a catch-all to the host itself, the routes of a ServiceProfile, Linkerd's
// annotations of a Service) rule nobody out: they are overlays, whose
// timeouts, retries and other policy fill in what the rules of whichever family
// do not say themselves, the oldest object first (overlay.go).
//
// A route for the clients of one namespace (a consumer route, or an object that
// is exported to it) stands beside those for all: for these clients the families
// are asked in the same order, each for its own route for the namespace first,
// then for its route for all.
var families = []family{
	{"HTTPRoute", problem.OutrankedByHTTPRoute, plain(gatewayapi.Translate)},
	{"VirtualService", problem.OutrankedByVirtualService, istio.Translate},
	{"HTTPRoute of policy.linkerd.io or ServiceProfile", problem.OutrankedByLinkerd, plain(linkerd.Translate)},
	{"TrafficSplit", "", plain(smi.Translate)},
}

// family is one translator; outranks is the code that tells a loser that an
// object of this family is in effect instead.
type family struct {
	kind      string
	outranks  problem.Code
	translate func(*world.World, fragment.Services, mesh.Settings) fragment.Fragment
}

func plain(f func(*world.World, fragment.Services) fragment.Fragment) func(*world.World, fragment.Services, mesh.Settings) fragment.Fragment {
	return func(w *world.World, s fragment.Services, _ mesh.Settings) fragment.Fragment { return f(w, s) }
}

type portKey struct {
	service mesh.Ref
	port    uint16
}

// contest is all that is said about one service port.
type contest struct {
	key portKey
	// routes by family, then scope.
	routes   []map[string]fragment.Route
	overlays []fragment.Overlay
	scopes   map[string]bool
}

// groupKey finds a group of overlays for the clients of a namespace, which takes
// the place of the group for all.
type groupKey struct{ group, scope string }

// merger takes the fragments in the order of families.
type merger struct {
	contests map[portKey]*contest
	problems []mesh.Problem
	told
	// filled are the rules of routes without overlays, by their first one and the
	// defaults: what routes share stays shared.
	filled map[sharedRules][]mesh.Rule
}

type sharedRules struct {
	first *mesh.Rule
	n     int
	retry *mesh.Retry
}

func merge(frags []fragment.Fragment) ([]*mesh.Route, []mesh.Problem) {
	m := merger{contests: map[portKey]*contest{}, filled: map[sharedRules][]mesh.Rule{}}
	for i, f := range frags {
		for _, r := range f.Routes {
			c := m.contest(r.Service, r.Port, len(frags))
			if c.routes[i] == nil {
				c.routes[i] = map[string]fragment.Route{}
			}
			c.routes[i][r.Scope] = r
			c.scopes[r.Scope] = true
		}
		for _, o := range f.Overlays {
			c := m.contest(o.Service, o.Port, len(frags))
			c.overlays = append(c.overlays, o)
			c.scopes[o.Scope] = true
			for _, ns := range o.Except {
				c.scopes[ns] = true
			}
		}
	}
	keys := make([]portKey, 0, len(m.contests))
	for k := range m.contests {
		keys = append(keys, k)
	}
	sort.Slice(keys, func(i, j int) bool {
		return keys[i].service.Less(keys[j].service) || keys[i].service == keys[j].service && keys[i].port < keys[j].port
	})
	var out []*mesh.Route
	for _, k := range keys {
		out = append(out, m.decide(m.contests[k])...)
	}
	return out, m.problems
}

func (m *merger) contest(service mesh.Ref, port uint16, families int) *contest {
	k := portKey{service, port}
	c := m.contests[k]
	if c == nil {
		c = &contest{key: k, routes: make([]map[string]fragment.Route, families), scopes: map[string]bool{}}
		m.contests[k] = c
	}
	return c
}

// decide makes the routes of one service port.
func (m *merger) decide(c *contest) []*mesh.Route {
	sortOverlays(c.overlays)
	scopes := make([]string, 0, len(c.scopes))
	for s := range c.scopes {
		scopes = append(scopes, s)
	}
	sort.Strings(scopes)
	said := map[groupKey]bool{}
	for i := range c.overlays {
		said[groupKey{c.overlays[i].Group, c.overlays[i].Scope}] = true
	}
	var out []*mesh.Route
	for _, scope := range scopes {
		f, winner, found := c.winner(scope)
		own := found && winner.Scope == scope
		var overlays []fragment.Overlay
		for _, o := range c.overlays {
			_, except := slices.BinarySearch(o.Except, scope)
			replaced := o.Group != "" && said[groupKey{o.Group, scope}]
			if o.Scope == scope || o.Scope == "" && !replaced && !except {
				overlays = append(overlays, o)
				own = own || o.Scope == scope
			} else if o.Scope == "" {
				own = true // the others have it
			}
		}
		if found {
			m.tellLosers(c, f, winner, scope)
		}
		if !own {
			continue // the same as for all clients
		}
		r := &mesh.Route{Service: c.key.service, Port: c.key.port, Scope: scope}
		defaults := winner.Defaults
		if found {
			r.Rules, r.TCP = winner.Rules, winner.TCP
		}
		if r.Rules == nil && len(overlays) > 0 {
			rule, from := baseRule(c.key, overlays)
			r.Rules, defaults = []mesh.Rule{rule}, from
		}
		r.Rules = m.finish(m.lay(r.Rules, overlays, c.key, scope), defaults)
		out = append(out, r)
	}
	m.problems = append(m.problems, m.take()...)
	return out
}

// finish gives rules the defaults. Those that routes have in common are copied
// once.
func (m *merger) finish(rules []mesh.Rule, defaults mesh.RoutePolicy) []mesh.Rule {
	if len(rules) == 0 {
		return rules
	}
	k := sharedRules{&rules[0], len(rules), defaults.Retry}
	out, known := m.filled[k]
	if !known {
		out = slices.Clone(rules)
		for i := range out {
			fill(&out[i], defaults)
		}
		m.filled[k] = out
	}
	return out
}

// winner is the route that binds the clients of a scope.
func (c *contest) winner(scope string) (family int, r fragment.Route, ok bool) {
	for i, routes := range c.routes {
		if r, ok = routes[scope]; ok {
			return i, r, true
		}
		if r, ok = routes[""]; ok {
			return i, r, true
		}
	}
	return 0, fragment.Route{}, false
}

// tellLosers reports the routes of a scope that are not in effect there.
func (m *merger) tellLosers(c *contest, winner int, r fragment.Route, scope string) {
	for i := winner + 1; i < len(c.routes); i++ {
		loser, ok := c.routes[i][scope]
		if !ok && r.Scope == scope {
			loser, ok = c.routes[i][""]
			if f, _, _ := c.winner(""); f < i {
				continue // it is not in effect for anybody, which is told once
			}
		}
		if !ok {
			continue
		}
		for _, o := range loser.Origins {
			p, by := outranked(families[winner], r, o, c.key)
			m.tell(p, by, scope, "")
		}
	}
}

func outranked(f family, winner fragment.Route, loser mesh.Origin, k portKey) (p mesh.Problem, by string) {
	by = f.kind
	if len(winner.Origins) > 0 {
		by = winner.Origins[0].String()
	}
	code, field := f.outranks, "spec.service"
	switch world.Kind(loser.Kind) {
	case world.KindVirtualService:
		code, field = problem.OutrankedVirtualService, "spec.hosts"
	case world.KindServiceProfile:
		code, field = problem.OutrankedLinkerd, "spec.dstOverrides"
	case world.KindPolicyRoute:
		code, field = problem.OutrankedLinkerd, "spec.parentRefs"
	}
	return problem.New(code, loser, field, "port "+portString(k.port)+" of service "+k.service.String()+" follows ", "remove one of the two"), by + " instead"
}

func portString(p uint16) string { return strconv.Itoa(int(p)) }
