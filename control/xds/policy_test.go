package xds

import (
	"net/netip"
	"testing"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/cors/v3"
	faultv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/fault/v3"

	"github.com/weftmesh/weft/mesh"
)

func u32(n uint32) *uint32 { return &n }

func str(s string) *string { return &s }

func whole() mesh.Rule {
	yes := true
	r := mesh.Rule{Matches: []mesh.Match{
		{Name: "a", StatPrefix: "sp", Path: mesh.PathMatch{Kind: mesh.StringPrefix, Value: "/V1", IgnoreCase: true}, Headers: []mesh.ValueMatch{
			{Name: ":authority", Kind: mesh.Suffix, Value: ".x", IgnoreCase: true}, {Name: "p", Kind: mesh.Present}, {Name: "n", Kind: mesh.Exact, Value: "1", Invert: true}, {Name: "q", Kind: mesh.Regex, Value: ".*", Invert: true}},
			Query: []mesh.ValueMatch{{Name: "v", Kind: mesh.Present}, {Name: "w", Kind: mesh.StringPrefix, Value: "a"}}},
		{Path: mesh.PathMatch{Kind: mesh.PathPrefix, Value: "/old"}},
	}}
	r.Backends = []mesh.Backend{{Service: mesh.Ref{Namespace: "ns", Name: "hashed"}, Port: 80, Subset: "v2", Weight: 1, Host: "b.example"}, backend("a", 2)}
	r.Timeouts = mesh.Timeouts{Request: mesh.After(30 * time.Second), Idle: mesh.After(time.Minute), Response: mesh.After(time.Second)}
	r.Retry = &mesh.Retry{Attempts: 3, On: []mesh.RetryCondition{mesh.On5xx, mesh.OnRetriableStatusCodes}, Statuses: []uint32{409}, PerTry: mesh.After(10 * time.Second), Backoff: mesh.Duration(time.Millisecond), BackoffMax: mesh.Duration(time.Second),
		RemoteLocalities: true, Budget: &mesh.RetryBudget{Ratio: 0.2, MinPerSecond: 10, TTL: mesh.Duration(10 * time.Second)}}
	code := uint32(14)
	r.Fault = &mesh.Fault{Delay: &mesh.FaultDelay{Fixed: mesh.Duration(time.Second), Millionths: 1}, Abort: &mesh.FaultAbort{GRPC: &code, Millionths: 500_000}}
	r.Mirrors = []mesh.Mirror{{Backend: backend("a", 1), Millionths: 250_000}, {Backend: backend("gone", 1), Millionths: 1}}
	r.CORS = &mesh.CORS{Origins: []mesh.ValueMatch{{Kind: mesh.Exact, Value: "https://a"}, {Kind: mesh.Present}}, Methods: []string{"GET", "PUT"}, MaxAge: mesh.After(time.Hour), Credentials: &yes}
	r.Rewrite = &mesh.Rewrite{Host: "h.example", PrefixPath: str("/")}
	r.Classes = []mesh.ResponseClass{{Statuses: []mesh.StatusRange{{Min: 500, Max: 599}}, Failure: true}}
	return r
}

