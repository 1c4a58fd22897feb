package scope

import (
	"net/netip"
	"slices"
	"sort"
	"strings"
	"sync"

	"github.com/weftmesh/weft/mesh"
)

// Index finds things of one Mesh. It is immutable and may be shared.
type Index struct {
	mesh         *mesh.Mesh
	services     map[mesh.Ref]*mesh.Service
	hosts        map[string]*mesh.Service   // of several the one of the lowest rank
	twins        map[string][]*mesh.Service // those of hosts that several have, by rank
	addresses    map[netip.Addr]*mesh.Service
	shared       map[netip.Addr][]*mesh.Service // those of addresses that several have
	nets         []net                          // the longest prefix first
	named        map[uint16][]*mesh.Service
	workloads    map[netip.Addr][]*mesh.Workload
	byRef        map[mesh.Ref]*mesh.Workload
	routes       map[routeKey]*mesh.Route
	destinations map[mesh.Ref][]*mesh.Destination
	sidecars     map[string][]*mesh.Sidecar // by namespace, the oldest first
	telemetries  []*mesh.Telemetry          // the oldest first
	// keys are the labels of clients that something depends on.
	keys map[string]bool
	// subnets of clients that something depends on.
	subnets map[netip.Prefix]bool
	// sourced are the routes that depend on who asks.
	sourced map[*mesh.Route]bool
	// near says that for something it makes a difference where the client is.
	near bool

	mu       sync.Mutex // guards filtered
	filtered map[filterKey]*mesh.Route
}

// net is a subnet of destinations.
type net struct {
	prefix  netip.Prefix
	service *mesh.Service
}

type routeKey struct {
	service mesh.Ref
	port    uint16
	scope   string
}

type filterKey struct {
	route              *mesh.Route
	namespace, variant string
}

// NewIndex indexes a Mesh; make one a revision and a View of it for each client.
func NewIndex(m *mesh.Mesh) *Index {
	x := &Index{
		mesh:         m,
		services:     make(map[mesh.Ref]*mesh.Service, len(m.Services)),
		hosts:        make(map[string]*mesh.Service, len(m.Services)),
		twins:        map[string][]*mesh.Service{},
		addresses:    make(map[netip.Addr]*mesh.Service, len(m.Services)),
		shared:       map[netip.Addr][]*mesh.Service{},
		workloads:    make(map[netip.Addr][]*mesh.Workload, len(m.Workloads)),
		byRef:        make(map[mesh.Ref]*mesh.Workload, len(m.Workloads)),
		routes:       make(map[routeKey]*mesh.Route, len(m.Routes)),
		destinations: make(map[mesh.Ref][]*mesh.Destination, len(m.Destinations)),
		sidecars:     map[string][]*mesh.Sidecar{},
		named:        map[uint16][]*mesh.Service{},
		keys:         map[string]bool{},
		subnets:      map[netip.Prefix]bool{},
		sourced:      map[*mesh.Route]bool{},
		filtered:     map[filterKey]*mesh.Route{},
	}
	for _, s := range m.Services {
		x.services[s.Ref] = s
		if first := x.hosts[s.Host]; first != nil {
			if x.twins[s.Host] == nil {
				x.twins[s.Host] = []*mesh.Service{first}
			}
			x.twins[s.Host] = append(x.twins[s.Host], s)
		} else {
			x.hosts[s.Host] = s
		}
		for _, a := range s.Addresses {
			if first := x.addresses[a]; first != nil {
				if x.shared[a] == nil {
					x.shared[a] = []*mesh.Service{first}
				}
				x.shared[a] = append(x.shared[a], s)
			} else {
				x.addresses[a] = s
			}
		}
		for _, p := range s.Subnets {
			x.nets = append(x.nets, net{p, s})
		}
		x.names(s)
	}
	for host, list := range x.twins {
		slices.SortStableFunc(list, func(a, b *mesh.Service) int { return a.Rank - b.Rank })
		x.hosts[host] = list[0]
	}
	slices.SortStableFunc(x.nets, func(a, b net) int { return b.prefix.Bits() - a.prefix.Bits() })
	for _, w := range m.Workloads {
		x.byRef[w.Ref] = w
		for _, a := range w.Addresses {
			x.workloads[a] = append(x.workloads[a], w)
		}
	}
	for _, r := range m.Routes {
		x.routes[routeKey{r.Service, r.Port, r.Scope}] = r
		x.sources(r)
	}
	for _, d := range m.Destinations {
		x.destinations[d.Service] = append(x.destinations[d.Service], d)
		x.note(d.Clients)
		x.localities(&d.Policy)
		for i := range d.Ports {
			x.localities(&d.Ports[i].Policy)
		}
		for i := range d.Subsets {
			x.localities(&d.Subsets[i].Policy)
			for j := range d.Subsets[i].Ports {
				x.localities(&d.Subsets[i].Ports[j].Policy)
			}
		}
	}
	for _, t := range m.Telemetries {
		x.telemetries = append(x.telemetries, t)
		x.note(t.Labels)
	}
	slices.SortStableFunc(x.telemetries, byAge)
	x.traced()
	for _, s := range m.Sidecars {
		x.sidecars[s.Namespace] = append(x.sidecars[s.Namespace], s)
		x.note(s.Labels)
	}
	for _, list := range x.sidecars {
		slices.SortStableFunc(list, byAge)
	}
	return x
}

