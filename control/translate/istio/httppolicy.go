package istio

import (
	"math"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	networking "istio.io/api/networking/v1alpha3"

	"github.com/weftmesh/weft/control/problem"
	"github.com/weftmesh/weft/mesh"
)

// policy reads everything of a rule that does not choose where requests go.
func (t *translator) policy(p *mesh.RoutePolicy, src httpSource, s *mesh.Service, port *mesh.Port) {
	r := src.route
	said := src.of("timeout")
	if d, ok := t.duration(r.Timeout, said.origin, said.field+".timeout"); ok {
		p.Timeouts = mesh.Timeouts{Request: d, Origin: said.at(".timeout")}
	}
	if r.Retries != nil {
		p.Retry = t.retry(r.Retries, src.of("retries"))
	}
	if p.Retry != nil && p.Retry.PerTry != nil && p.Timeouts.Request != nil && *p.Timeouts.Request > 0 && *p.Retry.PerTry > *p.Timeouts.Request {
		said = src.of("retries")
		t.problem(problem.SchemaWarning, said.origin, said.field+".retries.perTryTimeout", at("%s is longer than the timeout of %s, which ends the request before", p.Retry.PerTry.Std(), p.Timeouts.Request.Std()), "give less, or a longer timeout")
	}
	if r.Fault != nil {
		p.Fault = t.fault(r.Fault, src.of("fault"))
	}
	t.mirrors(p, src.of("mirror"), s, port)
	if r.CorsPolicy != nil {
		p.CORS = t.cors(r.CorsPolicy, src.of("corsPolicy"))
	}
	var host string
	said = src.of("headers")
	p.RequestHeaders, host = t.headers(r.Headers.GetRequest(), said.origin, said.field+".headers.request")
	p.ResponseHeaders, _ = t.headers(r.Headers.GetResponse(), said.origin, said.field+".headers.response")
	p.Rewrite = t.rewrite(r.Rewrite, src.of("rewrite"))
	if host != "" && (p.Rewrite == nil || p.Rewrite.Host == "") {
		if p.Rewrite == nil {
			p.Rewrite = &mesh.Rewrite{Origin: said.at(".headers.request")}
		}
		p.Rewrite.Host = host
	}
}

// duration reads one that must not be negative; ok is false where nothing, or
// nothing usable, is said.
func (t *translator) duration(d *durationpb.Duration, o mesh.Origin, field string) (*mesh.Duration, bool) {
	if d == nil {
		return nil, false
	}
	v := d.AsDuration()
	switch {
	case v < 0:
		t.problem(problem.SchemaInvalid, o, field, at("the duration %s is negative; it is ignored", v), "give 0s or more")
		return nil, false
	case v > maxDuration:
		t.problem(problem.SchemaInvalid, o, field, at("the duration %s is more than a century; it is ignored", v), "leave the field out, or give less")
		return nil, false
	}
	return mesh.After(v), true
}

// maxDuration is what a proxy takes.
const maxDuration = 100 * 365 * 24 * time.Hour

// defaultRetry is what Istio does for a route that says nothing of retries.
func defaultRetry() *mesh.Retry {
	return &mesh.Retry{Attempts: 2, On: []mesh.RetryCondition{mesh.OnConnectFailure, mesh.OnRefusedStream, mesh.OnUnavailable, mesh.OnCancelled, mesh.OnRetriableStatusCodes}}
}

