package istio

import (
	"maps"
	"slices"

	telemetry "istio.io/api/telemetry/v1alpha1"

	"github.com/weftmesh/weft/control/problem"
	"github.com/weftmesh/weft/mesh"
)

// tracing reads what a Telemetry says of spans.
func (t *translator) tracing(in *telemetry.Tracing, o mesh.Origin, field string) (r mesh.Tracing, ok bool) {
	switch in.Match.GetMode() {
	case telemetry.WorkloadMode_CLIENT:
		r.Side = mesh.Client
	case telemetry.WorkloadMode_SERVER:
		r.Side = mesh.Server
	}
	for i, p := range in.Providers {
		switch have := t.settings.Tracing.Provider(p.Name); {
		case have == nil:
			t.problem(problem.TelemetryProvider, o, at("%s.providers[%d].name", field, i), at("there is no provider %q of traces; it is left out", p.Name), "name one of meshConfig.extensionProviders")
		case have.Host == "":
			t.problem(problem.IstioUnsupported, o, at("%s.providers[%d].name", field, i), at("the provider %q is %s, which proxies do not speak; it is left out", p.Name, have.Kind), "use a provider of opentelemetry with service and port")
		case len(r.Providers) > 0:
			t.problem(problem.IstioUnsupported, o, at("%s.providers[%d].name", field, i), "spans go to one provider; this one is left out", "name one provider")
		default:
			r.Providers = append(r.Providers, p.Name)
		}
	}
	if len(in.Providers) > 0 && len(r.Providers) == 0 {
		return r, false
	}
	if v := in.RandomSamplingPercentage; v != nil {
		if v.Value >= 0 && v.Value <= 100 {
			r.Sampling = &v.Value
		} else {
			t.problem(problem.SchemaInvalid, o, field+".randomSamplingPercentage", at("%v is no percentage; it is left out", v.Value), "write a number from 0 to 100")
		}
	}
	if v := in.DisableSpanReporting; v != nil {
		r.Disabled = &v.Value
	}
	if v := in.EnableIstioTags; v != nil {
		plain := !v.Value
		r.Plain = &plain
	}
	for _, name := range slices.Sorted(maps.Keys(in.CustomTags)) {
		g := mesh.TraceTag{Name: name}
		switch v := in.CustomTags[name].GetType().(type) {
		case *telemetry.Tracing_CustomTag_Literal:
			g.Value = v.Literal.GetValue()
		case *telemetry.Tracing_CustomTag_Environment:
			g.Env, g.Value = v.Environment.GetName(), v.Environment.GetDefaultValue()
		case *telemetry.Tracing_CustomTag_Header:
			g.Field, g.Value = v.Header.GetName(), v.Header.GetDefaultValue()
		default:
			t.problem(problem.IstioUnsupported, o, at("%s.customTags[%s]", field, name), "formats are not evaluated; the tag is left out", "use literal, environment or header")
			continue
		}
		if g.Value == "" && g.Env == "" && g.Field == "" {
			continue // which says nothing, and Envoy refuses
		}
		r.Tags = append(r.Tags, g)
	}
	if in.UseRequestIdForTraceSampling.GetValue() {
		t.problem(problem.IstioUnsupported, o, field+".useRequestIdForTraceSampling", "the trace context decides about sampling, x-request-id does not", "remove the field")
	}
	if in.DisableContextPropagation.GetValue() {
		t.problem(problem.IstioUnsupported, o, field+".disableContextPropagation", "the trace context is passed on wherever spans are made", "remove the field, or set disableSpanReporting")
	}
	return r, true
}