// TestRoutePolicy: every part of a rule has its standard field, and all of it is
// valid by the rules that Envoy checks.
func TestRoutePolicy(t *testing.T) {
	for _, kind := range []Kind{Weft, Envoy, GRPC} {
		for _, r := range one(whole(), kind) {
			if err := r.ValidateAll(); err != nil {
				t.Errorf("%s: %v", kind, err)
			}
		}
	}
	routes := one(whole(), Weft)
	a, m := routes[0].GetRoute(), routes[0].GetMatch()
	if routes[0].GetName() != "rule-0.a" || routes[0].GetStatPrefix() != "sp" || m.GetPrefix() != "/V1" || m.GetCaseSensitive().GetValue() || m.GetCaseSensitive() == nil {
		t.Errorf("match: %v", routes[0])
	}
	h := m.GetHeaders()
	if h[0].GetStringMatch().GetSuffix() != ".x" || !h[0].GetStringMatch().GetIgnoreCase() || !h[1].GetPresentMatch() || !h[2].GetInvertMatch() || !h[2].GetTreatMissingHeaderAsEmpty() || !h[3].GetPresentMatch() || !h[3].GetInvertMatch() {
		t.Errorf("headers: %v", h)
	}
	p := a.GetRetryPolicy()
	if a.GetTimeout().GetSeconds() != 30 || a.GetIdleTimeout().GetSeconds() != 60 || p.GetRetryOn() != "5xx,retriable-status-codes" || p.GetRetriableStatusCodes()[0] != 409 ||
		p.GetPerTryTimeout().GetSeconds() != 10 || p.GetRetryPriority() == nil || p.GetRetryBackOff().GetMaxInterval().GetSeconds() != 1 {
		t.Errorf("retries: %v", a)
	}
	// A hash must lead to the same endpoint again.
	if len(p.GetRetryHostPredicate()) != 0 || len(a.GetHashPolicy()) != 1 || a.GetHashPolicy()[0].GetHeader().GetHeaderName() != "x-user" {
		t.Errorf("hash: %v", a)
	}
	if c := a.GetWeightedClusters().GetClusters()[0]; c.GetName() != "outbound|80|v2|hashed.ns.svc.cluster.local" || c.GetHostRewriteLiteral() != "b.example" {
		t.Errorf("cluster: %v", c)
	}
	if len(a.GetRequestMirrorPolicies()) != 1 || a.GetRequestMirrorPolicies()[0].GetRuntimeFraction().GetDefaultValue().GetNumerator() != 250_000 {
		t.Errorf("mirrors: %v", a.GetRequestMirrorPolicies())
	}
	// /V1 is a prefix of characters; /old one of segments, of which a slash must stay.
	if a.GetPrefixRewrite() != "/" || routes[1].GetRoute().GetRegexRewrite().GetPattern().GetRegex() != "^/old/*" || routes[1].GetRoute().GetRegexRewrite().GetSubstitution() != "/" {
		t.Errorf("rewrites: %v, %v", a, routes[1].GetRoute())
	}
	var cors corsv3.CorsPolicy
	var fault faultv3.HTTPFault
	if err := routes[0].GetTypedPerFilterConfig()[corsFilter].UnmarshalTo(&cors); err != nil || cors.ValidateAll() != nil || cors.GetAllowMethods() != "GET,PUT" || cors.GetMaxAge() != "3600" || len(cors.GetAllowOriginStringMatch()) != 2 {
		t.Errorf("cors: %v, %v", err, &cors)
	}
	if err := routes[0].GetTypedPerFilterConfig()[faultFilter].UnmarshalTo(&fault); err != nil || fault.ValidateAll() != nil || fault.GetAbort().GetGrpcStatus() != 14 || fault.GetDelay().GetFixedDelay().GetSeconds() != 1 {
		t.Errorf("fault: %v, %v", err, &fault)
	}
	meta := routes[0].GetMetadata().GetFilterMetadata()[weftMetadata].GetFields()
	if meta["retry_budget_ratio"].GetStringValue() != "0.2" || meta["retry_budget_ttl"].GetStringValue() != "10s" || meta["response_timeout"].GetStringValue() != "1s" || meta["response_classes"].GetStringValue() != "500-599:fail" {
		t.Errorf("metadata: %v", meta)
	}
	never := mesh.Rule{Backends: []mesh.Backend{backend("a", 1)}}
	never.Retry = &mesh.Retry{}
	if p := one(never, Weft)[0].GetRoute().GetRetryPolicy(); p == nil || p.GetNumRetries().GetValue() != 0 {
		t.Errorf("retries that are forbidden: %v", p)
	}
	// A route of which no rule is left answers 404; without a route all goes to
	// the destination.
	if got := RouteConfiguration("a", 80, []mesh.Rule{}, nil, targetOf, Weft).GetVirtualHosts()[0].GetRoutes(); len(got) != 0 {
		t.Errorf("no rules: %v", got)
	}
}

