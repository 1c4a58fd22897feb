package h2

import (
	"bytes"
	"fmt"
	"io"
	nethttp "net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weftmesh/weft/internal/waittest"
	"github.com/weftmesh/weft/proxy/http"
	"golang.org/x/net/http2"
)

// pressure is a Memory that allows the share 1/less, and little once it is full.
type pressure struct {
	less, held, peak atomic.Int64
	most, room       int64
	carried          atomic.Int64
}

func (m *pressure) Window(n int) int {
	if m.most > 0 && m.held.Load() > m.most {
		return min(n, leastWindow)
	}
	return n / int(max(m.less.Load(), 1))
}

func (m *pressure) Hold(n int) {
	if held := m.held.Add(int64(n)); held > m.peak.Load() {
		m.peak.Store(held)
	}
}

func (m *pressure) Carry(n int) { m.carried.Add(int64(n)) }

func (m *pressure) Admit(n int) bool {
	return m.room == 0 || int64(n) < m.room
}

// heldBy is what a connection holds unread.
func heldBy(c *mux) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.buffered
}

// standstill waits until nothing more arrives, once there is at least what must.
func standstill(t *testing.T, held func() int, least int) int {
	t.Helper()
	last := -1
	waittest.Until(t, "standstill", func() bool {
		time.Sleep(20 * time.Millisecond)
		was := last
		last = held()
		return was == last && last >= least
	})
	return last
}

// Many slow readers on many connections hold no more than all connections may
// hold together, and a little each; what they wait for still comes.
func TestSlowReadersAreBoundedTogether(t *testing.T) {
	bothCodecs(t, testSlowReadersAreBoundedTogether)
}

func testSlowReadersAreBoundedTogether(t *testing.T, o Options) {
	const (
		conns   = 4
		streams = 80
		size    = 512 << 10
		most    = 4 << 20
		// Each connection may hold its share of MaxBuffered, and what was on its way
		// when memory became short.
		each = 16<<20*leastWindow/(256<<10) + 1<<20
	)
	m := &pressure{most: most}
	so := Options{Plain: o.Plain, Memory: m, ConnWindow: 1 << 20}
	free := make(chan struct{})
	body := bytes.Repeat([]byte("0123456789abcdef"), size/16)
	var wg sync.WaitGroup
	var servers []*serving
	for range conns {
		cl, srv := both(t, o, so, func(s *Stream) { <-free; echo(s) })
		servers = append(servers, srv)
		for range streams {
			s, err := cl.Open(request("POST", "/"), false)
			if err != nil {
				t.Fatal(err)
			}
			wg.Go(func() { _, _ = s.WriteEnd(body) })
			wg.Go(func() {
				defer s.Close()
				var r http.Response
				if err := s.ReadHead(&r); err != nil {
					t.Error(err)
				}
				if p, err := io.ReadAll(s); err != nil || !bytes.Equal(p, body) {
					t.Errorf("%d bytes, %v", len(p), err)
				}
			})
		}
	}
	held := func() (n int) {
		for _, s := range servers {
			n += heldBy(s.c)
		}
		return n
	}
	if n := standstill(t, held, most); n > most+conns*each {
		t.Errorf("%d bytes are held, want %d to %d", n, most, most+conns*each)
	}
	close(free)
	wg.Wait()
	if peak := m.peak.Load(); peak > most+conns*each {
		t.Errorf("%d bytes were held", peak)
	}
	waittest.Until(t, "nothing held", func() bool { return m.held.Load() == 0 && held() == 0 })
	for _, s := range servers {
		waittest.Until(t, "the normal window again", func() bool {
			s.c.mu.Lock()
			defer s.c.mu.Unlock()
			return s.c.squeeze.window == s.c.o.Window && s.c.squeeze.conn == int64(s.c.o.ConnWindow)
		})
	}
}

// A connection that exists obeys when memory becomes short, with the streams
// that are open and those that come, in both directions; and it recovers.
func TestWindowsFollowTheMemory(t *testing.T) { bothCodecs(t, testWindowsFollowTheMemory) }

