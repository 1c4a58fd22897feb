package h2

import (
	"slices"
	"testing"

	"github.com/weftmesh/weft/internal/waittest"
	"github.com/weftmesh/weft/proxy/http"
	"golang.org/x/net/http2"
)

// writing is a connection whose streams 1, 3, … are written to without end, to a
// peer that gives each all the window it wants, and the connection none.
func writing(t *testing.T, streams int) (*raw, *mux) {
	t.Helper()
	a, b := pair(t)
	srv := serve(t, b, Options{}, func(s *Stream) {
		_ = s.WriteHead(&http.Response{Status: 200}, false)
		// Odd ones write large pieces.
		p := make([]byte, []int{8 << 10, 256 << 10}[s.ID()/2%2])
		for {
			_, err := s.Write(p)
			if err != nil {
				return
			}
		}
	})
	r := rawClient(t, a, http2.Setting{ID: http2.SettingInitialWindowSize, Val: maxWindow})
	for i := range streams {
		r.get(uint32(2*i+1), true)
	}
	c := srv.c
	r.data(defaultWindow)
	waiting(t, c, streams)
	return r, c
}

// waiting waits until all streams wait for the connection's window.
func waiting(t *testing.T, c *mux, streams int) {
	t.Helper()
	waittest.Until(t, "writers that wait", func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.sendAvail == 0 && len(c.credit.list) == streams && c.credit.turn == nil
	})
}

// data reads n bytes of bodies and returns how much of each stream they are.
func (r *raw) data(n int) map[uint32]int {
	r.t.Helper()
	got := map[uint32]int{}
	for n > 0 {
		d := r.next("DATA", func(f http2.Frame) bool { _, ok := f.(*http2.DataFrame); return ok }).(*http2.DataFrame)
		n -= len(d.Data())
		got[d.StreamID] += len(d.Data())
	}
	return got
}

// Credit for one writer wakes one.
func TestCreditWakesInOrder(t *testing.T) {
	const streams = 50
	r, c := writing(t, streams)
	c.mu.Lock()
	first := c.credit.list[0]
	_ = c.windowUpdate(0, 1)
	woken := len(c.wakes)
	parked := 0
	c.open.each(func(s *Stream) {
		if s.wparked {
			parked++
		}
	})
	turn := c.credit.turn
	c.unlock()
	if woken != 1 || parked != streams-1 || turn != first {
		t.Errorf("%d writers were woken, %d of %d go on waiting", woken, parked, streams)
	}
	r.data(1)
	waiting(t, c, streams)
	// Each has its turn before anybody has a second one.
	for round := range 3 {
		c.mu.Lock()
		var order []uint32
		for _, s := range c.credit.list {
			order = append(order, s.id)
		}
		c.mu.Unlock()
		var got []uint32
		for range streams {
			r.ok(r.fr.WriteWindowUpdate(0, 100))
			for id := range r.data(100) {
				got = append(got, id)
			}
		}
		waiting(t, c, streams)
		if !slices.Equal(got, order) {
			t.Fatalf("round %d: turns %v, want %v", round, got, order)
		}
	}
}

// However the credit comes, and however large the pieces are, nobody starves.
func TestNoWriterStarves(t *testing.T) {
	const streams = 20
	r, c := writing(t, streams)
	for _, credit := range []int{1 << 10, 40 << 10, 300 << 10} {
		got := map[uint32]int{}
		for range 6 * streams * turnMost / credit {
			r.ok(r.fr.WriteWindowUpdate(0, uint32(credit)))
			for id, n := range r.data(credit) {
				got[id] += n
			}
		}
		waiting(t, c, streams)
		least, most := 1<<30, 0
		for i := range streams {
			n := got[uint32(2*i+1)]
			least, most = min(least, n), max(most, n)
		}
		if least == 0 || least*20 < most {
			t.Errorf("credit of %d: streams got %d to %d bytes", credit, least, most)
		}
	}
}

// Who is reset while it waits, or has its turn, takes nobody's turn with it.
func TestResetPassesTheTurn(t *testing.T) {
	const streams = 30
	r, c := writing(t, streams)
	for id := uint32(1); id < 2*streams-2; id += 2 {
		r.ok(r.fr.WriteRSTStream(id, http2.ErrCodeCancel))
		r.ok(r.fr.WriteWindowUpdate(0, 3))
		r.data(3)
	}
	waittest.Until(t, "one writer", func() bool { c.mu.Lock(); defer c.mu.Unlock(); return writers(c) == 1 && c.open.n == 1 })
	r.ok(r.fr.WriteWindowUpdate(0, 1000))
	r.data(1000)
	waiting(t, c, 1)
}

// A writer of large pieces waits for room in the output, not behind small ones.
func TestLargePiecesGetRoom(t *testing.T) {
	bothCodecs(t, func(t *testing.T, o Options) {
		const large = 8 << 20
		body := make([]byte, large)
		stop := make(chan struct{})
		cl, _ := both(t, o, o, func(s *Stream) {
			_ = s.WriteHead(&http.Response{Status: 200}, false)
			if string(s.Request().Target) == "/large" {
				_, _ = s.WriteEnd(body)
				return
			}
			p := make([]byte, 1<<10)
			for {
				select {
				case <-stop:
					_ = s.End()
					return
				default:
				}
				if _, err := s.Write(p); err != nil {
					return
				}
			}
		})
		open := func(target string) *Stream {
			s, err := cl.Open(request("GET", target), true)
			if err != nil {
				t.Fatal(err)
			}
			var r http.Response
			if err := s.ReadHead(&r); err != nil {
				t.Fatal(err)
			}
			return s
		}
		for range 10 {
			s := open("/small")
			defer s.Close()
			go func() {
				for {
					p, err := s.Next()
					if err != nil {
						return
					}
					s.Consume(len(p))
				}
			}()
		}
		s := open("/large")
		defer s.Close()
		for n := 0; n < large; {
			p, err := s.Next()
			if err != nil {
				t.Fatal(err)
			}
			n += len(p)
			s.Consume(len(p))
		}
		close(stop)
	})
}
