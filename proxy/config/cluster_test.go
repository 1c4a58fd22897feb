package config

import (
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	httpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/weftmesh/weft/proxy/balance"
	"github.com/weftmesh/weft/proxy/upstream"
)

func least() balance.Options {
	return balance.Options{Algorithm: balance.LeastRequest, ChoiceCount: 2, ActiveRequestBias: 1, PanicPercent: 50}
}

func roundRobin() balance.Options {
	return balance.Options{Algorithm: balance.RoundRobin, PanicPercent: 50}
}

func weftMeta(kv ...string) *corev3.Metadata {
	return &corev3.Metadata{FilterMetadata: map[string]*structpb.Struct{"weft": structOf(kv...)}}
}

func options(o *httpv3.HttpProtocolOptions) map[string]*anypb.Any {
	return map[string]*anypb.Any{"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": pack(o)}
}

func runtimeDouble(v float64) *corev3.RuntimeDouble {
	return &corev3.RuntimeDouble{DefaultValue: v, RuntimeKey: "x"}
}

// Each part of a cluster comes to what it says.
func TestClusterSettings(t *testing.T) {
	u32 := wrapperspb.UInt32
	for what, c := range map[string]struct {
		set  func(*clusterv3.Cluster)
		want func(*upstream.Spec)
	}{
		"least request": {func(c *clusterv3.Cluster) {
			c.LbConfig = &clusterv3.Cluster_LeastRequestLbConfig_{LeastRequestLbConfig: &clusterv3.Cluster_LeastRequestLbConfig{ChoiceCount: u32(5), ActiveRequestBias: runtimeDouble(0),
				SlowStartConfig: &clusterv3.Cluster_SlowStartConfig{SlowStartWindow: durationpb.New(time.Minute), Aggression: runtimeDouble(2), MinWeightPercent: &typev3.Percent{Value: 25}}}}
		}, func(s *upstream.Spec) {
			s.Balance.ChoiceCount, s.Balance.ActiveRequestBias = 5, 0
			s.Balance.SlowStart = balance.SlowStart{Window: time.Minute, Aggression: 2, MinPercent: 25}
		}},
		"peak EWMA": {func(c *clusterv3.Cluster) { c.Metadata = weftMeta("balance", "PEAK_EWMA") }, func(s *upstream.Spec) {
			s.Balance = balance.Options{PanicPercent: 50}
		}},
		"round robin with slow start": {func(c *clusterv3.Cluster) {
			c.LbPolicy = clusterv3.Cluster_ROUND_ROBIN
			c.LbConfig = &clusterv3.Cluster_RoundRobinLbConfig_{RoundRobinLbConfig: &clusterv3.Cluster_RoundRobinLbConfig{SlowStartConfig: &clusterv3.Cluster_SlowStartConfig{SlowStartWindow: durationpb.New(time.Second)}}}
		}, func(s *upstream.Spec) {
			s.Balance = roundRobin()
			s.Balance.SlowStart = balance.SlowStart{Window: time.Second, Aggression: 1, MinPercent: 10}
		}},
		"random": {func(c *clusterv3.Cluster) { c.LbPolicy = clusterv3.Cluster_RANDOM }, func(s *upstream.Spec) {
			s.Balance = balance.Options{Algorithm: balance.RandomChoice, PanicPercent: 50}
		}},
		"ring hash": {func(c *clusterv3.Cluster) {
			c.LbPolicy = clusterv3.Cluster_RING_HASH
			c.LbConfig = &clusterv3.Cluster_RingHashLbConfig_{RingHashLbConfig: &clusterv3.Cluster_RingHashLbConfig{MinimumRingSize: wrapperspb.UInt64(64), MaximumRingSize: wrapperspb.UInt64(128)}}
		}, func(s *upstream.Spec) {
			s.Balance = balance.Options{Algorithm: balance.RingHash, MinRing: 64, MaxRing: 128, PanicPercent: 50}
		}},
		"Maglev": {func(c *clusterv3.Cluster) {
			c.LbPolicy = clusterv3.Cluster_MAGLEV
			c.LbConfig = &clusterv3.Cluster_MaglevLbConfig_{MaglevLbConfig: &clusterv3.Cluster_MaglevLbConfig{TableSize: wrapperspb.UInt64(251)}}
		}, func(s *upstream.Spec) {
			s.Balance = balance.Options{Algorithm: balance.Maglev, TableSize: 251, PanicPercent: 50}
		}},
		"passthrough": {func(c *clusterv3.Cluster) {
			c.ClusterDiscoveryType, c.LbPolicy = &clusterv3.Cluster_Type{Type: clusterv3.Cluster_ORIGINAL_DST}, clusterv3.Cluster_CLUSTER_PROVIDED
		}, func(s *upstream.Spec) {
			s.Kind, s.Balance = upstream.OriginalDestination, balance.Options{PanicPercent: 50}
		}},
		"localities": {func(c *clusterv3.Cluster) {
			c.CommonLbConfig = &clusterv3.Cluster_CommonLbConfig{HealthyPanicThreshold: &typev3.Percent{}, LocalityConfigSpecifier: &clusterv3.Cluster_CommonLbConfig_LocalityWeightedLbConfig_{LocalityWeightedLbConfig: &clusterv3.Cluster_CommonLbConfig_LocalityWeightedLbConfig{}}}
		}, func(s *upstream.Spec) { s.Balance.PanicPercent, s.Balance.LocalityWeighted = 0, true }},
		"zones": {func(c *clusterv3.Cluster) {
			c.Metadata = weftMeta("locality", "r/z")
			c.CommonLbConfig = &clusterv3.Cluster_CommonLbConfig{LocalityConfigSpecifier: &clusterv3.Cluster_CommonLbConfig_ZoneAwareLbConfig_{ZoneAwareLbConfig: &clusterv3.Cluster_CommonLbConfig_ZoneAwareLbConfig{RoutingEnabled: &typev3.Percent{Value: 70}}}}
		}, func(s *upstream.Spec) {
			s.Balance.ZonePercent, s.Balance.MinZoneSize, s.Balance.Zone = 70, 6, balance.Locality{Region: "r", Zone: "z"}
		}},
		"circuit breakers": {func(c *clusterv3.Cluster) {
			c.CircuitBreakers = &clusterv3.CircuitBreakers{Thresholds: []*clusterv3.CircuitBreakers_Thresholds{
				{MaxConnections: u32(1), MaxPendingRequests: u32(2), MaxRequests: u32(3), MaxRetries: u32(math.MaxUint32)}, {Priority: corev3.RoutingPriority_HIGH, MaxRequests: u32(9)}},
				PerHostThresholds: []*clusterv3.CircuitBreakers_Thresholds{{MaxConnections: u32(4)}}}
		}, func(s *upstream.Spec) {
			s.Limits = upstream.Limits{MaxConnections: upstream.AtMost(1), MaxPending: upstream.AtMost(2), MaxRequests: upstream.AtMost(3), MaxPerEndpoint: upstream.AtMost(4)}
		}},
		"retries": {func(c *clusterv3.Cluster) {
			c.CircuitBreakers = &clusterv3.CircuitBreakers{Thresholds: []*clusterv3.CircuitBreakers_Thresholds{{MaxRetries: u32(0),
				RetryBudget: &clusterv3.CircuitBreakers_Thresholds_RetryBudget{BudgetPercent: &typev3.Percent{Value: 12.5}}}}}
		}, func(s *upstream.Spec) {
			s.Limits = upstream.Limits{MaxRetries: upstream.AtMost(0), RetryBudget: true, RetryPercent: 12.5, MinRetries: 3}
		}},
		"outliers by default": {func(c *clusterv3.Cluster) { c.OutlierDetection = &clusterv3.OutlierDetection{} }, func(s *upstream.Spec) {
			s.Detection = balance.Detection{Outliers: true, Outlier: balance.DefaultOutlier()}
		}},
		"outliers": {func(c *clusterv3.Cluster) {
			c.OutlierDetection = &clusterv3.OutlierDetection{Consecutive_5Xx: u32(1), Interval: durationpb.New(2 * time.Second), BaseEjectionTime: durationpb.New(3 * time.Second), MaxEjectionPercent: u32(4),
				EnforcingConsecutive_5Xx: u32(5), EnforcingSuccessRate: u32(6), SuccessRateMinimumHosts: u32(7), SuccessRateRequestVolume: u32(8), SuccessRateStdevFactor: u32(9),
				ConsecutiveGatewayFailure: u32(10), EnforcingConsecutiveGatewayFailure: u32(11), SplitExternalLocalOriginErrors: true, ConsecutiveLocalOriginFailure: u32(13),
				EnforcingConsecutiveLocalOriginFailure: u32(14), EnforcingLocalOriginSuccessRate: u32(15), FailurePercentageThreshold: u32(16), EnforcingFailurePercentage: u32(17),
				EnforcingFailurePercentageLocalOrigin: u32(18), FailurePercentageMinimumHosts: u32(19), FailurePercentageRequestVolume: u32(20), MaxEjectionTime: durationpb.New(21 * time.Second),
				MaxEjectionTimeJitter: durationpb.New(22 * time.Second), AlwaysEjectOneHost: wrapperspb.Bool(true)}
		}, func(s *upstream.Spec) {
			s.Detection = balance.Detection{Outliers: true, Outlier: balance.Outlier{Consecutive5xx: 1, Interval: 2 * time.Second, BaseEjection: 3 * time.Second, MaxEjectionPercent: 4,
				Enforce5xx: 5, EnforceSuccessRate: 6, SuccessRateMinHosts: 7, SuccessRateVolume: 8, SuccessRateStdevFactor: 9, ConsecutiveGateway: 10, EnforceGateway: 11, SplitLocal: true,
				ConsecutiveLocal: 13, EnforceLocal: 14, EnforceLocalSuccessRate: 15, FailurePercentThreshold: 16, EnforceFailurePercent: 17, EnforceLocalFailurePercent: 18,
				FailurePercentMinHosts: 19, FailurePercentVolume: 20, MaxEjection: 21 * time.Second, MaxEjectionJitter: 22 * time.Second, AlwaysEjectOne: true}}
		}},
		"accrual": {func(c *clusterv3.Cluster) {
			c.OutlierDetection = &clusterv3.OutlierDetection{}
			c.Metadata = weftMeta("accrual", "consecutive", "accrual_max_failures", "3", "accrual_min_penalty", "500ms", "accrual_max_penalty", "2m", "accrual_jitter", "0.25")
		}, func(s *upstream.Spec) {
			s.Balance.PanicPercent = 0
			s.Detection = balance.Detection{Accrual: balance.Accrual{MaxFailures: 3, MinPenalty: 500 * time.Millisecond, MaxPenalty: 2 * time.Minute, Jitter: 0.25}}
		}},
		"accrual by default": {func(c *clusterv3.Cluster) { c.Metadata = weftMeta("accrual", "consecutive") }, func(s *upstream.Spec) {
			s.Balance.PanicPercent = 0
			s.Detection = balance.Detection{Accrual: balance.Accrual{MaxFailures: 7, MinPenalty: time.Second, MaxPenalty: time.Minute, Jitter: 0.5}}
		}},
		"connections": {func(c *clusterv3.Cluster) {
			c.UpstreamConnectionOptions = &clusterv3.UpstreamConnectionOptions{TcpKeepalive: &corev3.TcpKeepalive{KeepaliveProbes: u32(3), KeepaliveTime: u32(7200), KeepaliveInterval: u32(75)}}
			c.TypedExtensionProtocolOptions = options(&httpv3.HttpProtocolOptions{
				CommonHttpProtocolOptions: &corev3.HttpProtocolOptions{IdleTimeout: durationpb.New(90 * time.Second), MaxConnectionDuration: durationpb.New(time.Hour), MaxRequestsPerConnection: u32(7)},
				UpstreamProtocolOptions: &httpv3.HttpProtocolOptions_ExplicitHttpConfig_{ExplicitHttpConfig: &httpv3.HttpProtocolOptions_ExplicitHttpConfig{
					ProtocolConfig: &httpv3.HttpProtocolOptions_ExplicitHttpConfig_Http2ProtocolOptions{Http2ProtocolOptions: &corev3.Http2ProtocolOptions{MaxConcurrentStreams: u32(50),
						ConnectionKeepalive: &corev3.KeepaliveSettings{Interval: durationpb.New(time.Second), Timeout: durationpb.New(2 * time.Second)}}}}}})
		}, func(s *upstream.Spec) {
			s.HTTP2 = true
			s.Connections = upstream.Connections{MaxRequests: 7, MaxStreams: 50, Idle: 90 * time.Second, MaxAge: time.Hour,
				KeepAlive: upstream.KeepAlive{Probes: 3, Time: 2 * time.Hour, Interval: 75 * time.Second}, Ping: time.Second, PingTimeout: 2 * time.Second}
		}},
		"the client's protocol, never idle": {func(c *clusterv3.Cluster) {
			c.TypedExtensionProtocolOptions = options(&httpv3.HttpProtocolOptions{CommonHttpProtocolOptions: &corev3.HttpProtocolOptions{IdleTimeout: durationpb.New(0)},
				UpstreamProtocolOptions: &httpv3.HttpProtocolOptions_UseDownstreamProtocolConfig{UseDownstreamProtocolConfig: &httpv3.HttpProtocolOptions_UseDownstreamHttpConfig{}}})
		}, func(s *upstream.Spec) { s.FollowClient, s.Connections.Idle = true, never }},
	} {
		m := edsCluster(clusterA)
		c.set(m)
		want := upstream.Spec{Name: clusterA, Balance: least(), ConnectTimeout: time.Second}
		c.want(&want)
		got, err := readCluster(clusterA, wire(t, m))
		if err != nil {
			t.Errorf("%s: %v", what, err)
		} else if !reflect.DeepEqual(got.spec, want) {
			t.Errorf("%s:\n got %+v\nwant %+v", what, got.spec, want)
		}
	}
}

