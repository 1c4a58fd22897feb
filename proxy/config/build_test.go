package config

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"testing"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	routerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	tcpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/tcp_proxy/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

func nameOf(m proto.Message) string {
	switch m := m.(type) {
	case *listenerv3.Listener:
		return m.Name
	case *routev3.RouteConfiguration:
		return m.Name
	case *clusterv3.Cluster:
		return m.Name
	case *endpointv3.ClusterLoadAssignment:
		return m.ClusterName
	case *tlsv3.Secret:
		return m.Name
	}
	panic(fmt.Sprintf("%T", m))
}

func pack(m proto.Message) *anypb.Any {
	a, err := anypb.New(m)
	if err != nil {
		panic(err)
	}
	return a
}

func ads() *corev3.ConfigSource {
	return &corev3.ConfigSource{ResourceApiVersion: corev3.ApiVersion_V3, ConfigSourceSpecifier: &corev3.ConfigSource_Ads{Ads: &corev3.AggregatedConfigSource{}}}
}

func manager(stat string) *hcmv3.HttpConnectionManager {
	return &hcmv3.HttpConnectionManager{StatPrefix: stat, HttpFilters: []*hcmv3.HttpFilter{{
		Name: "envoy.filters.http.router", ConfigType: &hcmv3.HttpFilter_TypedConfig{TypedConfig: pack(&routerv3.Router{})}}}}
}

func rds(name string) *listenerv3.Filter {
	m := manager(name)
	m.RouteSpecifier = &hcmv3.HttpConnectionManager_Rds{Rds: &hcmv3.Rds{ConfigSource: ads(), RouteConfigName: name}}
	return httpFilter(m)
}

func httpFilter(m *hcmv3.HttpConnectionManager) *listenerv3.Filter {
	return &listenerv3.Filter{Name: "envoy.filters.network.http_connection_manager", ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: pack(m)}}
}

func tcpFilter(stat string, clusters ...string) *listenerv3.Filter {
	p := &tcpv3.TcpProxy{StatPrefix: stat}
	if len(clusters) == 1 {
		p.ClusterSpecifier = &tcpv3.TcpProxy_Cluster{Cluster: clusters[0]}
	} else {
		w := &tcpv3.TcpProxy_WeightedCluster{}
		for i, c := range clusters {
			w.Clusters = append(w.Clusters, &tcpv3.TcpProxy_WeightedCluster_ClusterWeight{Name: c, Weight: uint32(i + 1)})
		}
		p.ClusterSpecifier = &tcpv3.TcpProxy_WeightedClusters{WeightedClusters: w}
	}
	return &listenerv3.Filter{Name: "envoy.filters.network.tcp_proxy", ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: pack(p)}}
}

func chainOf(f *listenerv3.Filter) *listenerv3.FilterChain {
	return &listenerv3.FilterChain{Filters: []*listenerv3.Filter{f}}
}

func httpListener(name, host string) *listenerv3.Listener {
	return &listenerv3.Listener{Name: name, DefaultFilterChain: chainOf(rds(host))}
}

func tcpListener(name, host string, clusters ...string) *listenerv3.Listener {
	return &listenerv3.Listener{Name: name, DefaultFilterChain: chainOf(tcpFilter(host, clusters...))}
}

func detectListener(name, host, cluster string) *listenerv3.Listener {
	c := chainOf(rds(host))
	c.FilterChainMatch = &listenerv3.FilterChainMatch{ApplicationProtocols: []string{"http/1.1", "h2c"}}
	return &listenerv3.Listener{Name: name, FilterChains: []*listenerv3.FilterChain{c}, DefaultFilterChain: chainOf(tcpFilter(host, cluster))}
}

// routesTo splits everything over clusters with the weights.
func routesTo(name string, clusters map[string]uint32) *routev3.RouteConfiguration {
	w := &routev3.WeightedCluster{}
	for _, n := range sorted(clusters) {
		w.Clusters = append(w.Clusters, &routev3.WeightedCluster_ClusterWeight{Name: n, Weight: wrapperspb.UInt32(clusters[n])})
	}
	return routesWith(name, &routev3.Route{Match: anyPath(), Action: &routev3.Route_Route{Route: &routev3.RouteAction{
		ClusterSpecifier: &routev3.RouteAction_WeightedClusters{WeightedClusters: w}}}})
}

func routesWith(name string, rs ...*routev3.Route) *routev3.RouteConfiguration {
	return &routev3.RouteConfiguration{Name: name, VirtualHosts: []*routev3.VirtualHost{{Name: name, Domains: []string{"*"}, Routes: rs}}}
}

func anyPath() *routev3.RouteMatch {
	return &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Prefix{Prefix: "/"}}
}

