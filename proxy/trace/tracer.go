package trace

import (
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"sync/atomic"

	"github.com/weftmesh/weft/proxy/http"
)

// Spec is what a Tracer is made of.
type Spec struct {
	// Cluster is the collector's, and Authority what it is called; empty means
	// the cluster's name.
	Cluster, Authority string
	// Service is the name of the workload (service.name); empty means Self's.
	Service string
	// Sampling is how many of the requests are sampled where nobody has decided
	// before, in percent.
	Sampling float64
	// Operation names the spans of the inbound side, such as api.shop:80/*;
	// empty means the service's name.
	Operation string
	// MaxPath bounds the path within http.url in bytes; 0 means 256.
	MaxPath uint32
	Tags    []Tag
}

// Tag is an attribute of every span.
type Tag struct {
	Name string
	// Value is the tag's, or where there is a Field, what it is without that.
	Value string
	// Field of the request, in lower case.
	Field string
}

// Self is what the proxy knows of its workload.
type Self struct {
	// Node is its name with the control plane.
	Node string
	// Canonical is the service that it is part of where its labels do not say,
	// and Namespace its own.
	Canonical, Namespace string
}

// Tracer makes the spans of one place. It is immutable.
type Tracer struct {
	spec     Spec
	self     Self
	limit    uint64 // of 53 random bits
	exporter *Exporter
	fixed    []byte // attributes of every span, encoded
	fields   []Tag  // those with a Field
	ports    map[uint16]string
}

// New makes a tracer; operations are the names of spans by the port of the
// workload, where Spec.Operation is not meant for all.
func New(s Spec, operations map[uint16]string, e *Exporters) *Tracer {
	if s.MaxPath == 0 {
		s.MaxPath = 256
	}
	canonical := false
	for _, t := range s.Tags {
		canonical = canonical || t.Name == canonicalService
	}
	if !canonical && e.self.Canonical != "" {
		s.Tags = append(s.Tags[:len(s.Tags):len(s.Tags)], Tag{Name: canonicalService, Value: e.self.Canonical}, Tag{Name: "istio.canonical_revision", Value: "latest"})
	}
	if s.Service == "" {
		s.Service = e.self.Canonical + "." + e.self.Namespace
	}
	t := &Tracer{spec: s, self: e.self, ports: operations, limit: limit(s.Sampling)}
	t.fixed = attribute(t.fixed, "component", "proxy")
	t.fixed = attribute(t.fixed, "node_id", e.self.Node)
	for _, tag := range s.Tags {
		if tag.Field == "" {
			t.fixed = attribute(t.fixed, tag.Name, tag.Value)
		} else {
			t.fields = append(t.fields, tag)
		}
	}
	t.exporter = e.get(s.Cluster, s.Authority, s.Service)
	return t
}

const canonicalService = "istio.canonical_service"

func limit(percent float64) uint64 {
	switch {
	case !(percent > 0): // or not a number
		return 0
	case percent >= 100:
		return 1 << 53
	}
	return uint64(percent / 100 * (1 << 53))
}

// Slot holds the tracer of a place, as the configuration has it at the moment.
// The zero value has none, and so has a nil one.
type Slot struct{ p atomic.Pointer[Tracer] }

// Get is the tracer; nil for none.
func (s *Slot) Get() *Tracer {
	if s == nil {
		return nil
	}
	return s.p.Load()
}

// Set replaces it.
func (s *Slot) Set(t *Tracer) {
	if s.p.Load() != t {
		s.p.Store(t)
	}
}

// Start reads the context of a request and writes what the next one is to
// know, into its head. The result is to be given back by Finish or Release,
// when the head is not used any more; nil means that there is nothing to do.
func (t *Tracer) Start(r *http.Request, inbound bool) *Span {
	c := Extract(r.Fields)
	sampled := c.Sampled
	if !c.Decided {
		sampled = rand.Uint64()>>11 < t.limit
	}
	if !sampled && c.Decided && c.w3c && c.known {
		return nil // all of it has been said already
	}
	s := spans.Get().(*Span)
	s.tracer, s.inbound, s.sampled = t, inbound, sampled
	s.trace, s.parent, s.child, s.flags = c.Trace, c.Span, c.Valid, c.flags
	if !c.Valid {
		s.trace = newTrace()
	}
	if s.id = s.parent; sampled || !c.Valid {
		binary.BigEndian.PutUint64(s.id[:], rand.Uint64()|1)
	}
	if sampled {
		s.flags |= 1
	}
	s.write(r, &c)
	if sampled {
		s.keep(r)
	}
	return s
}

