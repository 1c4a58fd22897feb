package annotation

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/weftmesh/weft/control/problem"
	"github.com/weftmesh/weft/mesh"
)

// The annotations of requests.
const (
	RetryHTTP       = "retry.linkerd.io/http"
	RetryGRPC       = "retry.linkerd.io/grpc"
	RetryLimit      = "retry.linkerd.io/limit"
	RetryTimeout    = "retry.linkerd.io/timeout"
	TimeoutRequest  = "timeout.linkerd.io/request"
	TimeoutResponse = "timeout.linkerd.io/response"
	TimeoutIdle     = "timeout.linkerd.io/idle"
)

// defaultLimit is the number of retries where none is said.
const defaultLimit = 1

// maxLimit bounds them; more would be a mistake.
const maxLimit = 100

// Field is the path of an annotation.
func Field(name string) string { return "metadata.annotations[" + name + "]" }

// PolicyFields says where the parts of a Policy stand, by the names of
// fragment.Overlay.
var PolicyFields = map[string]string{
	"timeout": Field(TimeoutRequest), "timeouts.response": Field(TimeoutResponse), "timeouts.idle": Field(TimeoutIdle), "retries": "metadata.annotations[retry.linkerd.io]",
}

// reader gathers what is wrong.
type reader struct {
	annotations map[string]string
	origin      mesh.Origin
	problems    []mesh.Problem
}

func (r *reader) problem(c problem.Code, name, remedy, format string, args ...any) {
	r.problems = append(r.problems, problem.New(c, r.origin, Field(name), fmt.Sprintf(format, args...), remedy))
}

// Policy reads the annotations of requests. One that cannot be used is reported
// and has no effect; said is false where there is none of them.
func Policy(annotations map[string]string, origin mesh.Origin) (p mesh.RoutePolicy, said bool, problems []mesh.Problem) {
	r := &reader{annotations: annotations, origin: origin}
	p.Timeouts = mesh.Timeouts{Request: r.duration(TimeoutRequest), Response: r.duration(TimeoutResponse), Idle: r.duration(TimeoutIdle)}
	if !p.Timeouts.IsZero() {
		p.Timeouts.Origin = origin.At(Field(TimeoutRequest))
	}
	p.Retry = r.retry()
	return p, p.Retry != nil || !p.Timeouts.IsZero(), r.problems
}

func (r *reader) retry() *mesh.Retry {
	http, saysHTTP := r.annotations[RetryHTTP]
	grpc, saysGRPC := r.annotations[RetryGRPC]
	if !saysHTTP && !saysGRPC {
		for _, name := range []string{RetryLimit, RetryTimeout} {
			if _, ok := r.annotations[name]; ok {
				r.problem(problem.AnnotationIneffective, name, "say which responses to retry with "+RetryHTTP+" or "+RetryGRPC, "it has no effect without %s or %s", RetryHTTP, RetryGRPC)
			}
		}
		return nil
	}
	out := &mesh.Retry{Attempts: defaultLimit, PerTry: r.duration(RetryTimeout), Origin: r.origin.At(PolicyFields["retries"])}
	if v, ok := r.annotations[RetryLimit]; ok {
		n, err := strconv.ParseUint(strings.TrimSpace(v), 10, 32)
		if err != nil || n > maxLimit {
			r.problem(problem.BadAnnotation, RetryLimit, "write a number such as 2", "%q is no number between 0 and %d; %d is in effect", v, maxLimit, defaultLimit)
		} else {
			out.Attempts = uint32(n)
		}
	}
	if saysHTTP {
		r.http(http, out)
	}
	if saysGRPC {
		r.grpc(grpc, out)
	}
	if len(out.On) == 0 {
		return nil
	}
	// A request of which nothing was processed is safe to send again.
	out.On = append(out.On, mesh.OnConnectFailure, mesh.OnRefusedStream)
	return out
}

func list(v string) []string {
	return strings.FieldsFunc(v, func(c rune) bool { return c == ',' || c == ' ' })
}

// http reads 5xx, gateway-error, NNN and NNN-MMM.
func (r *reader) http(v string, out *mesh.Retry) {
	statuses := map[uint32]bool{}
	for _, e := range list(v) {
		switch e {
		case "5xx":
			out.On = append(out.On, mesh.On5xx)
			continue
		case "gateway-error":
			out.On = append(out.On, mesh.OnGatewayError)
			continue
		}
		from, to, ranged := strings.Cut(e, "-")
		if !ranged {
			to = from
		}
		a, errA := strconv.ParseUint(from, 10, 16)
		b, errB := strconv.ParseUint(to, 10, 16)
		if errA != nil || errB != nil || a < 100 || b > 599 || a > b {
			r.problem(problem.BadAnnotation, RetryHTTP, "write for instance 5xx, gateway-error, 429 or 500-504", "%q is no status, no range and no kind of statuses; it is ignored", e)
			continue
		}
		for s := a; s <= b; s++ {
			statuses[uint32(s)] = true
		}
	}
	for s := uint32(100); s < 600; s++ {
		if statuses[s] {
			out.Statuses = append(out.Statuses, s)
		}
	}
	if len(out.Statuses) > 0 {
		out.On = append(out.On, mesh.OnRetriableStatusCodes)
	}
}

var grpcConditions = []mesh.RetryCondition{mesh.OnCancelled, mesh.OnDeadlineExceeded, mesh.OnInternal, mesh.OnResourceExhausted, mesh.OnUnavailable}

func (r *reader) grpc(v string, out *mesh.Retry) {
	for _, e := range list(v) {
		c := mesh.RetryCondition(strings.ToLower(e))
		if !slices.Contains(grpcConditions, c) {
			r.problem(problem.BadAnnotation, RetryGRPC, "use cancelled, deadline-exceeded, internal, resource-exhausted or unavailable", "%q is no status of gRPC that can be retried; it is ignored", e)
			continue
		}
		if !slices.Contains(out.On, c) {
			out.On = append(out.On, c)
		}
	}
}

// duration reads one annotation; nil where it is missing or bad.
func (r *reader) duration(name string) *mesh.Duration {
	v, ok := r.annotations[name]
	if !ok {
		return nil
	}
	d, err := parse(strings.TrimSpace(v))
	if err != nil || d < 0 {
		r.problem(problem.BadAnnotation, name, "write for instance 300ms or 10s", "%q is no duration, or negative; it is ignored", v)
		return nil
	}
	return mesh.After(d)
}

// parse knows days too, as Linkerd does.
func parse(s string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(s, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 16)
		return time.Duration(n) * 24 * time.Hour, err
	}
	return time.ParseDuration(s)
}

// sortedNames are the annotations that a condition holds for.
func sortedNames(annotations map[string]string, holds func(string) bool) []string {
	var out []string
	for n := range annotations {
		if holds(n) {
			out = append(out, n)
		}
	}
	slices.Sort(out)
	return out
}
