package trace

import (
	"encoding/binary"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"github.com/weftmesh/weft/identity"
	"github.com/weftmesh/weft/proxy/http"
)

// Span is that of one request in one proxy. One that is not sampled holds just
// what was written into the head.
type Span struct {
	tracer                  *Tracer
	inbound, sampled, child bool
	flags                   byte
	trace                   [16]byte
	id, parent              [8]byte
	header                  [55]byte
	b3                      [68]byte
	request                 [36]byte
	// kept are the attributes that the head gave, encoded, and state is its
	// tracestate.
	kept, state, line, text []byte
}

var spans = sync.Pool{New: func() any { return &Span{} }}

// maxKept bounds the memory that an unused Span keeps; maxValue what is taken
// of a field.
const (
	maxKept  = 8 << 10
	maxValue = 1 << 10
)

// End is how a request ended.
type End struct {
	Start, End time.Time
	// Host is host:port of the destination, and Path the pattern of its route;
	// empty for any. Both are of the outbound side.
	Host, Path string
	// Port of the workload, on the inbound side.
	Port uint16
	// Status is 0 where there was no answer, GRPC is -1 for none.
	Status, GRPC int
	// Broken means that the answer was cut off.
	Broken         bool
	Sent, Received int64
	// Flags are Envoy's.
	Flags string
	// Cluster is where it went, and Upstream the endpoint.
	Cluster          string
	Client, Upstream netip.AddrPort
	// Source is the identity that the client proved, and Destination that of the
	// endpoint.
	Source      string
	Destination identity.ID
}

// Sampled says whether the span will be reported.
func (s *Span) Sampled() bool { return s.sampled }

// keep takes the attributes of the head.
func (s *Span) keep(r *http.Request) {
	b := attributeBytes(s.kept[:0], "http.method", r.Method)
	u := append(s.text[:0], "http://"...)
	if len(r.Scheme) > 0 {
		u = append(append(s.text[:0], r.Scheme...), "://"...)
	}
	host := r.Authority
	if len(host) == 0 {
		host, _ = http.Get(r.Fields, "host")
	}
	u = append(u, host...)
	u = append(u, r.Target[:min(len(r.Target), int(s.tracer.spec.MaxPath))]...)
	b = attributeBytes(b, "http.url", u)
	s.text = u
	protocol := "HTTP/1.1"
	switch {
	case r.Major == 2:
		protocol = "HTTP/2"
	case r.Minor == 0:
		protocol = "HTTP/1.0"
	}
	b = attribute(b, "http.protocol", protocol)
	agent, _ := http.Get(r.Fields, "user-agent")
	b = attributeBytes(b, "user_agent", short(agent))
	id, _ := http.Get(r.Fields, requestID)
	b = attributeBytes(b, "guid:x-request-id", short(id))
	for i := range s.tracer.fields {
		t := &s.tracer.fields[i]
		v, ok := http.Get(r.Fields, t.Field)
		switch {
		case ok:
			b = attributeBytes(b, t.Name, short(v))
		case t.Value != "":
			b = attribute(b, t.Name, t.Value)
		}
	}
	s.kept = b
	state, _ := http.Get(r.Fields, tracestate)
	s.state = append(s.state[:0], short(state)...)
}

func short(v []byte) []byte { return v[:min(len(v), maxValue)] }

// Finish reports the span, if it is sampled, and gives it back.
func (s *Span) Finish(e *End) {
	if s.sampled {
		s.encode(e)
		s.tracer.exporter.add(s.line)
	}
	s.Release()
}

// Release gives the span back unreported.
func (s *Span) Release() {
	if cap(s.kept) > maxKept || cap(s.line) > maxKept || cap(s.text) > maxKept || cap(s.state) > maxKept {
		return
	}
	s.tracer, s.inbound, s.sampled, s.child, s.flags = nil, false, false, false, 0
	spans.Put(s)
}

// Kinds of spans, and the status of a failed one (opentelemetry.proto.trace.v1).
const (
	kindServer  = 2
	kindClient  = 3
	statusError = 2
)

