package conn

import (
	"sync"
	"sync/atomic"
	"syscall"
)

// Meter counts what passes on a connection: plaintext where it is TLS. Either
// counter may be shared by many connections.
type Meter struct {
	// Read and Written are both nil where somebody else counts.
	Read, Written *atomic.Uint64
	// Closed is called once, when the connection is closed on this side, with
	// the error that the system told of it before, or 0.
	Closed func(syscall.Errno)
}

// metered is a Meter in use.
type metered struct {
	Meter
	once sync.Once
}

// SetMeter begins to count. Bytes that are buffered already count as read. It
// is called at most once, by the connection's owner.
func (c *Conn) SetMeter(m Meter) {
	if m.Read != nil {
		m.Read.Add(uint64(len(c.Buffered())))
	}
	c.meter.Store(&metered{Meter: m})
	if c.closed.Load() {
		c.over()
	}
}

// SetPartMeter is SetMeter where somebody else counts the bytes of a part of
// what passes, with the counters that it returns.
func (c *Conn) SetPartMeter(m Meter) (read, written *atomic.Uint64) {
	read, written = m.Read, m.Written
	m.Read, m.Written = nil, nil
	c.SetMeter(m)
	return read, written
}

func (c *Conn) countRead(n int) {
	if m := c.meter.Load(); m != nil && m.Read != nil && n > 0 {
		m.Read.Add(uint64(n))
	}
}

func (c *Conn) countWritten(n int) {
	if m := c.meter.Load(); m != nil && m.Written != nil && n > 0 {
		m.Written.Add(uint64(n))
	}
}

// over tells the meter, and who made the connection, of the end.
func (c *Conn) over() {
	if f := c.ended.Swap(nil); f != nil {
		(*f)()
	}
	if m := c.meter.Load(); m != nil {
		m.once.Do(func() {
			e := c.fault.Load()
			if e == 0 && c.under != nil {
				e = c.under.fault.Load()
			}
			m.Closed(syscall.Errno(e))
		})
	}
}

// failed remembers the first error that the system told.
func (c *Conn) failed(e syscall.Errno) { c.fault.CompareAndSwap(0, uint32(e)) }
