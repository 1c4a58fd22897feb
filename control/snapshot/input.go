package snapshot

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/weftmesh/weft/control/scope"
	"github.com/weftmesh/weft/control/xds"
	"github.com/weftmesh/weft/identity"
	"github.com/weftmesh/weft/mesh"
)

// input is everything that one resource is made of. Inputs compare with ==:
// parts of the mesh are interned, endpoint sets are immutable. The zero input
// means that the resource does not exist.
type input struct {
	name Name
	kind xds.Kind

	service     *mesh.Service
	route       *mesh.Route
	destination *mesh.Destination
	workload    *mesh.Workload
	set         *mesh.EndpointSet
	addr        netip.AddrPort // a pod, dialled by its address
	byName      bool           // a listener without an address
	port        uint16

	subset     string // of a cluster
	labels     string // of the endpoints of a subset, or variant of the client
	locality   string // of the client, where it makes a difference
	targets    string // what the route's backends come to
	identities string // what the endpoints prove
	mode       string // a setting of the mesh
	logs       string // the access loggers of a listener
	trace      string // who gets the spans of a listener's requests
	names      string // what is found by name at a port, in the form of namesText
	domain     string // the cluster domain, for pods
	roots      string // trust bundle, PEM
}

// resolver turns names into inputs, at one state of the mesh.
type resolver struct {
	index     *scope.Index
	endpoints *endpointIndex
	roots     string
}

func (r *resolver) resolve(n Name, c Client) input {
	in := input{name: n, kind: c.Kind}
	var ok bool
	switch n.Type {
	case xds.ListenerType:
		ok = r.listener(&in, c)
	case xds.RouteType:
		ok = r.routes(&in, c)
	case xds.ClusterType, xds.EndpointType:
		ok = r.cluster(&in, c)
	case xds.SecretType:
		in.roots = r.roots
		ok = n.Name == xds.RootCA && r.roots != ""
	}
	if !ok {
		return input{}
	}
	return in
}

func (r *resolver) listener(in *input, c Client) bool {
	m := r.index.Mesh()
	switch in.name.Name {
	case xds.VirtualOutbound:
		in.mode = string(r.view(c).Outbound())
		in.logs = clientLogs(r.view(c))
		return true
	case xds.VirtualInbound:
		// A workload that is not known yet gets a listener too, since its proxy
		// is not ready before; nothing is known of its policy, so it is strict.
		in.mode = string(mesh.Strict)
		// The listener is the workload's own, whatever else of the client is known.
		v := r.index.ViewOf(c.Workload.Namespace, r.index.Variant(c.Workload))
		if in.workload = v.Workload(c.Workload); in.workload != nil {
			in.mode = string(m.Settings.Inbound)
			if with := v.Inbound(c.Workload); with != in.workload {
				in.targets = fmt.Sprint(with.Ports)
			}
		}
		in.logs = serverLogs(v, in.workload)
		in.trace = r.tracer(c, v, mesh.Server, in.workload)
		return true
	}
	v := r.view(c)
	if port, ok := xds.ParseNamesName(in.name.Name); ok {
		in.names = namesText(v.Names(port))
		return in.names != "" && c.Kind == xds.Weft
	}
	in.logs = clientLogs(v)
	in.trace = r.tracer(c, v, mesh.Client, nil)
	if a, ok := xds.ParseAddressName(in.name.Name); ok {
		if s := v.ServiceByAddress(a.Addr()); s != nil {
			if !v.Sees(s, a.Port()) {
				return false
			}
			in.addr = a
			return r.tcpService(in, v, s, a.Port())
		}
		if pod := *in; r.pod(&pod, v, a) && !byName(c, v, pod.service, find(pod.set, a)) {
			*in = pod
			return true
		}
		s := v.ServiceBySubnet(a.Addr())
		in.addr = a
		return s != nil && v.Sees(s, a.Port()) && r.tcpService(in, v, s, a.Port())
	}
	host, port, ok := xds.ParseHostName(strings.ToLower(in.name.Name)) // RFC 4343
	if !ok {
		return false
	}
	in.byName = true
	if s := v.ServiceByHost(host); s != nil {
		return v.Sees(s, port) && r.tcpService(in, v, s, port)
	}
	return r.podHost(in, v, host, port)
}

