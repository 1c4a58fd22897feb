package xds

import (
	"math"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	httpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/weftmesh/weft/mesh"
)

const httpOptions = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"

// setPool bounds connections and requests, and says which HTTP is spoken.
func setPool(c *clusterv3.Cluster, in ClusterInput, kind Kind) {
	p := in.Policy.Pool
	if p == nil {
		p = &mesh.Pool{}
	}
	if p.ConnectTimeout != nil && *p.ConnectTimeout > 0 {
		c.ConnectTimeout = duration(p.ConnectTimeout)
	}
	if k := p.Keepalive; k != nil && kind != GRPC {
		keep := &corev3.TcpKeepalive{}
		if k.Probes > 0 {
			keep.KeepaliveProbes = wrapperspb.UInt32(k.Probes)
		}
		if s := seconds(k.Time); s > 0 {
			keep.KeepaliveTime = wrapperspb.UInt32(s)
		}
		if s := seconds(k.Interval); s > 0 {
			keep.KeepaliveInterval = wrapperspb.UInt32(s)
		}
		c.UpstreamConnectionOptions = &clusterv3.UpstreamConnectionOptions{TcpKeepalive: keep}
	}
	setBreakers(c, p, in.Policy.RetryBudget, kind)
	if o := protocolOptions(in.Protocol, p, kind); o != nil {
		c.TypedExtensionProtocolOptions = map[string]*anypb.Any{httpOptions: pack(o)}
	}
}

func seconds(d mesh.Duration) uint32 {
	return uint32(max(0, min(math.MaxUint32, math.Ceil(d.Std().Seconds()))))
}

// setBreakers sets the thresholds. What is not said is without a limit, which
// others than our own proxy must be told.
func setBreakers(c *clusterv3.Cluster, p *mesh.Pool, budget *mesh.ConcurrencyBudget, kind Kind) {
	t := &clusterv3.CircuitBreakers_Thresholds{}
	some := false
	for _, f := range []struct {
		to   **wrapperspb.UInt32Value
		from *uint32
	}{{&t.MaxConnections, p.MaxConnections}, {&t.MaxPendingRequests, p.MaxPending}, {&t.MaxRequests, p.MaxRequests}, {&t.MaxRetries, p.MaxRetries}} {
		switch {
		case f.from != nil:
			*f.to = wrapperspb.UInt32(*f.from)
			some = true
		case kind != Weft:
			*f.to = wrapperspb.UInt32(math.MaxUint32)
		}
	}
	if budget != nil {
		some = true
		t.RetryBudget = &clusterv3.CircuitBreakers_Thresholds_RetryBudget{
			BudgetPercent: &typev3.Percent{Value: budget.Percent}, MinRetryConcurrency: wrapperspb.UInt32(budget.MinConcurrency)}
	}
	if some || kind != Weft {
		c.CircuitBreakers = &clusterv3.CircuitBreakers{Thresholds: []*clusterv3.CircuitBreakers_Thresholds{t}}
	}
}

// protocolOptions is nil where nothing needs to be said: our own proxy knows
// which HTTP to speak, gRPC speaks one.
func protocolOptions(protocol mesh.Protocol, p *mesh.Pool, kind Kind) *httpv3.HttpProtocolOptions {
	if !protocol.MayBeHTTP() || kind == GRPC {
		return nil
	}
	general := &corev3.HttpProtocolOptions{IdleTimeout: duration(p.HTTPIdle), MaxConnectionDuration: duration(p.MaxConnectionDuration)}
	some := p.HTTPIdle != nil || p.MaxConnectionDuration != nil
	if p.MaxRequestsPerConnection != nil {
		general.MaxRequestsPerConnection = wrapperspb.UInt32(*p.MaxRequestsPerConnection)
		some = true
	}
	two := &corev3.Http2ProtocolOptions{}
	if p.MaxStreams != nil {
		two.MaxConcurrentStreams = wrapperspb.UInt32(*p.MaxStreams)
		some = true
	}
	if k := p.HTTP2Keepalive; k != nil {
		two.ConnectionKeepalive = &corev3.KeepaliveSettings{Interval: duration(&k.Interval)}
		if k.Timeout > 0 {
			two.ConnectionKeepalive.Timeout = duration(&k.Timeout)
		}
		some = true
	}
	upgrade := !p.ClientProtocol && (protocol == mesh.HTTP2 || protocol == mesh.GRPC || p.Upgrade == mesh.DoUpgrade)
	if kind == Weft && !some && p.Upgrade == "" && !p.ClientProtocol {
		return nil
	}
	out := &httpv3.HttpProtocolOptions{}
	if some {
		out.CommonHttpProtocolOptions = general
	}
	if upgrade {
		out.UpstreamProtocolOptions = &httpv3.HttpProtocolOptions_ExplicitHttpConfig_{
			ExplicitHttpConfig: &httpv3.HttpProtocolOptions_ExplicitHttpConfig{
				ProtocolConfig: &httpv3.HttpProtocolOptions_ExplicitHttpConfig_Http2ProtocolOptions{Http2ProtocolOptions: two},
			},
		}
		return out
	}
	out.UpstreamProtocolOptions = &httpv3.HttpProtocolOptions_UseDownstreamProtocolConfig{
		UseDownstreamProtocolConfig: &httpv3.HttpProtocolOptions_UseDownstreamHttpConfig{
			HttpProtocolOptions: &corev3.Http1ProtocolOptions{}, Http2ProtocolOptions: two,
		},
	}
	return out
}
