package config

import (
	"bytes"
	"errors"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	statusv3 "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/google/go-cmp/cmp"

	"github.com/weftmesh/weft/identity"
	"github.com/weftmesh/weft/proxy/filter"
	"github.com/weftmesh/weft/proxy/http"
	"github.com/weftmesh/weft/proxy/policy"
	"github.com/weftmesh/weft/proxy/route"
	"github.com/weftmesh/weft/proxy/upstream"
)

func wire(t testing.TB, m proto.Message) []byte {
	t.Helper()
	b, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestRequestIsWhatOthersRead(t *testing.T) {
	r := request{node: &Node{ID: "id", Version: "2", Metadata: map[string]string{"A": "1", "B": "2"}}, url: urlCluster,
		subscribe: []string{"a", "b"}, unsubscribe: []string{"c"}, initial: map[string]string{"a": "7"}, nonce: "n", detail: "because"}
	var got discovery.DeltaDiscoveryRequest
	if err := proto.Unmarshal(r.encode(), &got); err != nil {
		t.Fatal(err)
	}
	want := &discovery.DeltaDiscoveryRequest{
		Node: &corev3.Node{Id: "id", UserAgentName: "weft-proxy", UserAgentVersionType: &corev3.Node_UserAgentVersion{UserAgentVersion: "2"},
			Metadata: structOf("A", "1", "B", "2")},
		TypeUrl: urlCluster, ResourceNamesSubscribe: []string{"a", "b"}, ResourceNamesUnsubscribe: []string{"c"},
		InitialResourceVersions: map[string]string{"a": "7"}, ResponseNonce: "n", ErrorDetail: &statusv3.Status{Code: 3, Message: "because"}}
	if d := cmp.Diff(want, &got, protocmp.Transform()); d != "" {
		t.Error(d)
	}
	if long := (&request{detail: strings.Repeat("x", 1<<20)}).encode(); len(long) > maxDetail+100 {
		t.Errorf("a NACK of %d bytes", len(long))
	}
}

func TestResponse(t *testing.T) {
	a := pack(edsCluster("c"))
	got, err := decodeResponse(wire(t, &discovery.DeltaDiscoveryResponse{SystemVersionInfo: "x", TypeUrl: urlCluster, Nonce: "n",
		Resources: []*discovery.Resource{{Name: "c", Version: "1", Resource: a, Aliases: []string{"z"}}, {Name: "d"}}, RemovedResources: []string{"e", "f"}}))
	if err != nil {
		t.Fatal(err)
	}
	if got.url != urlCluster || got.nonce != "n" || len(got.resources) != 2 || !reflect.DeepEqual(got.removed, []string{"e", "f"}) {
		t.Fatalf("%+v", got)
	}
	if x := got.resources[0]; x.name != "c" || x.version != "1" || x.any.url != a.TypeUrl || !bytes.Equal(x.any.value, a.Value) {
		t.Errorf("%+v", x)
	}
}

func TestListenersRoundTrip(t *testing.T) {
	api := &listenerv3.Listener{Name: apiHost, ApiListener: &listenerv3.ApiListener{ApiListener: rds(apiHost).GetTypedConfig()}}
	both := httpListener(apiHost, apiHost)
	both.ApiListener = api.ApiListener
	both.Address = address("0.0.0.0", 80)
	for _, c := range []struct {
		l        *listenerv3.Listener
		protocol Protocol
		route    string
		tcp      []share
	}{
		{httpListener(apiKey, apiHost), HTTP, apiHost, nil},
		{both, HTTP, apiHost, nil},
		{api, HTTP, apiHost, nil},
		{tcpListener("[fd00::6]_80", apiHost, clusterA), TCP, "", []share{{cluster: clusterA, weight: 1}}},
		{tcpListener(apiKey, apiHost, clusterA, invalidBackend), TCP, "", []share{{cluster: clusterA, weight: 1}, {cluster: invalidBackend, weight: 2}}},
		{detectListener(apiKey, apiHost, clusterA), Detect, apiHost, []share{{cluster: clusterA, weight: 1}}},
	} {
		got, err := readListener(c.l.Name, wire(t, c.l))
		if err != nil {
			t.Errorf("%s: %v", c.l.Name, err)
			continue
		}
		if got.protocol != c.protocol || (c.route != "") != (got.http != nil) || got.http != nil && (got.http.route != c.route || got.http.stat != apiHost) {
			t.Errorf("%s: %+v", c.l.Name, got)
		}
		if (c.tcp != nil) != (got.tcp != nil) || got.tcp != nil && (!reflect.DeepEqual(got.tcp.shares, c.tcp) || got.tcp.stat != apiHost) {
			t.Errorf("%s: %+v", c.l.Name, got.tcp)
		}
	}
}

func TestInboundPolicies(t *testing.T) {
	for _, c := range []struct {
		protocol string
		strict   bool
		want     policy.Port
	}{
		{"http", false, policy.Port{Mode: policy.Permissive, Protocol: policy.HTTP}},
		{"detect", false, policy.Port{Mode: policy.Permissive, Protocol: policy.Detect}},
		{"opaque", false, policy.Port{Mode: policy.Permissive, Protocol: policy.Opaque}},
		{"http", true, policy.Port{Mode: policy.Strict, Protocol: policy.Detect}},
		{"opaque", true, policy.Port{Mode: policy.Strict, Protocol: policy.Opaque}},
	} {
		l, err := readListener(virtualInbound, wire(t, inboundListener(inboundChains(8080, c.protocol, c.strict), inboundChains(0, "opaque", true))))
		if err != nil {
			t.Errorf("%s strict=%v: %v", c.protocol, c.strict, err)
			continue
		}
		if got := l.inbound.Port(8080); got != c.want {
			t.Errorf("%s strict=%v: %v, want %v", c.protocol, c.strict, got, c.want)
		}
		if got := l.inbound.Port(1); got != (policy.Port{Mode: policy.Strict, Protocol: policy.Opaque}) {
			t.Errorf("other ports: %v", got)
		}
	}
	// Where the application is elsewhere.
	with := inboundListener(inboundChains(0, "opaque", true))
	for text, ok := range map[string]bool{"80=127.0.0.1:8080 81=0.0.0.0:82 83=[::1]:9": true, "80": false, "80=x": false, "x=127.0.0.1:1": false, "80=127.0.0.1:0": false, "80=10.0.0.1:80": false} {
		meta, err := structpb.NewStruct(map[string]any{"applications": text})
		if err != nil {
			t.Fatal(err)
		}
		with.Metadata = &corev3.Metadata{FilterMetadata: map[string]*structpb.Struct{"weft": meta}}
		l, err := readListener(virtualInbound, wire(t, with))
		if (err == nil) != ok {
			t.Errorf("%q: %v", text, err)
		}
		if err != nil {
			continue
		}
		for from, to := range map[string]string{"10.1.1.1:80": "127.0.0.1:8080", "10.1.1.1:81": "10.1.1.1:82", "[fd00::1]:83": "[::1]:9", "10.1.1.1:84": "10.1.1.1:84"} {
			if got := l.inbound.Application(netip.MustParseAddrPort(from)); got != netip.MustParseAddrPort(to) {
				t.Errorf("%s is handed to %s, want %s", from, got, to)
			}
		}
	}
	// A port that no chain covers accepts nothing.
	l, err := readListener(virtualInbound, wire(t, inboundListener(inboundChains(8080, "http", true))))
	if err != nil || l.inbound.Port(1).Mode != policy.Closed {
		t.Errorf("without a default: %v %v", l, err)
	}
}

func TestRoutesRoundTrip(t *testing.T) {
	option := func(k, v string, a corev3.HeaderValueOption_HeaderAppendAction) *corev3.HeaderValueOption {
		return &corev3.HeaderValueOption{Header: &corev3.HeaderValue{Key: k, Value: v}, AppendAction: a}
	}
	const set, add = corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD, corev3.HeaderValueOption_APPEND_IF_EXISTS_OR_ADD
	exact := func(v string) *matcherv3.StringMatcher {
		return &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Exact{Exact: v}}
	}
	regex := func(v string) *matcherv3.StringMatcher {
		return &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_SafeRegex{SafeRegex: &matcherv3.RegexMatcher{Regex: v}}}
	}
	rc := routesWith(apiHost,
		&routev3.Route{Name: "first",
			Match: &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_PathSeparatedPrefix{PathSeparatedPrefix: "/v1"},
				CaseSensitive: wrapperspb.Bool(true),
				Headers: []*routev3.HeaderMatcher{
					{Name: ":method", HeaderMatchSpecifier: &routev3.HeaderMatcher_StringMatch{StringMatch: exact("GET")}},
					{Name: "x-user", HeaderMatchSpecifier: &routev3.HeaderMatcher_StringMatch{StringMatch: regex("a.*")}}},
				QueryParameters: []*routev3.QueryParameterMatcher{{Name: "q", QueryParameterMatchSpecifier: &routev3.QueryParameterMatcher_StringMatch{StringMatch: exact("1")}}}},
			Metadata:            &corev3.Metadata{FilterMetadata: map[string]*structpb.Struct{"weft": structOf("origin", "HTTPRoute production/api")}},
			RequestHeadersToAdd: []*corev3.HeaderValueOption{option("X-Set", "100%%", set), option("X-Add", "1", add)}, RequestHeadersToRemove: []string{"X-Gone"},
			ResponseHeadersToAdd: []*corev3.HeaderValueOption{option("X-Res", "r", set)}, ResponseHeadersToRemove: []string{"Server"},
			Action: &routev3.Route_Route{Route: &routev3.RouteAction{Timeout: durationpb.New(0), ClusterSpecifier: &routev3.RouteAction_WeightedClusters{WeightedClusters: &routev3.WeightedCluster{
				Clusters: []*routev3.WeightedCluster_ClusterWeight{
					{Name: clusterA, Weight: wrapperspb.UInt32(90), RequestHeadersToAdd: []*corev3.HeaderValueOption{option("X-B", "b", set)}},
					{Name: invalidBackend, Weight: wrapperspb.UInt32(10)}, {Name: clusterB}}}}}}},
		&routev3.Route{Match: &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Path{Path: "/exact"}},
			Action: &routev3.Route_DirectResponse{DirectResponse: &routev3.DirectResponseAction{Status: 500,
				Body: &corev3.DataSource{Specifier: &corev3.DataSource_InlineString{InlineString: noBackend}}}}},
		&routev3.Route{Match: &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_SafeRegex{SafeRegex: &matcherv3.RegexMatcher{Regex: "/r.*"}}},
			Action: &routev3.Route_Route{Route: &routev3.RouteAction{ClusterSpecifier: &routev3.RouteAction_Cluster{Cluster: clusterB}}}},
		&routev3.Route{Match: anyPath(), Action: &routev3.Route_Route{Route: &routev3.RouteAction{ClusterSpecifier: &routev3.RouteAction_Cluster{Cluster: clusterA}}}},
	)
	got, err := readRoutes(apiHost, wire(t, rc))
	if err != nil {
		t.Fatal(err)
	}
	h := func(k, v string) []filter.Header { return []filter.Header{{Name: k, Value: v}} }
	want := []rule{
		{name: "first", origin: "HTTPRoute production/api",
			match: route.MatchSpec{Path: route.SegmentPrefix, PathValue: "/v1",
				Headers: []route.ValueMatch{{Name: ":method", Value: "GET"}, {Name: "x-user", Value: "a.*", Kind: route.Regex}},
				Query:   []route.ValueMatch{{Name: "q", Value: "1"}}},
			headers: filter.Step{Request: filter.NewHeaderOps(h("X-Set", "100%"), h("X-Add", "1"), []string{"X-Gone"}),
				Response: filter.NewHeaderOps(h("X-Res", "r"), nil, []string{"Server"})},
			shares: []share{{cluster: clusterA, weight: 90, headers: filter.Step{Request: filter.NewHeaderOps(h("X-B", "b"), nil, nil)}},
				{cluster: invalidBackend, weight: 10}, {cluster: clusterB}}},
		{match: route.MatchSpec{Path: route.ExactPath, PathValue: "/exact"}, status: 500},
		{match: route.MatchSpec{Path: route.RegexPath, PathValue: "/r.*"}, shares: []share{{cluster: clusterB, weight: 1}}},
		{match: route.MatchSpec{Path: route.Prefix, PathValue: "/"}, shares: []share{{cluster: clusterA, weight: 1}}},
	}
	if len(got.rules) != len(want) {
		t.Fatalf("%d rules", len(got.rules))
	}
	for i := range want {
		if !reflect.DeepEqual(got.rules[i], want[i]) {
			t.Errorf("rule %d:\n got %+v\nwant %+v", i, got.rules[i], want[i])
		}
	}
	// Compiled, it decides as written.
	st, err := compile(&inputs{listener: &listener{name: apiHost, protocol: HTTP, http: &httpManager{stat: apiHost}}, routes: got}, &Options{})
	if err != nil {
		t.Fatal(err)
	}
	r := st.routes.Match(&http.Request{Method: []byte("GET"), Target: []byte("/v1/x?q=1"), Fields: []http.Field{{Name: []byte("X-User"), Value: []byte("abc")}}})
	if r == nil || r.Name != "first" || r.Pick(0).Status != 503 || r.Pick(95).Status != 500 {
		t.Errorf("compiled: %+v", r)
	}
	if r := st.routes.Match(&http.Request{Target: []byte("/exact")}); r.Pick(0).Status != 500 {
		t.Errorf("direct response: %+v", r)
	}
}

