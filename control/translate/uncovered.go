package translate

import (
	"slices"
	"strings"

	"github.com/weftmesh/weft/control/problem"
	"github.com/weftmesh/weft/control/world"
	"github.com/weftmesh/weft/mesh"
)

// uncovered tells the DestinationRules for a pattern that covers the host of no
// service. It takes all services to know, so that it is no part of a family.
func uncovered(w *world.World, services []*mesh.Service) []mesh.Problem {
	var out []mesh.Problem
	for _, item := range w.DestinationRules {
		pattern := strings.ToLower(item.Obj.Spec.GetHost())
		if !strings.HasPrefix(pattern, "*") || slices.ContainsFunc(services, func(s *mesh.Service) bool { return mesh.HostCovers(pattern, s.Host) }) {
			continue
		}
		out = append(out, problem.New(problem.UnknownRuleHost, item.Origin, "spec.host", pattern+" covers the host of no Service or ServiceEntry; the rule is not in effect", "create one or correct the name"))
	}
	locate(w, out)
	return out
}
