package scope

import (
	"slices"

	"github.com/weftmesh/weft/mesh"
)

// AccessLog is what a client's proxy logs on one side: the loggers of the
// installation, unless Telemetries of the root namespace, of the client's own
// and of its workload say something else, the last of them with the last word.
func (v View) AccessLog(side mesh.Side) []mesh.AccessLogger {
	s := v.x.mesh.Settings.AccessLog
	var names []string
	if s.File != "" {
		names = []string{mesh.EnvoyProvider}
	}
	known := names
	for _, t := range v.telemetries() {
		names, known = logging(t, side, names, known)
	}
	if slices.Contains(names, mesh.EnvoyProvider) {
		return []mesh.AccessLogger{s.Logger()}
	}
	return nil
}

// logging gives effect to what one object says. What names no provider is about
// those that were named last, which are known, whether they are on or off.
func logging(t *mesh.Telemetry, side mesh.Side, names, known []string) (on, last []string) {
	first := true
	for _, l := range t.Logging {
		if len(l.Providers) > 0 {
			known = l.Providers
		}
		switch {
		case l.Side != "" && l.Side != side:
		case l.Disabled && len(l.Providers) == 0:
			names = nil
		case l.Disabled:
			names = slices.DeleteFunc(slices.Clone(names), func(n string) bool { return slices.Contains(l.Providers, n) })
		case len(l.Providers) > 0 && first:
			// They take the place of what is inherited.
			names, first = slices.Clone(l.Providers), false
		default:
			names = append(slices.Clone(names), known...)
		}
	}
	return names, known
}

// telemetries are those for the client, the most general first.
func (v View) telemetries() []*mesh.Telemetry {
	var root, namespace, workload *mesh.Telemetry
	for _, t := range v.x.telemetries {
		switch {
		case len(t.Labels) == 0 && t.Namespace == v.x.mesh.Settings.RootNamespace:
			root = t
		case t.Namespace != v.namespace || v.namespace == "":
		case len(t.Labels) == 0:
			namespace = t
		case workload == nil && mesh.HasLabels(v.labels, t.Labels):
			workload = t
		}
	}
	var out []*mesh.Telemetry
	for _, t := range []*mesh.Telemetry{root, namespace, workload} {
		if t != nil {
			out = append(out, t)
		}
	}
	return out
}