func testWindowsFollowTheMemory(t *testing.T, o Options) {
	const window = 256 << 10
	var cm, sm pressure
	next := make(chan *Stream)
	done := make(chan struct{})
	defer close(done)
	cl, _ := both(t, Options{Plain: o.Plain, Memory: &cm}, Options{Plain: o.Plain, Memory: &sm}, func(s *Stream) {
		if s.WriteHead(&http.Response{Status: 200}, false) != nil {
			return
		}
		over := make(chan struct{})
		go func() { defer close(over); _, _ = s.Write(make([]byte, 4*window)) }()
		select {
		case next <- s:
			<-done
		case <-done:
		}
		s.Reset(CodeCancel)
		<-over
	})
	// open makes a stream that each side writes to and nobody reads, and tells what
	// arrives at both.
	open := func() (up, down *Stream) {
		t.Helper()
		s, err := cl.Open(request("POST", "/"), false)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.Close)
		go func() { _, _ = s.Write(make([]byte, 4*window)) }()
		return <-next, s
	}
	got := func(s *Stream) func() int { return func() int { n, _ := s.Buffered(); return n } }
	expect := func(what string, want int) (up, down *Stream) {
		t.Helper()
		up, down = open()
		for i, s := range []*Stream{up, down} {
			if n := standstill(t, got(s), want); n != want {
				t.Errorf("%s, stream %d: %d bytes are held, want %d", what, i, n, want)
			}
		}
		return up, down
	}
	up, down := expect("relaxed", window)
	for _, m := range []*pressure{&cm, &sm} {
		m.less.Store(16)
	}
	// It is told with what happens next on the connection.
	expect2 := func(what string, want int) {
		t.Helper()
		waittest.Until(t, what, func() bool {
			a, b := open()
			return standstill(t, got(a), want) == want && standstill(t, got(b), want) == want
		})
		expect(what, want)
	}
	expect2("short", window/16)
	// What the old streams held they may deliver; then they are short too.
	for _, s := range []*Stream{up, down} {
		read := func(n int) {
			for n > 0 {
				p, err := s.Next()
				if err != nil {
					t.Fatal(err)
				}
				k := min(n, len(p))
				s.Consume(k)
				n -= k
			}
		}
		read(window)
		if n := standstill(t, got(s), 0); n > window/16 {
			t.Errorf("an old stream holds %d bytes, want at most %d", n, window/16)
		}
		read(window)
	}
	for _, m := range []*pressure{&cm, &sm} {
		m.less.Store(1)
	}
	// Not many: what they hold unread makes the windows small, too.
	a, b := open()
	last := time.Now()
	waittest.Until(t, "the normal windows", func() bool {
		if time.Since(last) > time.Second {
			a, b = open()
			last = time.Now()
		}
		return got(a)() == window && got(b)() == window
	})
}

// A peer that never acknowledges gains nothing.
func TestWindowsOfAPeerThatDoesNotListen(t *testing.T) {
	a, b := pair(t)
	m := &pressure{most: 1 << 20}
	srv := serve(t, b, Options{Memory: m}, func(s *Stream) { <-s.c.done })
	r := rawClient(t, a)
	go func() { _, _ = io.Copy(io.Discard, a) }()
	sent := 0
	for id := uint32(1); id < 400; id += 2 {
		block := r.encode(":method", "GET", ":scheme", "http", ":path", "/", ":authority", "x")
		if r.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: block, EndHeaders: true}) != nil {
			break // the connection is over, and not everything is read any more
		}
		for range 3 {
			if r.fr.WriteData(id, false, make([]byte, minFrameSize)) != nil {
				id = 400
				break
			}
			sent += minFrameSize
		}
	}
	waittest.Until(t, "the end", func() bool { srv.c.mu.Lock(); defer srv.c.mu.Unlock(); return srv.c.ended })
	if peak := m.peak.Load(); peak > 3<<20 {
		t.Errorf("%d bytes were held of %d", peak, sent)
	}
}

// Windows that change all the time break nothing, whoever the peer is.
func TestWindowsChangeUnderLoad(t *testing.T) {
	body := bytes.Repeat([]byte("0123456789abcdef"), 64<<10)
	restless := func(t *testing.T, m *pressure) {
		stop := make(chan struct{})
		over := make(chan struct{})
		go func() {
			defer close(over)
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				case <-time.After(time.Millisecond):
					m.less.Store(int64([]int{1, 4, 16}[i%3]))
				}
			}
		}()
		t.Cleanup(func() { close(stop); <-over })
	}
	t.Run("net/http2", func(t *testing.T) {
		var m pressure
		restless(t, &m)
		a, b := pair(t)
		serve(t, b, Options{Memory: &m}, echo)
		cc := netClient(t, a)
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for range 10 {
					req, _ := nethttp.NewRequest("POST", "http://x/", bytes.NewReader(body))
					resp, err := cc.RoundTrip(req)
					if err != nil {
						t.Error(err)
						return
					}
					if p, err := io.ReadAll(resp.Body); err != nil || !bytes.Equal(p, body) {
						t.Errorf("%d bytes, %v", len(p), err)
					}
					resp.Body.Close()
				}
			})
		}
		wg.Wait()
	})
	bothCodecs(t, func(t *testing.T, o Options) {
		var cm, sm pressure
		restless(t, &cm)
		restless(t, &sm)
		cl, _ := both(t, Options{Plain: o.Plain, Memory: &cm}, Options{Plain: o.Plain, Memory: &sm}, echo)
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				for j := range 10 {
					if err := echoed(cl, body); err != nil {
						t.Errorf("%d/%d: %v", i, j, err)
						return
					}
				}
			})
		}
		wg.Wait()
	})
}

// echoed makes an exchange whose response is to be its request.
func echoed(cl *Client, body []byte) error {
	s, err := cl.Open(request("POST", "/"), false)
	if err != nil {
		return err
	}
	defer s.Close()
	go func() { _, _ = s.WriteEnd(body) }()
	var r http.Response
	if err := s.ReadHead(&r); err != nil {
		return err
	}
	p, err := io.ReadAll(s)
	if err == nil && !bytes.Equal(p, body) {
		err = fmt.Errorf("%d bytes", len(p))
	}
	return err
}
