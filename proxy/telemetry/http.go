package telemetry

import (
	"sync"
	"sync/atomic"
	"time"
)

// NoGRPC is the gRPC status of a response that is not gRPC.
const NoGRPC = -1

// Response is the end of one exchange.
type Response struct {
	// Status is the HTTP status; 0 when there was no response.
	Status int
	// GRPC is the grpc-status of a gRPC response, or NoGRPC.
	GRPC int
	// Judged is what the configuration makes of the response, if it says
	// anything.
	Judged Judgement
	// Error is why the proxy failed the request (Linkerd's label error); it must
	// be one of few constants. Empty for none.
	Error string
	// Flags is Istio's label response_flags, such as UF; empty means "-".
	Flags string
	// FirstByte is from the request's head to the response's head; Total is to
	// the end of the response.
	FirstByte, Total time.Duration
	// RequestBytes and ResponseBytes count bodies.
	RequestBytes, ResponseBytes uint64
}

// Judgement classifies a response otherwise than Success does by itself.
type Judgement uint8

const (
	// Unjudged leaves it to the usual rules.
	Unjudged Judgement = iota
	// Succeeded is a success, whatever the status.
	Succeeded
	// Failed is a failure.
	Failed
)

// Success classifies a response, unless it is judged already: a failure is a status of 500 and above, no
// response at all, or one of the gRPC codes that say that the server is at
// fault (2, 4, 7, 13, 14, 15).
func (r *Response) Success() bool {
	if r.Judged != Unjudged {
		return r.Judged == Succeeded
	}
	switch r.GRPC {
	case 2, 4, 7, 13, 14, 15:
		return false
	}
	return r.Status > 0 && r.Status < 500
}

// maxClasses bounds the kinds of answer that one handle tells apart.
const maxClasses = 64

// HTTP counts the requests of one key. It is safe for concurrent use.
type HTTP struct {
	key      HTTPKey
	registry *Registry
	labels   labels
	requests atomic.Uint64
	ended    atomic.Uint64
	// classes grows by copying; it is read without a lock.
	classes atomic.Pointer[[]*class]
	mu      sync.Mutex
	// heir is nil while the handle is in the registry, itself once it was
	// dropped, or the handle that took its place.
	heir atomic.Pointer[HTTP]
	idle idleness
}

// class is one kind of answer.
type class struct {
	status       int
	grpc         int
	judged       Judgement
	err, flags   string
	count        atomic.Uint64
	firstByte    histogram // Linkerd's buckets
	total        histogram // Envoy's, in milliseconds
	requestSize  histogram // Envoy's, in bytes
	responseSize histogram
}

func newHTTP(r *Registry, k HTTPKey) *HTTP {
	h := &HTTP{key: k, registry: r, labels: httpLabels(&r.self, &k)}
	h.classes.Store(&[]*class{})
	h.idle.since = r.now()
	return h
}

func (h *HTTP) live() *HTTP {
	o := h.heir.Load()
	for o != nil {
		if o == h {
			return h.registry.reviveHTTP(h)
		}
		h, o = o, o.heir.Load()
	}
	return h
}

// Request counts a request whose head has arrived.
func (h *HTTP) Request() { h.live().requests.Add(1) }

// Response counts the end of an exchange, whether or not there was an answer.
func (h *HTTP) Response(r *Response) {
	h = h.live()
	c := h.class(r)
	h.ended.Add(1)
	c.count.Add(1)
	c.firstByte.observe(latencyBounds, uint64(max(r.FirstByte, 0)))
	c.total.observe(durationBounds, uint64(max(r.Total, 0)))
	c.requestSize.observe(sizeBounds, r.RequestBytes)
	c.responseSize.observe(sizeBounds, r.ResponseBytes)
}

func (h *HTTP) class(r *Response) *class {
	if c := find(*h.classes.Load(), r); c != nil {
		return c
	}
	return h.newClass(r)
}

// newClass is class for the first answer of its kind.
func (h *HTTP) newClass(r *Response) *class {
	h.mu.Lock()
	defer h.mu.Unlock()
	have := *h.classes.Load()
	if c := find(have, r); c != nil {
		return c
	}
	n := &class{status: r.Status, grpc: r.GRPC, judged: r.Judged, err: r.Error, flags: r.Flags}
	if len(have) >= maxClasses {
		// What is left to tell apart is whether it went well.
		if n = (&class{status: 599, grpc: NoGRPC, err: overflow}); r.Success() {
			n.status = 299
		}
		if c := find(have, &Response{Status: n.status, GRPC: NoGRPC, Error: overflow}); c != nil {
			return c
		}
	}
	n.firstByte.init(latencyBounds)
	n.total.init(durationBounds)
	n.requestSize.init(sizeBounds)
	n.responseSize.init(sizeBounds)
	grown := append(have[:len(have):len(have)], n)
	h.classes.Store(&grown)
	return n
}

func find(cs []*class, r *Response) *class {
	for _, c := range cs {
		if c.status == r.Status && c.grpc == r.GRPC && c.judged == r.Judged && c.err == r.Error && c.flags == r.Flags {
			return c
		}
	}
	return nil
}