func edsCluster(name string) *clusterv3.Cluster {
	return &clusterv3.Cluster{Name: name, ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_EDS},
		EdsClusterConfig: &clusterv3.Cluster_EdsClusterConfig{EdsConfig: ads()}, LbPolicy: clusterv3.Cluster_LEAST_REQUEST,
		ConnectTimeout: durationpb.New(time.Second)}
}

func address(host string, port uint32) *corev3.Address {
	return &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{Address: host, PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: port}}}}
}

func assignmentOf(name string, hosts ...string) *endpointv3.ClusterLoadAssignment {
	l := &endpointv3.LocalityLbEndpoints{}
	for _, h := range hosts {
		l.LbEndpoints = append(l.LbEndpoints, &endpointv3.LbEndpoint{HostIdentifier: &endpointv3.LbEndpoint_Endpoint{Endpoint: &endpointv3.Endpoint{Address: address(h, 80)}}})
	}
	return &endpointv3.ClusterLoadAssignment{ClusterName: name, Endpoints: []*endpointv3.LocalityLbEndpoints{l}}
}

func structOf(kv ...string) *structpb.Struct {
	s := &structpb.Struct{Fields: map[string]*structpb.Value{}}
	for i := 0; i < len(kv); i += 2 {
		s.Fields[kv[i]] = structpb.NewStringValue(kv[i+1])
	}
	return s
}

func rootsSecret(pemBytes []byte) *tlsv3.Secret {
	return &tlsv3.Secret{Name: rootCA, Type: &tlsv3.Secret_ValidationContext{ValidationContext: &tlsv3.CertificateValidationContext{
		TrustedCa: &corev3.DataSource{Specifier: &corev3.DataSource_InlineBytes{InlineBytes: pemBytes}}}}}
}

func newRoot(t *testing.T) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		t.Fatal(err)
	}
	tpl := &x509.Certificate{SerialNumber: serial, Subject: pkix.Name{CommonName: "root"}, NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, tpl, tpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// inboundChains are the chains of docs/xds.md for one port; protocol is http,
// detect or opaque.
func inboundChains(port uint32, protocol string, strict bool) []*listenerv3.FilterChain {
	name := fmt.Sprintf("inbound|%d||", port)
	mk := func(f *listenerv3.Filter, transport string, alpn ...string) *listenerv3.FilterChain {
		c := chainOf(f)
		c.FilterChainMatch = &listenerv3.FilterChainMatch{TransportProtocol: transport, ApplicationProtocols: alpn}
		if port > 0 {
			c.FilterChainMatch.DestinationPort = wrapperspb.UInt32(port)
		}
		if transport == "tls" {
			c.TransportSocket = &corev3.TransportSocket{Name: "envoy.transport_sockets.tls", ConfigType: &corev3.TransportSocket_TypedConfig{
				TypedConfig: pack(&tlsv3.DownstreamTlsContext{RequireClientCertificate: wrapperspb.Bool(true), CommonTlsContext: &tlsv3.CommonTlsContext{
					ValidationContextType: &tlsv3.CommonTlsContext_CombinedValidationContext{CombinedValidationContext: &tlsv3.CommonTlsContext_CombinedCertificateValidationContext{
						DefaultValidationContext:         &tlsv3.CertificateValidationContext{},
						ValidationContextSdsSecretConfig: &tlsv3.SdsSecretConfig{Name: rootCA, SdsConfig: ads()}}}}})}}
		}
		return c
	}
	m := manager(name)
	m.RouteSpecifier = &hcmv3.HttpConnectionManager_RouteConfig{RouteConfig: routesWith(name, &routev3.Route{Match: anyPath(),
		Action: &routev3.Route_Route{Route: &routev3.RouteAction{ClusterSpecifier: &routev3.RouteAction_Cluster{Cluster: name}, Timeout: durationpb.New(0)}}})}
	var out []*listenerv3.FilterChain
	if protocol != "opaque" {
		out = append(out, mk(httpFilter(m), "tls", "weft-h2", "weft-http/1.1"))
	}
	out = append(out, mk(tcpFilter(name, name), "tls", "weft-tcp"))
	if strict {
		return out
	}
	switch protocol {
	case "http":
		out = append(out, mk(httpFilter(m), "raw_buffer"))
	case "detect":
		out = append(out, mk(httpFilter(m), "raw_buffer", "http/1.1", "h2c"))
	}
	return append(out, mk(tcpFilter(name, name), ""))
}

func inboundListener(chains ...[]*listenerv3.FilterChain) *listenerv3.Listener {
	l := &listenerv3.Listener{Name: virtualInbound}
	for _, c := range chains {
		l.FilterChains = append(l.FilterChains, c...)
	}
	return l
}