func TestClustersRoundTrip(t *testing.T) {
	full := edsCluster(clusterA)
	full.ConnectTimeout = durationpb.New(1500 * time.Millisecond)
	full.Metadata = &corev3.Metadata{FilterMetadata: map[string]*structpb.Struct{"other": structOf("service", "no"), "weft": structOf("service", "api", "namespace", "production", "port", "80")}}
	full.TransportSocketMatches = []*clusterv3.Cluster_TransportSocketMatch{{Name: "tlsMode-istio", Match: structOf("tlsMode", "istio")}}
	named := edsCluster("b")
	named.EdsClusterConfig.ServiceName, named.LbPolicy = "other", clusterv3.Cluster_ROUND_ROBIN
	external := &clusterv3.Cluster{Name: "e", ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_LOGICAL_DNS}, LoadAssignment: assignmentOf("e", "db.example.com")}
	static := &clusterv3.Cluster{Name: "s", ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_STATIC}, LoadAssignment: assignmentOf("s", "10.0.0.7")}
	for _, c := range []struct {
		m    *clusterv3.Cluster
		want cluster
	}{
		{full, cluster{eds: clusterA, spec: upstream.Spec{Name: clusterA, Balance: least(), ConnectTimeout: 1500 * time.Millisecond, Service: "api", Namespace: "production", ServicePort: "80"}}},
		{named, cluster{eds: "other", spec: upstream.Spec{Name: "b", Balance: roundRobin(), ConnectTimeout: time.Second}}},
		{external, cluster{spec: upstream.Spec{Name: "e", Kind: upstream.DNS, Balance: roundRobin(), Host: "db.example.com", Port: 80}}},
		{static, cluster{spec: upstream.Spec{Name: "s", Balance: roundRobin()}, static: []upstream.EndpointSpec{endpoint("10.0.0.7:80")}}},
	} {
		got, err := readCluster(c.m.Name, wire(t, c.m))
		if err != nil {
			t.Errorf("%s: %v", c.m.Name, err)
		} else if !reflect.DeepEqual(*got, c.want) {
			t.Errorf("%s:\n got %+v\nwant %+v", c.m.Name, *got, c.want)
		}
	}
}

