package annotation

import (
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/weftmesh/weft/control/problem"
	"github.com/weftmesh/weft/mesh"
)

// The annotations of failure accrual, Linkerd's circuit breaker.
const (
	FailureAccrual = "balancer.linkerd.io/failure-accrual"
	MaxFailures    = FailureAccrual + "-consecutive-max-failures"
	MaxPenalty     = FailureAccrual + "-consecutive-max-penalty"
	MinPenalty     = FailureAccrual + "-consecutive-min-penalty"
	JitterRatio    = FailureAccrual + "-consecutive-jitter-ratio"
)

// Linkerd's defaults.
const (
	defaultMaxFailures = 7
	defaultMinPenalty  = time.Second
	defaultMaxPenalty  = time.Minute
	defaultJitter      = 0.5
)

// alpha is the prefix of settings that Linkerd has not settled.
const alpha = "balancer.alpha.linkerd.io/"

// Accrual reads the annotations of failure accrual; nil where there is none, or
// where a value cannot be used, which is reported.
func Accrual(annotations map[string]string, origin mesh.Origin) (*mesh.Accrual, []mesh.Problem) {
	r := &reader{annotations: annotations, origin: origin}
	mode, said := annotations[FailureAccrual]
	ok := true
	for _, name := range sortedNames(annotations, func(n string) bool {
		return strings.HasPrefix(n, alpha) || !said && strings.HasPrefix(n, FailureAccrual+"-")
	}) {
		if strings.HasPrefix(name, alpha) {
			r.problem(problem.AnnotationIneffective, name, "remove it", "the mesh does not act on it; the rest of the failure accrual is in effect")
		} else {
			r.problem(problem.AnnotationIneffective, name, "add "+FailureAccrual+": consecutive", "it has no effect without %s", FailureAccrual)
		}
	}
	switch {
	case !said:
		return nil, r.problems
	case mode == "unified":
		r.problem(problem.AnnotationIneffective, FailureAccrual, "write consecutive", "rates of success are not looked at; failures in a row are counted, as with consecutive")
	case mode != "consecutive":
		r.problem(problem.BadAnnotation, FailureAccrual, "write consecutive", "%q is no kind of failure accrual; there is none", mode)
		return nil, r.problems
	}
	bad := func(name, remedy, format string, args ...any) {
		ok = false
		r.problem(problem.BadAnnotation, name, remedy, format+"; there is no failure accrual", args...)
	}
	out := &mesh.Accrual{MaxFailures: defaultMaxFailures, MinPenalty: mesh.Duration(defaultMinPenalty), MaxPenalty: mesh.Duration(defaultMaxPenalty), Jitter: defaultJitter, Origin: origin.At(Field(FailureAccrual))}
	if v, given := annotations[MaxFailures]; given {
		n, err := strconv.ParseUint(strings.TrimSpace(v), 10, 31)
		if err != nil || n == 0 {
			bad(MaxFailures, "write a number such as 7", "%q is no number above 0", v)
		}
		out.MaxFailures = uint32(n)
	}
	if d := r.duration(MinPenalty); d != nil {
		out.MinPenalty = *d
	}
	if d := r.duration(MaxPenalty); d != nil {
		out.MaxPenalty = *d
	}
	if v, given := annotations[JitterRatio]; given {
		j, err := strconv.ParseFloat(strings.TrimSpace(v), 64)
		if err != nil || math.IsNaN(j) || j < 0 || j > 100 {
			bad(JitterRatio, "write a ratio such as 0.5", "%q is no ratio between 0 and 100", v)
		}
		out.Jitter = j
	}
	if out.MinPenalty <= 0 || out.MinPenalty > out.MaxPenalty {
		bad(MinPenalty, "make it shorter than "+MaxPenalty, "%s is not above 0 and at most %s", out.MinPenalty.Std(), out.MaxPenalty.Std())
	}
	if !ok {
		return nil, r.problems
	}
	return out, r.problems
}