// encode writes the span as a message opentelemetry.proto.trace.v1.Span.
func (s *Span) encode(e *End) {
	b := bytesField(s.line[:0], 1, s.trace[:])
	b = bytesField(b, 2, s.id[:])
	if len(s.state) > 0 {
		b = bytesField(b, 3, s.state)
	}
	if s.child {
		b = bytesField(b, 4, s.parent[:])
	}
	s.text = s.name(s.text[:0], e)
	b = bytesField(b, 5, text(s.text))
	kind := byte(kindClient)
	if s.inbound {
		kind = kindServer
	}
	b = append(b, 6<<3, kind)
	b = append(b, 7<<3|1)
	b = binary.LittleEndian.AppendUint64(b, uint64(e.Start.UnixNano()))
	b = append(b, 8<<3|1)
	b = binary.LittleEndian.AppendUint64(b, uint64(e.End.UnixNano()))
	b = append(append(b, s.tracer.fixed...), s.kept...)
	b = s.outcome(b, e)
	if e.Broken || e.Status == 0 || e.Status >= 500 || e.GRPC > 0 {
		b = append(b, 15<<3|2, 2, 3<<3, statusError)
	}
	b = append(b, 16<<3&0x7f|0x80|5, 16<<3>>7) // flags, fixed32
	s.line = binary.LittleEndian.AppendUint32(b, uint32(s.flags))
}

// name is Istio's name of an operation.
func (s *Span) name(b []byte, e *End) []byte {
	if !s.inbound {
		if b = append(b, e.Host...); e.Path != "" {
			return append(b, e.Path...)
		}
		return append(b, "/*"...)
	}
	if n := s.tracer.ports[e.Port]; n != "" {
		return append(b, n...)
	}
	if n := s.tracer.spec.Operation; n != "" {
		return append(b, n...)
	}
	b = append(append(b, s.tracer.spec.Service...), ':')
	return append(strconv.AppendUint(b, uint64(e.Port), 10), "/*"...)
}

// outcome adds the attributes that are known in the end.
func (s *Span) outcome(b []byte, e *End) []byte {
	number := func(name string, n int64) {
		s.text = strconv.AppendInt(s.text[:0], n, 10)
		b = attributeBytes(b, name, s.text)
	}
	number("http.status_code", int64(e.Status))
	number("request_size", e.Sent)
	number("response_size", e.Received)
	flags := e.Flags
	if flags == "" {
		flags = "-"
	}
	b = attribute(b, "response_flags", flags)
	if e.GRPC >= 0 {
		number("grpc.status_code", int64(e.GRPC))
	}
	s.text = append(s.text[:0], e.Cluster...)
	if s.inbound {
		s.text = append(strconv.AppendUint(append(s.text[:0], "inbound|"...), uint64(e.Port), 10), "||"...)
	}
	if len(s.text) > 0 {
		b = attributeBytes(b, "upstream_cluster", s.text)
		b = attributeBytes(b, "upstream_cluster.name", s.text)
	}
	if e.Upstream.IsValid() {
		s.text = e.Upstream.AppendTo(s.text[:0])
		b = attributeBytes(b, "upstream_address", s.text)
	}
	if e.Client.IsValid() {
		s.text = e.Client.Addr().Unmap().AppendTo(s.text[:0])
		b = attributeBytes(b, "peer.address", s.text)
	}
	if e.Source != "" {
		b = attribute(b, "source.principal", e.Source)
	}
	if d := &e.Destination; !d.IsZero() {
		s.text = append(append(s.text[:0], "spiffe://"...), d.TrustDomain...)
		s.text = append(append(s.text, "/ns/"...), d.Namespace...)
		s.text = append(append(s.text, "/sa/"...), d.ServiceAccount...)
		b = attributeBytes(b, "destination.principal", s.text)
	}
	if e.Broken || e.Status == 0 || e.Status >= 500 || e.GRPC > 0 {
		b = attribute(b, "error", "true")
	}
	return b
}
