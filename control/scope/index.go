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
