package telemetry

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/weftmesh/weft/identity"
)

var (
	apiID = identity.ID{TrustDomain: "cluster.local", Namespace: "production", ServiceAccount: "api"}
	self  = Self{Workload: "web-1", Namespace: "production", Owner: "deployment/web", Version: "1.2", Identity: identity.ID{TrustDomain: "cluster.local", Namespace: "production", ServiceAccount: "web"}}
	key   = HTTPKey{Direction: Outbound, TLS: Mutual, Authority: "api.production.svc.cluster.local:80", Target: netip.MustParseAddrPort("10.0.0.1:8080"),
		Peer:    Peer{Identity: apiID, Workload: "api-1", Namespace: "production", Owner: "deployment/api"},
		Service: "api-canary", Namespace: "production", Port: "80", Route: "HTTPRoute production/split"}
)

// parse reads the text as Prometheus does; it fails for duplicate series.
func parse(t *testing.T, write func(io.Writer) error) map[string]*dto.MetricFamily {
	t.Helper()
	var b bytes.Buffer
	if err := write(&b); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, l := range strings.Split(b.String(), "\n") {
		if name := l[:max(strings.LastIndexByte(l, ' '), 0)]; l != "" && l[0] != '#' {
			if seen[name] {
				t.Errorf("twice: %s", name)
			}
			seen[name] = true
		}
	}
	p := expfmt.NewTextParser(model.UTF8Validation)
	fs, err := p.TextToMetricFamilies(&b)
	if err != nil {
		t.Fatal(err)
	}
	return fs
}

// find returns the one metric of a family that has all the labels.
func findOne(t *testing.T, fs map[string]*dto.MetricFamily, family string, want map[string]string) *dto.Metric {
	t.Helper()
	var found *dto.Metric
	for _, m := range fs[family].GetMetric() {
		have := map[string]string{}
		for _, l := range m.Label {
			have[l.GetName()] = l.GetValue()
		}
		all := true
		for n, v := range want {
			all = all && have[n] == v
		}
		if all && found != nil {
			t.Fatalf("%s: more than one with %v", family, want)
		}
		if all {
			found = m
		}
	}
	if found == nil {
		t.Fatalf("%s: none with %v in %v", family, want, fs[family])
	}
	return found
}

func TestBothVocabularies(t *testing.T) {
	r := NewRegistry(self)
	h := r.HTTP(key)
	if r.HTTP(key) != h {
		t.Fatal("equal keys, different handles")
	}
	for i := 0; i < 3; i++ {
		h.Request()
		h.Response(&Response{Status: 200, GRPC: NoGRPC, FirstByte: 7 * time.Millisecond, Total: 40 * time.Millisecond, RequestBytes: 3, ResponseBytes: 700})
	}
	h.Request()
	h.Response(&Response{Status: 200, GRPC: 14, FirstByte: time.Millisecond, Total: time.Millisecond})
	h.Request()
	h.Response(&Response{Status: 503, GRPC: NoGRPC, Error: "connect", Flags: "UF"})
	h.Request() // in flight

	fs := parse(t, r.WriteLinkerd)
	labels := map[string]string{"direction": "outbound", "tls": "true", "server_id": apiID.String(), "authority": key.Authority,
		"target_addr": "10.0.0.1:8080", "dst_deployment": "api", "dst_pod": "api-1", "dst_namespace": "production", "dst_service": "api-canary",
		"route_kind": "HTTPRoute", "route_namespace": "production", "route_name": "split"}
	if got := findOne(t, fs, "request_total", labels).GetCounter().GetValue(); got != 6 {
		t.Errorf("request_total %v", got)
	}
	for _, c := range []struct {
		status, class, grpc, err string
		n                        float64
	}{{"200", "success", "", "", 3}, {"200", "failure", "14", "", 1}, {"503", "failure", "", "connect", 1}} {
		l := map[string]string{"status_code": c.status, "classification": c.class, "grpc_status": c.grpc, "error": c.err}
		if got := findOne(t, fs, "response_total", l).GetCounter().GetValue(); got != c.n {
			t.Errorf("response_total %v: %v", l, got)
		}
	}
	lat := findOne(t, fs, "response_latency_ms", map[string]string{"status_code": "200", "classification": "success"}).GetHistogram()
	if lat.GetSampleCount() != 3 || lat.GetSampleSum() != 21 || len(lat.Bucket) != 26 {
		t.Errorf("latency %v", lat)
	}
	for _, b := range lat.Bucket {
		if want := uint64(3); b.GetUpperBound() >= 10 && b.GetCumulativeCount() != want || b.GetUpperBound() < 7 && b.GetCumulativeCount() != 0 {
			t.Errorf("bucket %v: %d", b.GetUpperBound(), b.GetCumulativeCount())
		}
	}
	if fs["process_resident_memory_bytes"] == nil || fs["process_cpu_seconds_total"] == nil || fs["process_open_fds"] == nil {
		t.Error("the process's own families are missing")
	}

	is := parse(t, r.WriteIstio)
	ok := findOne(t, is, "istio_requests_total", map[string]string{"response_code": "200", "request_protocol": "http"})
	if ok.GetCounter().GetValue() != 3 {
		t.Errorf("istio_requests_total %v", ok)
	}
	for n, v := range map[string]string{"reporter": "source", "source_workload": "web", "source_workload_namespace": "production",
		"source_principal": self.Identity.String(), "destination_workload": "api", "destination_principal": apiID.String(),
		"destination_service": "api-canary.production.svc.cluster.local", "destination_service_name": "api-canary",
		"destination_service_namespace": "production", "connection_security_policy": "unknown", "response_flags": "-", "source_version": "unknown"} {
		got := ""
		for _, l := range ok.Label {
			if l.GetName() == n {
				got = l.GetValue()
			}
		}
		if got != v {
			t.Errorf("label %s = %q, want %q", n, got, v)
		}
	}
	findOne(t, is, "istio_requests_total", map[string]string{"request_protocol": "grpc", "grpc_response_status": "14"})
	findOne(t, is, "istio_requests_total", map[string]string{"response_code": "503", "response_flags": "UF"})
	d := findOne(t, is, "istio_request_duration_milliseconds", map[string]string{"response_code": "200", "request_protocol": "http"}).GetHistogram()
	if d.GetSampleCount() != 3 || d.GetSampleSum() != 120 || d.Bucket[0].GetUpperBound() != 0.5 || d.Bucket[4].GetCumulativeCount() != 0 || d.Bucket[5].GetCumulativeCount() != 3 {
		t.Errorf("duration %v", d)
	}
	if b := findOne(t, is, "istio_response_bytes", map[string]string{"response_code": "200", "request_protocol": "http"}).GetHistogram(); b.GetSampleSum() != 2100 {
		t.Errorf("response bytes %v", b)
	}
}