func TestRedirectsAndAnswers(t *testing.T) {
	r := mesh.Rule{Redirect: &mesh.Redirect{Scheme: "https", Host: "n", SamePort: true, PrefixPath: str("/new/"), Status: 308}, Matches: []mesh.Match{{Path: mesh.PathMatch{Kind: mesh.PathPrefix, Value: "/old"}}}}
	got := one(r, Envoy)[0].GetRedirect()
	if err := got.ValidateAll(); err != nil || got.GetSchemeRedirect() != "https" || got.GetPortRedirect() != 80 || got.GetPrefixRewrite() != "/new" || got.GetResponseCode().String() != "PERMANENT_REDIRECT" {
		t.Errorf("%v, %v", err, got)
	}
	d := one(mesh.Rule{Direct: &mesh.DirectResponse{Status: 418, Body: "tea"}}, Weft)[0].GetDirectResponse()
	if d.GetStatus() != 418 || d.GetBody().GetInlineString() != "tea" {
		t.Errorf("%v", d)
	}
}

func TestClusterPolicy(t *testing.T) {
	in := ClusterInput{Host: "api", Port: 80, Namespace: "ns", Service: "api", Subset: "v2", Protocol: mesh.HTTP, Locality: "r/z", Policy: &mesh.Policy{
		Balancing: &mesh.Balancing{Algorithm: mesh.LeastRequest, WarmUp: &mesh.WarmUp{Duration: mesh.Duration(time.Minute), Aggression: 2}},
		Pool: &mesh.Pool{MaxConnections: u32(100), MaxPending: u32(100), MaxRequests: u32(1000), MaxRetries: u32(3), ConnectTimeout: mesh.After(5 * time.Second), MaxRequestsPerConnection: u32(9), HTTPIdle: mesh.After(time.Minute),
			MaxStreams: u32(50), Upgrade: mesh.DoUpgrade, Keepalive: &mesh.Keepalive{Time: mesh.Duration(time.Second)}, HTTP2Keepalive: &mesh.HTTP2Keepalive{Interval: mesh.Duration(time.Second)}},
		Outlier:     &mesh.Outlier{Consecutive5xx: u32(3), ConsecutiveGateway: u32(0), Interval: mesh.After(10 * time.Second), BaseEjection: mesh.After(30 * time.Second), MaxEjectionPercent: u32(50), MinHealthPercent: u32(30)},
		RetryBudget: &mesh.ConcurrencyBudget{Percent: 20, MinConcurrency: 3},
	}}
	for _, kind := range []Kind{Weft, Envoy, GRPC} {
		c := Cluster(in, kind)
		if err := c.ValidateAll(); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
		if c.GetName() != "outbound|80|v2|api" || c.GetConnectTimeout().GetSeconds() != 5 || c.GetCircuitBreakers().GetThresholds()[0].GetRetryBudget().GetBudgetPercent().GetValue() != 20 {
			t.Errorf("%s: %v", kind, c)
		}
	}
	c := Cluster(in, Weft)
	o := c.GetOutlierDetection()
	if o.GetConsecutive_5Xx().GetValue() != 3 || o.GetEnforcingConsecutive_5Xx().GetValue() != 100 || o.GetEnforcingConsecutiveGatewayFailure().GetValue() != 0 || o.GetMaxEjectionPercent().GetValue() != 50 ||
		c.GetCommonLbConfig().GetHealthyPanicThreshold().GetValue() != 30 || c.GetLeastRequestLbConfig().GetSlowStartConfig().GetSlowStartWindow().GetSeconds() != 60 {
		t.Errorf("%v", c)
	}
	if len(Cluster(ClusterInput{Host: "a", Port: 1, Protocol: mesh.HTTP}, Weft).GetTypedExtensionProtocolOptions()) != 0 || Cluster(ClusterInput{Host: "a", Port: 1}, Weft).GetCircuitBreakers() != nil {
		t.Error("our own proxy is told what it knows")
	}
	for want, p := range map[clusterv3.Cluster_LbPolicy]*mesh.Balancing{
		clusterv3.Cluster_RING_HASH: {Hash: &mesh.Hash{SourceIP: true}}, clusterv3.Cluster_MAGLEV: {Hash: &mesh.Hash{Query: "q", Maglev: true, TableSize: 1009}},
		clusterv3.Cluster_RANDOM: {Algorithm: mesh.Random}, clusterv3.Cluster_ROUND_ROBIN: {Algorithm: mesh.RoundRobin}, clusterv3.Cluster_CLUSTER_PROVIDED: {Algorithm: mesh.Passthrough}, clusterv3.Cluster_LEAST_REQUEST: {},
	} {
		c := Cluster(ClusterInput{Host: "a", Port: 1, Policy: &mesh.Policy{Balancing: p}}, Envoy)
		if err := c.ValidateAll(); err != nil || c.GetLbPolicy() != want {
			t.Errorf("%s: %v, %v", want, err, c)
		}
	}
	accrual := Cluster(ClusterInput{Host: "a", Port: 1, Policy: &mesh.Policy{Accrual: &mesh.Accrual{MaxFailures: 7, MinPenalty: mesh.Duration(time.Second), MaxPenalty: mesh.Duration(time.Minute), Jitter: 0.5}}}, Weft)
	if err := accrual.ValidateAll(); err != nil || accrual.GetMetadata().GetFilterMetadata()[weftMetadata].GetFields()["accrual_max_penalty"].GetStringValue() != "1m0s" {
		t.Errorf("%v, %v", err, accrual)
	}
	for mode, matches := range map[mesh.TLSMode]int{mesh.TLSDisable: 0, mesh.TLSSimple: 0, mesh.TLSMutual: 0, mesh.TLSMesh: 2} {
		c := Cluster(ClusterInput{Host: "a", Port: 1, Policy: &mesh.Policy{TLS: &mesh.ClientTLS{Mode: mode, Certificate: "c", Key: "k", Names: []string{"n"}}}}, Envoy)
		if err := c.ValidateAll(); err != nil || len(c.GetTransportSocketMatches()) != matches || (c.GetTransportSocket() != nil) != (mode == mesh.TLSSimple || mode == mesh.TLSMutual) {
			t.Errorf("%s: %v, %v", mode, err, c)
		}
	}
}