func (r *resolver) routes(in *input, c Client) bool {
	host, port, ok := xds.ParseHostName(in.name.Name)
	if !ok {
		return false
	}
	v := r.view(c)
	if s := v.ServiceByHost(host); s != nil {
		if !v.Sees(s, port) || !r.servicePort(in, s, port) || !s.PortByNumber(port).Protocol.MayBeHTTP() {
			return false
		}
		if in.route = v.Route(s.Ref, port); in.route != nil {
			in.targets = routeTargets(v, in.route)
		}
		if in.route == nil || in.route.Rules == nil {
			in.destination = v.Destination(s.Ref)
		}
		return true
	}
	return r.podHost(in, v, host, port)
}

// cluster resolves Clusters and ClusterLoadAssignments, which share their names.
// Whether a service can be dialled makes no difference, since routes lead here.
func (r *resolver) cluster(in *input, c Client) bool {
	host, port, subset, ok := xds.ParseClusterName(in.name.Name)
	if !ok {
		return false
	}
	v := r.view(c)
	s := v.Backend(host)
	if s == nil {
		return subset == "" && r.podHost(in, v, host, port)
	}
	if !s.VisibleTo(c.Namespace) || !r.servicePort(in, s, port) {
		return false
	}
	d := v.Destination(s.Ref)
	policy, labels, ok := d.For(subset, port)
	if !ok {
		return false
	}
	set := r.endpoints.sets[mesh.EndpointKey{Service: s.Ref, Port: port}]
	in.subset = subset
	if in.name.Type == xds.EndpointType {
		// The endpoints alone decide, and where the client is.
		in.set, in.service, in.labels = set, nil, mesh.LabelString(labels)
		if subset != "" || near(policy) {
			in.destination = d
		}
		if near(policy) {
			in.locality, in.mode = c.Locality, c.Variant
		}
		return pushed(s.Kind)
	}
	in.destination = d
	if near(policy) {
		in.locality = c.Locality
	}
	if c.Kind != xds.GRPC {
		in.identities = joinIDs(identities(set))
	}
	return true
}

// pushed says whether the endpoints of a service are ours to tell.
func pushed(k mesh.ServiceKind) bool {
	return k != mesh.ExternalName && k != mesh.DNS && k != mesh.OneOfDNS && k != mesh.Original
}

// near says whether it makes a difference where a client is.
func near(p *mesh.Policy) bool {
	b := p.Balancing
	if b != nil && b.Locality != nil {
		return !b.Locality.Disabled && (p.Outlier != nil || len(b.Locality.Distribute) > 0 || b.Locality.ZoneAware != nil)
	}
	return p.Outlier != nil
}

// view is what a client may see.
func (r *resolver) view(c Client) scope.View { return r.index.ViewOf(c.Namespace, c.Variant) }

func (r *resolver) servicePort(in *input, s *mesh.Service, port uint16) bool {
	in.service, in.port = s, port
	return s.PortByNumber(port) != nil
}

// tcpService adds the split of connections, where requests may not be told apart.
func (r *resolver) tcpService(in *input, v scope.View, s *mesh.Service, port uint16) bool {
	if !r.servicePort(in, s, port) {
		return false
	}
	if in.service.PortByNumber(in.port).Protocol.IsHTTP() {
		return true
	}
	in.destination = v.Destination(in.service.Ref)
	if in.route = v.Route(in.service.Ref, in.port); in.route != nil {
		for i := range in.route.TCP {
			in.targets += targetString(v, in.route.TCP[i].Backends)
		}
	}
	return true
}

func routeTargets(v scope.View, route *mesh.Route) string {
	var b strings.Builder
	for i := range route.Rules {
		b.WriteString(targetString(v, route.Rules[i].Backends))
		for _, m := range route.Rules[i].Mirrors {
			b.WriteString(targetString(v, []mesh.Backend{m.Backend}))
		}
	}
	return b.String()
}

