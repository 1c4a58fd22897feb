package xds

import (
	"net/netip"
	"testing"

	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	tracev3 "github.com/envoyproxy/go-control-plane/envoy/config/trace/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"

	"github.com/weftmesh/weft/mesh"
)

// Every connection manager of every listener makes spans, and nothing else
// changes.
func TestTracing(t *testing.T) {
	tr := &mesh.Tracer{Host: "otel.obs", Port: 4317, Service: "web.shop", Sampling: 2.5, Operations: map[uint16]string{80: "web:8080/*"},
		Tags: []mesh.TraceTag{{Name: "a", Value: "b"}, {Name: "c", Env: "D", Value: "e"}, {Name: "f", Field: "g"}}}
	d := Destination{Host: "api.shop.svc.cluster.local", Port: 80, Protocol: mesh.Detect, Address: netip.MustParseAddr("10.0.0.1")}
	for name, l := range map[string]*listenerv3.Listener{"destination": DestinationListener(d, Weft),
		"inbound": InboundListener(&mesh.Workload{Ports: []mesh.Port{{Number: 80, Protocol: mesh.HTTP}}}, mesh.Permissive, Weft)} {
		before := l.String()
		if got := WithTracing(l, nil).String(); got != before {
			t.Errorf("%s: changed without a tracer", name)
		}
		n := 0
		for _, c := range WithTracing(l, tr).FilterChains {
			var m hcmv3.HttpConnectionManager
			if c.Filters[0].GetTypedConfig().UnmarshalTo(&m) != nil {
				continue
			}
			var o tracev3.OpenTelemetryConfig
			if err := m.Tracing.GetProvider().GetTypedConfig().UnmarshalTo(&o); err != nil {
				t.Fatal(err)
			}
			g := o.GrpcService.GetEnvoyGrpc()
			operation := ""
			if c.FilterChainMatch.GetDestinationPort().GetValue() == 80 {
				operation = "web:8080/*"
			}
			if m.ValidateAll() != nil || o.ValidateAll() != nil || g.ClusterName != "outbound|4317||otel.obs" || g.Authority != "otel.obs:4317" || o.ServiceName != "web.shop" ||
				m.Tracing.RandomSampling.Value != 2.5 || len(m.Tracing.CustomTags) != 3 || m.Tracing.CustomTags[2].GetRequestHeader().GetName() != "g" ||
				m.Tracing.CustomTags[1].GetEnvironment().GetDefaultValue() != "e" || m.Tracing.Operation != operation {
				t.Errorf("%s: chain %s: %v", name, c.Name, m.Tracing)
			}
			n++
		}
		if n == 0 {
			t.Errorf("%s: no connection manager", name)
		}
	}
}
