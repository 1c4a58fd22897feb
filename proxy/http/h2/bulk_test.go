package h2

import (
	"testing"

	"github.com/weftmesh/weft/internal/waittest"
	"github.com/weftmesh/weft/proxy/conn"
	"github.com/weftmesh/weft/proxy/http"
)

// Memory for frames goes round, also where the first frame of a connection that
// rested was one of a few bytes, such as the answer to a PING.
func TestOutputMemoryIsKept(t *testing.T) {
	if raceEnabled {
		t.Skip("pools drop things at random under the race detector")
	}
	a, b := memPair(0)
	defer b.Close()
	c := newMux(a, Options{}, false)
	c.greeted = true
	round := func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if err := c.onPing(frameHeader{}, alivePing); err != nil {
			t.Fatal(err)
		}
		c.room(50 << 10)
		c.out = c.out[:50<<10]
		// What a writer does.
		c.spare = c.takeOut()
		c.out, c.spare, c.replies = c.spare[:0], c.out[:0], 0
		c.calm.idle = calmFrames
		c.rested()
	}
	round()
	round()
	if n := testing.AllocsPerRun(200, round); n >= 1 {
		t.Errorf("%v allocations in a round", n)
	}
}

// Between two of our proxies the window grows for a reader that keeps up, to a
// bound, and for no other.
func TestWindowGrowsForFastReaders(t *testing.T) {
	const first = 1 << 16
	for _, o := range []Options{{Plain: true, Window: first}, {Window: first}} {
		a, b := pair(t)
		got := make(chan [2]int32, 1)
		serve(t, b, o, func(s *Stream) {
			var most [2]int32
			for {
				p, err := s.Next()
				if err != nil {
					break
				}
				s.Consume(len(p))
				s.c.mu.Lock()
				most[0], most[1] = max(most[0], s.window), max(most[1], s.recv)
				s.c.mu.Unlock()
			}
			got <- most
			_ = s.WriteHead(&http.Response{Status: 200}, true)
		})
		cl := NewClient(conn.New(a), o)
		defer cl.Close()
		s, err := cl.Open(request("POST", "/"), false)
		if err != nil {
			t.Fatal(err)
		}
		for range 64 {
			if _, err := s.Write(make([]byte, first)); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.End(); err != nil {
			t.Fatal(err)
		}
		most := <-got
		if limit := largestWindow(first); most[0] > limit || most[1] > limit {
			t.Errorf("plain %v: window %d, %d to come, want at most %d", o.Plain, most[0], most[1], limit)
		}
		if o.Plain != (most[0] > first) {
			t.Errorf("plain %v: window %d, first %d", o.Plain, most[0], first)
		}
		s.Close()
	}

	a, b := pair(t)
	o := Options{Plain: true, Window: first}
	held := make(chan *Stream, 1)
	over := make(chan struct{})
	defer close(over)
	serve(t, b, o, func(s *Stream) { held <- s; <-over })
	cl := NewClient(conn.New(a), o)
	defer cl.Close()
	s, err := cl.Open(request("POST", "/"), false)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	go func() { _, _ = s.Write(make([]byte, 8*first)) }()
	slow := <-held
	waittest.Until(t, "a full window", func() bool { n, _ := slow.Buffered(); return n == first })
	slow.c.mu.Lock()
	defer slow.c.mu.Unlock()
	if slow.window != first {
		t.Errorf("window of a stream that nobody reads: %d", slow.window)
	}
}
