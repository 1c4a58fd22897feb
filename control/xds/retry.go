package xds

import (
	"strconv"
	"strings"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	previoushostsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/retry/host/previous_hosts/v3"
	previousprioritiesv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/retry/priority/previous_priorities/v3"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/weftmesh/weft/mesh"
)

// Retries of Istio's sidecars, which others expect.
const (
	hostSelectionAttempts = 5
	priorityFrequency     = 2
)

// maxSpan is what a proxy takes; nobody waits longer.
const maxSpan = mesh.Duration(100 * 365 * 24 * time.Hour)

func span(d mesh.Duration) *durationpb.Duration { return durationpb.New(min(d, maxSpan).Std()) }

// spanText is a span in our metadata.
func spanText(d mesh.Duration) string { return min(d, maxSpan).Std().String() }

func duration(d *mesh.Duration) *durationpb.Duration {
	if d == nil {
		return nil
	}
	return span(*d)
}

func setTimeouts(a *routev3.RouteAction, r *mesh.Rule) {
	if r.Timeouts.Request != nil {
		a.Timeout = duration(r.Timeouts.Request)
	}
	a.IdleTimeout = duration(r.Timeouts.Idle)
}

// retryPolicy is nil where nothing is said, which for our own proxy means its
// safe retries, and for others none.
func retryPolicy(r *mesh.Rule, hashed bool, kind Kind) *routev3.RetryPolicy {
	in, perTry := r.Retry, r.Timeouts.Backend
	if in == nil && perTry == nil {
		return nil
	}
	if in == nil || in.Attempts == 0 {
		if kind != Weft && perTry == nil {
			return nil
		}
		// No retry, and yet a bound of the one try.
		return &routev3.RetryPolicy{NumRetries: wrapperspb.UInt32(0), PerTryTimeout: duration(perTry)}
	}
	if in.PerTry != nil {
		perTry = in.PerTry
	}
	out := &routev3.RetryPolicy{NumRetries: wrapperspb.UInt32(in.Attempts), PerTryTimeout: duration(perTry), RetriableStatusCodes: in.Statuses}
	words := make([]string, 0, len(in.On))
	for _, c := range in.On {
		words = append(words, string(c))
	}
	out.RetryOn = strings.Join(words, ",")
	if in.Backoff > 0 {
		out.RetryBackOff = &routev3.RetryPolicy_RetryBackOff{BaseInterval: span(in.Backoff)}
		if in.BackoffMax > 0 {
			out.RetryBackOff.MaxInterval = span(in.BackoffMax)
		}
	}
	if kind == GRPC {
		return out
	}
	if !in.SameHost && !hashed {
		out.HostSelectionRetryMaxAttempts = hostSelectionAttempts
		out.RetryHostPredicate = []*routev3.RetryPolicy_RetryHostPredicate{{
			Name:       "envoy.retry_host_predicates.previous_hosts",
			ConfigType: &routev3.RetryPolicy_RetryHostPredicate_TypedConfig{TypedConfig: pack(&previoushostsv3.PreviousHostsPredicate{})},
		}}
	}
	if in.RemoteLocalities {
		out.RetryPriority = &routev3.RetryPolicy_RetryPriority{
			Name:       "envoy.retry_priorities.previous_priorities",
			ConfigType: &routev3.RetryPolicy_RetryPriority_TypedConfig{TypedConfig: pack(&previousprioritiesv3.PreviousPrioritiesConfig{UpdateFrequency: priorityFrequency})},
		}
	}
	return out
}

// routeMetadata is what the standard has no field for.
func routeMetadata(r *mesh.Rule) *structpb.Struct {
	pairs := []string{"origin", originName(r.Origin)}
	if r.Retry != nil && r.Retry.Budget != nil {
		b := r.Retry.Budget
		pairs = append(pairs, "retry_budget_ratio", strconv.FormatFloat(b.Ratio, 'g', -1, 64),
			"retry_budget_min_per_second", strconv.FormatUint(uint64(b.MinPerSecond), 10), "retry_budget_ttl", b.TTL.Std().String())
	}
	if r.Retry != nil && r.Retry.BackoffFloor && r.Retry.Backoff > 0 {
		pairs = append(pairs, "retry_back_off_floor", spanText(r.Retry.Backoff))
	}
	if d := r.Timeouts.Response; d != nil {
		pairs = append(pairs, "response_timeout", spanText(*d))
	}
	if len(r.Classes) > 0 {
		pairs = append(pairs, "response_classes", classes(r.Classes))
	}
	return stringStruct(pairs...)
}

// classes are written as 500-599:fail,404-404:ok.
func classes(list []mesh.ResponseClass) string {
	var out []string
	for _, c := range list {
		verdict := ":ok"
		if c.Failure {
			verdict = ":fail"
		}
		for _, s := range c.Statuses {
			out = append(out, strconv.Itoa(int(s.Min))+"-"+strconv.Itoa(int(s.Max))+verdict)
		}
	}
	return strings.Join(out, ",")
}

func mirrors(list []mesh.Mirror, targets Targets, kind Kind) []*routev3.RouteAction_RequestMirrorPolicy {
	if kind == GRPC {
		return nil
	}
	var out []*routev3.RouteAction_RequestMirrorPolicy
	for _, m := range list {
		t := targets.of(m.Backend)
		if t.Cluster == "" || m.Millionths == 0 {
			continue
		}
		out = append(out, &routev3.RouteAction_RequestMirrorPolicy{
			Cluster:                       t.Cluster,
			RuntimeFraction:               &corev3.RuntimeFractionalPercent{DefaultValue: millionths(m.Millionths)},
			DisableShadowHostSuffixAppend: true,
		})
	}
	return out
}