func TestAssignmentRoundTrip(t *testing.T) {
	lb := func(host string, health corev3.HealthStatus, weight uint32, md map[string]*structpb.Struct) *endpointv3.LbEndpoint {
		return &endpointv3.LbEndpoint{HostIdentifier: &endpointv3.LbEndpoint_Endpoint{Endpoint: &endpointv3.Endpoint{Address: address(host, 8080)}},
			HealthStatus: health, LoadBalancingWeight: wrapperspb.UInt32(weight), Metadata: &corev3.Metadata{FilterMetadata: md}}
	}
	id := "spiffe://cluster.local/ns/production/sa/api"
	m := &endpointv3.ClusterLoadAssignment{ClusterName: clusterA, Endpoints: []*endpointv3.LocalityLbEndpoints{
		{Locality: &corev3.Locality{Region: "r", Zone: "z1"}, LoadBalancingWeight: wrapperspb.UInt32(3), LbEndpoints: []*endpointv3.LbEndpoint{
			lb("10.0.0.1", corev3.HealthStatus_HEALTHY, 2, map[string]*structpb.Struct{"envoy.transport_socket_match": structOf("tlsMode", "istio"),
				"weft": structOf("identity", id, "workload", "api-1", "namespace", "production", "owner", "deployment/api")}),
			lb("10.0.0.2", corev3.HealthStatus_UNHEALTHY, 1, nil)}},
		{Locality: &corev3.Locality{Zone: "z2"}, LbEndpoints: []*endpointv3.LbEndpoint{lb("fd00::1", corev3.HealthStatus_DRAINING, 1, nil)}}}}
	got, err := readAssignment(clusterA, wire(t, m))
	if err != nil {
		t.Fatal(err)
	}
	a, b := endpoint("10.0.0.1:8080"), endpoint("[fd00::1]:8080")
	a.Identity, a.Weight, a.Region, a.Zone = identity.ID{TrustDomain: "cluster.local", Namespace: "production", ServiceAccount: "api"}, 2, "r", "z1"
	sick := endpoint("10.0.0.2:8080")
	sick.Unhealthy, sick.Region, sick.Zone = true, "r", "z1"
	a.LocalityWeight, sick.LocalityWeight = 3, 3
	a.Workload, a.Namespace, a.Owner = "api-1", "production", "deployment/api"
	b.Draining, b.Zone = true, "z2"
	if want := []upstream.EndpointSpec{a, sick, b}; !reflect.DeepEqual(got.endpoints, want) {
		t.Errorf("\n got %+v\nwant %+v", got.endpoints, want)
	}
}

