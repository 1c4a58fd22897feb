package scope

import (
	"net/netip"
	"slices"

	"github.com/weftmesh/weft/mesh"
)

// View is the part of a mesh that some clients may see.
type View struct {
	x                  *Index
	namespace, variant string
	labels             map[string]string
	sidecar            *mesh.Sidecar
}

// New is NewIndex and View in one, for a single question.
func New(m *mesh.Mesh, clientNamespace string) View { return NewIndex(m).View(clientNamespace) }

// Labels are those of the client on which something depends.
func (v View) Labels() map[string]string { return v.labels }

// Namespace is whose view this is.
func (v View) Namespace() string { return v.namespace }

// Sees says whether clients may dial a port of a service; port 0 means any.
func (v View) Sees(s *mesh.Service, port uint16) bool { return v.sees(s, port) && v.own(s) == s }

// sees is Sees, whoever else has the host.
func (v View) sees(s *mesh.Service, port uint16) bool {
	return s != nil && s.VisibleTo(v.namespace) && v.sidecar.Sees(s.Namespace, s.Host, port)
}

// own is the service that the clients have of those with the same host: of what
// they see their own namespace's, else that of the lowest rank. Of what they do
// not see, which rules may lead to all the same, it is chosen alike.
func (v View) own(s *mesh.Service) *mesh.Service {
	if s == nil || len(v.x.twins) == 0 {
		return s
	}
	list := v.x.twins[s.Host]
	if list == nil {
		return s
	}
	best, most := list[0], -1
	for _, o := range list {
		n := 0
		if o.VisibleTo(v.namespace) {
			n += 4
		}
		if v.sees(o, 0) {
			n += 2
		}
		if o.Namespace == v.namespace {
			n++
		}
		if n > most {
			best, most = o, n
		}
	}
	return best
}

// Outbound is the fate of destinations that the client does not see.
func (v View) Outbound() mesh.OutboundMode {
	if v.sidecar != nil && v.sidecar.Outbound != "" {
		return v.sidecar.Outbound
	}
	return v.x.mesh.Settings.Outbound
}

// Services returns what is visible, sorted by Ref; the slice must not be changed.
func (v View) Services() []*mesh.Service {
	var out []*mesh.Service
	for i, s := range v.x.mesh.Services {
		switch sees := v.Sees(s, 0); {
		case !sees && out == nil:
			out = append(make([]*mesh.Service, 0, len(v.x.mesh.Services)), v.x.mesh.Services[:i]...)
		case sees && out != nil:
			out = append(out, s)
		}
	}
	if out == nil {
		return v.x.mesh.Services
	}
	return out
}

// Service returns a service by name, or the one of the same host that the clients
// have instead, or nil. Whether it can be seen makes no difference, since rules
// may send there.
func (v View) Service(ref mesh.Ref) *mesh.Service { return v.own(v.x.services[ref]) }

// Backend returns the service of a fully qualified DNS name, as Service does.
func (v View) Backend(host string) *mesh.Service { return v.own(v.x.hosts[host]) }

// ServiceByHost returns the visible service of a fully qualified DNS name, or nil.
func (v View) ServiceByHost(host string) *mesh.Service {
	if s := v.Backend(host); v.Sees(s, 0) {
		return s
	}
	return nil
}

// ServiceByAddress returns the visible service of a virtual address, or nil.
func (v View) ServiceByAddress(a netip.Addr) *mesh.Service {
	if s := v.x.addresses[a.Unmap()]; v.Sees(s, 0) {
		return s
	}
	for _, s := range v.x.shared[a.Unmap()] {
		if v.Sees(s, 0) {
			return s
		}
	}
	return nil
}

// ServiceBySubnet returns the visible service whose subnet an address is in, of
// several that with the longest prefix; or nil.
func (v View) ServiceBySubnet(a netip.Addr) *mesh.Service {
	for _, n := range v.x.nets {
		if n.prefix.Contains(a.Unmap()) && v.Sees(n.service, 0) {
			return n.service
		}
	}
	return nil
}

// Workload returns a workload by name, or nil.
func (v View) Workload(ref mesh.Ref) *mesh.Workload { return v.x.byRef[ref] }

// Inbound returns a workload with the ports that its Sidecar declares, or nil.
func (v View) Inbound(ref mesh.Ref) *mesh.Workload {
	w := v.x.byRef[ref]
	if w == nil || len(v.x.sidecars) == 0 {
		return w
	}
	s := v.x.sidecar(w.Namespace, w.Labels)
	if s == nil || len(s.Ingress) == 0 {
		return w
	}
	out := *w
	out.Ports = slices.Clone(s.Ingress)
	for _, p := range w.Ports {
		if !slices.ContainsFunc(out.Ports, func(o mesh.Port) bool { return o.Number == p.Number }) {
			out.Ports = append(out.Ports, p)
		}
	}
	slices.SortFunc(out.Ports, func(a, b mesh.Port) int { return int(a.Number) - int(b.Number) })
	return &out
}

// WorkloadsByAddress returns the workloads that have an address of their own;
// more than one in a local mesh only. The slice must not be changed.
func (v View) WorkloadsByAddress(a netip.Addr) []*mesh.Workload { return v.x.workloads[a.Unmap()] }

// Route returns the route of a service port that binds this client: the
// consumer route of its namespace if there is one, else the producer route;
// nil means that requests go to the service itself. Matches for other clients
// are left out of it.
func (v View) Route(service mesh.Ref, port uint16) *mesh.Route {
	service = v.ref(service)
	var r *mesh.Route
	if v.namespace != "" {
		r = v.x.routes[routeKey{service, port, v.namespace}]
	}
	if r == nil {
		r = v.x.routes[routeKey{service, port, ""}]
	}
	if r == nil || !v.x.sourced[r] {
		return r
	}
	return v.x.filter(r, v)
}

// ref names the service that the clients have for one.
func (v View) ref(service mesh.Ref) mesh.Ref {
	if len(v.x.twins) > 0 {
		if s := v.Service(service); s != nil {
			return s.Ref
		}
	}
	return service
}

// Destination returns how this client uses the endpoints of a service, or nil.
func (v View) Destination(service mesh.Ref) *mesh.Destination {
	var all, own *mesh.Destination
	for _, d := range v.x.destinations[v.ref(service)] {
		switch {
		case d.Scope == "":
			all = d
		case d.Scope != v.namespace:
		case len(d.Clients) == 0:
			own = d
		case mesh.HasLabels(v.labels, d.Clients):
			return d
		}
	}
	if own != nil {
		return own
	}
	return all
}
