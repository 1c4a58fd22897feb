package istio

import (
	telemetry "istio.io/api/telemetry/v1alpha1"

	"github.com/weftmesh/weft/control/problem"
	"github.com/weftmesh/weft/mesh"
)

// telemetries reads the Telemetries: what proxies log and trace. Of several for the same
// workloads the oldest is in effect.
func (t *translator) telemetries() {
	taken := map[string]mesh.Origin{}
	selectors := selectors{}
	for _, item := range byAge(t.w.Telemetries) {
		spec, o := item.Obj.Spec, item.Origin
		if spec.TargetRef != nil || len(spec.TargetRefs) > 0 {
			field := "spec.targetRefs"
			if spec.TargetRef != nil {
				field = "spec.targetRef"
			}
			t.problem(problem.IstioUnsupported, o, field, "the mesh runs no gateways and waypoints; the Telemetry is not in effect", "use spec.selector")
			continue
		}
		m := &mesh.Telemetry{Ref: mesh.Ref{Namespace: item.Obj.Namespace, Name: item.Obj.Name}, Labels: spec.Selector.GetMatchLabels(), Created: item.Obj.CreationTimestamp.UTC(), Origin: o}
		key := m.Namespace + " " + mesh.LabelString(m.Labels)
		if first, dup := taken[key]; dup {
			code := problem.TelemetryDuplicate
			if len(m.Labels) > 0 {
				code = problem.TelemetryConflict
			}
			t.problem(code, o, "spec.selector", at("%s is for the same workloads, and in effect alone", first), "keep one of the two")
			continue
		}
		taken[key] = o
		selectors.add(m.Namespace, m.Labels, o)
		for i, r := range spec.Tracing {
			if one, ok := t.tracing(r, o, at("spec.tracing[%d]", i)); ok {
				m.Tracing = append(m.Tracing, one)
			}
		}
		if len(spec.Metrics) > 0 {
			t.problem(problem.IstioUnsupported, o, "spec.metrics", "every proxy has all metrics, with all their labels", "remove the field")
		}
		for i, l := range spec.AccessLogging {
			if one, ok := t.logging(l, o, at("spec.accessLogging[%d]", i)); ok {
				m.Logging = append(m.Logging, one)
			}
		}
		t.out.Telemetries = append(t.out.Telemetries, m)
	}
	t.contested(selectors, problem.TelemetryConflict, "spec.selector")
}

func (t *translator) logging(in *telemetry.AccessLogging, o mesh.Origin, field string) (l mesh.Logging, ok bool) {
	l.Disabled = in.Disabled.GetValue()
	switch in.Match.GetMode() {
	case telemetry.WorkloadMode_CLIENT:
		l.Side = mesh.Client
	case telemetry.WorkloadMode_SERVER:
		l.Side = mesh.Server
	}
	for i, p := range in.Providers {
		if p.Name != mesh.EnvoyProvider {
			t.problem(problem.TelemetryProvider, o, at("%s.providers[%d].name", field, i), at("there is no provider %q of access logs; it is left out", p.Name), "use the provider "+mesh.EnvoyProvider)
			continue
		}
		l.Providers = append(l.Providers, p.Name)
	}
	if len(in.Providers) > 0 && len(l.Providers) == 0 {
		return l, false
	}
	if len(in.Providers) == 0 && !l.Disabled && t.settings.AccessLog.File == "" {
		t.problem(problem.TelemetryProvider, o, field+".providers", "no provider is named, and the installation has none", "name the provider "+mesh.EnvoyProvider)
	}
	if in.Filter != nil {
		t.problem(problem.IstioUnsupported, o, field+".filter", "expressions are not evaluated; every request is logged", "remove the field")
	}
	return l, true
}