func TestLocalities(t *testing.T) {
	at := func(ip, l string, labels map[string]string) mesh.Endpoint {
		p := mesh.ParseLocality(l)
		return mesh.Endpoint{Address: netip.MustParseAddrPort(ip + ":80"), Region: p.Region, Zone: p.Zone, Subzone: p.Subzone, Labels: labels}
	}
	list := []mesh.Endpoint{at("10.0.0.1", "r1/z1", nil), at("10.0.0.2", "r1/z2", map[string]string{"v": "2"}), at("10.0.0.3", "r2/z1", nil), at("10.0.0.4", "r3/z1", nil)}
	near := Near{On: true, Locality: mesh.ParseLocality("r1/z1")}
	show := func(n Near) map[string][2]uint32 {
		out := map[string][2]uint32{}
		a := LoadAssignment("c", list, n)
		if err := a.ValidateAll(); err != nil {
			t.Error(err)
		}
		for _, l := range a.GetEndpoints() {
			out[endpointLocality(l).String()] = [2]uint32{l.GetPriority(), l.GetLoadBalancingWeight().GetValue()}
		}
		return out
	}
	for name, c := range map[string]struct {
		near Near
		want map[string][2]uint32
	}{
		"off":      {Near{}, map[string][2]uint32{"r1/z1": {0, 1}, "r1/z2": {0, 1}, "r2/z1": {0, 1}, "r3/z1": {0, 1}}},
		"distance": {near, map[string][2]uint32{"r1/z1": {0, 1}, "r1/z2": {1, 1}, "r2/z1": {2, 1}, "r3/z1": {2, 1}}},
		"failover": {Near{On: true, Locality: near.Locality, Preference: &mesh.LocalityPreference{Failover: []mesh.LocalityFailover{{From: "r1", To: "r3"}}}},
			map[string][2]uint32{"r1/z1": {0, 1}, "r1/z2": {1, 1}, "r2/z1": {3, 1}, "r3/z1": {2, 1}}},
		"labels": {Near{On: true, Locality: near.Locality, Preference: &mesh.LocalityPreference{FailoverPriority: []string{"v=2", regionLabel}}},
			map[string][2]uint32{"r1/z1": {1, 1}, "r1/z2": {0, 1}, "r2/z1": {1, 1}, "r3/z1": {1, 1}}},
		"zones": {Near{On: true, Locality: near.Locality, Preference: &mesh.LocalityPreference{ZoneAware: &mesh.ZoneAware{}, Failover: []mesh.LocalityFailover{{From: "r1", To: "r3"}}}},
			map[string][2]uint32{"r1/z1": {0, 1}, "r1/z2": {0, 1}, "r2/z1": {2, 1}, "r3/z1": {1, 1}}},
		"zones behind labels": {Near{On: true, Locality: near.Locality, Preference: &mesh.LocalityPreference{ZoneAware: &mesh.ZoneAware{}, FailoverPriority: []string{"v=2"}}},
			map[string][2]uint32{"r1/z1": {1, 1}, "r1/z2": {0, 1}, "r2/z1": {2, 1}, "r3/z1": {2, 1}}},
		"distribute": {Near{On: true, Locality: near.Locality, Preference: &mesh.LocalityPreference{Distribute: []mesh.LocalityShares{{From: "r9/*", To: nil}, {From: "r1/*", To: map[string]uint32{"r1/*": 80, "r3/z1": 20}}}}},
			map[string][2]uint32{"r1/z1": {0, 40}, "r1/z2": {0, 40}, "r3/z1": {0, 20}}},
	} {
		got := show(c.near)
		if len(got) != len(c.want) {
			t.Errorf("%s: %v", name, got)
		}
		for l, w := range c.want {
			if got[l] != w {
				t.Errorf("%s: %s has %v, want %v", name, l, got[l], w)
			}
		}
	}
}

