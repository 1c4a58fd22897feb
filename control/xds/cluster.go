package xds

import (
	"strconv"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	httpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/weftmesh/weft/identity"
	"github.com/weftmesh/weft/mesh"
)

// connectTimeout of every cluster.
const connectTimeout = time.Second

const httpOptions = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"

// ClusterInput is what a cluster is made of.
type ClusterInput struct {
	Host      string
	Port      uint16
	Namespace string
	// Service is the name of the service, or of the pod.
	Service  string
	Protocol mesh.Protocol
	Balance  mesh.Balance
	// External is the DNS name that an ExternalName service stands for.
	External string
	// Identities that the endpoints prove, sorted.
	Identities []identity.ID
}

// Cluster describes how to reach the endpoints of one destination.
func Cluster(in ClusterInput, kind Kind) *clusterv3.Cluster {
	name := ClusterName(in.Host, in.Port)
	c := &clusterv3.Cluster{
		Name:           name,
		ConnectTimeout: durationpb.New(connectTimeout),
		LbPolicy:       clusterv3.Cluster_LEAST_REQUEST,
		Metadata:       metadata(weftMetadata, stringStruct("service", in.Service, "namespace", in.Namespace, "port", strconv.Itoa(int(in.Port)))),
	}
	if in.Balance == mesh.RoundRobin {
		c.LbPolicy = clusterv3.Cluster_ROUND_ROBIN
	}
	if in.External != "" {
		c.ClusterDiscoveryType = &clusterv3.Cluster_Type{Type: clusterv3.Cluster_LOGICAL_DNS}
		c.LoadAssignment = externalEndpoint(name, in.External, in.Port)
	} else {
		c.ClusterDiscoveryType = &clusterv3.Cluster_Type{Type: clusterv3.Cluster_EDS}
		c.EdsClusterConfig = &clusterv3.Cluster_EdsClusterConfig{EdsConfig: ads()}
		// gRPC refuses the field, and has mutual TLS of another kind.
		if kind != GRPC {
			c.TransportSocketMatches = socketMatches(in)
		}
	}
	if kind == Envoy && in.Protocol.MayBeHTTP() {
		c.TypedExtensionProtocolOptions = map[string]*anypb.Any{httpOptions: pack(upstreamHTTP(in.Protocol))}
	}
	return c
}

// socketMatches choose mutual TLS or plaintext by the endpoint's metadata.
func socketMatches(in ClusterInput) []*clusterv3.Cluster_TransportSocketMatch {
	return []*clusterv3.Cluster_TransportSocketMatch{
		{Name: "tlsMode-istio", Match: stringStruct(mutualKey, mutualValue), TransportSocket: clientTLS(innerProtocols(in.Protocol), in.Identities)},
		{Name: "tlsMode-disabled", Match: stringStruct(), TransportSocket: plaintext()},
	}
}

// innerProtocols are what the client says will come inside the TLS. Our own
// proxy decides by connection; for others a port to be detected is bytes.
func innerProtocols(p mesh.Protocol) []string {
	switch p {
	case mesh.HTTP:
		return []string{alpnHTTP1}
	case mesh.HTTP2, mesh.GRPC:
		return []string{alpnHTTP2}
	}
	return []string{alpnTCP}
}

func externalEndpoint(name, host string, port uint16) *endpointv3.ClusterLoadAssignment {
	return &endpointv3.ClusterLoadAssignment{
		ClusterName: name,
		Endpoints: []*endpointv3.LocalityLbEndpoints{{LbEndpoints: []*endpointv3.LbEndpoint{{
			HostIdentifier: &endpointv3.LbEndpoint_Endpoint{Endpoint: &endpointv3.Endpoint{
				Address: &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
					Address:       host,
					PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: uint32(port)},
				}}},
			}},
		}}}},
	}
}

// upstreamHTTP tells Envoy which HTTP to speak.
func upstreamHTTP(p mesh.Protocol) *httpv3.HttpProtocolOptions {
	if p == mesh.HTTP2 || p == mesh.GRPC {
		return &httpv3.HttpProtocolOptions{UpstreamProtocolOptions: &httpv3.HttpProtocolOptions_ExplicitHttpConfig_{
			ExplicitHttpConfig: &httpv3.HttpProtocolOptions_ExplicitHttpConfig{
				ProtocolConfig: &httpv3.HttpProtocolOptions_ExplicitHttpConfig_Http2ProtocolOptions{Http2ProtocolOptions: &corev3.Http2ProtocolOptions{}},
			},
		}}
	}
	return &httpv3.HttpProtocolOptions{UpstreamProtocolOptions: &httpv3.HttpProtocolOptions_UseDownstreamProtocolConfig{
		UseDownstreamProtocolConfig: &httpv3.HttpProtocolOptions_UseDownstreamHttpConfig{
			HttpProtocolOptions:  &corev3.Http1ProtocolOptions{},
			Http2ProtocolOptions: &corev3.Http2ProtocolOptions{},
		},
	}}
}
