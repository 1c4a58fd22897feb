package scope

import (
	"slices"

	"github.com/weftmesh/weft/mesh"
)

// traced notes the labels that name workloads in spans, where any are made.
func (x *Index) traced() {
	t := x.mesh.Settings.Tracing
	if t == nil || len(t.Default) == 0 && !slices.ContainsFunc(x.telemetries, func(t *mesh.Telemetry) bool { return len(t.Tracing) > 0 }) {
		return
	}
	for _, l := range slices.Concat(mesh.CanonicalLabels, mesh.RevisionLabels) {
		x.keys[l] = true
	}
}

// Tracer is what a client's proxy is told of spans on one side, nil for
// nothing: the installation's settings, unless Telemetries of the root
// namespace, of the client's own and of its workload say something else.
func (v View) Tracer(side mesh.Side) *mesh.Tracer {
	s := v.x.mesh.Settings.Tracing
	if s == nil {
		return nil // no collector is known
	}
	names, tags, sampling, off, plain := s.Default, s.Tags, float64(mesh.DefaultSampling), false, false
	if s.Sampling != nil {
		sampling = *s.Sampling
	}
	for _, t := range v.telemetries() {
		for _, r := range t.Tracing {
			if r.Side != "" && r.Side != side {
				continue
			}
			if len(r.Providers) > 0 {
				names = r.Providers
			}
			if len(r.Tags) > 0 {
				tags = r.Tags
			}
			if r.Sampling != nil {
				sampling = *r.Sampling
			}
			if r.Disabled != nil {
				off = *r.Disabled
			}
			if r.Plain != nil {
				plain = *r.Plain
			}
		}
	}
	if off || len(names) == 0 {
		return nil
	}
	p := s.Provider(names[0])
	if p == nil || p.Host == "" {
		return nil
	}
	out := &mesh.Tracer{Provider: p.Name, Host: p.Host, Port: p.Port, Sampling: sampling}
	name, revision := v.label(mesh.CanonicalLabels), v.label(mesh.RevisionLabels)
	if name != "" {
		out.Service = name + "." + v.namespace
	}
	if !plain {
		out.Tags = v.istioTags(name, revision)
	}
	out.Tags = append(out.Tags, tags...)
	return out
}

// istioTags are the attributes that Istio gives every span.
func (v View) istioTags(name, revision string) []mesh.TraceTag {
	var out []mesh.TraceTag
	add := func(name, value string) {
		if value != "" {
			out = append(out, mesh.TraceTag{Name: name, Value: value})
		}
	}
	if name != "" {
		if revision == "" {
			revision = "latest"
		}
		add("istio.canonical_service", name)
		add("istio.canonical_revision", revision)
	}
	add("istio.mesh_id", v.x.mesh.Settings.TrustDomain)
	add("istio.namespace", v.namespace)
	return out
}

// label is the first of the names that the client has.
func (v View) label(names []string) string {
	for _, n := range names {
		if s := v.labels[n]; s != "" {
			return s
		}
	}
	return ""
}
