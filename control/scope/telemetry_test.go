package scope

import (
	"testing"

	"github.com/weftmesh/weft/mesh"
)

func TestAccessLogs(t *testing.T) {
	envoy, off := mesh.Logging{Providers: []string{"envoy"}}, mesh.Logging{Disabled: true}
	of := func(ns, app string, l ...mesh.Logging) *mesh.Telemetry {
		tm := &mesh.Telemetry{Ref: mesh.Ref{Namespace: ns, Name: ns + app}, Logging: l}
		if app != "" {
			tm.Labels = map[string]string{"app": app}
		}
		return tm
	}
	side := func(s mesh.Side, l mesh.Logging) mesh.Logging {
		l.Side = s
		return l
	}
	for name, c := range map[string]struct {
		file           string
		list           []*mesh.Telemetry
		client, server bool
	}{
		"nothing":                            {},
		"the installation's":                 {file: "/dev/stdout", client: true, server: true},
		"a Telemetry that speaks of nothing": {file: "/dev/stdout", list: []*mesh.Telemetry{of("shop", "")}, client: true, server: true},
		"of the mesh":                        {list: []*mesh.Telemetry{of("root", "", envoy)}, client: true, server: true},
		"of the mesh, but not here":          {list: []*mesh.Telemetry{of("root", "", envoy), of("shop", "", off)}},
		"off for all, on for one":            {file: "/dev/stdout", list: []*mesh.Telemetry{of("shop", "", off), of("shop", "web", envoy)}, client: true, server: true},
		"of another workload":                {list: []*mesh.Telemetry{of("shop", "api", envoy)}},
		"of another namespace":               {list: []*mesh.Telemetry{of("bank", "", envoy), of("root", "web", envoy)}},
		"of one side":                        {list: []*mesh.Telemetry{of("shop", "", side(mesh.Server, envoy))}, server: true},
		"not on one side":                    {file: "/dev/stdout", list: []*mesh.Telemetry{of("shop", "", side(mesh.Server, off))}, client: true},
		"on again without a name":            {file: "/dev/stdout", list: []*mesh.Telemetry{of("shop", "", mesh.Logging{})}, client: true, server: true},
		"off for all, on without a name":     {file: "/dev/stdout", list: []*mesh.Telemetry{of("root", "", off), of("shop", "", mesh.Logging{})}, client: true, server: true},
		"named, off, and on for one side":    {list: []*mesh.Telemetry{of("root", "", envoy), of("shop", "", off), of("shop", "web", side(mesh.Server, mesh.Logging{}))}, server: true},
		"the provider is switched off":       {list: []*mesh.Telemetry{of("root", "", envoy), of("shop", "", mesh.Logging{Providers: []string{"envoy"}, Disabled: true})}},
		"without a name or an installation":  {list: []*mesh.Telemetry{of("shop", "", mesh.Logging{})}},
	} {
		web := mesh.Ref{Namespace: "shop", Name: "web-1"}
		x := NewIndex(&mesh.Mesh{Settings: mesh.Settings{RootNamespace: "root", AccessLog: mesh.LogSettings{File: c.file}}, Telemetries: c.list,
			Workloads: []*mesh.Workload{{Ref: web, Labels: map[string]string{"app": "web", "x": "y"}}}})
		v := x.ViewOf("shop", x.Variant(web))
		client, server := v.AccessLog(mesh.Client), v.AccessLog(mesh.Server)
		if len(client) > 0 != c.client || len(server) > 0 != c.server {
			t.Errorf("%s: client %v, server %v", name, client, server)
		}
		for _, l := range append(client, server...) {
			if l.Path != mesh.DefaultLogFile || l.Text == "" {
				t.Errorf("%s: %+v", name, l)
			}
		}
	}
}
