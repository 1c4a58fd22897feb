package dataplane

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	common "go.opentelemetry.io/proto/otlp/common/v1"
	pb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
)

// tracingSettings name a collector that nobody uses without a Telemetry.
const tracingSettings = `{"extensionProviders": [{"name": "otel", "opentelemetry": {"service": "otel.default.svc.cluster.local", "port": 4317}}]}`

// otlp is a collector of grpc-go.
type otlp struct {
	mu    sync.Mutex
	spans map[string]*pb.Span
	from  map[string]string // service.name by span
}

func (c *otlp) export(read func(any) error) (any, error) {
	var r pb.TracesData // which is the same on the wire
	if err := read(&r); err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, rs := range r.ResourceSpans {
		for _, ss := range rs.ScopeSpans {
			for _, s := range ss.Spans {
				c.spans[string(s.SpanId)] = s
				c.from[string(s.SpanId)] = rs.Resource.Attributes[0].Value.GetStringValue()
			}
		}
	}
	return &pb.TracesData{}, nil
}

// A Telemetry makes both sidecars report to the collector that the mesh's
// settings name, as soon as it is there and without a new connection, and its
// end ends that.
func TestTracing(t *testing.T) {
	c := &otlp{spans: map[string]*pb.Span{}, from: map[string]string{}}
	l, err := net.Listen("tcp", "127.0.0.9:0") // which is no pod's
	must(t, err)
	s := grpc.NewServer()
	s.RegisterService(&grpc.ServiceDesc{ServiceName: "opentelemetry.proto.collector.trace.v1.TraceService", HandlerType: (*any)(nil),
		Methods: []grpc.MethodDesc{{MethodName: "Export", Handler: func(_ any, _ context.Context, read func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
			return c.export(read)
		}}}}, c)
	go s.Serve(l)
	t.Cleanup(s.Stop)

	got := make(chan string, 1000)
	app := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got <- r.Header.Get("Traceparent") }))
	t.Cleanup(app.Close)
	p := newPair(t, port{protocol: "http", app: app.Listener.Addr().String()})
	client := &http.Client{Timeout: patience}
	ask := func() string {
		r, err := client.Get("http://" + p.to[0] + "/")
		must(t, err)
		r.Body.Close()
		return <-got
	}
	if v := ask(); v != "" {
		t.Fatalf("traceparent %q though nothing is traced", v)
	}
	_, at, _ := strings.Cut(l.Addr().String(), ":")
	must(t, world.write("tracing", fmt.Sprintf(`apiVersion: v1
kind: Service
metadata: {name: otel, namespace: default}
spec: {selector: {app: otel}, ports: [{name: grpc, port: 4317}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: otel-1, namespace: default, labels: {kubernetes.io/service-name: otel}}
addressType: IPv4
ports: [{name: grpc, port: %s}]
endpoints: [{addresses: [127.0.0.9], conditions: {ready: true}}]
---
apiVersion: telemetry.istio.io/v1
kind: Telemetry
metadata: {name: tracing, namespace: default}
spec:
  tracing:
  - providers: [{name: otel}]
    randomSamplingPercentage: 100
    customTags: {zone: {literal: {value: west}}}
`, at)))
	t.Cleanup(func() { world.remove("tracing") })
	// Both sides are told by themselves, one perhaps before the other.
	var client1, server *pb.Span
	eventually(t, "a request has a span on both sides", func() error {
		trace := ask()
		if len(trace) != 55 {
			return fmt.Errorf("the application got %q", trace)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, s := range c.spans {
			if s.Kind == pb.Span_SPAN_KIND_SERVER && c.spans[string(s.ParentSpanId)] != nil {
				server, client1 = s, c.spans[string(s.ParentSpanId)]
				return nil
			}
		}
		return errors.New("no such pair of spans")
	})
	tag := func(s *pb.Span, key string) string {
		i := slices.IndexFunc(s.Attributes, func(a *common.KeyValue) bool { return a.GetKey() == key })
		if i < 0 {
			return ""
		}
		return s.Attributes[i].Value.GetStringValue()
	}
	name := p.name + ".default.svc.cluster.local:80/*"
	if client1.Name != name || server.Name != name || c.from[string(client1.SpanId)] != p.name+"-client.default" || c.from[string(server.SpanId)] != p.name+".default" {
		t.Errorf("%s of %s, %s of %s; want %s", client1.Name, c.from[string(client1.SpanId)], server.Name, c.from[string(server.SpanId)], name)
	}
	for _, s := range []*pb.Span{client1, server} {
		for key, want := range map[string]string{"zone": "west", "istio.namespace": "default", "istio.mesh_id": "cluster.local", "istio.canonical_revision": "latest", "http.status_code": "200", "response_flags": "-"} {
			if got := tag(s, key); got != want {
				t.Errorf("%v %s: %s is %q, want %q", s.Kind, hex.EncodeToString(s.SpanId), key, got, want)
			}
		}
	}
	if v := tag(client1, "upstream_cluster"); v != "outbound|80||"+p.name+".default.svc.cluster.local" || !strings.HasPrefix(tag(server, "upstream_cluster"), "inbound|") {
		t.Errorf("upstream_cluster %q, %q", v, tag(server, "upstream_cluster"))
	}
	if p, want := tag(server, "source.principal"), "-client"; !strings.HasSuffix(p, want) {
		t.Errorf("source.principal %q", p)
	}
	world.remove("tracing")
	eventually(t, "nothing is traced any more", func() error {
		if v := ask(); v != "" {
			return fmt.Errorf("the application got %q", v)
		}
		return nil
	})
}
