package trace

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	pb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/weftmesh/weft/internal/waittest"
	"github.com/weftmesh/weft/proxy/http"
)

const (
	traceID = "0af7651916cd43dd8448eb211c80319c"
	spanID  = "b7ad6b7169203331"
	parent1 = "00-" + traceID + "-" + spanID + "-01"
	parent0 = "00-" + traceID + "-" + spanID + "-00"
)

func head(pairs ...string) *http.Request {
	r := &http.Request{Method: []byte("GET"), Authority: []byte("api"), Target: []byte("/a?b=c"), Major: 1, Minor: 1}
	for i := 0; i < len(pairs); i += 2 {
		r.Fields = append(r.Fields, http.Field{Name: []byte(pairs[i]), Value: []byte(pairs[i+1])})
	}
	return r
}

func TestExtract(t *testing.T) {
	b3 := func(id string) []string { return []string{"X-B3-TraceId", id, "X-B3-SpanId", spanID} }
	for name, c := range map[string]struct {
		fields []string
		want   string // trace, span, decided, sampled
	}{
		"nothing":           {nil, "- - false false"},
		"w3c":               {[]string{"Traceparent", parent1}, traceID + " " + spanID + " true true"},
		"w3c, not sampled":  {[]string{"traceparent", parent0}, traceID + " " + spanID + " true false"},
		"later version":     {[]string{"traceparent", "cc" + parent1[2:] + "-more"}, traceID + " " + spanID + " true true"},
		"version ff":        {[]string{"traceparent", "ff" + parent1[2:]}, "- - false false"},
		"too long":          {[]string{"traceparent", parent1 + "-x"}, "- - false false"},
		"later, run on":     {[]string{"traceparent", "cc" + parent1[2:] + "x"}, "- - false false"},
		"upper case":        {[]string{"traceparent", strings.ToUpper(parent1)}, "- - false false"},
		"zero trace":        {[]string{"traceparent", "00-" + strings.Repeat("0", 32) + "-" + spanID + "-01"}, "- - false false"},
		"zero span":         {[]string{"traceparent", "00-" + traceID + "-" + strings.Repeat("0", 16) + "-01"}, "- - false false"},
		"two of them":       {[]string{"traceparent", parent1, "traceparent", parent1}, "- - false false"},
		"not hexadecimal":   {[]string{"traceparent", strings.Replace(parent1, "a", "g", 1)}, "- - false false"},
		"b3 single":         {[]string{"b3", traceID + "-" + spanID + "-1"}, traceID + " " + spanID + " true true"},
		"b3 with a parent":  {[]string{"b3", traceID + "-" + spanID + "-0-" + spanID}, traceID + " " + spanID + " true false"},
		"b3 debug":          {[]string{"b3", traceID[16:] + "-" + spanID + "-d"}, strings.Repeat("0", 16) + traceID[16:] + " " + spanID + " true true"},
		"b3 undecided":      {[]string{"B3", traceID + "-" + spanID}, traceID + " " + spanID + " false false"},
		"b3 denied":         {[]string{"b3", "0"}, "- - true false"},
		"b3 bad":            {[]string{"b3", traceID + "-" + spanID + "-x"}, "- - false false"},
		"multi":             {append(b3(traceID), "X-B3-Sampled", "1"), traceID + " " + spanID + " true true"},
		"multi, 64 bits":    {append(b3(traceID[16:]), "X-B3-Sampled", "0"), strings.Repeat("0", 16) + traceID[16:] + " " + spanID + " true false"},
		"multi, debug":      {append(b3(traceID), "X-B3-Flags", "1"), traceID + " " + spanID + " true true"},
		"multi, undecided":  {b3(traceID), traceID + " " + spanID + " false false"},
		"multi, denied":     {[]string{"x-b3-sampled", "0"}, "- - true false"},
		"w3c before b3":     {[]string{"b3", "0", "traceparent", parent1}, traceID + " " + spanID + " true true"},
		"b3 for a bad one":  {[]string{"traceparent", "x", "b3", traceID + "-" + spanID + "-1"}, traceID + " " + spanID + " true true"},
		"multi, odd length": {b3(traceID[1:]), "- - false false"},
	} {
		got := Extract(head(c.fields...).Fields)
		text := "- -"
		if got.Valid {
			text = hex.EncodeToString(got.Trace[:]) + " " + hex.EncodeToString(got.Span[:])
		}
		if text = fmt.Sprint(text, " ", got.Decided, " ", got.Sampled); text != c.want {
			t.Errorf("%s: got %s, want %s", name, text, c.want)
		}
	}
}

