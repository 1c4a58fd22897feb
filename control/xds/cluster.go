package xds

import (
	"strconv"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/weftmesh/weft/identity"
	"github.com/weftmesh/weft/mesh"
)

// connectTimeout of a cluster of which nothing else is said.
const connectTimeout = time.Second

// ClusterInput is what a cluster is made of.
type ClusterInput struct {
	Host      string
	Port      uint16
	Namespace string
	// Service is the name of the service, or of the pod.
	Service string
	// Subset of the service; empty means all of it.
	Subset   string
	Protocol mesh.Protocol
	// Kind of the service; empty for one whose endpoints are pushed.
	Kind mesh.ServiceKind
	// External is the DNS name that an ExternalName service stands for.
	External string
	// Named are the endpoints of a service of kind DNS.
	Named []mesh.NamedEndpoint
	// OutsideMesh never gets mutual TLS.
	OutsideMesh bool
	// Names that certificates of a service of an entry must hold.
	Names []string
	// Identities that the endpoints prove, sorted.
	Identities []identity.ID
	// Policy is never nil.
	Policy *mesh.Policy
	// Locality is where the asking proxy is; empty where nothing depends on it.
	Locality string
}

// Cluster describes how to reach the endpoints of one destination.
func Cluster(in ClusterInput, kind Kind) *clusterv3.Cluster {
	name := SubsetName(in.Host, in.Port, in.Subset)
	if in.Policy == nil {
		in.Policy = &mesh.Policy{}
	}
	meta := []string{"service", in.Service, "namespace", in.Namespace, "port", strconv.Itoa(int(in.Port)), "subset", in.Subset}
	c := &clusterv3.Cluster{Name: name, ConnectTimeout: durationpb.New(connectTimeout), LbPolicy: clusterv3.Cluster_LEAST_REQUEST}
	setDiscovery(c, in, kind)
	meta = append(meta, setBalancing(c, in, kind)...)
	setPool(c, in, kind)
	meta = append(meta, setDetection(c, in.Policy)...)
	meta = append(meta, setSecurity(c, in, kind)...)
	c.Metadata = metadata(stringStruct(meta...))
	return c
}

// setDiscovery says how the endpoints are found.
func setDiscovery(c *clusterv3.Cluster, in ClusterInput, kind Kind) {
	typ := func(t clusterv3.Cluster_DiscoveryType) { c.ClusterDiscoveryType = &clusterv3.Cluster_Type{Type: t} }
	b := in.Policy.Balancing
	switch {
	case in.External != "":
		typ(clusterv3.Cluster_LOGICAL_DNS)
		c.LoadAssignment = namedEndpoints(c.Name, []mesh.NamedEndpoint{{Host: in.External}}, in.Port)
	case (in.Kind == mesh.DNS || in.Kind == mesh.OneOfDNS) && len(in.Named) == 0:
		// There is no name to resolve.
		typ(clusterv3.Cluster_STATIC)
		c.LoadAssignment = &endpointv3.ClusterLoadAssignment{ClusterName: c.Name}
	case in.Kind == mesh.DNS || in.Kind == mesh.OneOfDNS:
		if typ(clusterv3.Cluster_STRICT_DNS); in.Kind == mesh.OneOfDNS || kind == Weft && len(in.Named) == 1 {
			typ(clusterv3.Cluster_LOGICAL_DNS)
			in.Named = in.Named[:min(len(in.Named), 1)]
		}
		c.LoadAssignment = namedEndpoints(c.Name, in.Named, in.Port)
	case in.Kind == mesh.Original, b != nil && b.Algorithm == mesh.Passthrough:
		typ(clusterv3.Cluster_ORIGINAL_DST)
		c.LbPolicy = clusterv3.Cluster_CLUSTER_PROVIDED
	default:
		typ(clusterv3.Cluster_EDS)
		c.EdsClusterConfig = &clusterv3.Cluster_EdsClusterConfig{EdsConfig: ads()}
	}
}

func namedEndpoints(name string, list []mesh.NamedEndpoint, port uint16) *endpointv3.ClusterLoadAssignment {
	out := &endpointv3.ClusterLoadAssignment{ClusterName: name}
	for _, e := range list {
		to := port
		if p := e.Ports[port]; p != 0 {
			to = p
		}
		lb := &endpointv3.LbEndpoint{HostIdentifier: &endpointv3.LbEndpoint_Endpoint{Endpoint: &endpointv3.Endpoint{
			Address: &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
				Address: e.Host, PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: uint32(to)},
			}}},
		}}}
		l := &endpointv3.LocalityLbEndpoints{LbEndpoints: []*endpointv3.LbEndpoint{lb}}
		if e.Weight > 0 {
			lb.LoadBalancingWeight = wrapperspb.UInt32(e.Weight)
			l.LoadBalancingWeight = wrapperspb.UInt32(e.Weight)
		}
		if e.Locality != (mesh.Locality{}) {
			l.Locality = &corev3.Locality{Region: e.Locality.Region, Zone: e.Locality.Zone, SubZone: e.Locality.Subzone}
		}
		out.Endpoints = append(out.Endpoints, l)
	}
	return out
}
