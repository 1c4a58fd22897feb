package feature

import (
	"context"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/weftmesh/weft/identity"
	"github.com/weftmesh/weft/proxy/accesslog"
	"github.com/weftmesh/weft/proxy/alpn"
	"github.com/weftmesh/weft/proxy/balance"
	"github.com/weftmesh/weft/proxy/filter"
	"github.com/weftmesh/weft/proxy/http"
	"github.com/weftmesh/weft/proxy/policy"
	"github.com/weftmesh/weft/proxy/retry"
	"github.com/weftmesh/weft/proxy/route"
	"github.com/weftmesh/weft/proxy/telemetry"
	"github.com/weftmesh/weft/proxy/timer"
	"github.com/weftmesh/weft/proxy/trace"
)

// request is the one of the load generators: ten fields.
func request() *http.Request {
	r := &http.Request{Method: []byte("GET"), Scheme: []byte("http"), Authority: []byte("api.default.svc.cluster.local"), Target: []byte("/api/v1/items?id=42"), Major: 1, Minor: 1}
	for _, f := range [][2]string{{"User-Agent", "load/1.0 (bench)"}, {"Accept", "application/json"}, {"Accept-Encoding", "gzip, deflate"}, {"Accept-Language", "en-US,en;q=0.9"},
		{"X-Request-Id", "2f1c6f0a-9b9c-4f6e-8a55-0d2b8c3c7d11"}, {"Traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"},
		{"Authorization", "Bearer abcdefghijklmnopqrstuvwxyz0123456789"}, {"Cookie", "session=0123456789abcdef0123456789abcdef"}} {
		r.Fields = append(r.Fields, http.Field{Name: []byte(f[0]), Value: []byte(f[1])})
	}
	return r
}

// BenchmarkMetrics counts one request and its answer, as each sidecar does.
func BenchmarkMetrics(b *testing.B) {
	h := telemetry.NewRegistry(telemetry.Self{}).HTTP(telemetry.HTTPKey{Direction: telemetry.Outbound, TLS: telemetry.Mutual, Authority: "api:80", Target: netip.MustParseAddrPort("127.0.0.1:80")})
	b.ReportAllocs()
	for b.Loop() {
		h.Request()
		h.Response(&telemetry.Response{Status: 200, GRPC: telemetry.NoGRPC, FirstByte: 300 * time.Microsecond, Total: 350 * time.Microsecond, ResponseBytes: 1024})
	}
}

// BenchmarkClock reads the time as often as a request does in one sidecar: its
// begin, the answer's head, its end.
func BenchmarkClock(b *testing.B) {
	var d time.Duration
	for b.Loop() {
		start := time.Now()
		head := time.Now()
		d += time.Since(start) - time.Since(head)
	}
	_ = d
}

// BenchmarkPolicy decides over an inbound connection: what a port's policy
// costs, once a connection.
func BenchmarkPolicy(b *testing.B) {
	in := &policy.Inbound{Ports: map[uint16]policy.Port{8080: {Mode: policy.Strict, Protocol: policy.HTTP}}}
	b.ReportAllocs()
	for b.Loop() {
		if a, err := in.Port(8080).Mutual(alpn.HTTP1); a == policy.Refuse || err != nil {
			b.Fatal(a, err)
		}
	}
}

// BenchmarkIdentity tells the application who calls, and removes what the
// client claimed, on each inbound request.
func BenchmarkIdentity(b *testing.B) {
	id, err := identity.NewID("cluster.local", "default", "client")
	if err != nil {
		b.Fatal(err)
	}
	who := filter.ClientID(id, "weft-system")
	r := request()
	n := len(r.Fields)
	b.ReportAllocs()
	for b.Loop() {
		r.Fields = r.Fields[:n]
		filter.InboundRequest(r, who)
	}
}

func table(b *testing.B, specs ...route.MatchSpec) *route.Table {
	b.Helper()
	var rules []*route.Rule
	for _, m := range append(specs, route.MatchSpec{Path: route.Prefix, PathValue: "/"}) {
		r, err := route.NewRule(route.RuleSpec{Match: m, Backends: []route.Backend{{Name: "a", Weight: 90}, {Name: "b", Weight: 10}}})
		if err != nil {
			b.Fatal(err)
		}
		rules = append(rules, r)
	}
	return route.NewTable("api:80", rules)
}

func choose(b *testing.B, t *route.Table) {
	r := request()
	b.ReportAllocs()
	for b.Loop() {
		if t.Match(r).Pick(rand.Uint64()) == nil {
			b.Fatal("no backend")
		}
	}
}

// BenchmarkRouteDefault is a destination without routes.
func BenchmarkRouteDefault(b *testing.B) { choose(b, table(b)) }

// BenchmarkRouteRules has four rules by path before the one that matches.
func BenchmarkRouteRules(b *testing.B) {
	var specs []route.MatchSpec
	for _, p := range []string{"/cart", "/checkout", "/admin", "/static"} {
		specs = append(specs, route.MatchSpec{Path: route.Prefix, PathValue: p})
	}
	choose(b, table(b, specs...))
}

// BenchmarkOutboundFilter strips what must not leave and adds what the peer needs.
func BenchmarkOutboundFilter(b *testing.B) {
	r := request()
	n := len(r.Fields)
	var none filter.Step
	b.ReportAllocs()
	for b.Loop() {
		r.Fields = r.Fields[:n]
		filter.OutboundRequest(r, nil, &none, &none, nil)
	}
}

