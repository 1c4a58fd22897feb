package istio

import (
	"math"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	networking "istio.io/api/networking/v1alpha3"

	"github.com/weftmesh/weft/control/problem"
	"github.com/weftmesh/weft/mesh"
)

// policy reads everything of a rule that does not choose where requests go.
func (t *translator) policy(p *mesh.RoutePolicy, src httpSource, s *mesh.Service, port *mesh.Port) {
	r := src.route
	if d, ok := t.duration(r.Timeout, src.origin, src.field+".timeout"); ok {
		p.Timeouts = mesh.Timeouts{Request: d, Origin: src.at(".timeout")}
	}
	if r.Retries != nil {
		p.Retry = t.retry(r.Retries, src)
	}
	if r.Fault != nil {
		p.Fault = t.fault(r.Fault, src)
	}
	t.mirrors(p, src, s, port)
	if r.CorsPolicy != nil {
		p.CORS = t.cors(r.CorsPolicy, src)
	}
	var host string
	p.RequestHeaders, host = t.headers(r.Headers.GetRequest(), src.origin, src.field+".headers.request")
	p.ResponseHeaders, _ = t.headers(r.Headers.GetResponse(), src.origin, src.field+".headers.response")
	p.Rewrite = t.rewrite(r.Rewrite, src)
	if host != "" && (p.Rewrite == nil || p.Rewrite.Host == "") {
		if p.Rewrite == nil {
			p.Rewrite = &mesh.Rewrite{Origin: src.at(".headers.request")}
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
	out.Origin, out.Attempts = src.at(".retries"), 0
	if in.Attempts <= 0 {
		return &mesh.Retry{Origin: src.at(".retries")}
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
		case ok:
			f.Delay = &mesh.FaultDelay{Fixed: *fixed, Millionths: t.share(d.Percentage, float64(d.Percent), src, ".fault.delay")} //nolint:staticcheck // deprecated, and still used
		case d.GetExponentialDelay() != nil:
			t.problem(problem.IstioUnsupported, src.origin, src.field+".fault.delay.exponentialDelay", "the mesh cannot make exponential delays; there is none", "use fixedDelay")
		}
	}
	if a := in.Abort; a != nil {
		abort := &mesh.FaultAbort{Millionths: t.share(a.Percentage, 0, src, ".fault.abort")}
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
			t.invalid(src, ".fault.abort", "no error is given; nothing is aborted", "give httpStatus or grpcStatus")
			abort = nil
		}
		f.Abort = abort
	}
	if f.Delay == nil && f.Abort == nil {
		return nil
	}
	return f
}

// share turns a percentage into millionths; none means all.
func (t *translator) share(p *networking.Percent, old float64, src httpSource, field string) uint32 {
	v := 100.0
	switch {
	case p != nil:
		v = p.Value
	case old > 0:
		v = old
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
		old := float64(0)
		percentage := r.MirrorPercentage
		if percentage == nil && r.MirrorPercent != nil { //nolint:staticcheck // deprecated, and still used
			percentage = &networking.Percent{Value: float64(r.MirrorPercent.Value)} //nolint:staticcheck // as above
		}
		add(r.Mirror, t.share(percentage, old, src, ".mirror"), ".mirror")
	}
	for i, m := range src.route.Mirrors {
		field := at(".mirrors[%d]", i)
		add(m.Destination, t.share(m.Percentage, 0, src, field), field+".destination")
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