func (t *translator) retry(in *networking.HTTPRetry, src httpSource) *mesh.Retry {
	out := defaultRetry()
	out.Origin = src.at(".retries")
	if in.Attempts <= 0 {
		switch {
		case in.Attempts < 0:
			t.invalid(src, ".retries.attempts", at("%d is negative; nothing is retried", in.Attempts), "give 0 or more")
		case !proto.Equal(in, &networking.HTTPRetry{}):
			t.problem(problem.SchemaWarning, src.origin, src.field+".retries", "attempts is 0, or not given: nothing is retried, and the other fields have no effect", "give attempts")
		}
		return &mesh.Retry{Origin: out.Origin}
	}
	out.Attempts = uint32(in.Attempts)
	out.PerTry, _ = t.duration(in.PerTryTimeout, src.origin, src.field+".retries.perTryTimeout")
	if d, ok := t.duration(in.Backoff, src.origin, src.field+".retries.backoff"); ok && *d > 0 {
		out.Backoff, out.BackoffMax = *d, 10**d
	}
	out.SameHost = in.RetryIgnorePreviousHosts != nil && !in.RetryIgnorePreviousHosts.Value
	out.RemoteLocalities = in.RetryRemoteLocalities.GetValue()
	if in.RetryOn == "" {
		return out
	}
	out.On = nil
	for _, word := range strings.Split(in.RetryOn, ",") {
		word = strings.TrimSpace(word)
		if status, ok := statusCode(word); ok {
			out.Statuses = append(out.Statuses, status)
		} else if c := mesh.RetryCondition(word); known(c) {
			out.On = append(out.On, c)
		} else if word != "" {
			t.invalid(src, ".retries.retryOn", at("%q is no condition to retry on; it is ignored", word), "use conditions such as 5xx, gateway-error, reset, connect-failure, or statuses such as 503")
		}
	}
	if len(out.Statuses) > 0 && !has(out.On, mesh.OnRetriableStatusCodes) {
		out.On = append(out.On, mesh.OnRetriableStatusCodes)
	}
	return out
}

func known(c mesh.RetryCondition) bool { return has(mesh.RetryConditions, c) }

func has(list []mesh.RetryCondition, c mesh.RetryCondition) bool {
	for _, x := range list {
		if x == c {
			return true
		}
	}
	return false
}

func statusCode(s string) (uint32, bool) {
	if len(s) != 3 {
		return 0, false
	}
	var n uint32
	for _, r := range s {
		if r < '0' || r > '9' {
			return 0, false
		}
		n = n*10 + uint32(r-'0')
	}
	return n, n >= 100 && n <= 599
}

func (t *translator) fault(in *networking.HTTPFaultInjection, src httpSource) *mesh.Fault {
	f := &mesh.Fault{Origin: src.at(".fault")}
	if d := in.Delay; d != nil {
		switch fixed, ok := t.duration(d.GetFixedDelay(), src.origin, src.field+".fault.delay.fixedDelay"); {
		case ok && *fixed < mesh.Duration(time.Millisecond):
			t.invalid(src, ".fault.delay.fixedDelay", at("the delay %s is below 1ms; nothing is delayed", fixed.Std()), "give 1ms or more")
		case ok:
			f.Delay = &mesh.FaultDelay{Fixed: *fixed, Millionths: t.faulty(d.Percentage, d.Percent, src, ".fault.delay", "delayed")} //nolint:staticcheck // deprecated, and still used
		case d.GetExponentialDelay() != nil:
			t.problem(problem.IstioUnsupported, src.origin, src.field+".fault.delay.exponentialDelay", "the mesh cannot make exponential delays; there is none", "use fixedDelay")
		case d.GetFixedDelay() == nil:
			t.problem(problem.SchemaWarning, src.origin, src.field+".fault.delay", "no delay is given; nothing is delayed", "give fixedDelay")
		}
	}
	if a := in.Abort; a != nil {
		abort := &mesh.FaultAbort{}
		switch e := a.ErrorType.(type) {
		case *networking.HTTPFaultInjection_Abort_HttpStatus:
			if e.HttpStatus < 200 || e.HttpStatus > 599 {
				t.invalid(src, ".fault.abort.httpStatus", at("%d is not the status of a response; nothing is aborted", e.HttpStatus), "give one from 200 to 599")
				abort = nil
				break
			}
			abort.HTTP = uint32(e.HttpStatus)
		case *networking.HTTPFaultInjection_Abort_GrpcStatus:
			code, ok := grpcStatus(e.GrpcStatus)
			if !ok {
				t.invalid(src, ".fault.abort.grpcStatus", at("%q is no status of gRPC; nothing is aborted", e.GrpcStatus), "use a name such as UNAVAILABLE")
				abort = nil
				break
			}
			abort.GRPC = &code
		case *networking.HTTPFaultInjection_Abort_Http2Error:
			t.problem(problem.IstioUnsupported, src.origin, src.field+".fault.abort.http2Error", "the mesh aborts with httpStatus or grpcStatus only; nothing is aborted", "use one of these")
			abort = nil
		default:
			t.problem(problem.SchemaWarning, src.origin, src.field+".fault.abort", "no error is given; nothing is aborted", "give httpStatus or grpcStatus")
			abort = nil
		}
		if f.Abort = abort; abort != nil {
			abort.Millionths = t.faulty(a.Percentage, 0, src, ".fault.abort", "aborted")
		}
	}
	if in.Delay == nil && in.Abort == nil {
		t.invalid(src, ".fault", "neither a delay nor an abort is given; there is no fault", "give delay or abort")
	}
	if f.Delay == nil && f.Abort == nil {
		return nil
	}
	return f
}