// BenchmarkBalance picks one of ten endpoints by peak latency, and tells how it went.
func BenchmarkBalance(b *testing.B) {
	entries := make([]balance.Entry, 10)
	for i := range entries {
		entries[i].Member = balance.NewMember()
	}
	s := balance.NewSet(entries, balance.Options{}, 0)
	p := balance.New(balance.Options{}, nil)
	var q balance.Query
	b.ReportAllocs()
	for b.Loop() {
		q.Now += 1000
		i := p.Pick(s, &q)
		if i == balance.None {
			b.Fatal("nothing was picked")
		}
	}
}

type nobody struct{}

func (nobody) Fire(time.Time) {}

// BenchmarkTimeout arms a request's timeout and stops it again.
func BenchmarkTimeout(b *testing.B) {
	var w timer.Wheel
	var t timer.Timer
	b.ReportAllocs()
	for b.Loop() {
		w.Arm(&t, nobody{}, 15*time.Second)
		w.Stop(&t)
	}
}

// BenchmarkAccessLog is the line of one request in one sidecar, in Istio's
// usual format and into nowhere.
func BenchmarkAccessLog(b *testing.B) {
	const format = `[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS% ` +
		`"%UPSTREAM_TRANSPORT_FAILURE_REASON%" %BYTES_RECEIVED% %BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" "%REQ(X-REQUEST-ID)%" ` +
		`"%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%" %UPSTREAM_CLUSTER_RAW% %UPSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS% %REQUESTED_SERVER_NAME% %ROUTE_NAME%` + "\n"
	sinks := accesslog.NewSinks(slog.New(slog.DiscardHandler))
	sinks.OpenWith("x", func() (io.Writer, error) { return io.Discard, nil })
	defer sinks.Close()
	l, err := accesslog.New([]accesslog.Spec{{Path: "x", Text: format}}, sinks)
	if err != nil {
		b.Fatal(err)
	}
	r, a := request(), netip.MustParseAddrPort("10.0.0.1:8080")
	now := time.Now()
	b.ReportAllocs()
	for b.Loop() {
		e := l.Entry()
		e.Request(r)
		e.Reply(r.Fields)
		e.Start, e.Sent, e.Head, e.End, e.Status, e.BytesSent = now, now, now, now, 200, 1024
		e.Details, e.Cluster, e.Route, e.Upstream, e.UpstreamLocal, e.Client, e.Local = "via_upstream", "outbound|80||api", "default", a, a, a, a
		e.Write()
	}
}

// BenchmarkAccessLogOff is what each request asks where nothing is logged.
func BenchmarkAccessLogOff(b *testing.B) {
	var s accesslog.Slot
	for b.Loop() {
		if s.HTTP() != nil {
			b.Fatal("on")
		}
	}
}

// took is a collector that takes everything.
type took struct{}

func (took) Export(context.Context, string, string, []byte) ([]byte, error) { return nil, nil }

// traced begins and ends the span of one request in one sidecar, so many
// percent of which are sampled, and sends those.
func traced(b *testing.B, percent float64) {
	e := trace.NewExporters(took{}, trace.Self{Node: "sidecar~10.0.0.1~web-1.default~default.svc.cluster.local", Canonical: "web", Namespace: "default"}, slog.New(slog.DiscardHandler))
	defer e.Close()
	tr := trace.New(trace.Spec{Cluster: "otel", Sampling: percent}, nil, e)
	r, a := request(), netip.MustParseAddrPort("10.0.0.1:8080")
	r.Fields = slices.DeleteFunc(r.Fields, func(f http.Field) bool { return string(f.Name) == "Traceparent" })
	n := len(r.Fields)
	now := time.Now()
	b.ReportAllocs()
	for b.Loop() {
		r.Fields = r.Fields[:n]
		tr.Start(r, false).Finish(&trace.End{Start: now, End: now, Host: "api.default.svc.cluster.local:80", Status: 200, GRPC: -1, Received: 1024,
			Cluster: "outbound|80||api.default.svc.cluster.local", Client: a, Upstream: a})
	}
}

// BenchmarkTracingOff is what each request asks where no spans are made.
func BenchmarkTracingOff(b *testing.B) {
	var s trace.Slot
	for b.Loop() {
		if s.Get() != nil {
			b.Fatal("on")
		}
	}
}

// BenchmarkTracing1 samples one request in a hundred, as Istio does by default.
func BenchmarkTracing1(b *testing.B) { traced(b, 1) }

// BenchmarkTracing100 samples every request.
func BenchmarkTracing100(b *testing.B) { traced(b, 100) }

// BenchmarkRetriesArmed asks a policy of retries about an answer that is good.
func BenchmarkRetriesArmed(b *testing.B) {
	p := &retry.Policy{On: retry.ServerError | retry.Reset, Retries: 2}
	budget := retry.NewBudget(0.2, 10, 10*time.Second, time.Now())
	now := time.Now()
	fields := request().Fields
	b.ReportAllocs()
	for b.Loop() {
		budget.Request(now)
		if p.Response(200, retry.NoGRPC, fields) {
			b.Fatal("a retry")
		}
	}
}