// taken is a collector in memory.
type taken struct {
	mu       sync.Mutex
	requests []*pb.TracesData
	answer   []byte
	err      error
	wait     chan struct{} // nil for none
}

func (s *taken) Export(ctx context.Context, _, _ string, b []byte) ([]byte, error) {
	if s.wait != nil {
		select {
		case <-s.wait:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return nil, s.err
	}
	var r pb.TracesData // the same on the wire as ExportTraceServiceRequest
	if err := proto.Unmarshal(b, &r); err != nil {
		return nil, err
	}
	s.requests = append(s.requests, &r)
	return s.answer, nil
}

func (s *taken) spans() (out []*pb.Span) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.requests {
		for _, rs := range r.ResourceSpans {
			for _, ss := range rs.ScopeSpans {
				out = append(out, ss.Spans...)
			}
		}
	}
	return out
}

func exporters(t testing.TB, s Sender) *Exporters {
	e := NewExporters(s, Self{Node: "node", Canonical: "web", Namespace: "shop"}, slog.New(slog.DiscardHandler))
	t.Cleanup(e.Close)
	return e
}

// What is written into heads, by what was there and by what is sampled.
func TestPropagation(t *testing.T) {
	e := exporters(t, &taken{})
	const known = "x-request-id"
	for name, c := range map[string]struct {
		sampling float64
		fields   []string
		want     map[string]string // T, S and N stand for the trace, the span and a new one
	}{
		"new, sampled":          {100, nil, map[string]string{"traceparent": "00-N-N-01"}},
		"new, not sampled":      {0, nil, map[string]string{"traceparent": "00-N-N-00", "b3": ""}},
		"sampled by the caller": {0, []string{"traceparent", parent1, "tracestate", "a=b"}, map[string]string{"traceparent": "00-T-N-01", "tracestate": "a=b"}},
		"refused by the caller": {100, []string{"traceparent", parent0, known, "7"}, map[string]string{"traceparent": "00-T-S-00", known: "7"}},
		"flags stay":            {0, []string{"traceparent", parent1[:53] + "03"}, map[string]string{"traceparent": "00-T-N-03"}},
		"bad":                   {0, []string{"traceparent", "x", "tracestate", "a=b"}, map[string]string{"traceparent": "00-N-N-00", "tracestate": ""}},
		"two":                   {100, []string{"traceparent", parent1, "traceparent", parent1}, map[string]string{"traceparent": "00-N-N-01"}},
		"single":                {0, []string{"b3", traceID + "-" + spanID + "-1"}, map[string]string{"traceparent": "00-T-N-01", "b3": "T-N-1-S"}},
		"single, refused":       {100, []string{"b3", traceID + "-" + spanID + "-0"}, map[string]string{"traceparent": "00-T-S-00", "b3": "T-S-0"}},
		"single, undecided":     {0, []string{"b3", traceID + "-" + spanID}, map[string]string{"traceparent": "00-T-S-00", "b3": "T-S-0"}},
		"denied":                {100, []string{"b3", "0"}, map[string]string{"traceparent": "00-N-N-00", "b3": "0"}},
		"multi": {0, []string{"X-B3-TraceId", traceID, "X-B3-SpanId", spanID, "X-B3-Sampled", "1"},
			map[string]string{"traceparent": "00-T-N-01", "x-b3-traceid": "T", "x-b3-spanid": "N", "x-b3-parentspanid": "S", "x-b3-sampled": "1"}},
		"multi, undecided": {100, []string{"X-B3-TraceId", traceID, "X-B3-SpanId", spanID},
			map[string]string{"traceparent": "00-T-N-01", "x-b3-spanid": "N", "x-b3-sampled": "1"}},
	} {
		tr := New(Spec{Cluster: "c", Sampling: c.sampling}, nil, e)
		r := head(c.fields...)
		s := tr.Start(r, false)
		for field, want := range c.want {
			v, _ := http.Get(r.Fields, field)
			got := strings.NewReplacer(traceID, "T", spanID, "S").Replace(string(v))
			if field != known && field != "tracestate" {
				parts := strings.Split(got, "-")
				for i, p := range parts {
					if len(p) == 16 || len(p) == 32 {
						parts[i] = "N"
					}
				}
				got = strings.Join(parts, "-")
			}
			if got != want {
				t.Errorf("%s: %s is %q, want %q", name, field, v, want)
			}
		}
		if id, _ := http.Get(r.Fields, known); len(id) != 36 && string(id) != "7" {
			t.Errorf("%s: request id %q", name, id)
		}
		if n := strings.Count(fmt.Sprintf("%s", r.Fields), "traceparent"); n > 1 {
			t.Errorf("%s: %d times traceparent", name, n)
		}
		if s != nil {
			s.Release()
		}
	}
}

