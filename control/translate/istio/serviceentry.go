package istio

import (
	"net/netip"
	"slices"
	"sort"
	"strings"

	networking "istio.io/api/networking/v1alpha3"

	"github.com/weftmesh/weft/control/problem"
	"github.com/weftmesh/weft/control/world"
	"github.com/weftmesh/weft/internal/apifield"
	"github.com/weftmesh/weft/internal/istioapi"
	"github.com/weftmesh/weft/mesh"
)

// entry is an item of the World.
type entry = world.Item[*istioapi.ServiceEntry]

// serviceEntries makes a service of each host of each ServiceEntry. A Service
// of the platform keeps its name; of several entries in one namespace the oldest
// has it. Of those in several namespaces clients have their own namespace's, else
// the oldest that they see.
func (t *translator) serviceEntries() {
	owners := map[netip.Prefix][]*mesh.Service{}
	for _, s := range t.hosts.all {
		for _, a := range s.Addresses {
			owners[single(a)] = append(owners[single(a)], s)
		}
	}
	twins := map[string][]*mesh.Service{}
	for _, item := range byAge(t.w.ServiceEntries) {
		for i, host := range item.Obj.Spec.Hosts {
			field, host := at("spec.hosts[%d]", i), strings.ToLower(host)
			if !apifield.DNSName(strings.TrimPrefix(strings.TrimPrefix(host, "*."), "*")) {
				t.problem(problem.SchemaInvalid, item.Origin, field, at("%q is no host; it is left out", host), "write a DNS name, or one that begins with *.")
				continue
			}
			s := t.service(item, host)
			first := t.shadow(s, twins[host])
			if first != nil && first.Origin == item.Origin {
				t.problem(problem.SchemaWarning, item.Origin, field, at("the host %s is given twice", host), "give each host once")
				continue
			}
			if first != nil {
				t.problem(problem.EntryShadowed, item.Origin, field, at("the host %s is that of %s already, which is in effect", host, first.Origin), "use another host, or put the two together")
				continue
			}
			if s.Rank = len(twins[host]); s.Rank > 0 {
				t.preferred(s, twins[host], field)
			}
			twins[host] = append(twins[host], s)
			t.addresses(s, item, owners)
			t.hosts.add(s)
			t.out.Services = append(t.out.Services, s)
			if s.Kind == mesh.Static {
				t.endpoints(s, item)
			}
		}
		t.entryWarnings(item)
	}
	t.workloadEntries()
}

func (t *translator) service(item entry, host string) *mesh.Service {
	spec := item.Obj.Spec
	s := &mesh.Service{Ref: mesh.Ref{Namespace: item.Obj.Namespace, Name: entryName(host)}, Host: host, ExportTo: exported(spec.ExportTo, item.Obj.Namespace),
		OutsideMesh: spec.Location == networking.ServiceEntry_MESH_EXTERNAL, Names: spec.SubjectAltNames, Origin: item.Origin}
	switch spec.Resolution {
	case networking.ServiceEntry_STATIC:
		s.Kind = mesh.Static
	case networking.ServiceEntry_DNS:
		s.Kind = mesh.DNS
	case networking.ServiceEntry_DNS_ROUND_ROBIN:
		s.Kind = mesh.OneOfDNS
	case networking.ServiceEntry_NONE:
		s.Kind = mesh.Original
	default:
		s.Kind = mesh.Original
		t.problem(problem.IstioUnsupported, item.Origin, "spec.resolution", at("%s is not supported; connections go where the client dialled", spec.Resolution), "use DNS, STATIC or NONE")
	}
	if spec.WorkloadSelector != nil {
		s.Kind = mesh.Static
	}
	for i, p := range spec.Ports {
		if strings.EqualFold(p.Protocol, "UDP") {
			t.problem(problem.IstioUnsupported, item.Origin, at("spec.ports[%d].protocol", i), "UDP is not carried; the port is left out", "remove the port")
			continue
		}
		if p.Number < 1 || p.Number > 65535 || s.PortByNumber(uint16(p.Number)) != nil {
			t.problem(problem.SchemaInvalid, item.Origin, at("spec.ports[%d].number", i), at("%d is no port, or is given twice; it is left out", p.Number), "give each port once, from 1 to 65535")
			continue
		}
		s.Ports = append(s.Ports, mesh.Port{Number: uint16(p.Number), Name: p.Name, Protocol: protocolOf(p)})
	}
	if s.Kind == mesh.DNS || s.Kind == mesh.OneOfDNS {
		t.named(s, item)
	}
	return s
}