// What cannot be honoured of a cluster is refused with field and value.
func TestClusterRefusals(t *testing.T) {
	u32 := wrapperspb.UInt32
	for _, c := range []struct {
		set  func(*clusterv3.Cluster)
		tell []string
	}{
		{func(c *clusterv3.Cluster) { c.LbPolicy = 99 }, []string{"lb_policy", "99"}},
		{func(c *clusterv3.Cluster) { c.LbPolicy = clusterv3.Cluster_LOAD_BALANCING_POLICY_CONFIG }, []string{"lb_policy", "7"}},
		{func(c *clusterv3.Cluster) { c.LbPolicy = clusterv3.Cluster_CLUSTER_PROVIDED }, []string{"CLUSTER_PROVIDED"}},
		{func(c *clusterv3.Cluster) {
			c.LbPolicy = clusterv3.Cluster_RING_HASH
			c.LbConfig = &clusterv3.Cluster_RingHashLbConfig_{RingHashLbConfig: &clusterv3.Cluster_RingHashLbConfig{HashFunction: clusterv3.Cluster_RingHashLbConfig_MURMUR_HASH_2}}
		}, []string{"hash_function", "1"}},
		{func(c *clusterv3.Cluster) {
			c.LbPolicy = clusterv3.Cluster_RING_HASH
			c.LbConfig = &clusterv3.Cluster_RingHashLbConfig_{RingHashLbConfig: &clusterv3.Cluster_RingHashLbConfig{MinimumRingSize: wrapperspb.UInt64(9), MaximumRingSize: wrapperspb.UInt64(8)}}
		}, []string{"minimum_ring_size 9"}},
		{func(c *clusterv3.Cluster) {
			c.LbPolicy = clusterv3.Cluster_MAGLEV
			c.LbConfig = &clusterv3.Cluster_MaglevLbConfig_{MaglevLbConfig: &clusterv3.Cluster_MaglevLbConfig{TableSize: wrapperspb.UInt64(65536)}}
		}, []string{"table_size 65536", "prime"}},
		{func(c *clusterv3.Cluster) {
			c.LbConfig = &clusterv3.Cluster_LeastRequestLbConfig_{LeastRequestLbConfig: &clusterv3.Cluster_LeastRequestLbConfig{ChoiceCount: u32(1)}}
		}, []string{"choice_count 1"}},
		{func(c *clusterv3.Cluster) {
			c.LbConfig = &clusterv3.Cluster_LeastRequestLbConfig_{LeastRequestLbConfig: &clusterv3.Cluster_LeastRequestLbConfig{ActiveRequestBias: runtimeDouble(-1)}}
		}, []string{"active_request_bias -1"}},
		{func(c *clusterv3.Cluster) {
			c.LbConfig = &clusterv3.Cluster_LeastRequestLbConfig_{LeastRequestLbConfig: &clusterv3.Cluster_LeastRequestLbConfig{SlowStartConfig: &clusterv3.Cluster_SlowStartConfig{SlowStartWindow: durationpb.New(1), Aggression: runtimeDouble(0)}}}
		}, []string{"slow_start_config: aggression", "0"}},
		{func(c *clusterv3.Cluster) {
			c.LbConfig = &clusterv3.Cluster_LeastRequestLbConfig_{LeastRequestLbConfig: &clusterv3.Cluster_LeastRequestLbConfig{SlowStartConfig: &clusterv3.Cluster_SlowStartConfig{}}}
		}, []string{"slow_start_window"}},
		{func(c *clusterv3.Cluster) {
			c.CommonLbConfig = &clusterv3.Cluster_CommonLbConfig{HealthyPanicThreshold: &typev3.Percent{Value: 101}}
		}, []string{"healthy_panic_threshold", "101"}},
		{func(c *clusterv3.Cluster) {
			c.LbConfig = &clusterv3.Cluster_OriginalDstLbConfig_{OriginalDstLbConfig: &clusterv3.Cluster_OriginalDstLbConfig{UseHttpHeader: true}}
		}, []string{"original_dst_lb_config"}},
		{func(c *clusterv3.Cluster) { c.HealthChecks = []*corev3.HealthCheck{{}} }, []string{"health_checks"}},
		{func(c *clusterv3.Cluster) {
			c.OutlierDetection = &clusterv3.OutlierDetection{MaxEjectionPercent: u32(101)}
		}, []string{"outlier_detection: max_ejection_percent", "101"}},
		{func(c *clusterv3.Cluster) {
			c.OutlierDetection = &clusterv3.OutlierDetection{Interval: durationpb.New(0)}
		}, []string{"outlier_detection: interval"}},
		{func(c *clusterv3.Cluster) {
			c.OutlierDetection = &clusterv3.OutlierDetection{MaxEjectionTime: durationpb.New(time.Second)}
		}, []string{"max_ejection_time 1s"}},
		{func(c *clusterv3.Cluster) {
			c.CircuitBreakers = &clusterv3.CircuitBreakers{Thresholds: []*clusterv3.CircuitBreakers_Thresholds{{Priority: 7}}}
		}, []string{"circuit_breakers: thresholds", "priority 7"}},
		{func(c *clusterv3.Cluster) {
			c.CircuitBreakers = &clusterv3.CircuitBreakers{PerHostThresholds: []*clusterv3.CircuitBreakers_Thresholds{{MaxRequests: u32(1)}}}
		}, []string{"per_host_thresholds"}},
		{func(c *clusterv3.Cluster) { c.Metadata = weftMeta("balance", "BEST") }, []string{"weft.balance", "BEST"}},
		{func(c *clusterv3.Cluster) {
			c.Metadata, c.LbPolicy = weftMeta("balance", "PEAK_EWMA"), clusterv3.Cluster_RANDOM
		}, []string{"PEAK_EWMA", "lb_policy 3"}},
		{func(c *clusterv3.Cluster) { c.Metadata = weftMeta("accrual", "unified") }, []string{"weft.accrual", "unified"}},
		{func(c *clusterv3.Cluster) {
			c.Metadata = weftMeta("accrual", "consecutive", "accrual_min_penalty", "5m")
		}, []string{"accrual_max_penalty", "5m"}},
		{func(c *clusterv3.Cluster) {
			c.Metadata = weftMeta("accrual", "consecutive", "accrual_max_failures", "0")
		}, []string{"accrual_max_failures"}},
		{func(c *clusterv3.Cluster) {
			c.Metadata = weftMeta("accrual", "consecutive", "accrual_jitter", "x")
		}, []string{"accrual_jitter"}},
		{func(c *clusterv3.Cluster) {
			c.TypedExtensionProtocolOptions = map[string]*anypb.Any{"other": pack(&corev3.Address{})}
		}, []string{"typed_extension_protocol_options", "other"}},
		{func(c *clusterv3.Cluster) {
			c.TypedExtensionProtocolOptions = options(&httpv3.HttpProtocolOptions{UpstreamProtocolOptions: &httpv3.HttpProtocolOptions_ExplicitHttpConfig_{ExplicitHttpConfig: &httpv3.HttpProtocolOptions_ExplicitHttpConfig{
				ProtocolConfig: &httpv3.HttpProtocolOptions_ExplicitHttpConfig_Http3ProtocolOptions{Http3ProtocolOptions: &corev3.Http3ProtocolOptions{}}}}})
		}, []string{"HTTP/3"}},
		{func(c *clusterv3.Cluster) {
			c.TypedExtensionProtocolOptions = options(&httpv3.HttpProtocolOptions{CommonHttpProtocolOptions: &corev3.HttpProtocolOptions{MaxStreamDuration: durationpb.New(1)}})
		}, []string{"max_stream_duration"}},
	} {
		m := edsCluster(clusterA)
		c.set(m)
		_, err := readCluster(clusterA, wire(t, m))
		if err == nil {
			t.Errorf("accepted, want an error with %q", c.tell)
			continue
		}
		for _, s := range c.tell {
			if !strings.Contains(err.Error(), s) {
				t.Errorf("the error does not tell %q: %v", s, err)
			}
		}
	}
}