func TestSampling(t *testing.T) {
	e := exporters(t, &taken{})
	for percent, want := range map[float64][2]int{0: {0, 0}, 100: {20000, 20000}, 1: {120, 290}, 50: {9600, 10400}, -1: {0, 0}, 1000: {20000, 20000}} {
		tr, n := New(Spec{Cluster: "c", Sampling: percent}, nil, e), 0
		for range 20000 {
			s := tr.Start(head(), false)
			if s.Sampled() {
				n++
			}
			s.Release()
		}
		if n < want[0] || n > want[1] {
			t.Errorf("%v %%: %d of 20000", percent, n)
		}
	}
}

func attributesOf(s *pb.Span) map[string]string {
	m := map[string]string{}
	for _, a := range s.Attributes {
		m[a.Key] = a.Value.GetStringValue()
	}
	return m
}

// What is sent is what the definition of OTLP reads.
func TestEncoding(t *testing.T) {
	c := &taken{}
	e := exporters(t, c)
	tr := New(Spec{Cluster: "c", Service: "web.shop", Sampling: 100, Tags: []Tag{{Name: "zone", Value: "z"}, {Name: "user", Field: "x-user"}, {Name: "none", Field: "x-none", Value: "nobody"}}}, map[uint16]string{80: "web:80/*"}, e)
	start := time.Unix(1700000000, 5)
	for _, inbound := range []bool{false, true} {
		r := head("traceparent", parent1, "tracestate", "a=b", "x-user", "\xff\xfe", "user-agent", "curl", "x-request-id", "7")
		s := tr.Start(r, inbound)
		s.Finish(&End{Start: start, End: start.Add(time.Second), Host: "api:80", Path: "/a*", Port: 80, Status: 503, GRPC: -1, Sent: 3, Received: 4, Flags: "UF", Cluster: "outbound|80||api", Source: "spiffe://a"})
	}
	e.Flush()
	waittest.Until(t, "two spans", func() bool { return len(c.spans()) == 2 })
	if got := c.requests[0].ResourceSpans[0].Resource.Attributes[0]; got.Key != "service.name" || got.Value.GetStringValue() != "web.shop" {
		t.Errorf("resource %v", got)
	}
	for i, s := range c.spans() {
		kind, name, cluster := pb.Span_SPAN_KIND_CLIENT, "api:80/a*", "outbound|80||api"
		if i == 1 {
			kind, name, cluster = pb.Span_SPAN_KIND_SERVER, "web:80/*", "inbound|80||"
		}
		if s.Kind != kind || s.Name != name || hex.EncodeToString(s.TraceId) != traceID || hex.EncodeToString(s.ParentSpanId) != spanID || len(s.SpanId) != 8 || s.TraceState != "a=b" ||
			s.StartTimeUnixNano != uint64(start.UnixNano()) || s.EndTimeUnixNano-s.StartTimeUnixNano != 1e9 || s.Status.GetCode() != pb.Status_STATUS_CODE_ERROR || s.Flags != 1 {
			t.Errorf("span %v", s)
		}
		want := map[string]string{"component": "proxy", "node_id": "node", "istio.canonical_service": "web", "istio.canonical_revision": "latest", "zone": "z", "user": "\ufffd\ufffd", "none": "nobody",
			"http.method": "GET", "http.url": "http://api/a?b=c", "http.protocol": "HTTP/1.1", "user_agent": "curl", "guid:x-request-id": "7", "http.status_code": "503", "request_size": "3",
			"response_size": "4", "response_flags": "UF", "upstream_cluster": cluster, "upstream_cluster.name": cluster, "source.principal": "spiffe://a", "error": "true"}
		if got := attributesOf(s); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("attributes\n%v\nwant\n%v", got, want)
		}
	}
}

