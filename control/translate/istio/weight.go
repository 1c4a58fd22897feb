package istio

import (
	"math"

	"github.com/weftmesh/weft/control/problem"
	"github.com/weftmesh/weft/control/translate/fragment"
	"github.com/weftmesh/weft/mesh"
)

// weighted is a destination of a rule.
type weighted interface{ GetWeight() int32 }

// weights are those of the destinations of the rule at a field; a single one
// needs none. It tells of impossible ones, and of what becomes of a rule without
// any.
func weights[D weighted](t *translator, list []D, o mesh.Origin, field, none string) []uint32 {
	out := make([]uint32, len(list))
	var sum uint64
	for i, d := range list {
		switch w := d.GetWeight(); {
		case w < 0:
			t.problem(problem.SchemaInvalid, o, at("%s.route[%d].weight", field, i), at("the weight %d is negative; the destination receives nothing", w), "give 0 or more")
		case w == 0 && len(list) == 1:
			out[i] = 100
		default:
			out[i] = uint32(w)
		}
		sum += uint64(out[i])
	}
	if sum > math.MaxUint32 { // more than xDS has room for
		milli := make([]int64, len(out))
		for i, w := range out {
			milli[i] = int64(w) * 1000
		}
		return fragment.Weights(milli)
	}
	if sum == 0 {
		t.problem(problem.SchemaInvalid, o, field+".route", "no destination has a weight above 0; "+none, "give one of them a weight")
	}
	return out
}
