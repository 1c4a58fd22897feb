package snapshot

import (
	"encoding/json"
	"net/netip"

	"github.com/weftmesh/weft/control/scope"
	"github.com/weftmesh/weft/control/xds"
	"github.com/weftmesh/weft/mesh"
)

// tracer is what a client's proxy is told of spans on one side, in a form that
// compares; empty for nothing. w is the workload of the inbound side.
func (r *resolver) tracer(c Client, v scope.View, side mesh.Side, w *mesh.Workload) string {
	t := v.Tracer(side)
	if t == nil || c.Kind == xds.GRPC {
		return ""
	}
	s := v.Backend(t.Host)
	if s == nil {
		// As Istio lets a host be written.
		for _, suffix := range []string{".svc." + r.index.Mesh().Settings.ClusterDomain, "." + r.index.Mesh().Settings.ClusterDomain} {
			if s = v.Backend(t.Host + suffix); s != nil {
				t.Host += suffix
				break
			}
		}
	}
	if c.Kind != xds.Weft && (s == nil || !s.VisibleTo(c.Namespace) || s.PortByNumber(t.Port) == nil) {
		return "" // Envoy refuses a listener whose collector it does not know
	}
	if w != nil {
		t.Operations = r.operations(w)
	}
	b, err := json.Marshal(t)
	if err != nil {
		return "" // such values can always be written
	}
	return string(b)
}

// operations names the spans of a workload's ports by the services that lead to
// them, as Istio does.
func (r *resolver) operations(w *mesh.Workload) map[uint16]string {
	out := map[uint16]string{}
	for _, p := range w.Ports {
		for _, a := range w.Addresses {
			at := netip.AddrPortFrom(a.Unmap(), p.Number)
			if set := r.endpoints.at(at); set != nil {
				if s := r.index.View("").Service(set.Key.Service); s != nil {
					out[p.Number] = xds.HostName(s.Host, set.Key.Port) + "/*"
				}
			}
		}
	}
	return out
}

func (in *input) tracer() *mesh.Tracer {
	t := &mesh.Tracer{}
	if in.trace == "" || json.Unmarshal([]byte(in.trace), t) != nil {
		return nil
	}
	return t
}
