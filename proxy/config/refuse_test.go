package config

import (
	"net/netip"
	"strings"
	"testing"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	rbacv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/rbac/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/weftmesh/weft/proxy/upstream"
)

func endpoint(addr string) upstream.EndpointSpec {
	return upstream.EndpointSpec{Address: netip.MustParseAddrPort(addr), Weight: 1}
}

// read decodes a resource by its type.
func read(name string, m proto.Message, b []byte) error {
	var err error
	switch m.(type) {
	case *listenerv3.Listener:
		_, err = readListener(name, b)
	case *routev3.RouteConfiguration:
		_, err = readRoutes(name, b)
	case *clusterv3.Cluster:
		_, err = readCluster(name, b)
	case *endpointv3.ClusterLoadAssignment:
		_, err = readAssignment(name, b)
	case *tlsv3.Secret:
		_, err = readSecret(name, b)
	}
	return err
}

// What cannot be honoured is refused, with the field in the message.
func TestRefusals(t *testing.T) {
	listener := func(f func(*listenerv3.Listener)) proto.Message {
		l := detectListener("x", apiHost, clusterA)
		f(l)
		return l
	}
	manage := func(f func(*hcmv3.HttpConnectionManager)) proto.Message {
		m := manager("s")
		m.RouteSpecifier = &hcmv3.HttpConnectionManager_Rds{Rds: &hcmv3.Rds{ConfigSource: ads(), RouteConfigName: "r"}}
		f(m)
		return &listenerv3.Listener{Name: "x", DefaultFilterChain: chainOf(httpFilter(m))}
	}
	inbound := func(f func(*listenerv3.Listener)) proto.Message {
		l := inboundListener(inboundChains(80, "http", false))
		f(l)
		return l
	}
	match := func(m *routev3.RouteMatch) proto.Message {
		return routesWith("x", &routev3.Route{Match: m, Action: &routev3.Route_DirectResponse{DirectResponse: &routev3.DirectResponseAction{Status: 500}}})
	}
	rt := func(f func(*routev3.Route)) proto.Message {
		r := routesTo("x", map[string]uint32{"c": 1})
		f(r.VirtualHosts[0].Routes[0])
		return r
	}
	header := func(k, v string, a corev3.HeaderValueOption_HeaderAppendAction) proto.Message {
		return rt(func(r *routev3.Route) {
			r.RequestHeadersToAdd = []*corev3.HeaderValueOption{{Header: &corev3.HeaderValue{Key: k, Value: v}, AppendAction: a}}
		})
	}
	clus := func(f func(*clusterv3.Cluster)) proto.Message { c := edsCluster("x"); f(c); return c }
	ends := func(f func(*endpointv3.LocalityLbEndpoints, *endpointv3.LbEndpoint)) proto.Message {
		a := assignmentOf("x", "10.0.0.1")
		f(a.Endpoints[0], a.Endpoints[0].LbEndpoints[0])
		return a
	}
	rbac := &hcmv3.HttpFilter{Name: "rbac", ConfigType: &hcmv3.HttpFilter_TypedConfig{TypedConfig: pack(&rbacv3.RBAC{})}}
	tls := &corev3.TransportSocket{Name: "tls", ConfigType: &corev3.TransportSocket_TypedConfig{TypedConfig: pack(&tlsv3.UpstreamTlsContext{})}}

	for what, c := range map[string]struct {
		m    proto.Message
		tell string
	}{
		"another name": {listener(func(l *listenerv3.Listener) { l.Name = "y" }), "name"},
		"no chain":     {&listenerv3.Listener{Name: "x"}, "default_filter_chain"},
		"two filters":  {listener(func(l *listenerv3.Listener) { f := l.DefaultFilterChain; f.Filters = append(f.Filters, f.Filters[0]) }), "default_filter_chain"},
		"unknown network filter": {listener(func(l *listenerv3.Listener) {
			l.DefaultFilterChain.Filters[0].ConfigType = &listenerv3.Filter_TypedConfig{TypedConfig: pack(&rbacv3.RBAC{})}
		}), "rbac"},
		"unknown chain condition": {listener(func(l *listenerv3.Listener) { l.FilterChains[0].FilterChainMatch.SourcePorts = []uint32{1} }), "filter_chains[0]: filter_chain_match"},
		"TLS for a destination":   {listener(func(l *listenerv3.Listener) { l.DefaultFilterChain.TransportSocket = tls }), "transport_socket"},
		"other detection":         {listener(func(l *listenerv3.Listener) { l.FilterChains[0].FilterChainMatch.ApplicationProtocols = []string{"h2"} }), "filter_chains"},
		"unknown HTTP filter": {manage(func(m *hcmv3.HttpConnectionManager) {
			m.HttpFilters = append([]*hcmv3.HttpFilter{rbac}, m.HttpFilters...)
		}), "rbac"},
		"no router": {manage(func(m *hcmv3.HttpConnectionManager) { m.HttpFilters = nil }), "http_filters"},
		"no routes": {manage(func(m *hcmv3.HttpConnectionManager) { m.RouteSpecifier = nil }), "route"},
		"routes from elsewhere": {manage(func(m *hcmv3.HttpConnectionManager) {
			m.GetRds().ConfigSource.ConfigSourceSpecifier = &corev3.ConfigSource_Path{Path: "/x"}
		}), "config_source"},
		"fate":                  {tcpListener(virtualOutbound, "s", "elsewhere"), "PassthroughCluster"},
		"inbound default chain": {inbound(func(l *listenerv3.Listener) { l.DefaultFilterChain = chainOf(tcpFilter("s", "inbound|1||")) }), "default_filter_chain"},
		"no client certificate": {inbound(func(l *listenerv3.Listener) {
			l.FilterChains[0].TransportSocket.ConfigType = &corev3.TransportSocket_TypedConfig{TypedConfig: pack(&tlsv3.DownstreamTlsContext{})}
		}), "require_client_certificate"},
		"just some clients": {inbound(func(l *listenerv3.Listener) {
			l.FilterChains[0].TransportSocket.ConfigType = &corev3.TransportSocket_TypedConfig{TypedConfig: pack(&tlsv3.DownstreamTlsContext{RequireClientCertificate: wrapperspb.Bool(true), CommonTlsContext: &tlsv3.CommonTlsContext{ValidationContextType: &tlsv3.CommonTlsContext_ValidationContext{ValidationContext: &tlsv3.CertificateValidationContext{MatchTypedSubjectAltNames: []*tlsv3.SubjectAltNameMatcher{{}}}}}})}
		}), "validation_context"},
		"mesh TLS without socket": {inbound(func(l *listenerv3.Listener) { l.FilterChains[0].TransportSocket = nil }), "filter_chains[0]"},
		"inbound to another":      {inbound(func(l *listenerv3.Listener) { l.FilterChains[3].Filters[0] = tcpFilter("s", clusterA) }), "inbound"},
		"plaintext HTTP only":     {inbound(func(l *listenerv3.Listener) { l.FilterChains = l.FilterChains[:3] }), "destination_port 80"},
		"no way for bytes":        {inbound(func(l *listenerv3.Listener) { l.FilterChains = l.FilterChains[:1] }), "weft-tcp"},
		"inbound for a network":   {inbound(func(l *listenerv3.Listener) { l.FilterChains[3].FilterChainMatch.SourcePorts = []uint32{1} }), "filter_chain_match"},
		"two virtual hosts": {func() proto.Message {
			r := routesTo("x", map[string]uint32{"c": 1})
			r.VirtualHosts = append(r.VirtualHosts, r.VirtualHosts[0])
			return r
		}(), "virtual hosts"},
		"domains": {func() proto.Message {
			r := routesTo("x", map[string]uint32{"c": 1})
			r.VirtualHosts[0].Domains = []string{"a"}
			return r
		}(), "domains"},
		"weights of zero": {routesTo("x", map[string]uint32{"a": 0, "b": 0}), "weights"},
		"no match":        {rt(func(r *routev3.Route) { r.Match = nil }), "match"},
		"no action":       {rt(func(r *routev3.Route) { r.Action = nil }), "action"},
		"redirect to a bad host": {rt(func(r *routev3.Route) {
			r.Action = &routev3.Route_Redirect{Redirect: &routev3.RedirectAction{HostRedirect: "a/b"}}
		}), "host_redirect"},
		"redirect scheme": {rt(func(r *routev3.Route) {
			r.Action = &routev3.Route_Redirect{Redirect: &routev3.RedirectAction{SchemeRewriteSpecifier: &routev3.RedirectAction_SchemeRedirect{SchemeRedirect: "ftp"}}}
		}), "scheme_redirect"},
		"rewrite with a line break": {rt(func(r *routev3.Route) { r.GetRoute().PrefixRewrite = "/a\r\nb" }), "prefix_rewrite"},
		"two rewrites": {rt(func(r *routev3.Route) {
			r.GetRoute().PrefixRewrite, r.GetRoute().PathRewrite = "/a", "/b"
		}), "rewrites"},
		"substitution without its group": {rt(func(r *routev3.Route) {
			r.GetRoute().RegexRewrite = &matcherv3.RegexMatchAndSubstitute{Pattern: &matcherv3.RegexMatcher{Regex: "a"}, Substitution: `/\1`}
		}), "group"},
		"retry condition":             {rt(func(r *routev3.Route) { r.GetRoute().RetryPolicy = &routev3.RetryPolicy{RetryOn: "sometimes"} }), "sometimes"},
		"negative timeout of a route": {rt(func(r *routev3.Route) { r.GetRoute().Timeout = durationpb.New(-1) }), "timeout"},
		"mirror to nobody": {rt(func(r *routev3.Route) {
			r.GetRoute().RequestMirrorPolicies = []*routev3.RouteAction_RequestMirrorPolicy{{}}
		}), "request_mirror_policies[0]"},
		"hash of nothing": {rt(func(r *routev3.Route) { r.GetRoute().HashPolicy = []*routev3.RouteAction_HashPolicy{{}} }), "hash_policy[0]"},
		"retry budget": {rt(func(r *routev3.Route) {
			r.Metadata = &corev3.Metadata{FilterMetadata: map[string]*structpb.Struct{"weft": structOf("retry_budget_ratio", "x")}}
		}), "retry_budget_ratio"},
		"filter of a route": {rt(func(r *routev3.Route) { r.TypedPerFilterConfig = map[string]*anypb.Any{"a": pack(&rbacv3.RBAC{})} }), "RBAC"},
		"cluster by header": {rt(func(r *routev3.Route) {
			r.GetRoute().ClusterSpecifier = &routev3.RouteAction_ClusterHeader{ClusterHeader: "h"}
		}), "cluster_header"},
		"status": {rt(func(r *routev3.Route) {
			r.Action = &routev3.Route_DirectResponse{DirectResponse: &routev3.DirectResponseAction{Status: 99}}
		}), "direct_response"},
		"CONNECT":            {match(&routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_ConnectMatcher_{ConnectMatcher: &routev3.RouteMatch_ConnectMatcher{}}}), "condition"},
		"no path condition":  {match(&routev3.RouteMatch{}), "path"},
		"empty path":         {match(&routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Path{}}), "path is empty"},
		"regular expression": {match(&routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_SafeRegex{SafeRegex: &matcherv3.RegexMatcher{Regex: `(?=x)`}}}), "regular expression"},
		"header name":        {header("a b", "c", 0), "a b"},
		"header value":       {header("a", "b\r\nc", 0), "control"},
		"substitution":       {header("a", "%DYNAMIC_METADATA(a)%", 0), "DYNAMIC_METADATA"},
		"second host":        {header("Host", "b", 0), "host"},
		"strict DNS": {clus(func(c *clusterv3.Cluster) {
			c.ClusterDiscoveryType = &clusterv3.Cluster_Type{Type: clusterv3.Cluster_STRICT_DNS}
		}), "load_assignment"},
		"TLS for all endpoints": {clus(func(c *clusterv3.Cluster) { c.TransportSocket = tls }), "transport_socket"},
		"custom cluster": {clus(func(c *clusterv3.Cluster) {
			c.ClusterDiscoveryType = &clusterv3.Cluster_ClusterType{ClusterType: &clusterv3.Cluster_CustomClusterType{}}
		}), "cluster types"},
		"timeout of zero":  {clus(func(c *clusterv3.Cluster) { c.ConnectTimeout = durationpb.New(0) }), "connect_timeout"},
		"negative timeout": {clus(func(c *clusterv3.Cluster) { c.ConnectTimeout = durationpb.New(-1) }), "connect_timeout"},
		"DNS without a name": {clus(func(c *clusterv3.Cluster) {
			c.ClusterDiscoveryType = &clusterv3.Cluster_Type{Type: clusterv3.Cluster_LOGICAL_DNS}
		}), "load_assignment"},
		"priority": {ends(func(l *endpointv3.LocalityLbEndpoints, _ *endpointv3.LbEndpoint) { l.Priority = 129 }), "priority"},
		"weight of zero": {ends(func(_ *endpointv3.LocalityLbEndpoints, e *endpointv3.LbEndpoint) {
			e.LoadBalancingWeight = wrapperspb.UInt32(0)
		}), "load_balancing_weight"},
		"port": {ends(func(_ *endpointv3.LocalityLbEndpoints, e *endpointv3.LbEndpoint) {
			e.GetEndpoint().Address = address("10.0.0.1", 70000)
		}), "port"},
		"name as an address": {ends(func(_ *endpointv3.LocalityLbEndpoints, e *endpointv3.LbEndpoint) {
			e.GetEndpoint().Address = address("db.example.com", 1)
		}), "not an IP address"},
		"pipe": {ends(func(_ *endpointv3.LocalityLbEndpoints, e *endpointv3.LbEndpoint) {
			e.GetEndpoint().Address = &corev3.Address{Address: &corev3.Address_Pipe{Pipe: &corev3.Pipe{Path: "/x"}}}
		}), "address"},
		"identity": {ends(func(_ *endpointv3.LocalityLbEndpoints, e *endpointv3.LbEndpoint) {
			e.Metadata = &corev3.Metadata{FilterMetadata: map[string]*structpb.Struct{"weft": structOf("identity", "spiffe://x")}}
		}), "weft.identity"},
		"meshed without identity": {ends(func(_ *endpointv3.LocalityLbEndpoints, e *endpointv3.LbEndpoint) {
			e.Metadata = &corev3.Metadata{FilterMetadata: map[string]*structpb.Struct{"envoy.transport_socket_match": structOf("tlsMode", "istio")}}
		}), "weft.identity"},
		"secret with certificates": {&tlsv3.Secret{Name: rootCA, Type: &tlsv3.Secret_TlsCertificate{TlsCertificate: &tlsv3.TlsCertificate{}}}, "secret"},
		"secret in a file":         {&tlsv3.Secret{Name: rootCA, Type: &tlsv3.Secret_ValidationContext{ValidationContext: &tlsv3.CertificateValidationContext{TrustedCa: &corev3.DataSource{Specifier: &corev3.DataSource_Filename{Filename: "/x"}}}}}, "inline"},
	} {
		name := nameOf(c.m)
		if what == "another name" {
			name = "x"
		}
		err := read(name, c.m, wire(t, c.m))
		if err == nil {
			t.Errorf("%s: accepted", what)
		} else if !strings.Contains(err.Error(), c.tell) {
			t.Errorf("%s: the error does not tell %q: %v", what, c.tell, err)
		}
	}
}
