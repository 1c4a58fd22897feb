package h2

import (
	"sync/atomic"

	"github.com/weftmesh/weft/proxy/http"
)

// meter counts what a connection carries for its requests, once there are any.
// DATA of connections without HTTP is not of them.
type meter struct {
	read, written *atomic.Uint64
	// Bytes of others: of the batch that is being read, and of what waits to be
	// written.
	in, out int
}

// begin begins to count with the first request of a connection. mu is held.
func (m *meter) begin(o *Options, major uint8) {
	if m.read == nil && o.Meter != nil && major != http.Bytes {
		m.read, m.written = o.Meter()
	}
}

// received counts a batch of n bytes.
func (m *meter) received(n int) {
	if m.read != nil && n > m.in {
		m.read.Add(uint64(n - m.in))
	}
	m.in = 0
}

// taken returns how much of n bytes, which are all that waits to be written, is
// of requests.
func (m *meter) taken(n int) int {
	n -= m.out
	m.out = 0
	return n
}

// sent counts n bytes that taken has told of.
func (m *meter) sent(n int) {
	if m.written != nil && n > 0 {
		m.written.Add(uint64(n))
	}
}
