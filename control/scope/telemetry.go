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
	for _, t := range v.telemetries() {
		names = logging(t, side, names)
	}
	if slices.Contains(names, mesh.EnvoyProvider) {
		return []mesh.AccessLogger{s.Logger()}
	}
	return nil
}

// logging gives effect to what one object says.
func logging(t *mesh.Telemetry, side mesh.Side, names []string) []string {
	first := true
	for _, l := range t.Logging {
		switch {
		case l.Side != "" && l.Side != side:
			continue
		case l.Disabled && len(l.Providers) == 0:
			names = nil
		case l.Disabled:
			names = slices.DeleteFunc(slices.Clone(names), func(n string) bool { return slices.Contains(l.Providers, n) })
		case len(l.Providers) > 0 && first:
			// They take the place of what is inherited.
			names, first = slices.Clone(l.Providers), false
		case len(l.Providers) > 0:
			names = append(names, l.Providers...)
		}
	}
	return names
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