// protocolOf reads the protocol of a port, else that in its name.
func protocolOf(p *networking.ServicePort) mesh.Protocol {
	name, _, _ := strings.Cut(p.Name, "-")
	for _, s := range []string{p.Protocol, name} {
		switch strings.ToUpper(s) {
		case "HTTP", "HTTP_PROXY", "GRPC-WEB":
			return mesh.HTTP
		case "HTTP2":
			return mesh.HTTP2
		case "GRPC":
			return mesh.GRPC
		case "HTTPS", "TLS":
			return mesh.TLS
		case "TCP", "MONGO", "REDIS", "MYSQL":
			return mesh.TCP
		}
	}
	return mesh.Detect
}

// addresses gives a service the addresses and subnets of its entry that are
// nobody's yet.
func (t *translator) addresses(s *mesh.Service, item entry, owners map[netip.Prefix][]*mesh.Service) {
	for i, text := range item.Obj.Spec.Addresses {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			a, e := netip.ParseAddr(text)
			if e != nil || a.Zone() != "" {
				t.problem(problem.SchemaInvalid, item.Origin, at("spec.addresses[%d]", i), at("%q is no address; it is ignored", text), "give an IPv4 or IPv6 address, or a subnet")
				continue
			}
			p = single(a)
		}
		p = plain(p).Masked()
		if p.IsSingleIP() {
			p = single(p.Addr())
		}
		if first := ownerOf(owners[p], s); first != nil {
			if first.Origin != item.Origin { // else the first host of the entry has it
				said := problem.New(problem.EntryShadowed, item.Origin, "spec.addresses", at("the address %s belongs to %s already; it is ignored here", strings.TrimSuffix(p.String(), at("/%d", p.Addr().BitLen())), first.Origin), "give each host its own address")
				said.Severity = mesh.Warning
				t.report(said)
			}
			continue
		}
		owners[p] = append(owners[p], s)
		if p.IsSingleIP() {
			s.Addresses = append(s.Addresses, p.Addr())
		} else {
			s.Subnets = append(s.Subnets, p)
		}
	}
}

func single(a netip.Addr) netip.Prefix { return netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen()) }