// byAge sorts what is in effect before what is not.
func byAge[T interface{ Before(T) bool }](a, b T) int {
	switch {
	case a.Before(b):
		return -1
	case b.Before(a):
		return 1
	}
	return 0
}

func (x *Index) note(labels map[string]string) {
	for k := range labels {
		x.keys[k] = true
	}
}

// sources notes what a route depends on of who asks.
func (x *Index) sources(r *mesh.Route) {
	for i := range r.Rules {
		for j := range r.Rules[i].Matches {
			x.source(r, &r.Rules[i].Matches[j].Source)
		}
	}
	for i := range r.TCP {
		for j := range r.TCP[i].Matches {
			x.source(r, &r.TCP[i].Matches[j].Source)
		}
	}
}

func (x *Index) source(r *mesh.Route, s *mesh.ClientMatch) {
	if s.IsZero() {
		return
	}
	x.sourced[r] = true
	x.note(s.Labels)
	if s.Subnet.IsValid() {
		x.subnets[s.Subnet] = true
	}
}

// localities notes what a policy depends on of where the client is.
func (x *Index) localities(p *mesh.Policy) {
	x.near = x.near || p.Outlier != nil
	if b := p.Balancing; b != nil && b.Locality != nil {
		x.near = x.near || len(b.Locality.Distribute) > 0 || b.Locality.ZoneAware != nil
		for _, l := range b.Locality.FailoverPriority {
			if !strings.Contains(l, "=") {
				x.keys[l] = true
			}
		}
	}
}

// Near says whether for anything it makes a difference where a client is.
func (x *Index) Near() bool { return x.near }

// Mesh returns what was indexed.
func (x *Index) Mesh() *mesh.Mesh { return x.mesh }

// Variant is what of a workload's labels and addresses makes a difference to
// what it sees, in a canonical form; clients of one namespace and variant see
// the same.
func (x *Index) Variant(workload mesh.Ref) string {
	w := x.byRef[workload]
	if w == nil || len(x.keys)+len(x.subnets) == 0 {
		return ""
	}
	var list []string
	for k, v := range w.Labels {
		if x.keys[k] {
			list = append(list, k+"="+v)
		}
	}
	for p := range x.subnets {
		if slices.ContainsFunc(w.Addresses, p.Contains) {
			list = append(list, mesh.SubnetLabel(p)+"=")
		}
	}
	sort.Strings(list)
	return strings.Join(list, ",")
}

// View returns what clients of a namespace may see that have no labels on which
// anything depends.
func (x *Index) View(clientNamespace string) View { return x.ViewOf(clientNamespace, "") }

// ViewOf returns what clients of a namespace and variant may see.
func (x *Index) ViewOf(clientNamespace, variant string) View {
	v := View{x: x, namespace: clientNamespace, variant: variant}
	if variant != "" {
		v.labels = map[string]string{}
		for _, p := range strings.Split(variant, ",") {
			k, val, _ := strings.Cut(p, "=")
			v.labels[k] = val
		}
	}
	if len(x.sidecars) > 0 {
		v.sidecar = x.sidecar(clientNamespace, v.labels)
	}
	return v
}

// sidecar finds the one of a workload: of its namespace with a selector, else
// without one, else the root namespace's without one.
func (x *Index) sidecar(namespace string, labels map[string]string) *mesh.Sidecar {
	var all *mesh.Sidecar
	for _, s := range x.sidecars[namespace] {
		if len(s.Labels) == 0 {
			all = s
		} else if mesh.HasLabels(labels, s.Labels) {
			return s
		}
	}
	if all != nil || namespace == "" {
		return all
	}
	for _, s := range x.sidecars[x.mesh.Settings.RootNamespace] {
		if len(s.Labels) == 0 {
			return s
		}
	}
	return nil
}

// Subsets returns the names of all subsets that a service has for anybody.
func (x *Index) Subsets(service mesh.Ref) []string {
	var out []string
	seen := map[string]bool{}
	for _, d := range x.destinations[service] {
		for i := range d.Subsets {
			if n := d.Subsets[i].Name; !seen[n] {
				seen[n] = true
				out = append(out, n)
			}
		}
	}
	return out
}

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