func TestAssignmentSettings(t *testing.T) {
	m := assignmentOf(clusterA, "10.0.0.1", "10.0.0.2")
	m.Endpoints[0].Priority, m.Endpoints[0].Locality = 2, &corev3.Locality{Region: "r", Zone: "z", SubZone: "s"}
	m.Policy = &endpointv3.ClusterLoadAssignment_Policy{OverprovisioningFactor: wrapperspb.UInt32(200)}
	got, err := readAssignment(clusterA, wire(t, m))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range got.endpoints {
		if e.Priority != 2 || e.Region != "r" || e.Zone != "z" || e.SubZone != "s" {
			t.Errorf("%+v", e)
		}
	}
	if got.overprovisioning != 200 {
		t.Errorf("overprovisioning %d", got.overprovisioning)
	}
	for tell, change := range map[string]func(){
		"overprovisioning_factor": func() { m.Policy.OverprovisioningFactor = wrapperspb.UInt32(0) },
		"drop_overloads": func() {
			m.Policy = &endpointv3.ClusterLoadAssignment_Policy{DropOverloads: []*endpointv3.ClusterLoadAssignment_Policy_DropOverload{{}}}
		},
		"load_balancing_weight": func() { m.Policy, m.Endpoints[0].LoadBalancingWeight = nil, wrapperspb.UInt32(0) },
	} {
		change()
		if _, err := readAssignment(clusterA, wire(t, m)); err == nil || !strings.Contains(err.Error(), tell) {
			t.Errorf("%s: %v", tell, err)
		}
		m.Policy, m.Endpoints[0].LoadBalancingWeight = &endpointv3.ClusterLoadAssignment_Policy{}, nil
	}
}