func (t *translator) entryWarnings(item entry) {
	spec := item.Obj.Spec
	for i, e := range spec.Endpoints {
		t.network(e.Network, item.Origin, at("spec.endpoints[%d].network", i))
		t.ports(e.Ports, item.Origin, at("spec.endpoints[%d].ports", i))
		for _, name := range keys(e.Ports) {
			if !slices.ContainsFunc(spec.Ports, func(p *networking.ServicePort) bool { return p.Name == name }) {
				t.problem(problem.SchemaWarning, item.Origin, at("spec.endpoints[%d].ports.%s", i, name), at("no port is named %s; the entry is not used", name), "name one of spec.ports")
			}
		}
	}
	if len(spec.Hosts) == 0 {
		t.problem(problem.SchemaInvalid, item.Origin, "spec.hosts", "no host is given; the entry is not in effect", "give one")
	}
	if len(spec.Ports) == 0 {
		t.problem(problem.SchemaWarning, item.Origin, "spec.ports", "no port is given; nothing can be sent there", "give the ports that are dialled")
	}
	for i, p := range spec.Ports {
		known := protocolOf(p)
		if p.Protocol != "" && known == mesh.Detect && !strings.EqualFold(p.Protocol, "UDP") {
			t.problem(problem.SchemaWarning, item.Origin, at("spec.ports[%d].protocol", i), at("%q is no protocol; the first bytes of a connection decide", p.Protocol), "use HTTP, HTTPS, GRPC, HTTP2, MONGO, TCP or TLS")
		}
		if p.TargetPort > 65535 {
			t.problem(problem.SchemaInvalid, item.Origin, at("spec.ports[%d].targetPort", i), at("%d is no port; %d is used", p.TargetPort, p.Number), "give one from 1 to 65535")
		}
		if len(spec.Addresses) == 0 && known == mesh.TCP {
			t.problem(problem.EntryAddressRequired, item.Origin, at("spec.ports[%d]", i), at("TCP port %d has no address to be known by; connections to it have the fate of unknown destinations", p.Number), "give spec.addresses")
		}
	}
	if spec.WorkloadSelector != nil && len(spec.Endpoints) > 0 {
		t.problem(problem.SchemaInvalid, item.Origin, "spec.endpoints", "endpoints and workloadSelector exclude each other; the endpoints are ignored", "keep one of them")
	}
	if spec.WorkloadSelector != nil && spec.Resolution != networking.ServiceEntry_STATIC {
		t.problem(problem.SchemaWarning, item.Origin, "spec.resolution", at("the workloads that are selected have addresses; %s is read as STATIC", spec.Resolution), "write STATIC")
	}
	if (spec.Resolution == networking.ServiceEntry_NONE || spec.Resolution == networking.ServiceEntry_DYNAMIC_DNS) && len(spec.Endpoints) > 0 {
		t.problem(problem.SchemaWarning, item.Origin, "spec.endpoints", at("with resolution %s connections go where the client dialled; the endpoints are not used", spec.Resolution), "remove them, or use STATIC or DNS")
	}
	if spec.Resolution == networking.ServiceEntry_DNS_ROUND_ROBIN && len(spec.Endpoints) > 1 {
		t.problem(problem.SchemaInvalid, item.Origin, "spec.endpoints", "DNS_ROUND_ROBIN takes one name; the endpoints behind the first are not used", "keep one, or use DNS")
	}
}

// named are the DNS names of a service that the proxy resolves; without
// endpoints its own.
func (t *translator) named(s *mesh.Service, item entry) {
	if len(item.Obj.Spec.Endpoints) == 0 {
		if strings.HasPrefix(s.Host, "*") {
			t.problem(problem.SchemaInvalid, item.Origin, "spec.endpoints", at("%s cannot be resolved; connections to it fail", s.Host), "list endpoints")
			return
		}
		s.Endpoints = []mesh.NamedEndpoint{{Host: s.Host, Ports: targetPorts(item, nil)}}
		return
	}
	for i, e := range item.Obj.Spec.Endpoints {
		if a, err := netip.ParseAddr(e.Address); !apifield.DNSName(e.Address) && (err != nil || a.Zone() != "") {
			t.problem(problem.IstioUnsupported, item.Origin, at("spec.endpoints[%d].address", i), at("%q is neither a DNS name nor an address; the endpoint is left out", e.Address), "give one of these")
			continue
		}
		s.Endpoints = append(s.Endpoints, mesh.NamedEndpoint{Host: e.Address, Ports: targetPorts(item, e.Ports), Weight: e.Weight, Labels: e.Labels, Locality: mesh.ParseLocality(e.Locality)})
	}
}

// targetPorts maps service ports to those of an endpoint, where they differ.
func targetPorts(item entry, own map[string]uint32) map[uint16]uint16 {
	out := map[uint16]uint16{}
	for _, p := range item.Obj.Spec.Ports {
		to := p.Number
		if p.TargetPort > 0 {
			to = p.TargetPort
		}
		if n, ok := own[p.Name]; ok {
			to = n
		}
		if to != p.Number && to > 0 && to <= 65535 && p.Number <= 65535 {
			out[uint16(p.Number)] = uint16(to)
		}
	}
	if len(out) == 0 {
		return nil
	}
	return out
}