func TestSecretRoundTrip(t *testing.T) {
	p := append(newRoot(t), newRoot(t)...)
	got, err := readSecret(rootCA, wire(t, rootsSecret(p)))
	if err != nil || len(got.Roots()) != 2 {
		t.Errorf("%v %v", got, err)
	}
	for _, bad := range [][]byte{nil, []byte("no PEM"), p[:len(p)/4]} {
		if b, err := readSecret(rootCA, wire(t, rootsSecret(bad))); err == nil {
			t.Errorf("accepted %q as %v", bad, b)
		}
	}
}

// Fields of the future are skipped, at every depth.
func TestUnknownFieldsAreSkipped(t *testing.T) {
	extra := protowire.AppendVarint(protowire.AppendTag(nil, 3000, protowire.VarintType), 1)
	extra = protowire.AppendString(protowire.AppendTag(extra, 3001, protowire.BytesType), "new")
	extra = protowire.AppendFixed32(protowire.AppendTag(extra, 3002, protowire.Fixed32Type), 1)
	extra = protowire.AppendFixed64(protowire.AppendTag(extra, 3003, protowire.Fixed64Type), 1)
	extra = protowire.AppendTag(protowire.AppendTag(extra, 3004, protowire.StartGroupType), 3004, protowire.EndGroupType)
	c := edsCluster(clusterA)
	c.ProtoReflect().SetUnknown(extra)
	c.EdsClusterConfig.ProtoReflect().SetUnknown(extra)
	if _, err := readCluster(clusterA, wire(t, c)); err != nil {
		t.Error(err)
	}
	rc := routesTo(apiHost, map[string]uint32{clusterA: 1})
	rc.VirtualHosts[0].Routes[0].GetRoute().ProtoReflect().SetUnknown(extra)
	rc.VirtualHosts[0].Routes[0].ProtoReflect().SetUnknown(extra)
	if _, err := readRoutes(apiHost, wire(t, rc)); err != nil {
		t.Error(err)
	}
	// But not where a field is a condition.
	rc.VirtualHosts[0].Routes[0].Match.ProtoReflect().SetUnknown(extra)
	if _, err := readRoutes(apiHost, wire(t, rc)); !errors.Is(err, ErrUnsupported) {
		t.Errorf("an unknown condition: %v", err)
	}
}
