package scope

import (
	"net/netip"

	"github.com/weftmesh/weft/mesh"
)

// Index finds things of one Mesh. It is immutable and may be shared.
type Index struct {
	mesh      *mesh.Mesh
	services  map[mesh.Ref]*mesh.Service
	hosts     map[string]*mesh.Service
	addresses map[netip.Addr]*mesh.Service
	workloads map[netip.Addr][]*mesh.Workload
	byRef     map[mesh.Ref]*mesh.Workload
	routes    map[routeKey]*mesh.Route
}

type routeKey struct {
	service mesh.Ref
	port    uint16
	scope   string
}

// NewIndex indexes a Mesh; make one a revision and a View of it for each client.
func NewIndex(m *mesh.Mesh) *Index {
	x := &Index{
		mesh:      m,
		services:  make(map[mesh.Ref]*mesh.Service, len(m.Services)),
		hosts:     make(map[string]*mesh.Service, len(m.Services)),
		addresses: make(map[netip.Addr]*mesh.Service, len(m.Services)),
		workloads: make(map[netip.Addr][]*mesh.Workload, len(m.Workloads)),
		byRef:     make(map[mesh.Ref]*mesh.Workload, len(m.Workloads)),
		routes:    make(map[routeKey]*mesh.Route, len(m.Routes)),
	}
	for _, s := range m.Services {
		x.services[s.Ref] = s
		x.hosts[s.Host] = s
		for _, a := range s.Addresses {
			x.addresses[a] = s
		}
	}
	for _, w := range m.Workloads {
		x.byRef[w.Ref] = w
		for _, a := range w.Addresses {
			x.workloads[a] = append(x.workloads[a], w)
		}
	}
	for _, r := range m.Routes {
		x.routes[routeKey{r.Service, r.Port, r.Scope}] = r
	}
	return x
}

// Mesh returns what was indexed.
func (x *Index) Mesh() *mesh.Mesh { return x.mesh }

// View returns what clients of a namespace may see.
func (x *Index) View(clientNamespace string) View { return View{x: x, namespace: clientNamespace} }

// View is the part of a mesh that the clients of one namespace may see.
// Everything is visible to all as yet; only routes differ.
type View struct {
	x         *Index
	namespace string
}

// New is NewIndex and View in one, for a single question.
func New(m *mesh.Mesh, clientNamespace string) View { return NewIndex(m).View(clientNamespace) }

// Namespace is whose view this is.
func (v View) Namespace() string { return v.namespace }

// Services returns what is visible, sorted by Ref; the slice must not be changed.
func (v View) Services() []*mesh.Service { return v.x.mesh.Services }

// Service returns a service by name, or nil.
func (v View) Service(ref mesh.Ref) *mesh.Service { return v.x.services[ref] }

// ServiceByHost returns the service of a fully qualified DNS name, or nil.
func (v View) ServiceByHost(host string) *mesh.Service { return v.x.hosts[host] }

// ServiceByAddress returns the service of a virtual address, or nil.
func (v View) ServiceByAddress(a netip.Addr) *mesh.Service { return v.x.addresses[a.Unmap()] }

// Workload returns a workload by name, or nil.
func (v View) Workload(ref mesh.Ref) *mesh.Workload { return v.x.byRef[ref] }

// WorkloadsByAddress returns the workloads that have an address of their own;
// more than one in a local mesh only. The slice must not be changed.
func (v View) WorkloadsByAddress(a netip.Addr) []*mesh.Workload { return v.x.workloads[a.Unmap()] }

// Route returns the route of a service port that binds this client: the
// consumer route of its namespace if there is one, else the producer route;
// nil means that requests go to the service itself.
func (v View) Route(service mesh.Ref, port uint16) *mesh.Route {
	if v.namespace != "" {
		if r := v.x.routes[routeKey{service, port, v.namespace}]; r != nil {
			return r
		}
	}
	return v.x.routes[routeKey{service, port, ""}]
}
