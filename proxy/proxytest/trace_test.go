package proxytest

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	pb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"

	"github.com/weftmesh/weft/internal/porttest"
	"github.com/weftmesh/weft/internal/waittest"
	"github.com/weftmesh/weft/proxy/config"
	"github.com/weftmesh/weft/proxy/retry"
	"github.com/weftmesh/weft/proxy/route"
	"github.com/weftmesh/weft/proxy/trace"
)

// collector is an OTLP collector of grpc-go.
type collector struct {
	at    netip.AddrPort
	mu    sync.Mutex
	spans []*pb.Span
	names map[string]string // service.name by span
	heads []metadata.MD
}

func newCollector(t testing.TB) *collector {
	t.Helper()
	c := &collector{names: map[string]string{}}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c.at = addr(l)
	s := grpc.NewServer()
	// The request and pb.TracesData are the same on the wire, and so are the
	// answer of a collector that took all and a message without fields.
	s.RegisterService(&grpc.ServiceDesc{ServiceName: "opentelemetry.proto.collector.trace.v1.TraceService", HandlerType: (*any)(nil),
		Methods: []grpc.MethodDesc{{MethodName: "Export", Handler: func(_ any, ctx context.Context, read func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
			var r pb.TracesData
			if err := read(&r); err != nil {
				return nil, err
			}
			c.take(ctx, &r)
			return &pb.TracesData{}, nil
		}}}}, c)
	go s.Serve(l)
	t.Cleanup(s.Stop)
	return c
}