// faulty is the share of the requests that a fault is for, old that of the
// deprecated field. Without either it is for none (HTTPFaultInjection).
func (t *translator) faulty(p *networking.Percent, old int32, src httpSource, field, what string) uint32 {
	switch {
	case p == nil && old == 0:
		t.problem(problem.SchemaWarning, src.origin, src.field+field, "no percentage is given; no request is "+what, "give percentage: {value: 100} for all requests")
		return 0
	case p == nil:
		p = &networking.Percent{Value: float64(old)}
	}
	return t.share(p, src, field)
}

// share turns a percentage into millionths; none means all.
func (t *translator) share(p *networking.Percent, src httpSource, field string) uint32 {
	v := 100.0
	if p != nil {
		v = p.Value
	}
	if v < 0 || v > 100 || math.IsNaN(v) {
		t.invalid(src, field+".percentage", at("%v is not between 0 and 100; the nearest is taken", v), "give a percentage")
	}
	return uint32(math.Round(max(0, min(100, v)) * 10_000))
}

// grpcStatus reads the name of a status (gRPC, status codes).
func grpcStatus(name string) (uint32, bool) {
	for i, n := range []string{"OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED",
		"FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED"} {
		if n == strings.ToUpper(name) {
			return uint32(i), true
		}
	}
	return 0, false
}

func (t *translator) mirrors(p *mesh.RoutePolicy, src httpSource, s *mesh.Service, port *mesh.Port) {
	add := func(d *networking.Destination, millionths uint32, field string) {
		b := t.destination(d, src.namespace, src.origin, src.field+field, "mirror host", s, port)
		if b.Invalid != "" || millionths == 0 {
			return
		}
		b.Weight = 1
		p.Mirrors = append(p.Mirrors, mesh.Mirror{Backend: b, Millionths: millionths, Origin: src.at(field)})
	}
	if r := src.route; r.Mirror != nil {
		percentage := r.MirrorPercentage
		if percentage == nil && r.MirrorPercent != nil { //nolint:staticcheck // deprecated, and still used
			percentage = &networking.Percent{Value: float64(r.MirrorPercent.Value)} //nolint:staticcheck // as above
		}
		add(r.Mirror, t.share(percentage, src, ".mirror"), ".mirror")
	}
	for i, m := range src.route.Mirrors {
		field := at(".mirrors[%d]", i)
		add(m.Destination, t.share(m.Percentage, src, field), field+".destination")
	}
}

func (t *translator) cors(in *networking.CorsPolicy, src httpSource) *mesh.CORS {
	c := &mesh.CORS{Methods: in.AllowMethods, Headers: in.AllowHeaders, Expose: in.ExposeHeaders, Origin: src.at(".corsPolicy"),
		ForwardUnmatched: in.UnmatchedPreflights != networking.CorsPolicy_IGNORE}
	bad := func(field, message, remedy string) {
		t.invalid(src, ".corsPolicy"+field, message+"; it is ignored", remedy)
	}
	for i, o := range in.AllowOrigins {
		c.Origins = append(c.Origins, value("", o, at(".allowOrigins[%d]", i), bad))
	}
	for _, o := range in.AllowOrigin { //nolint:staticcheck // deprecated, and still used
		v := mesh.ValueMatch{Kind: mesh.Exact, Value: o}
		if o == "*" {
			v = mesh.ValueMatch{Kind: mesh.Present}
		}
		c.Origins = append(c.Origins, v)
	}
	c.MaxAge, _ = t.duration(in.MaxAge, src.origin, src.field+".corsPolicy.maxAge")
	if in.AllowCredentials != nil {
		c.Credentials = &in.AllowCredentials.Value
	}
	return c
}
