package h2

import (
	"io"
	"sync"
)

// pipeHalf is one direction of a connection in memory.
type pipeHalf struct {
	mu      sync.Mutex
	b       []byte
	limit   int // what fits; 0 is no limit
	ended   bool
	err     error // both sides fail
	waiting bool  // the reader
	more    chan struct{}
	room    sync.Cond
}

// memConn is a Transport in memory that copies as a socket would.
type memConn struct {
	in, out  *pipeHalf
	buf      []byte
	pos      int
	gathered []byte
	wmu      sync.Mutex
	taken    uint64
}

// memPair is both ends of a connection that holds limit bytes each way.
func memPair(limit int) (a, b *memConn) {
	x, y := &pipeHalf{limit: limit, more: make(chan struct{}, 1)}, &pipeHalf{limit: limit, more: make(chan struct{}, 1)}
	x.room.L, y.room.L = &x.mu, &y.mu
	return &memConn{in: x, out: y}, &memConn{in: y, out: x}
}

func (h *pipeHalf) wake() {
	if h.waiting {
		h.waiting = false
		h.more <- struct{}{}
	}
}

func (m *memConn) Fill() error {
	h := m.in
	h.mu.Lock()
	defer h.mu.Unlock()
	for len(h.b) == 0 {
		switch {
		case h.err != nil:
			return h.err
		case h.ended:
			return io.EOF
		}
		h.waiting = true
		h.mu.Unlock()
		<-h.more
		h.mu.Lock()
	}
	m.buf = append(m.buf[:copy(m.buf, m.buf[m.pos:])], h.b...)
	m.pos, h.b = 0, h.b[:0]
	h.room.Broadcast()
	return nil
}

func (m *memConn) Buffered() []byte { return m.buf[m.pos:] }
func (m *memConn) Discard(n int)    { m.pos += n }
func (m *memConn) SetDuplex()       {}

func (m *memConn) Write(p []byte) (int, error) {
	m.wmu.Lock()
	defer m.wmu.Unlock()
	m.gathered = append(m.gathered, p...)
	return len(p), nil
}

func (m *memConn) Flush() error {
	_, err := m.send(true)
	return err
}

func (m *memConn) TryFlush() (bool, error) { return m.send(false) }

func (m *memConn) send(wait bool) (bool, error) {
	m.wmu.Lock()
	defer m.wmu.Unlock()
	h := m.out
	h.mu.Lock()
	defer h.mu.Unlock()
	for len(m.gathered) > 0 {
		if h.err != nil {
			return false, h.err
		}
		if h.ended {
			return false, io.ErrClosedPipe
		}
		n := len(m.gathered)
		if h.limit > 0 {
			n = min(n, h.limit-len(h.b))
		}
		h.b = append(h.b, m.gathered[:n]...)
		m.gathered = m.gathered[:copy(m.gathered, m.gathered[n:])]
		m.taken += uint64(n)
		if n > 0 {
			h.wake()
			continue
		}
		if !wait {
			return false, nil
		}
		h.room.Wait()
	}
	return true, nil
}

func (h *pipeHalf) fail(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err != nil && h.err == nil {
		h.err, h.b = err, nil
	}
	h.ended = true
	h.wake()
	h.room.Broadcast()
}

func (m *memConn) CloseWrite() error {
	m.out.fail(nil)
	return nil
}

func (m *memConn) Close() error {
	m.out.fail(nil)
	m.in.fail(io.ErrClosedPipe)
	return nil
}

func (m *memConn) Taken() uint64 {
	m.wmu.Lock()
	defer m.wmu.Unlock()
	return m.taken
}
