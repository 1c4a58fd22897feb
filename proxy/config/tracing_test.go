package config

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tracev3 "github.com/envoyproxy/go-control-plane/envoy/config/trace/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	taggingv3 "github.com/envoyproxy/go-control-plane/envoy/type/tracing/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	pb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/weftmesh/weft/proxy/http"
	"github.com/weftmesh/weft/proxy/trace"
)

func tracingBy(m proto.Message) *hcmv3.HttpConnectionManager_Tracing {
	return &hcmv3.HttpConnectionManager_Tracing{Provider: &tracev3.Tracing_Http{Name: "x", ConfigType: &tracev3.Tracing_Http_TypedConfig{TypedConfig: pack(m)}}}
}

func openTelemetry() *tracev3.OpenTelemetryConfig {
	return &tracev3.OpenTelemetryConfig{ServiceName: "web.shop", GrpcService: &corev3.GrpcService{TargetSpecifier: &corev3.GrpcService_EnvoyGrpc_{
		EnvoyGrpc: &corev3.GrpcService_EnvoyGrpc{ClusterName: "outbound|4317||otel", Authority: "otel"}}}}
}

func tracingManager(tr *hcmv3.HttpConnectionManager_Tracing) *hcmv3.HttpConnectionManager {
	m := manager(apiHost)
	m.RouteSpecifier = &hcmv3.HttpConnectionManager_Rds{Rds: &hcmv3.Rds{ConfigSource: ads(), RouteConfigName: apiHost}}
	m.Tracing = tr
	return m
}

// spanKeeper keeps the latest batch.
type spanKeeper struct {
	mu                 sync.Mutex
	cluster, authority string
	got                *pb.TracesData
}

func (k *spanKeeper) Export(_ context.Context, cluster, authority string, b []byte) ([]byte, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	var r pb.TracesData
	err := proto.Unmarshal(b, &r)
	k.cluster, k.authority, k.got = cluster, authority, &r
	return nil, err
}

func TestTracing(t *testing.T) {
	tr := tracingBy(openTelemetry())
	tr.RandomSampling, tr.OverallSampling = &typev3.Percent{Value: 100}, &typev3.Percent{Value: 100}
	tr.MaxPathTagLength, tr.Operation = wrapperspb.UInt32(3), "web:80/*"
	tr.CustomTags = []*taggingv3.CustomTag{
		{Tag: "lit", Type: &taggingv3.CustomTag_Literal_{Literal: &taggingv3.CustomTag_Literal{Value: "a"}}},
		{Tag: "env", Type: &taggingv3.CustomTag_Environment_{Environment: &taggingv3.CustomTag_Environment{Name: "CELL", DefaultValue: "none"}}},
		{Tag: "noenv", Type: &taggingv3.CustomTag_Environment_{Environment: &taggingv3.CustomTag_Environment{Name: "NONE", DefaultValue: "none"}}},
		{Tag: "head", Type: &taggingv3.CustomTag_RequestHeader{RequestHeader: &taggingv3.CustomTag_Header{Name: "X-User"}}},
		{Tag: "meta", Type: &taggingv3.CustomTag_Metadata_{Metadata: &taggingv3.CustomTag_Metadata{DefaultValue: "x"}}},
	}
	m, err := decodeHTTPManager(wire(t, tracingManager(tr)))
	if err != nil {
		t.Fatal(err)
	}
	k := &spanKeeper{}
	e := trace.NewExporters(k, trace.Self{}, slog.New(slog.DiscardHandler))
	o := &Options{Traces: e, Env: func(name string) (string, bool) { return "blue", name == "CELL" }}
	tracer := m.trace.open(o, map[uint16]string{80: "by port"})
	r := &http.Request{Method: []byte("GET"), Authority: []byte("a"), Target: []byte("/long"), Fields: []http.Field{{Name: []byte("x-user"), Value: []byte("me")}}}
	tracer.Start(r, true).Finish(&trace.End{Status: 200, GRPC: -1, Port: 81})
	tracer.Start(r, true).Finish(&trace.End{Status: 200, GRPC: -1, Port: 80})
	e.Close()
	if k.cluster != "outbound|4317||otel" || k.authority != "otel" || len(k.got.GetResourceSpans()) != 1 {
		t.Fatalf("%+v", k)
	}
	rs := k.got.ResourceSpans[0]
	spans := rs.ScopeSpans[0].Spans
	if rs.Resource.Attributes[0].Value.GetStringValue() != "web.shop" || len(spans) != 2 || spans[0].Name != "web:80/*" || spans[1].Name != "by port" {
		t.Errorf("%v", rs)
	}
	got := map[string]string{}
	for _, a := range spans[0].Attributes {
		got[a.Key] = a.Value.GetStringValue()
	}
	for key, want := range map[string]string{"lit": "a", "env": "blue", "noenv": "none", "head": "me", "meta": "", "http.url": "http://a/lo"} {
		if got[key] != want {
			t.Errorf("%s is %q, want %q", key, got[key], want)
		}
	}
}

// What is not known makes no spans; what is wrong is refused.
func TestOtherTracing(t *testing.T) {
	half := tracingBy(openTelemetry())
	half.RandomSampling, half.OverallSampling = &typev3.Percent{Value: 50}, &typev3.Percent{Value: 50}
	if m, err := decodeHTTPManager(wire(t, tracingManager(half))); err != nil || m.trace.spec.Sampling != 25 {
		t.Errorf("%+v, %v", m.trace, err)
	}
	for name, tr := range map[string]*hcmv3.HttpConnectionManager_Tracing{
		"none": nil, "without a provider": {}, "of another kind": tracingBy(&tracev3.ZipkinConfig{CollectorCluster: "x"}), "over HTTP": tracingBy(&tracev3.OpenTelemetryConfig{}),
	} {
		m, err := decodeHTTPManager(wire(t, tracingManager(tr)))
		if err != nil || m.trace.open(&Options{Traces: trace.NewExporters(nil, trace.Self{}, slog.New(slog.DiscardHandler))}, nil) != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	google := openTelemetry()
	google.GrpcService.TargetSpecifier = &corev3.GrpcService_GoogleGrpc_{GoogleGrpc: &corev3.GrpcService_GoogleGrpc{}}
	percent, tag := tracingBy(openTelemetry()), tracingBy(openTelemetry())
	percent.RandomSampling = &typev3.Percent{Value: 101}
	tag.CustomTags = []*taggingv3.CustomTag{{Tag: "x", Type: &taggingv3.CustomTag_RequestHeader{RequestHeader: &taggingv3.CustomTag_Header{}}}}
	for want, tr := range map[string]*hcmv3.HttpConnectionManager_Tracing{"google_grpc": tracingBy(google), "random_sampling": percent, "custom_tags[0]: request_header": tag} {
		if _, err := decodeHTTPManager(wire(t, tracingManager(tr))); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}
