package gatewayapi

import (
	"regexp"
	"time"

	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/weftmesh/weft/control/problem"
	"github.com/weftmesh/weft/control/translate/httproute"
	"github.com/weftmesh/weft/mesh"
)

// matches reads the matches of a rule; one that cannot be used is reported and
// left out. No matches at all means one that holds always.
func (j *judge) matches(list []gwv1.HTTPRouteMatch, where string) []mesh.Match {
	out, dropped := httproute.Matches(list, where, j.problem)
	for _, field := range dropped {
		j.fault(gwv1.RouteReasonUnsupportedValue, field+" cannot be used", true)
	}
	return out
}

// durations are those of GEP-2257.
var durations = regexp.MustCompile(`^([0-9]{1,5}(h|m|s|ms)){1,4}$`)

// duration reads a time; one that cannot be read spoils the rule.
func (j *judge) duration(d *gwv1.Duration, where string) *mesh.Duration {
	if d == nil {
		return nil
	}
	v, err := time.ParseDuration(string(*d))
	if err != nil || !durations.MatchString(string(*d)) {
		j.bad(problem.BadTimeout, where, at("%q is not a duration", *d), "write it as 10s or 1m30s")
		return nil
	}
	return mesh.After(v)
}