// report makes n spans.
func report(tr *Tracer, n int) {
	for range n {
		tr.Start(head(), false).Finish(&End{Start: time.Now(), End: time.Now(), Status: 200, GRPC: -1})
	}
}

// A full batch goes without being asked for, and refused spans are counted.
func TestBatches(t *testing.T) {
	c := &taken{answer: []byte{1<<3 | 2, 2, 1 << 3, 5}} // partial_success.rejected_spans
	e := exporters(t, c)
	report(New(Spec{Cluster: "c", Sampling: 100}, nil, e), batch)
	waittest.Until(t, "a batch", func() bool { return e.Exported() == batch-5 && e.Dropped() == 5 })
	if n := len(c.requests); n != 1 {
		t.Errorf("%d requests", n)
	}
}

// A collector that does not answer holds a bounded number of spans back.
func TestSlowCollector(t *testing.T) {
	c := &taken{wait: make(chan struct{})}
	e := exporters(t, c)
	tr := New(Spec{Cluster: "c", Sampling: 100}, nil, e)
	const many = 20 * batch
	report(tr, many)
	held := uint64(batch * (1 + waiting + 1)) // under way, full, gathering
	if lost := e.Dropped(); lost < many-held || lost >= many {
		t.Errorf("%d of %d are lost; no more than %d may wait", lost, many, held)
	}
	close(c.wait)
	waittest.Until(t, "the rest", func() bool { e.Flush(); return e.Exported()+e.Dropped() == many })
}

// One that is away costs the spans, which are counted, and says so once.
func TestDeadCollector(t *testing.T) {
	var said bytes.Buffer
	e := NewExporters(&taken{err: errors.New("away")}, Self{}, slog.New(slog.NewTextHandler(&said, nil)))
	tr := New(Spec{Cluster: "c", Sampling: 100}, nil, e)
	report(tr, 2*batch)
	waittest.Until(t, "a loss", func() bool { return e.Dropped() >= batch })
	e.Close()
	if e.Dropped() != 2*batch || e.Exported() != 0 {
		t.Errorf("%d lost, %d taken", e.Dropped(), e.Exported())
	}
	if n := strings.Count(said.String(), "spans are lost"); n != 1 {
		t.Errorf("said %d times: %s", n, said.String())
	}
	report(tr, 1) // after the end
	if e.Dropped() != 2*batch+1 {
		t.Error("a span after the end is not counted")
	}
}

func FuzzExtract(f *testing.F) {
	for _, s := range []string{parent1, "cc" + parent1[2:] + "-x", traceID + "-" + spanID + "-1-" + spanID, "0", "", traceID[16:] + "-" + spanID, "00-"} {
		f.Add(s, s, s)
	}
	e := exporters(f, &taken{})
	tr := New(Spec{Cluster: "c", Sampling: 50}, nil, e)
	f.Fuzz(func(t *testing.T, parent, single, id string) {
		r := head("traceparent", parent, "b3", single, "x-b3-traceid", id, "x-b3-spanid", spanID)
		before := Extract(r.Fields)
		s := tr.Start(r, false)
		after := Extract(r.Fields)
		// What is written can be read, belongs to the same trace, and is as decided
		// as it was.
		if !after.Valid || !after.w3c || before.Valid && after.Trace != before.Trace || before.Decided && after.Sampled != before.Sampled {
			t.Errorf("%+v became %+v", before, after)
		}
		if s != nil {
			s.Finish(&End{Status: 200, GRPC: -1})
		}
	})
}

func TestNothingIsAllocated(t *testing.T) {
	e := exporters(t, &taken{})
	for name, r := range map[string]*http.Request{"new": head(), "refused": head("traceparent", parent0), "refused, with an id": head("traceparent", parent0, "x-request-id", "7")} {
		tr := New(Spec{Cluster: "c"}, nil, e)
		fields := append([]http.Field(nil), r.Fields...)
		r.Fields = make([]http.Field, 0, 8)
		if n := testing.AllocsPerRun(1000, func() {
			r.Fields = append(r.Fields[:0], fields...)
			if s := tr.Start(r, false); s != nil {
				s.Release()
			}
		}); n > 0.1 {
			t.Errorf("%s: %.1f allocations", name, n)
		}
	}
}