func newTrace() (t [16]byte) {
	binary.BigEndian.PutUint64(t[:8], rand.Uint64())
	binary.BigEndian.PutUint64(t[8:], rand.Uint64()|1)
	return t
}

// write puts the context into the head.
func (s *Span) write(r *http.Request, c *Context) {
	if !c.known {
		s.newRequestID()
		set(r, requestID, nameRequestID, s.request[:])
	}
	if !c.w3c {
		// What belongs to a trace that cannot be read goes with it.
		drop(r, traceparent)
		drop(r, tracestate)
	}
	if !c.w3c || s.sampled {
		s.traceparent()
		set(r, traceparent, nameTraceparent, s.header[:])
	}
	if !c.single && !c.multi || !c.Valid && c.Decided && !c.Sampled || !s.sampled && c.Valid && c.Decided {
		return // what B3 says holds still
	}
	b := &s.b3
	hex.Encode(b[:32], s.trace[:])
	b[32], b[49], b[51], b[50] = '-', '-', '-', '0'
	hex.Encode(b[33:49], s.id[:])
	if s.sampled {
		b[50] = '1'
	}
	from := s.sampled && s.child
	if from {
		hex.Encode(b[52:68], s.parent[:])
	}
	if c.single {
		if from {
			set(r, b3Single, nameB3, b[:68])
		} else {
			set(r, b3Single, nameB3, b[:51])
		}
	}
	if c.multi {
		set(r, b3Trace, nameB3Trace, b[:32])
		set(r, b3Span, nameB3Span, b[33:49])
		set(r, b3Sampled, nameB3Sampled, b[50:51])
		if from {
			set(r, b3ParentSpan, nameB3Parent, b[52:68])
		}
	}
}

// traceparent writes the header.
func (s *Span) traceparent() {
	p := &s.header
	p[0], p[1], p[2], p[35], p[52] = '0', '0', '-', '-', '-'
	hex.Encode(p[3:35], s.trace[:])
	hex.Encode(p[36:52], s.id[:])
	p[53], p[54] = "0123456789abcdef"[s.flags>>4], "0123456789abcdef"[s.flags&15]
}

// The names as they are written.
var (
	nameTraceparent = []byte(traceparent)
	nameRequestID   = []byte(requestID)
	nameB3          = []byte(b3Single)
	nameB3Trace     = []byte(b3Trace)
	nameB3Span      = []byte(b3Span)
	nameB3Parent    = []byte(b3ParentSpan)
	nameB3Sampled   = []byte(b3Sampled)
)

// newRequestID makes a UUID of version 4.
func (s *Span) newRequestID() {
	u := newTrace()
	u[6], u[8] = u[6]&0x0f|0x40, u[8]&0x3f|0x80
	d := &s.request
	hex.Encode(d[:8], u[:4])
	hex.Encode(d[9:13], u[4:6])
	hex.Encode(d[14:18], u[6:8])
	hex.Encode(d[19:23], u[8:10])
	hex.Encode(d[24:36], u[10:])
	d[8], d[13], d[18], d[23] = '-', '-', '-', '-'
}

// set gives a field its one value.
func set(r *http.Request, lower string, name, value []byte) {
	for i := range r.Fields {
		if http.EqualFold(r.Fields[i].Name, lower) {
			r.Fields[i].Value = value
			return
		}
	}
	r.Fields = append(r.Fields, http.Field{Name: name, Value: value})
}

func drop(r *http.Request, lower string) {
	kept := r.Fields[:0]
	for _, f := range r.Fields {
		if !http.EqualFold(f.Name, lower) {
			kept = append(kept, f)
		}
	}
	r.Fields = kept
}
