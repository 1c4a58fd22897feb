package translate

import (
	"sort"
	"strconv"

	"github.com/weftmesh/weft/control/problem"
	"github.com/weftmesh/weft/control/translate/fragment"
	"github.com/weftmesh/weft/control/translate/gatewayapi"
	"github.com/weftmesh/weft/control/translate/smi"
	"github.com/weftmesh/weft/control/world"
	"github.com/weftmesh/weft/mesh"
)

// families is the precedence of the API families on one service port and
// scope: the first that has a route there decides alone, the others are told.
//
//	family       object        within the family
//	Gateway API  HTTPRoute     all routes of the same parent port and scope are merged; a
//	                           match wins by: exact path, regular expression, longest prefix,
//	                           method, number of headers, number of query parameters, oldest
//	                           route, namespace/name, position
//	SMI          TrafficSplit  one a root service: the oldest, then the first by name
//
// A consumer route (scope of one namespace) and a producer route (all clients)
// are different scopes and never compete here: package scope gives the
// consumer route to its own clients.
var families = []family{
	{"HTTPRoute", problem.OutrankedByHTTPRoute, gatewayapi.Translate},
	{"TrafficSplit", "", smi.Translate},
}

// family is one translator; outranks is the code that tells a loser that an
// object of this family is in effect instead.
type family struct {
	kind      string
	outranks  problem.Code
	translate func(*world.World, fragment.Services) fragment.Fragment
}

type routeKey struct {
	service mesh.Ref
	port    uint16
	scope   string
}

// merge takes the fragments in the order of families.
func merge(frags []fragment.Fragment) ([]*mesh.Route, []mesh.Problem) {
	type holder struct {
		family int
		route  fragment.Route
	}
	held := map[routeKey]holder{}
	var out []*mesh.Route
	var problems []mesh.Problem
	for i, f := range frags {
		for _, r := range f.Routes {
			k := routeKey{r.Service, r.Port, r.Scope}
			w, taken := held[k]
			if !taken {
				held[k] = holder{i, r}
				out = append(out, r.Route)
				continue
			}
			for _, loser := range r.Origins {
				problems = append(problems, outranked(families[w.family], w.route, loser, k))
			}
		}
	}
	sort.SliceStable(out, func(i, j int) bool { return out[i].Service.Less(out[j].Service) })
	return out, problems
}

func outranked(f family, winner fragment.Route, loser mesh.Origin, k routeKey) mesh.Problem {
	by := f.kind
	if len(winner.Origins) > 0 {
		by = winner.Origins[0].String()
	}
	return problem.New(f.outranks, loser, "spec", "port "+portString(k.port)+" of service "+k.service.String()+" follows "+by+" instead",
		"remove one of the two")
}

func portString(p uint16) string { return strconv.Itoa(int(p)) }
