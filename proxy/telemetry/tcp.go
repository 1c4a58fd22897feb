package telemetry

import (
	"sync"
	"sync/atomic"
	"time"
)

// maxReasons bounds the reasons of closing that one handle tells apart.
const maxReasons = 16

// TCP counts the connections of one key. It is safe for concurrent use.
type TCP struct {
	key           TCPKey
	registry      *Registry
	labels        labels
	opened        atomic.Uint64
	current       atomic.Int64
	read, written atomic.Uint64
	mu            sync.Mutex
	closed        map[string]uint64 // by reason
	duration      histogram         // of closed connections; Linkerd's buckets
	heir          atomic.Pointer[TCP]
	idle          idleness
}

func newTCP(r *Registry, k TCPKey) *TCP {
	t := &TCP{key: k, registry: r, labels: tcpLabels(&r.self, &k), closed: map[string]uint64{}}
	t.idle.since = r.now()
	t.duration.init(latencyBounds)
	return t
}

func (t *TCP) live() *TCP {
	o := t.heir.Load()
	for o != nil {
		if o == t {
			return t.registry.reviveTCP(t)
		}
		t, o = o, o.heir.Load()
	}
	return t
}

// Open counts a connection that was established. The result stays the handle
// of its key at least until that connection is closed.
func (t *TCP) Open() *TCP {
	t = t.live()
	t.current.Add(1)
	t.opened.Add(1)
	return t
}

// Close counts its end. reason is empty for a clean end, or one of few
// constants such as ECONNRESET (Linkerd's label errno); life is how long it
// was open.
func (t *TCP) Close(reason string, life time.Duration) {
	t = t.live()
	t.current.Add(-1)
	t.duration.observe(latencyBounds, uint64(max(life, 0)))
	t.mu.Lock()
	if _, known := t.closed[reason]; !known && len(t.closed) >= maxReasons {
		reason = overflow
	}
	t.closed[reason]++
	t.mu.Unlock()
}

// Read counts bytes that the proxy received on the connection.
func (t *TCP) Read(n uint64) { t.live().read.Add(n) }

// Write counts bytes that the proxy sent on it.
func (t *TCP) Write(n uint64) { t.live().written.Add(n) }

// Bytes are the counters that Read and Write add to, of an open connection's
// handle (Open).
func (t *TCP) Bytes() (read, written *atomic.Uint64) { return &t.read, &t.written }
