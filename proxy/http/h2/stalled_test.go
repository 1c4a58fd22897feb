package h2

import (
	"io"
	"testing"
	"time"

	"github.com/weftmesh/weft/proxy/http"
)

// fetch makes an exchange and says how much of the body came, and how many frames
// each side got meanwhile.
func fetch(t *testing.T, cl *Client, srv *serving, target string) (size int, down, up uint32) {
	t.Helper()
	frames := func(c *mux) uint32 { c.mu.Lock(); defer c.mu.Unlock(); return c.frames }
	down, up = frames(cl.c), frames(srv.c)
	s, err := cl.Open(request("GET", target), true)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	defer time.AfterFunc(patience, func() { s.Reset(CodeCancel) }).Stop()
	var r http.Response
	if err := s.ReadHead(&r); err != nil {
		t.Fatalf("%s: %v", target, err)
	}
	n, err := io.Copy(io.Discard, s)
	if err != nil {
		t.Fatalf("%s: after %d bytes: %v", target, n, err)
	}
	return int(n), frames(cl.c) - down, frames(srv.c) - up
}

// A client that reads is as well off beside many that do not as it is alone,
// and what those have is bounded.
func TestStalledReadersHarmNobodyElse(t *testing.T) {
	bothCodecs(t, func(t *testing.T, o Options) {
		testStalledReadersHarmNobodyElse(t, o)
		// The smallest windows of all alone are more than that.
		o.MaxBuffered = 3 << 20
		testStalledReadersHarmNobodyElse(t, o)
	})
}

func testStalledReadersHarmNobodyElse(t *testing.T, o Options) {
	const (
		stalled = 900
		small   = 2
		large   = 1 << 20
	)
	var m pressure
	piece := make([]byte, 64<<10)
	co := Options{Plain: o.Plain, Memory: &m, MaxBuffered: o.MaxBuffered}
	cl, srv := both(t, co, Options{Plain: o.Plain, MaxStreams: stalled + 10}, func(s *Stream) {
		n := 1 << 40
		switch string(s.Request().Target) {
		case "/small":
			n = small
		case "/large":
			n = large
		}
		if s.WriteHead(&http.Response{Status: 200}, false) != nil {
			return
		}
		for ; n > len(piece); n -= len(piece) {
			if _, err := s.Write(piece); err != nil {
				return
			}
		}
		_, _ = s.WriteEnd(piece[:n])
	})
	<-cl.c.ready
	_, smallDown, smallUp := fetch(t, cl, srv, "/small")
	_, largeDown, _ := fetch(t, cl, srv, "/large")

	var opened []*Stream
	for i := range stalled {
		s, err := cl.Open(request("GET", "/endless"), true)
		if err != nil {
			t.Fatal(err)
		}
		opened = append(opened, s)
		if i%25 == 0 {
			fetch(t, cl, srv, "/small")
		}
	}
	for range 20 {
		fetch(t, cl, srv, "/small")
	}
	bound := cl.c.o.MaxBuffered
	held := standstill(t, func() int { return heldBy(cl.c) }, bound/2)
	if most := bound + int(cl.c.o.ConnWindow) + stalled*stalledWindow; held > most {
		t.Errorf("%d bytes are held, want at most %d", held, most)
	}
	for range 20 {
		n, down, up := fetch(t, cl, srv, "/small")
		if n != small || down > smallDown+1 || up > smallUp+1 {
			t.Errorf("small: %d bytes in %d frames, %d frames up; alone %d and %d", n, down, up, smallDown, smallUp)
		}
	}
	n, down, up := fetch(t, cl, srv, "/large")
	if n != large || down > 4*largeDown || up > 2*large/leastWindow+10 {
		t.Errorf("large: %d bytes in %d frames, %d frames up; alone %d", n, down, up, largeDown)
	}
	t.Logf("held %d; large: %d frames, %d up; alone %d", held, down, up, largeDown)
	for _, s := range opened {
		s.Close()
	}
	if n := heldBy(cl.c); n != 0 || cl.c.squeeze.holders != 0 || cl.c.squeeze.grown != 0 {
		t.Errorf("nobody is left, and %d bytes are held by %d", n, cl.c.squeeze.holders)
	}
}