func targetString(v scope.View, backends []mesh.Backend) string {
	var b strings.Builder
	find := targetsOf(v)
	for _, be := range backends {
		t := find(be)
		b.WriteString(t.Cluster)
		if t.Hash != nil {
			fmt.Fprintf(&b, "%+v", *t.Hash)
			if t.Hash.Cookie != nil {
				fmt.Fprintf(&b, "%+v", *t.Hash.Cookie)
				if t.Hash.Cookie.TTL != nil {
					b.WriteString(t.Hash.Cookie.TTL.Std().String())
				}
			}
		}
		b.WriteByte(' ')
	}
	return b.String()
}

// targetsOf finds what the backends of routes come to for the clients of a view.
func targetsOf(v scope.View) xds.Targets {
	return func(b mesh.Backend) xds.Target {
		s := v.Service(b.Service)
		host := b.Service.Name // of what does not exist
		if s != nil {
			host = s.Host
		}
		t := xds.Target{Cluster: xds.SubsetName(host, b.Port, b.Subset), Missing: true}
		if b.Invalid != "" {
			return t
		}
		if s == nil || s.PortByNumber(b.Port) == nil {
			return xds.Target{}
		}
		p, _, ok := v.Destination(b.Service).For(b.Subset, b.Port)
		if !ok || !s.VisibleTo(v.Namespace()) {
			return t
		}
		t.Missing = false
		if p.Balancing != nil {
			t.Hash = p.Balancing.Hash
		}
		return t
	}
}

func (r *resolver) podHost(in *input, v scope.View, host string, port uint16) bool {
	addr, namespace, ok := xds.ParsePodHost(host, r.index.Mesh().Settings.ClusterDomain)
	if !ok || !r.pod(in, v, netip.AddrPortFrom(addr, port)) {
		return false
	}
	if in.podRef().Namespace != namespace {
		return false
	}
	return in.name.Type != xds.RouteType || in.podProtocol().MayBeHTTP()
}

// pod resolves a pod by its address. Known are the endpoints of services, the
// declared ports of workloads, and any port of a meshed workload that has the
// address for itself.
func (r *resolver) pod(in *input, v scope.View, a netip.AddrPort) bool {
	in.addr, in.port, in.domain = a, a.Port(), r.index.Mesh().Settings.ClusterDomain
	in.set = r.endpoints.at(a)
	here := v.WorkloadsByAddress(a.Addr())
	if e := find(in.set, a); e != nil {
		in.service = v.Service(in.set.Key.Service)
		in.workload = v.Workload(e.Workload)
		return true
	}
	in.set = nil
	for _, w := range here {
		if declared(w, a.Port()) != nil {
			in.workload = w
			return true
		}
	}
	if len(here) == 1 && here[0].Meshed {
		in.workload = here[0]
		return true
	}
	return false
}

func declared(w *mesh.Workload, port uint16) *mesh.Port {
	for i := range w.Ports {
		if w.Ports[i].Number == port {
			return &w.Ports[i]
		}
	}
	return nil
}

// podRef names the pod of an input made by resolver.pod.
func (in *input) podRef() mesh.Ref {
	if in.workload != nil {
		return in.workload.Ref
	}
	ref := find(in.set, in.addr).Workload
	if ref.Namespace == "" {
		ref.Namespace = in.set.Key.Service.Namespace
	}
	return ref
}

// podProtocol is what the workload declares, else what the service says.
func (in *input) podProtocol() mesh.Protocol {
	if in.workload != nil {
		if p := declared(in.workload, in.port); p != nil && p.Protocol != mesh.Detect {
			return p.Protocol
		}
	}
	if in.service != nil && in.set != nil {
		if p := in.service.PortByNumber(in.set.Key.Port); p != nil {
			return p.Protocol
		}
	}
	return mesh.Detect
}

// podEndpoint is the one endpoint of a pod's cluster.
func (in *input) podEndpoint() mesh.Endpoint {
	if e := find(in.set, in.addr); e != nil {
		return *e
	}
	e := mesh.Endpoint{Address: in.addr, Workload: in.workload.Ref, Owner: in.workload.Owner, Health: mesh.Ready}
	if in.workload.Meshed {
		e.Identity = in.workload.Identity
	}
	return e
}

func (in *input) podIdentities() []identity.ID {
	if e := in.podEndpoint(); e.Meshed() {
		return []identity.ID{e.Identity}
	}
	return nil
}
