package snapshot

import (
	"net/netip"

	"google.golang.org/protobuf/proto"

	"github.com/weftmesh/weft/control/scope"
	"github.com/weftmesh/weft/control/xds"
	"github.com/weftmesh/weft/mesh"
)

// build makes the message of an input. It reads the view for what backends come
// to only, which is part of the input (targets), and for the client's labels.
func build(in input, v scope.View, ends *endpointIndex) proto.Message {
	isPod := in.domain != ""
	switch in.name.Type {
	case xds.ListenerType:
		return xds.WithTracing(xds.WithAccessLogs(in.listener(v), in.loggers()), in.tracer())
	case xds.RouteType:
		if isPod {
			return xds.RouteConfiguration(in.podHost(), in.port, nil, nil, targetsOf(v), in.kind)
		}
		var rules []mesh.Rule
		if in.route != nil {
			rules = in.route.Rules
		}
		var own *mesh.Hash
		if p, _, _ := in.destination.For("", in.port); p.Balancing != nil {
			own = p.Balancing.Hash
		}
		return xds.RouteConfiguration(in.service.Host, in.port, rules, own, targetsOf(v), in.kind)
	case xds.ClusterType:
		if isPod {
			ref := in.podRef()
			return xds.Cluster(xds.ClusterInput{Host: in.podHost(), Port: in.port, Namespace: ref.Namespace, Service: ref.Name,
				Protocol: in.podProtocol(), Identities: in.podIdentities()}, in.kind)
		}
		s := in.service
		policy, _, _ := in.destination.For(in.subset, in.port)
		return xds.Cluster(xds.ClusterInput{Host: s.Host, Port: in.port, Namespace: s.Namespace, Service: s.Name, Subset: in.subset,
			Protocol: s.PortByNumber(in.port).Protocol, Kind: s.Kind, External: s.External, Named: s.Endpoints, OutsideMesh: s.OutsideMesh, Names: s.Names,
			Policy: policy, Locality: in.locality,
			Identities: identities(ends.sets[mesh.EndpointKey{Service: s.Ref, Port: in.port}])}, in.kind)
	case xds.EndpointType:
		if isPod {
			return xds.LoadAssignment(in.name.Name, []mesh.Endpoint{in.podEndpoint()}, xds.Near{})
		}
		if in.set == nil {
			return xds.LoadAssignment(in.name.Name, nil, xds.Near{})
		}
		return in.assignment(v)
	}
	return xds.TrustBundle([]byte(in.roots))
}

func (in *input) podHost() string {
	return xds.PodHost(in.addr.Addr(), in.podRef().Namespace, in.domain)
}

func (in *input) dialled(v scope.View) xds.Destination {
	d := xds.Destination{Port: in.port}
	if !in.byName {
		d.Address = in.addr.Addr()
	}
	if in.domain != "" {
		d.Host, d.Protocol = in.podHost(), in.podProtocol()
		return d
	}
	d.Host, d.Protocol = in.service.Host, in.service.PortByNumber(in.port).Protocol
	if p, _, _ := in.destination.For("", in.port); p != nil {
		if p.Balancing != nil {
			d.Hash = p.Balancing.Hash
		}
		if p.Pool != nil {
			d.Idle = p.Pool.TCPIdle
		}
	}
	if in.route != nil {
		d.TCP = xds.TCPRules(in.route.TCP, targetsOf(v))
	}
	return d
}

// assignment lists the endpoints of a service port or of a subset.
func (in *input) assignment(v scope.View) proto.Message {
	policy, labels, _ := in.destination.For(in.subset, in.port)
	list := in.set.Endpoints
	if len(labels) > 0 {
		list = nil
		for _, e := range in.set.Endpoints {
			if mesh.HasLabels(e.Labels, labels) {
				list = append(list, e)
			}
		}
	}
	n := xds.Near{On: in.locality != "" && near(policy), Locality: mesh.ParseLocality(in.locality), Labels: v.Labels()}
	if b := policy.Balancing; b != nil {
		n.Preference = b.Locality
	}
	if n.Preference != nil && len(n.Preference.FailoverPriority) > 0 {
		n.On = near(policy)
	}
	return xds.LoadAssignment(in.name.Name, list, n)
}

// wildcard lists the names that a client gets which asks for all of a type:
// the destinations by address, and every cluster that they may lead to.
func (r *resolver) wildcard(t xds.Type, c Client) []string {
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
	v := r.view(c)
	seen := map[string]bool{}
	cluster := func(name string) {
		if !seen[name] {
			seen[name] = true
			out = append(out, name)
		}
	}
	for _, s := range v.Services() {
		d := v.Destination(s.Ref)
		for _, p := range s.Ports {
			if !v.Sees(s, p.Number) {
				continue
			}
			if t == xds.ClusterType {
				cluster(xds.ClusterName(s.Host, p.Number))
				if d != nil {
					for i := range d.Subsets {
						cluster(xds.SubsetName(s.Host, p.Number, d.Subsets[i].Name))
					}
				}
				if route := v.Route(s.Ref, p.Number); route != nil {
					r.routeClusters(v, route, cluster)
				}
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

// routeClusters adds the clusters to which a route may send, seen or not.
func (r *resolver) routeClusters(v scope.View, route *mesh.Route, add func(string)) {
	find := targetsOf(v)
	take := func(list []mesh.Backend) {
		for _, b := range list {
			if t := find(b); t.Cluster != "" && !t.Missing {
				add(t.Cluster)
			}
		}
	}
	for i := range route.Rules {
		take(route.Rules[i].Backends)
		for _, m := range route.Rules[i].Mirrors {
			take([]mesh.Backend{m.Backend})
		}
	}
	for i := range route.TCP {
		take(route.TCP[i].Backends)
	}
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
