package h2

import (
	"strings"
	"testing"

	"github.com/weftmesh/weft/internal/waittest"
	"github.com/weftmesh/weft/proxy/http"
)

// Streams are refused by what they weigh, without an end of the connection, and
// what they weighed is given back.
func TestStreamsAreRefusedByWeight(t *testing.T) { bothCodecs(t, testStreamsAreRefusedByWeight) }

func testStreamsAreRefusedByWeight(t *testing.T, o Options) {
	const most = 10
	m := &pressure{room: most * streamWeight}
	cl, srv := both(t, o, Options{Plain: o.Plain, Memory: m, MaxStreams: 1000}, holdOrEcho)
	<-cl.c.ready
	var held []*Stream
	for range most {
		s, err := cl.Open(request("GET", "/hold"), true)
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, s)
	}
	waittest.Until(t, "all of them", func() bool { return srv.Active() == most })
	large := request("GET", "/hold", http.Field{Name: []byte("x"), Value: []byte(strings.Repeat("v", 50<<10))})
	// More than a peer may waste otherwise.
	for i := range 5000 {
		r := large
		if i%100 > 0 {
			r = request("GET", "/hold")
		}
		s, err := cl.Open(r, true)
		if err != nil {
			t.Fatal(err)
		}
		var resp http.Response
		if err := s.ReadHead(&resp); !Unprocessed(err) {
			t.Fatalf("request %d: %v", i, err)
		}
		s.Close()
	}
	for _, s := range held {
		s.Close()
	}
	waittest.Until(t, "nothing carried", func() bool { return srv.Active() == 0 && m.carried.Load() == 0 })
	s, err := cl.Open(large, true)
	if err != nil {
		t.Fatal(err)
	}
	waittest.Until(t, "the weight of a large head", func() bool { return m.carried.Load() > 100<<10 })
	s.Close()
	waittest.Until(t, "nothing carried again", func() bool { return m.carried.Load() == 0 })
	if err := echoed(cl, []byte("hello")); err != nil {
		t.Error(err)
	}
}
