package xds

import (
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	tracev3 "github.com/envoyproxy/go-control-plane/envoy/config/trace/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	taggingv3 "github.com/envoyproxy/go-control-plane/envoy/type/tracing/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/weftmesh/weft/mesh"
)

// openTelemetryTracer is the name of Envoy's.
const openTelemetryTracer = "envoy.tracers.opentelemetry"

// WithTracing makes every connection manager of a listener make spans; nil
// changes nothing.
func WithTracing(l *listenerv3.Listener, t *mesh.Tracer) *listenerv3.Listener {
	if t == nil {
		return l
	}
	if a := l.ApiListener.GetApiListener(); a != nil {
		withTracing(a, t, 0)
	}
	for _, c := range append(l.FilterChains[:len(l.FilterChains):len(l.FilterChains)], l.DefaultFilterChain) {
		for _, f := range c.GetFilters() {
			withTracing(f.GetTypedConfig(), t, uint16(c.GetFilterChainMatch().GetDestinationPort().GetValue()))
		}
	}
	return l
}

func withTracing(a *anypb.Any, t *mesh.Tracer, port uint16) {
	m, err := a.UnmarshalNew()
	if err != nil {
		return // no message of ours
	}
	h, ok := m.(*hcmv3.HttpConnectionManager)
	if !ok {
		return
	}
	h.Tracing = tracing(t)
	h.Tracing.Operation = t.Operations[port]
	proto.Reset(a)
	proto.Merge(a, pack(h))
}

func tracing(t *mesh.Tracer) *hcmv3.HttpConnectionManager_Tracing {
	all := &typev3.Percent{Value: 100}
	out := &hcmv3.HttpConnectionManager_Tracing{ClientSampling: all, RandomSampling: &typev3.Percent{Value: t.Sampling}, OverallSampling: all,
		Provider: &tracev3.Tracing_Http{Name: openTelemetryTracer, ConfigType: &tracev3.Tracing_Http_TypedConfig{TypedConfig: pack(&tracev3.OpenTelemetryConfig{
			ServiceName: t.Service,
			GrpcService: &corev3.GrpcService{TargetSpecifier: &corev3.GrpcService_EnvoyGrpc_{EnvoyGrpc: &corev3.GrpcService_EnvoyGrpc{
				ClusterName: ClusterName(t.Host, t.Port), Authority: HostName(t.Host, t.Port)}}}})}}}
	for _, g := range t.Tags {
		c := &taggingv3.CustomTag{Tag: g.Name}
		switch {
		case g.Env != "":
			c.Type = &taggingv3.CustomTag_Environment_{Environment: &taggingv3.CustomTag_Environment{Name: g.Env, DefaultValue: g.Value}}
		case g.Field != "":
			c.Type = &taggingv3.CustomTag_RequestHeader{RequestHeader: &taggingv3.CustomTag_Header{Name: g.Field, DefaultValue: g.Value}}
		default:
			c.Type = &taggingv3.CustomTag_Literal_{Literal: &taggingv3.CustomTag_Literal{Value: g.Value}}
		}
		out.CustomTags = append(out.CustomTags, c)
	}
	return out
}
