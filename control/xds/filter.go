package xds

import (
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	corsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/cors/v3"
	faultv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/fault/v3"
	routerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	httpinspectorv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/listener/http_inspector/v3"
	tlsinspectorv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/listener/tls_inspector/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	tcpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/tcp_proxy/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
)

// httpManager returns a connection manager without its routes, which the
// option sets. The filters that routes configure stand before the router for
// those who need them there; our own proxy does not.
func httpManager(statPrefix string, routes func(*hcmv3.HttpConnectionManager), kind Kind) *hcmv3.HttpConnectionManager {
	m := &hcmv3.HttpConnectionManager{StatPrefix: statPrefix, CodecType: hcmv3.HttpConnectionManager_AUTO}
	add := func(name string, config proto.Message) {
		m.HttpFilters = append(m.HttpFilters, &hcmv3.HttpFilter{Name: name, ConfigType: &hcmv3.HttpFilter_TypedConfig{TypedConfig: pack(config)}})
	}
	if kind == Envoy {
		add(corsFilter, &corsv3.Cors{})
	}
	if kind == Envoy || kind == GRPC {
		add(faultFilter, &faultv3.HTTPFault{})
	}
	add("envoy.filters.http.router", &routerv3.Router{})
	routes(m)
	return m
}

// routesByADS lets the manager ask for a RouteConfiguration by name.
func routesByADS(name string) func(*hcmv3.HttpConnectionManager) {
	return func(m *hcmv3.HttpConnectionManager) {
		m.RouteSpecifier = &hcmv3.HttpConnectionManager_Rds{Rds: &hcmv3.Rds{RouteConfigName: name, ConfigSource: ads()}}
	}
}

// inlineRoutes gives the manager its routes at once.
func inlineRoutes(rc *routev3.RouteConfiguration) func(*hcmv3.HttpConnectionManager) {
	return func(m *hcmv3.HttpConnectionManager) {
		m.RouteSpecifier = &hcmv3.HttpConnectionManager_RouteConfig{RouteConfig: rc}
	}
}

func httpFilter(m *hcmv3.HttpConnectionManager) *listenerv3.Filter {
	return &listenerv3.Filter{
		Name:       "envoy.filters.network.http_connection_manager",
		ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: pack(m)},
	}
}

// tcpFilter forwards bytes to the cluster, or to the shares where there are any.
func tcpFilter(statPrefix, cluster string, shares []Share, d Destination) *listenerv3.Filter {
	p := &tcpv3.TcpProxy{StatPrefix: statPrefix}
	if d.Idle != nil {
		p.IdleTimeout = durationpb.New(d.idle())
	}
	if d.Hash != nil && d.Hash.SourceIP {
		p.HashPolicy = []*typev3.HashPolicy{{PolicySpecifier: &typev3.HashPolicy_SourceIp_{SourceIp: &typev3.HashPolicy_SourceIp{}}}}
	}
	switch {
	case len(shares) == 0:
		p.ClusterSpecifier = &tcpv3.TcpProxy_Cluster{Cluster: cluster}
	case len(shares) == 1:
		p.ClusterSpecifier = &tcpv3.TcpProxy_Cluster{Cluster: shares[0].Cluster}
	default:
		w := &tcpv3.TcpProxy_WeightedCluster{}
		for _, s := range shares {
			w.Clusters = append(w.Clusters, &tcpv3.TcpProxy_WeightedCluster_ClusterWeight{Name: s.Cluster, Weight: s.Weight})
		}
		p.ClusterSpecifier = &tcpv3.TcpProxy_WeightedClusters{WeightedClusters: w}
	}
	return &listenerv3.Filter{
		Name:       "envoy.filters.network.tcp_proxy",
		ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: pack(p)},
	}
}

func tlsInspector() *listenerv3.ListenerFilter {
	return &listenerv3.ListenerFilter{Name: "envoy.filters.listener.tls_inspector",
		ConfigType: &listenerv3.ListenerFilter_TypedConfig{TypedConfig: pack(&tlsinspectorv3.TlsInspector{})}}
}

func httpInspector() *listenerv3.ListenerFilter {
	return &listenerv3.ListenerFilter{Name: "envoy.filters.listener.http_inspector",
		ConfigType: &listenerv3.ListenerFilter_TypedConfig{TypedConfig: pack(&httpinspectorv3.HttpInspector{})}}
}

// ads is the source of everything that one resource refers to by name.
func ads() *corev3.ConfigSource {
	return &corev3.ConfigSource{
		ResourceApiVersion:    corev3.ApiVersion_V3,
		ConfigSourceSpecifier: &corev3.ConfigSource_Ads{Ads: &corev3.AggregatedConfigSource{}},
	}
}

// pack wraps a message in an Any, with its map entries in a fixed order.
func pack(m proto.Message) *anypb.Any {
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		// Marshalling fails for invalid UTF-8 only; every string here is a
		// Kubernetes name or was checked by a translator.
		return &anypb.Any{TypeUrl: "type.googleapis.com/" + string(m.ProtoReflect().Descriptor().FullName())}
	}
	return &anypb.Any{TypeUrl: "type.googleapis.com/" + string(m.ProtoReflect().Descriptor().FullName()), Value: b}
}
