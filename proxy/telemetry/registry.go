package telemetry

import (
	"io"
	"sync"
	"time"
)

// MaxSeries bounds the handles of each kind (HTTP, TCP); the ones beyond are
// counted together.
const MaxSeries = 4096

// RetainIdle is after how long a series that nobody moved is dropped.
const RetainIdle = 10 * time.Minute

// overflow is the label value of what is beyond MaxSeries.
const overflow = "overflow"

// Registry holds every series of one proxy. It is safe for concurrent use.
type Registry struct {
	self Self

	mu     sync.Mutex
	http   map[HTTPKey]*HTTP
	tcp    map[TCPKey]*TCP
	vecs   map[string]*vec
	gauges []gauge
	now    func() time.Time
}

// NewRegistry makes a registry for the workload that the proxy stands beside.
func NewRegistry(self Self) *Registry {
	return &Registry{self: self, http: map[HTTPKey]*HTTP{}, tcp: map[TCPKey]*TCP{}, vecs: map[string]*vec{}, now: time.Now}
}

// HTTP returns the handle of a key, the same for equal keys.
func (r *Registry) HTTP(k HTTPKey) *HTTP {
	r.mu.Lock()
	defer r.mu.Unlock()
	if h := r.http[k]; h != nil {
		return h
	}
	if len(r.http) >= MaxSeries {
		k = HTTPKey{Direction: k.Direction, TLS: k.TLS, Authority: overflow}
		if h := r.http[k]; h != nil {
			return h
		}
	}
	h := newHTTP(r, k)
	r.http[k] = h
	return h
}

// TCP returns the handle of a key, the same for equal keys.
func (r *Registry) TCP(k TCPKey) *TCP {
	r.mu.Lock()
	defer r.mu.Unlock()
	if t := r.tcp[k]; t != nil {
		return t
	}
	if len(r.tcp) >= MaxSeries {
		k = TCPKey{Direction: k.Direction, Side: k.Side, TLS: k.TLS, Opaque: k.Opaque, Authority: overflow}
		if t := r.tcp[k]; t != nil {
			return t
		}
	}
	t := newTCP(r, k)
	r.tcp[k] = t
	return t
}

// revive puts back a handle that was dropped while somebody still held it, and
// returns the one that counts for its key: itself, unless another was made
// meanwhile.
func (r *Registry) reviveHTTP(h *HTTP) *HTTP {
	r.mu.Lock()
	defer r.mu.Unlock()
	if other := r.http[h.key]; other != nil && other != h {
		h.heir.Store(other)
		return other
	}
	r.http[h.key] = h
	h.idle.since = r.now()
	h.heir.Store(nil)
	return h
}

func (r *Registry) reviveTCP(t *TCP) *TCP {
	r.mu.Lock()
	defer r.mu.Unlock()
	if other := r.tcp[t.key]; other != nil && other != t {
		t.heir.Store(other)
		return other
	}
	r.tcp[t.key] = t
	t.idle.since = r.now()
	t.heir.Store(nil)
	return t
}

// idleness finds series that nobody moves by looking at their counter from
// time to time, so that counting itself needs no clock.
type idleness struct {
	count uint64
	since time.Time
}

// long says whether the counter has stood still for RetainIdle.
func (i *idleness) long(count uint64, now time.Time) bool {
	if count != i.count || i.since.IsZero() {
		i.count, i.since = count, now
	}
	return now.Sub(i.since) >= RetainIdle
}

// sweep drops what is idle; a handle with work in flight is not.
func (r *Registry) sweep() {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	for k, h := range r.http {
		if n := h.requests.Load() + h.ended.Load(); h.idle.long(n, now) {
			delete(r.http, k)
			h.heir.Store(h)
		}
	}
	for k, t := range r.tcp {
		n := t.opened.Load() + t.read.Load() + t.written.Load()
		if t.current.Load() != 0 {
			t.idle.since = now
		}
		if t.idle.long(n, now) {
			delete(r.tcp, k)
			t.heir.Store(t)
		}
	}
}

// WriteLinkerd writes every family that Linkerd's proxy has, and the process's
// own (Prometheus text format 0.0.4).
func (r *Registry) WriteLinkerd(w io.Writer) error { return r.write(w, r.linkerd) }

// WriteIstio writes the families of Istio's standard metrics.
func (r *Registry) WriteIstio(w io.Writer) error { return r.write(w, r.istio) }