func TestConnections(t *testing.T) {
	r := NewRegistry(self)
	src := r.TCP(TCPKey{Direction: Inbound, Side: Src, TLS: Mutual, Opaque: true, Peer: Peer{Identity: apiID}, Target: key.Target})
	dst := r.TCP(TCPKey{Direction: Inbound, Side: Dst, TLS: Loopback, Opaque: true, Target: key.Target})
	for _, c := range []*TCP{src, dst} {
		c.Open()
		c.Open()
		c.Close("ECONNRESET", 3*time.Millisecond)
	}
	src.Read(5)
	src.Write(7)
	fs := parse(t, r.WriteLinkerd)
	l := map[string]string{"peer": "src", "client_id": apiID.String(), "direction": "inbound"}
	if findOne(t, fs, "tcp_open_total", l).GetCounter().GetValue() != 2 || findOne(t, fs, "tcp_open_connections", l).GetGauge().GetValue() != 1 ||
		findOne(t, fs, "tcp_read_bytes_total", l).GetCounter().GetValue() != 5 || findOne(t, fs, "tcp_write_bytes_total", l).GetCounter().GetValue() != 7 {
		t.Errorf("tcp families: %v", fs)
	}
	findOne(t, fs, "tcp_close_total", map[string]string{"peer": "src", "errno": "ECONNRESET"})
	findOne(t, fs, "tcp_open_total", map[string]string{"peer": "dst", "no_tls_reason": "loopback"})
	is := parse(t, r.WriteIstio)
	il := map[string]string{"reporter": "destination", "connection_security_policy": "mutual_tls", "request_protocol": "tcp", "source_principal": apiID.String()}
	if findOne(t, is, "istio_tcp_received_bytes_total", il).GetCounter().GetValue() != 5 || findOne(t, is, "istio_tcp_sent_bytes_total", il).GetCounter().GetValue() != 7 ||
		findOne(t, is, "istio_tcp_connections_opened_total", il).GetCounter().GetValue() != 2 || findOne(t, is, "istio_tcp_connections_closed_total", il).GetCounter().GetValue() != 1 {
		t.Errorf("istio tcp: %v", is)
	}
	if n := len(is["istio_tcp_connections_opened_total"].Metric); n != 1 {
		t.Errorf("a flow is counted %d times", n)
	}
}

func TestKeysThatLookAlikeAreOneSeries(t *testing.T) {
	r := NewRegistry(self)
	for _, ns := range []string{"a", "b"} { // Linkerd does not tell an inbound client's namespace
		h := r.HTTP(HTTPKey{Direction: Inbound, TLS: Mutual, Peer: Peer{Namespace: ns, Identity: apiID}})
		h.Request()
		h.Response(&Response{Status: 200, GRPC: NoGRPC})
	}
	fs := parse(t, r.WriteLinkerd)
	if got := findOne(t, fs, "request_total", nil).GetCounter().GetValue(); got != 2 {
		t.Errorf("request_total %v", got)
	}
	parse(t, r.WriteIstio)
}