// TestZoneAware: the cluster says that zones make a difference.
func TestZoneAware(t *testing.T) {
	in := ClusterInput{Host: "a", Port: 80, Locality: "r1/z1", Policy: &mesh.Policy{Balancing: &mesh.Balancing{Locality: &mesh.LocalityPreference{ZoneAware: &mesh.ZoneAware{MinSize: 3}}}}}
	for _, kind := range []Kind{Weft, Envoy} {
		c := Cluster(in, kind)
		z := c.GetCommonLbConfig().GetZoneAwareLbConfig()
		if z == nil || z.GetMinClusterSize().GetValue() != 3 || z.GetFailTrafficOnPanic() || c.ValidateAll() != nil {
			t.Errorf("%s: %v", kind, c)
		}
	}
	in.Policy.Balancing.Locality.Disabled = true
	if c := Cluster(in, Weft); c.GetCommonLbConfig() != nil {
		t.Errorf("disabled: %v", c)
	}
}

func TestConnectionRules(t *testing.T) {
	d := Destination{Host: "db", Port: 5432, Protocol: mesh.TLS, Address: netip.MustParseAddr("10.0.0.1"), Idle: mesh.After(time.Minute), Hash: &mesh.Hash{SourceIP: true}, TCP: []Connections{
		{Matches: []mesh.TCPMatch{{SNI: []string{"a", "*.b"}, Subnets: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}}, Shares: []Share{{"x", 1}, {"y", 2}}},
		{Shares: []Share{{"z", 1}}}}}
	for _, kind := range []Kind{Weft, Envoy} {
		l := DestinationListener(d, kind)
		if err := l.ValidateAll(); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
		if m := l.GetFilterChains()[0].GetFilterChainMatch(); len(l.GetFilterChains()) != 1 || m.GetTransportProtocol() != "tls" || len(m.GetServerNames()) != 2 || m.GetPrefixRanges()[0].GetPrefixLen().GetValue() != 8 {
			t.Errorf("%s: %v", kind, l)
		}
	}
}