func (c *collector) take(ctx context.Context, r *pb.TracesData) {
	md, _ := metadata.FromIncomingContext(ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.heads = append(c.heads, md)
	for _, rs := range r.ResourceSpans {
		for _, ss := range rs.ScopeSpans {
			for _, s := range ss.Spans {
				c.spans = append(c.spans, s)
				c.names[string(s.SpanId)] = rs.Resource.Attributes[0].Value.GetStringValue()
			}
		}
	}
}

// exports is where the proxy of a workload sends its spans.
type exports struct {
	*trace.Exporters
	*collector
}

func (c *collector) of(t testing.TB, w *Workload, name string) exports {
	w.Cluster("outbound|4317||otel", Plain(c.at))
	e := exports{trace.NewExporters(trace.Collectors{Registry: w.Registry}, trace.Self{Node: "node-" + name, Canonical: name, Namespace: "default"}, slog.New(slog.DiscardHandler)), c}
	t.Cleanup(e.Close)
	return e
}

func (e exports) tracer(percent float64) *trace.Tracer {
	return trace.New(trace.Spec{Cluster: "outbound|4317||otel", Sampling: percent}, nil, e.Exporters)
}

// wait returns the spans when there are so many, the client's before the
// server's of each request.
func (c *collector) wait(t testing.TB, n int, all ...exports) (out []*pb.Span) {
	t.Helper()
	waittest.Until(t, fmt.Sprintf("%d spans", n), func() bool {
		for _, e := range all {
			e.Flush()
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		out = slices.Clone(c.spans)
		return len(out) >= n
	})
	slices.SortStableFunc(out, func(a, b *pb.Span) int { return int(b.Kind) - int(a.Kind) })
	if len(out) != n {
		t.Fatalf("%d spans, want %d: %v", len(out), n, out)
	}
	return out
}

func (c *collector) reset() {
	c.mu.Lock()
	c.spans = nil
	c.mu.Unlock()
}

func attribute(s *pb.Span, key string) string {
	for _, a := range s.Attributes {
		if a.Key == key {
			return a.Value.GetStringValue()
		}
	}
	return ""
}

// traced is a client's and a server's proxy, both of which make spans.
type traced struct {
	*collector
	out      netip.AddrPort
	d        *Destination
	w        *Workload
	here     exports
	there    exports
	slot     *trace.Slot
	received atomic.Pointer[http.Header]
}

func newTraced(t testing.TB, percent float64, h http.HandlerFunc) *traced {
	ca := NewCA(t)
	x := &traced{collector: newCollector(t), slot: &trace.Slot{}}
	at := app(t, func(w http.ResponseWriter, r *http.Request) {
		own := r.Header.Clone()
		x.received.Store(&own)
		h(w, r)
	})
	s := New(t, ca, ID("api"), Options{Traces: x.slot})
	x.w = New(t, ca, ID("web"), Options{})
	x.d, x.out = x.w.Destination("api:80", config.HTTP, Share{x.w.Cluster("outbound|80||api", Meshed(s.Before(at), ID("api"))), 1})
	x.here, x.there = x.of(t, x.w, "web"), x.of(t, s, "api")
	x.sample(percent)
	return x
}

func (x *traced) sample(percent float64) {
	x.d.Trace(x.here.tracer(percent))
	x.slot.Set(x.there.tracer(percent))
}

func (x *traced) request(t testing.TB, method, path string, head http.Header) *http.Response {
	t.Helper()
	req, err := http.NewRequest(method, "http://"+x.out.String()+path, strings.NewReader("tea"))
	if err != nil {
		t.Fatal(err)
	}
	req.Host = "api.default"
	for k, v := range head {
		req.Header[k] = v
	}
	resp, err := browser(t).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	return resp
}

// One request is a span of the client's proxy and, below it, one of the
// server's, whose id the application gets.
func TestSpansOfBothSides(t *testing.T) {
	x := newTraced(t, 100, func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusTeapot)
		io.WriteString(w, "short and stout")
	})
	x.request(t, "POST", "/pot?a=b", http.Header{"User-Agent": {"kettle"}})
	list := x.wait(t, 2, x.here, x.there)
	client, server := list[0], list[1]
	if client.Kind != pb.Span_SPAN_KIND_CLIENT || server.Kind != pb.Span_SPAN_KIND_SERVER || len(client.ParentSpanId) != 0 ||
		string(server.ParentSpanId) != string(client.SpanId) || string(server.TraceId) != string(client.TraceId) || client.Name != "api:80/*" {
		t.Fatalf("%v\n%v", client, server)
	}
	// Which ends first is open: the response is passed on before the books are closed.
	if server.StartTimeUnixNano < client.StartTimeUnixNano || server.StartTimeUnixNano > client.EndTimeUnixNano || server.EndTimeUnixNano < server.StartTimeUnixNano {
		t.Errorf("the server's span does not begin within the client's: %v %v", client, server)
	}
	if client.Status.GetCode() != pb.Status_STATUS_CODE_UNSET || x.names[string(client.SpanId)] != "web.default" || x.names[string(server.SpanId)] != "api.default" {
		t.Errorf("%v %v", client.Status, x.names)
	}
	for _, s := range list {
		for key, want := range map[string]string{"http.method": "POST", "http.url": "http://api.default/pot?a=b", "http.status_code": "418", "http.protocol": "HTTP/1.1", "request_size": "3",
			"response_size": "15", "response_flags": "-", "user_agent": "kettle", "peer.address": "127.0.0.1"} {
			if got := attribute(s, key); got != want {
				t.Errorf("%v: %s is %q, want %q", s.Kind, key, got, want)
			}
		}
	}
	if got := attribute(client, "destination.principal"); got != ID("api").String() || attribute(server, "source.principal") != ID("web").String() {
		t.Errorf("principals %q, %q", got, attribute(server, "source.principal"))
	}
	h := *x.received.Load()
	if want := "00-" + hex.EncodeToString(server.TraceId) + "-" + hex.EncodeToString(server.SpanId) + "-01"; h.Get("Traceparent") != want {
		t.Errorf("the application got %q, want %q", h.Get("Traceparent"), want)
	}
	if id := h.Get("X-Request-Id"); len(id) != 36 || attribute(client, "guid:x-request-id") != id || attribute(server, "guid:x-request-id") != id {
		t.Errorf("request id %q, spans have %q and %q", id, attribute(client, "guid:x-request-id"), attribute(server, "guid:x-request-id"))
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, md := range x.heads {
		if v := md.Get("traceparent"); len(v) != 1 || !strings.HasSuffix(v[0], "-00") {
			t.Errorf("exports are part of the trace %q", v)
		}
		if v := md.Get(":authority"); len(v) != 1 || v[0] != "otel:4317" {
			t.Errorf("the collector is called %q", v)
		}
	}
}

const (
	callerTrace   = "0af7651916cd43dd8448eb211c80319c"
	callerSampled = "00-" + callerTrace + "-b7ad6b7169203331-01"
	callerRefused = "00-" + callerTrace + "-b7ad6b7169203331-00"
)

// Who begins the trace decides; where nobody has, the percentage does, once.
func TestSamplingDecisions(t *testing.T) {
	x := newTraced(t, 0, func(http.ResponseWriter, *http.Request) {})
	head := func() http.Header { return *x.received.Load() }

	x.request(t, "GET", "/", http.Header{"Traceparent": {callerSampled}, "Tracestate": {"a=b"}})
	list := x.wait(t, 2, x.here, x.there)
	if hex.EncodeToString(list[0].ParentSpanId) != "b7ad6b7169203331" || hex.EncodeToString(list[1].TraceId) != callerTrace || list[0].TraceState != "a=b" || head().Get("Tracestate") != "a=b" {
		t.Errorf("%v\n%v", list[0], list[1])
	}
	x.reset()
	// Nobody has decided: the first proxy does, and the second heeds it.
	x.slot.Set(x.there.tracer(100))
	x.request(t, "GET", "/", nil)
	if p := head().Get("Traceparent"); len(p) != 55 || !strings.HasSuffix(p, "-00") {
		t.Errorf("not sampled, the application got %q", p)
	}
	x.sample(100)
	x.request(t, "GET", "/", http.Header{"Traceparent": {callerRefused}})
	if p := head().Get("Traceparent"); p != callerRefused {
		t.Errorf("refused by the caller, the application got %q", p)
	}
	x.request(t, "GET", "/", http.Header{"X-B3-Sampled": {"0"}})
	// This one is counted: the others must not have been.
	x.request(t, "GET", "/", http.Header{"B3": {callerTrace + "-b7ad6b7169203331-1"}})
	list = x.wait(t, 2, x.here, x.there)
	want := callerTrace + "-" + hex.EncodeToString(list[1].SpanId) + "-1-" + hex.EncodeToString(list[0].SpanId)
	if got := head().Get("B3"); got != want || !strings.HasPrefix(head().Get("Traceparent"), "00-"+callerTrace) {
		t.Errorf("b3 %q, want %q", got, want)
	}
}

// Where tracing is off nothing is added and nothing is changed.
func TestNothingIsAddedUntraced(t *testing.T) {
	x := newTraced(t, 100, func(http.ResponseWriter, *http.Request) {})
	x.d.Trace(nil)
	x.slot.Set(nil)
	x.request(t, "GET", "/", nil)
	for _, name := range []string{"Traceparent", "X-Request-Id", "B3", "X-B3-Traceid", "Tracestate"} {
		if v, ok := (*x.received.Load())[name]; ok {
			t.Errorf("%s: %q", name, v)
		}
	}
	x.request(t, "GET", "/", http.Header{"Traceparent": {callerSampled}})
	if v := x.received.Load().Get("Traceparent"); v != callerSampled {
		t.Errorf("traceparent became %q", v)
	}
	// It holds for connections that are there already, and a TCP proxy has none.
	x.sample(100)
	x.request(t, "GET", "/", nil)
	x.wait(t, 2, x.here, x.there)
}

// A request that is sent again is one span, with the last answer, and so is one
// that comes to nothing; a mirrored copy is part of the trace.
func TestSpansOfTriesAndCopies(t *testing.T) {
	var n atomic.Int32
	x := newTraced(t, 100, func(w http.ResponseWriter, _ *http.Request) {
		if n.Add(1) == 1 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	cluster := x.d.Routes().Rules[0].Backends()[0].Cluster
	rule := func(tr *route.Traffic) *route.Rule {
		u, err := route.NewRule(route.RuleSpec{Traffic: tr, Match: route.MatchSpec{Path: route.Prefix, PathValue: "/v1"}, Backends: []route.Backend{{Name: "api", Weight: 1, Cluster: cluster}}})
		if err != nil {
			t.Fatal(err)
		}
		return u
	}
	x.d.Rules(rule(&route.Traffic{Retry: &retry.Policy{On: retry.ServerError, Retries: 2}}))
	x.sample(100)
	x.request(t, "GET", "/v1/x", nil)
	list := x.wait(t, 3, x.here, x.there)
	codes := []string{attribute(list[1], "http.status_code"), attribute(list[2], "http.status_code")}
	slices.Sort(codes)
	if list[0].Name != "api:80/v1*" || attribute(list[0], "http.status_code") != "200" || list[0].Status.GetCode() != 0 || codes[0] != "200" || codes[1] != "503" ||
		string(list[1].ParentSpanId) != string(list[0].SpanId) || string(list[2].ParentSpanId) != string(list[0].SpanId) {
		t.Errorf("%v", list)
	}
	x.reset()

	copied := make(chan string, 1)
	shadow := app(t, func(_ http.ResponseWriter, r *http.Request) { copied <- r.Header.Get("Traceparent") })
	x.d.Rules(rule(&route.Traffic{Mirrors: []route.Mirror{{Name: "copy", Cluster: x.w.Cluster("copy", Plain(shadow)), Share: route.Million}}}))
	x.sample(100)
	x.request(t, "GET", "/v1/x", nil)
	list = x.wait(t, 2, x.here, x.there)
	if got, want := <-copied, "00-"+hex.EncodeToString(list[0].TraceId)+"-"+hex.EncodeToString(list[0].SpanId)+"-01"; got != want {
		t.Errorf("the copy has %q, want %q", got, want)
	}
	x.reset()

	x.d.Route(t, Share{x.w.Cluster("dead", Plain(porttest.Nobody(t))), 1})
	x.sample(100)
	x.request(t, "GET", "/", nil)
	s := x.wait(t, 1, x.here)[0]
	if s.Status.GetCode() != pb.Status_STATUS_CODE_ERROR || attribute(s, "http.status_code") != "503" || attribute(s, "response_flags") != "UF" || attribute(s, "upstream_cluster") != "dead" {
		t.Errorf("%v", s)
	}
}

func TestSpansOfGRPC(t *testing.T) {
	ca, c := NewCA(t), newCollector(t)
	slot := &trace.Slot{}
	at, _ := grpcApp(t)
	s := New(t, ca, ID("api"), Options{Traces: slot})
	w := New(t, ca, ID("web"), Options{})
	d, out := w.Destination("api:80", config.HTTP, Share{w.Cluster("api", Meshed(s.Before(at), ID("api"))), 1})
	here, there := c.of(t, w, "web"), c.of(t, s, "api")
	d.Trace(here.tracer(100))
	slot.Set(there.tracer(100))
	cl := grpcClient(t, out)
	if _, err := cl.Check(context.Background(), &grpc_health_v1.HealthCheckRequest{}); err != nil {
		t.Fatal(err)
	}
	if _, err := cl.Check(context.Background(), &grpc_health_v1.HealthCheckRequest{Service: "unknown"}); err == nil {
		t.Fatal("no error")
	}
	list := c.wait(t, 4, here, there)
	codes := map[string]int{}
	for _, s := range list {
		codes[attribute(s, "http.protocol")+" "+attribute(s, "http.status_code")+" "+attribute(s, "grpc.status_code")+" "+s.Status.GetCode().String()]++
	}
	if codes["HTTP/2 200 0 STATUS_CODE_UNSET"] != 2 || codes["HTTP/2 200 5 STATUS_CODE_ERROR"] != 2 {
		t.Error(codes)
	}
	for _, server := range list[2:] {
		if !slices.ContainsFunc(list[:2], func(client *pb.Span) bool { return string(client.SpanId) == string(server.ParentSpanId) }) {
			t.Errorf("no client span for %v", server)
		}
	}
}

// Without a collector requests go on, and the spans are counted as lost.
func TestDeadCollector(t *testing.T) {
	x := newTraced(t, 100, func(http.ResponseWriter, *http.Request) {})
	x.w.Cluster("outbound|4317||otel", Plain(porttest.Nobody(t)))
	for range 10 {
		if resp := x.request(t, "GET", "/", nil); resp.StatusCode != 200 {
			t.Fatal(resp.Status)
		}
	}
	waittest.Until(t, "lost spans", func() bool { x.here.Flush(); return x.here.Dropped() == 10 })
	x.w.Registry.Remove("outbound|4317||otel")
	x.request(t, "GET", "/", nil)
	x.here.Close()
	if n := x.here.Dropped(); n != 11 {
		t.Errorf("%d lost", n)
	}
	x.request(t, "GET", "/", nil)
	waittest.Until(t, "a span after the end", func() bool { return x.here.Dropped() == 12 })
}

// Connections without HTTP have no spans.
func TestBytesHaveNoSpans(t *testing.T) {
	ca, c := NewCA(t), newCollector(t)
	slot := &trace.Slot{}
	at := server(t, func(c *net.TCPConn) { io.Copy(c, c) })
	s := New(t, ca, ID("db"), Options{Traces: slot})
	there := c.of(t, s, "db")
	slot.Set(there.tracer(100))
	w := New(t, ca, ID("web"), Options{})
	_, out := w.Destination("db:1", config.TCP, Share{w.Cluster("db", Meshed(s.Before(at), ID("db"))), 1})
	to, err := net.Dial("tcp", out.String())
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(to, "GET / HTTP/1.1\r\n\r\n") // which may look like a request
	to.(*net.TCPConn).CloseWrite()
	if b, err := io.ReadAll(to); err != nil || string(b) != "GET / HTTP/1.1\r\n\r\n" {
		t.Fatal(string(b), err)
	}
	to.Close()
	there.Close()
	if n := there.Exported() + there.Dropped(); n != 0 {
		t.Errorf("%d spans", n)
	}
}
