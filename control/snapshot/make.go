package snapshot

import (
	"net/netip"

	"google.golang.org/protobuf/proto"

	"github.com/weftmesh/weft/control/scope"
	"github.com/weftmesh/weft/control/xds"
	"github.com/weftmesh/weft/mesh"
)

// build makes the message of an input. It reads the view for the names of
// backends only; they are part of the input (hosts).
func build(in input, v scope.View, ends *endpointIndex) proto.Message {
	isPod := in.domain != ""
	switch in.name.Type {
	case xds.ListenerType:
		switch {
		case in.name.Name == xds.VirtualOutbound:
			return xds.OutboundListener(mesh.OutboundMode(in.mode), in.kind)
		case in.name.Name == xds.VirtualInbound:
			w := in.workload
			if w == nil {
				w = &mesh.Workload{}
			}
			return xds.InboundListener(w, mesh.MTLSMode(in.mode), in.kind)
		}
		return xds.DestinationListener(in.destination(v), in.kind)
	case xds.RouteType:
		if isPod {
			return xds.RouteConfiguration(in.podHost(), in.port, nil, hostsOf(v), in.kind)
		}
		var rules []mesh.Rule
		if in.route != nil {
			rules = in.route.Rules
		}
		return xds.RouteConfiguration(in.service.Host, in.port, rules, hostsOf(v), in.kind)
	case xds.ClusterType:
		if isPod {
			ref := in.podRef()
			return xds.Cluster(xds.ClusterInput{Host: in.podHost(), Port: in.port, Namespace: ref.Namespace, Service: ref.Name,
				Protocol: in.podProtocol(), Identities: in.podIdentities()}, in.kind)
		}
		s := in.service
		return xds.Cluster(xds.ClusterInput{Host: s.Host, Port: in.port, Namespace: s.Namespace, Service: s.Name,
			Protocol: s.PortByNumber(in.port).Protocol, Balance: s.Balance, External: s.External,
			Identities: identities(ends.sets[mesh.EndpointKey{Service: s.Ref, Port: in.port}])}, in.kind)
	case xds.EndpointType:
		if isPod {
			return xds.LoadAssignment(in.name.Name, []mesh.Endpoint{in.podEndpoint()})
		}
		if in.set == nil {
			return xds.LoadAssignment(in.name.Name, nil)
		}
		return xds.LoadAssignment(in.name.Name, in.set.Endpoints)
	}
	return xds.TrustBundle([]byte(in.roots))
}

func (in *input) podHost() string {
	return xds.PodHost(in.addr.Addr(), in.podRef().Namespace, in.domain)
}

func (in *input) destination(v scope.View) xds.Destination {
	d := xds.Destination{Port: in.port}
	if !in.byName {
		d.Address = in.addr.Addr()
	}
	if in.domain != "" {
		d.Host, d.Protocol = in.podHost(), in.podProtocol()
		return d
	}
	d.Host, d.Protocol = in.service.Host, in.service.PortByNumber(in.port).Protocol
	if in.route != nil {
		d.TCP = xds.TCPShares(in.route.TCP, hostsOf(v))
	}
	return d
}

// wildcard lists the names that a client gets which asks for all of a type:
// the destinations by address, and every cluster.
func (r *resolver) wildcard(t xds.Type) []string {
	var out []string
	switch t {
	case xds.ListenerType:
		out = append(out, xds.VirtualOutbound, xds.VirtualInbound)
	case xds.SecretType:
		return []string{xds.RootCA}
	case xds.ClusterType:
	default:
		return nil
	}
	m := r.index.Mesh()
	for _, s := range m.Services {
		for _, p := range s.Ports {
			if t == xds.ClusterType {
				out = append(out, xds.ClusterName(s.Host, p.Number))
			} else {
				for _, a := range s.Addresses {
					out = append(out, xds.AddressName(a, p.Number))
				}
			}
			if s.Kind == mesh.Headless {
				out = append(out, r.headless(t, mesh.EndpointKey{Service: s.Ref, Port: p.Number})...)
			}
		}
	}
	return out
}

// headless lists the pods of a headless service, which are dialled by address.
func (r *resolver) headless(t xds.Type, key mesh.EndpointKey) []string {
	set := r.endpoints.sets[key]
	if set == nil {
		return nil
	}
	var out []string
	for _, e := range set.Endpoints {
		a := plain(e.Address)
		if t == xds.ListenerType {
			out = append(out, xds.AddressName(a.Addr(), a.Port()))
		} else {
			out = append(out, podCluster(a, e, key, r.index.Mesh().Settings.ClusterDomain))
		}
	}
	return out
}

func podCluster(a netip.AddrPort, e mesh.Endpoint, key mesh.EndpointKey, domain string) string {
	namespace := e.Workload.Namespace
	if namespace == "" {
		namespace = key.Service.Namespace
	}
	return xds.ClusterName(xds.PodHost(a.Addr(), namespace, domain), a.Port())
}
