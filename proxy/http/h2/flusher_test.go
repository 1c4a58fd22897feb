package h2

import (
	"sync"
	"testing"

	"github.com/weftmesh/weft/internal/waittest"
	"github.com/weftmesh/weft/proxy/http"
)

// busy has so many exchanges under way at once that the flusher writes, until it
// has.
func busy(t *testing.T, cl *Client) {
	t.Helper()
	waittest.Until(t, "a flusher", func() bool {
		var wg sync.WaitGroup
		for range 8 * fewStreams {
			wg.Go(func() {
				s, err := cl.Open(request("GET", "/"), true)
				if err != nil {
					t.Error(err)
					return
				}
				var h http.Response
				if err := s.ReadHead(&h); err != nil {
					t.Error(err)
				}
				s.Release()
			})
		}
		wg.Wait()
		return rests(cl.c) || t.Failed()
	})
}

func rests(c *mux) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.flusherRests
}

// The flusher stays for the next batch, leaves when it was not needed for a
// while, and comes back.
func TestFlusherIsKeptAndDismissed(t *testing.T) {
	cl, _ := inMemory(t, Options{}, func(s *Stream) { _ = s.WriteHead(&http.Response{Status: 200}, true) })
	for range 3 {
		busy(t, cl)
		was := cl.c.flusher
		busy(t, cl)
		if cl.c.flusher != was {
			t.Error("another flusher has come")
		}
		// What the timer would do, twice.
		cl.c.dismiss()
		cl.c.dismiss()
		if rests(cl.c) || cl.c.flusher != nil {
			t.Error("the flusher stays")
		}
	}
}

// Nobody stays when the connection ends, with a flusher that rests.
func TestFlusherEndsWithItsConnection(t *testing.T) {
	for _, end := range []struct {
		name string
		do   func(cl *Client)
	}{{"closed", (*Client).Close}, {"drained", (*Client).Drain}} {
		t.Run(end.name, func(t *testing.T) {
			cl, _ := inMemory(t, Options{}, func(s *Stream) { _ = s.WriteHead(&http.Response{Status: 200}, true) })
			busy(t, cl)
			wake := cl.c.flusher
			end.do(cl)
			<-cl.Done()
			waittest.Until(t, "end of the flusher", func() bool {
				cl.c.mu.Lock()
				defer cl.c.mu.Unlock()
				return !cl.c.flusherRests && !cl.c.flushing && len(wake) == 0
			})
		})
	}
}
