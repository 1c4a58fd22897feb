package dataplane

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"
)

// fate is what happens to a connection that goes through a middlebox. Offsets
// count the bytes that pass in one direction; -1 is never.
type fate struct {
	// piece is the largest piece that passes at once, in bytes; 0 is any.
	piece int
	// delay comes before each piece.
	delay time.Duration
	// small makes the buffers of both sockets as small as the kernel allows, so
	// that writes are short and full soon.
	small bool
	// The offsets are of one direction: back is from the server to the client.
	back bool
	// reset cuts both connections with RST; stop holds what follows; end closes
	// this direction behind the byte.
	reset, stop, end int
}

var smooth = fate{reset: -1, stop: -1, end: -1}

// middlebox stands between two sockets.
type middlebox struct {
	addr string
	to   string

	mu    sync.Mutex
	fates []fate // of the next connections; smooth afterwards
	then  fate
	conns map[*passage]bool
	met   int // fates that have happened
}

// passage is one connection through it.
type passage struct {
	a, b *net.TCPConn
	once sync.Once
	over chan struct{}
}

func (p *passage) cut() {
	p.once.Do(func() {
		close(p.over)
		p.a.SetLinger(0)
		p.b.SetLinger(0)
		p.a.Close()
		p.b.Close()
	})
}

func newMiddlebox(t testing.TB, to string) *middlebox {
	m := &middlebox{to: to, then: smooth, conns: map[*passage]bool{}}
	m.addr = listen(t, m.serve)
	t.Cleanup(m.cutAll) // before the listener waits for them
	return m
}

// hop makes a middlebox between two sidecars; it is there when newPair returns.
func hop(t testing.TB, to **middlebox) func(string) string {
	return func(in string) string {
		*to = newMiddlebox(t, in)
		return (*to).addr
	}
}

// expect cuts what there is, and gives the next connections these fates.
func (m *middlebox) expect(f ...fate) {
	m.mu.Lock()
	m.fates, m.met = f, 0
	m.mu.Unlock()
	m.cutAll()
}

// always cuts what there is, and gives all that follow this fate.
func (m *middlebox) always(f fate) {
	m.mu.Lock()
	m.fates, m.then = nil, f
	m.mu.Unlock()
	m.cutAll()
}

func (m *middlebox) cutAll() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for p := range m.conns {
		p.cut()
	}
}

func (m *middlebox) happened() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.met
}

func (m *middlebox) serve(a *net.TCPConn) {
	var d net.Dialer
	c, err := d.DialContext(context.Background(), "tcp", m.to)
	if err != nil {
		a.SetLinger(0)
		return
	}
	p := &passage{a: a, b: c.(*net.TCPConn), over: make(chan struct{})}
	defer p.b.Close()
	m.mu.Lock()
	f := m.then
	if len(m.fates) > 0 {
		f, m.fates = m.fates[0], m.fates[1:]
	}
	m.conns[p] = true
	m.mu.Unlock()
	if f.small {
		for _, c := range []*net.TCPConn{p.a, p.b} {
			c.SetReadBuffer(1)
			c.SetWriteBuffer(1)
		}
	}
	var wg sync.WaitGroup
	wg.Go(func() { m.pass(p, p.b, p.a, f, !f.back) })
	wg.Go(func() { m.pass(p, p.a, p.b, f, f.back) })
	wg.Wait()
	m.mu.Lock()
	delete(m.conns, p)
	m.mu.Unlock()
}

// pass carries one direction; the offsets hold where mine says so.
func (m *middlebox) pass(p *passage, dst, src *net.TCPConn, f fate, mine bool) {
	if !mine {
		f.reset, f.stop, f.end = -1, -1, -1
	}
	b := make([]byte, 32<<10)
	size := len(b)
	if f.piece > 0 {
		size = f.piece
	}
	for at := 0; ; {
		for _, limit := range []int{f.reset, f.stop, f.end} {
			if limit == at {
				m.mu.Lock()
				m.met++
				m.mu.Unlock()
			}
		}
		switch at {
		case f.reset:
			p.cut()
			return
		case f.end:
			dst.CloseWrite()
			f.stop = at // and whatever follows is held
			fallthrough
		case f.stop:
			<-p.over
			return
		}
		n := size
		for _, limit := range []int{f.reset, f.stop, f.end} {
			if limit > at {
				n = min(n, limit-at)
			}
		}
		got, err := src.Read(b[:n])
		if got > 0 {
			if f.delay > 0 {
				time.Sleep(f.delay)
			}
			if _, err := dst.Write(b[:got]); err != nil {
				p.cut()
				return
			}
			at += got
		}
		if err != nil {
			select {
			case <-p.over:
			default:
				if isReset(err) {
					p.cut()
				} else {
					dst.CloseWrite()
				}
			}
			return
		}
	}
}