// endpoints makes the endpoint sets of a service of kind Static.
func (t *translator) endpoints(s *mesh.Service, item entry) {
	var list []instance
	sel := item.Obj.Spec.WorkloadSelector
	if sel == nil {
		for i, e := range item.Obj.Spec.Endpoints {
			in, ok := t.instance(e, item.Obj.Namespace, mesh.Ref{}, s.OutsideMesh)
			if !ok {
				t.problem(problem.SchemaInvalid, item.Origin, at("spec.endpoints[%d].address", i), at("%q is no address; the endpoint is left out", e.Address), "give an IPv4 or IPv6 address, or use resolution DNS")
				continue
			}
			list = append(list, in)
		}
	} else {
		list = t.selected(item.Obj.Namespace, sel.Labels, true)
	}
	for _, p := range s.Ports {
		set := &mesh.EndpointSet{Key: mesh.EndpointKey{Service: s.Ref, Port: p.Number}}
		for _, in := range list {
			e := in.endpoint
			to := p.Number
			if n, ok := targetPorts(item, in.ports)[p.Number]; ok {
				to = n
			}
			e.Address = netip.AddrPortFrom(e.Address.Addr(), to)
			set.Endpoints = append(set.Endpoints, e)
		}
		set.Sort()
		t.out.Endpoints = append(t.out.Endpoints, set)
	}
}

// workloadEntries makes workloads of the WorkloadEntries, and adds them to the
// Services of the platform that select them.
func (t *translator) workloadEntries() {
	byNamespace := map[string]bool{}
	for _, entry := range t.workloads {
		ref, item := entry.ref, entry.item
		in, ok := t.instance(entry.spec, ref.Namespace, ref, false)
		if !ok {
			remedy := "give an IPv4 or IPv6 address"
			if isName(entry.spec.Address) {
				remedy += ", or name it among the endpoints of a ServiceEntry with resolution DNS"
			}
			t.problem(problem.SchemaInvalid, item.Origin, "spec.address", at("%q is no address; the entry is left out", entry.spec.Address), remedy)
			continue
		}
		byNamespace[ref.Namespace] = true
		w := &mesh.Workload{Ref: ref, Addresses: []netip.Addr{in.endpoint.Address.Addr()}, Labels: in.endpoint.Labels, Identity: in.endpoint.Identity, Meshed: in.endpoint.Meshed(), Origin: item.Origin}
		for _, name := range keys(in.ports) {
			if n := in.ports[name]; n > 0 && n <= 65535 {
				w.Ports = append(w.Ports, mesh.Port{Number: uint16(n), Name: name, Protocol: protocolOf(&networking.ServicePort{Name: name})})
			}
		}
		sort.Slice(w.Ports, func(i, j int) bool { return w.Ports[i].Number < w.Ports[j].Number })
		if _, isPod := t.w.Pods[ref]; !isPod {
			t.out.Workloads = append(t.out.Workloads, w)
		}
	}
	for _, s := range t.hosts.all {
		item, ok := t.w.Services[s.Ref]
		if !ok || !byNamespace[s.Namespace] || len(item.Obj.Spec.Selector) == 0 {
			continue
		}
		list := t.selected(s.Namespace, item.Obj.Spec.Selector, false)
		if len(list) == 0 {
			continue
		}
		done := map[int32]bool{}
		for i := range item.Obj.Spec.Ports {
			// One number may be a port of TCP and one of UDP.
			p := &item.Obj.Spec.Ports[i]
			if !world.IsTCP(p.Protocol) || s.PortByNumber(uint16(p.Port)) == nil || done[p.Port] {
				continue
			}
			done[p.Port] = true
			set := &mesh.EndpointSet{Key: mesh.EndpointKey{Service: s.Ref, Port: uint16(p.Port)}}
			for _, in := range list {
				e, to := in.endpoint, uint32(p.Port)
				if v := p.TargetPort.IntValue(); v > 0 {
					to = uint32(v)
				}
				if n, ok := in.ports[p.Name]; ok {
					to = n
				} else if n, ok := in.ports[p.TargetPort.StrVal]; ok && p.TargetPort.StrVal != "" {
					to = n
				}
				if to > 0 && to <= 65535 {
					e.Address = netip.AddrPortFrom(e.Address.Addr(), uint16(to))
					set.Endpoints = append(set.Endpoints, e)
				}
			}
			set.Sort()
			t.out.Endpoints = append(t.out.Endpoints, set)
		}
	}
}

func isName(s string) bool {
	return s != "" && !strings.ContainsAny(s, " /:") && strings.Trim(s, "0123456789.") != ""
}