func TestSeriesAreBounded(t *testing.T) {
	r := NewRegistry(self)
	for i := 0; i < MaxSeries+100; i++ {
		r.HTTP(HTTPKey{Authority: fmt.Sprint("h", i)}).Request()
		r.TCP(TCPKey{Authority: fmt.Sprint("h", i)}).Open()
	}
	h := r.HTTP(key)
	for i := 0; i < 10*maxClasses; i++ {
		h.Response(&Response{Status: 200 + i%300, GRPC: i % 17, Error: fmt.Sprint(i)})
	}
	c := r.TCP(TCPKey{})
	for i := 0; i < 10*maxReasons; i++ {
		c.Open()
		c.Close(fmt.Sprint(i), time.Millisecond)
	}
	for i := 0; i < 10*maxVec; i++ {
		r.Counter("denied_total", "Refusals.", Label{"port", fmt.Sprint(i)}).Inc()
	}
	if len(r.http) > MaxSeries+4 || len(r.tcp) > MaxSeries+4 || len(*h.classes.Load()) > maxClasses+2 || len(c.closed) > maxReasons+1 || len(r.vecs["denied_total"].counters) > maxVec+1 {
		t.Errorf("%d %d %d %d", len(r.http), len(r.tcp), len(*h.classes.Load()), len(c.closed))
	}
	fs := parse(t, r.WriteLinkerd)
	var sum float64
	for _, m := range fs["request_total"].Metric {
		sum += m.Counter.GetValue()
	}
	if sum != MaxSeries+100 {
		t.Errorf("requests got lost: %v", sum)
	}
	sum = 0
	for _, m := range fs["denied_total"].Metric {
		sum += m.Counter.GetValue()
	}
	if sum != 10*maxVec {
		t.Errorf("counts got lost: %v", sum)
	}
}

func TestIdleSeriesVanishAndComeBack(t *testing.T) {
	r := NewRegistry(self)
	now := time.Unix(1e9, 0)
	r.now = func() time.Time { return now }
	h, open := r.HTTP(key), r.TCP(TCPKey{Authority: "a"})
	h.Request()
	open.Open()
	has := func(f string) bool { return len(parse(t, r.WriteLinkerd)[f].GetMetric()) > 0 }
	if !has("request_total") {
		t.Fatal("not written")
	}
	now = now.Add(RetainIdle + time.Second)
	if has("request_total") {
		t.Error("an idle series stayed")
	}
	if !has("tcp_open_connections") {
		t.Error("an open connection was dropped")
	}
	h.Request()
	if got := findOne(t, parse(t, r.WriteLinkerd), "request_total", nil).GetCounter().GetValue(); got != 2 {
		t.Errorf("came back with %v", got)
	}
	// Another handle may have taken its place meanwhile.
	now = now.Add(RetainIdle + time.Second)
	parse(t, r.WriteLinkerd)
	now = now.Add(RetainIdle + time.Second)
	if has("request_total") {
		t.Fatal("an idle series stayed")
	}
	other := r.HTTP(key)
	other.Request()
	h.Request()
	if got := findOne(t, parse(t, r.WriteLinkerd), "request_total", nil).GetCounter().GetValue(); got != 2 {
		t.Errorf("two handles of one key count %v", got)
	}
}

func TestHostileLabels(t *testing.T) {
	r := NewRegistry(self)
	evil := "a\"b\\c\nd\xff\x00{}"
	k := key
	k.Authority, k.Peer.Owner, k.Route, k.Service = evil, evil, evil, evil
	h := r.HTTP(k)
	h.Request()
	h.Response(&Response{Status: 200, GRPC: NoGRPC, Error: evil, Flags: evil, FirstByte: -time.Second, Total: math.MaxInt64})
	r.Gauge("g", "G.", func() float64 { return math.Inf(1) }, Label{"x", evil})
	m := findOne(t, parse(t, r.WriteLinkerd), "request_total", nil)
	found := false
	for _, l := range m.Label {
		found = found || l.GetValue() == strings.ToValidUTF8(evil, "\uFFFD")
	}
	if !found {
		t.Errorf("labels: %v", m.Label)
	}
	parse(t, r.WriteIstio)
}

func TestConcurrentUse(t *testing.T) {
	r := NewRegistry(self)
	var wg sync.WaitGroup
	for g := 0; g < 4; g++ {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := 0; i < 500; i++ {
				h := r.HTTP(key)
				h.Request()
				h.Response(&Response{Status: 200 + i%5, GRPC: NoGRPC})
				if i%100 == 0 {
					_ = r.WriteLinkerd(io.Discard)
					_ = r.WriteIstio(io.Discard)
				}
			}
		}()
	}
	wg.Wait()
	if got := findOne(t, parse(t, r.WriteLinkerd), "request_total", nil).GetCounter().GetValue(); got != 2000 {
		t.Errorf("counted %v", got)
	}
}

func TestCountingAllocatesNothing(t *testing.T) {
	h := NewRegistry(self).HTTP(key)
	resp := Response{Status: 200, GRPC: NoGRPC, FirstByte: time.Millisecond}
	h.Response(&resp)
	if n := testing.AllocsPerRun(100, func() { h.Request(); h.Response(&resp) }); n != 0 {
		t.Errorf("%v allocations a request", n)
	}
}
