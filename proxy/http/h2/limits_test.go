package h2

import (
	"strings"
	"testing"
	"time"

	"github.com/weftmesh/weft/proxy/http"
	"golang.org/x/net/http2"
)

func TestHeadLimits(t *testing.T) {
	a, b := pair(t)
	serve(t, b, Options{}, echo)
	r := rawClient(t, a)
	big := strings.Repeat("x", 60<<10)
	send := func(id uint32, value string) {
		block := r.encode(":method", "GET", ":path", "/", ":scheme", "http", "x-big", value)
		r.ok(r.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: block[:10], EndStream: true}))
		for block = block[10:]; len(block) > 0; {
			n := min(len(block), minFrameSize)
			r.ok(r.fr.WriteContinuation(id, n == len(block), block[:n]))
			block = block[n:]
		}
	}
	send(1, big)
	r.wantHead(1, "200")
	send(3, big+big[:6<<10])
	r.wantHead(3, "431")
	r.get(5, true)
	r.wantHead(5, "200")
}

func TestRefusedAboveMaxStreams(t *testing.T) {
	a, b := pair(t)
	free := make(chan struct{})
	serve(t, b, Options{MaxStreams: 2}, func(s *Stream) { <-free; echo(s) })
	r := rawClient(t, a)
	for id := uint32(1); id <= 5; id += 2 {
		r.get(id, true)
	}
	r.wantReset(5, http2.ErrCodeRefusedStream)
	close(free)
	r.next("both ends", func(f http2.Frame) bool { d, ok := f.(*http2.DataFrame); return ok && d.StreamEnded() })
	r.next("both ends", func(f http2.Frame) bool { d, ok := f.(*http2.DataFrame); return ok && d.StreamEnded() })
	r.get(7, true)
	r.wantHead(7, "200")
}

func TestFloods(t *testing.T) {
	still := time.Now()
	o := Options{Now: func() time.Time { return still }}
	for _, c := range []struct {
		name string
		do   func(r *raw, i int) error
	}{
		{"SETTINGS", func(r *raw, i int) error { return r.fr.WriteSettings() }},
		{"PING", func(r *raw, i int) error { return r.fr.WritePing(false, [8]byte{byte(i)}) }},
		{"PRIORITY", func(r *raw, i int) error { return r.fr.WritePriority(1, http2.PriorityParam{StreamDep: 3}) }},
		{"unknown", func(r *raw, i int) error { return r.fr.WriteRawFrame(0x55, 0, 0, nil) }},
		{"empty DATA", func(r *raw, i int) error {
			if i == 0 {
				r.headers(1, false, ":method", "POST", ":scheme", "http", ":path", "/")
			}
			return r.fr.WriteData(1, false, nil)
		}},
		{"empty CONTINUATION", func(r *raw, i int) error {
			if i == 0 {
				return r.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: r.encode(":method", "GET")})
			}
			return r.fr.WriteContinuation(1, false, nil)
		}},
		{"WINDOW_UPDATE", func(r *raw, i int) error { return r.fr.WriteWindowUpdate(0, 1) }},
		{"WINDOW_UPDATE of a stream", func(r *raw, i int) error {
			if i == 0 {
				r.headers(1, false, ":method", "POST", ":scheme", "http", ":path", "/")
			}
			return r.fr.WriteWindowUpdate(1, 1)
		}},
		{"rapid reset", func(r *raw, i int) error {
			id := uint32(2*i + 1)
			r.buf.Reset()
			err := r.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: r.encode(":method", "GET", ":scheme", "http", ":path", "/hold"), EndStream: true, EndHeaders: true})
			if err == nil {
				err = r.fr.WriteRSTStream(id, http2.ErrCodeCancel)
			}
			return err
		}},
		{"made to reset", func(r *raw, i int) error {
			return r.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: uint32(2*i + 1), BlockFragment: r.encode(":method", "GET"), EndStream: true, EndHeaders: true})
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, b := pair(t)
			s := serve(t, b, o, holdOrEcho)
			r := rawClient(t, a)
			go func() {
				for i := 0; i < 20000; i++ {
					if c.do(r, i) != nil {
						return
					}
				}
			}()
			if err := s.wait(t); CodeOf(err) != CodeEnhanceYourCalm {
				t.Errorf("got %v, want ENHANCE_YOUR_CALM", err)
			}
		})
	}
}

// A peer that reads in small pieces, and says so each time, is no flood.
func TestManyWindowUpdates(t *testing.T) {
	const pieces = 2000
	still := time.Now()
	a, b := pair(t)
	serve(t, b, Options{Now: func() time.Time { return still }}, func(s *Stream) {
		if s.WriteHead(&http.Response{Status: 200}, false) == nil {
			_, _ = s.WriteEnd(make([]byte, pieces*minFrameSize))
		}
	})
	r := rawClient(t, a)
	r.get(1, true)
	for n := 0; n < pieces*minFrameSize; {
		f := r.next("DATA", func(f http2.Frame) bool { _, ok := f.(*http2.DataFrame); return ok }).(*http2.DataFrame)
		n += len(f.Data())
		for left := len(f.Data()); left > 0; left -= 4 << 10 {
			k := uint32(min(left, 4<<10))
			r.ok(r.fr.WriteWindowUpdate(0, k))
			r.ok(r.fr.WriteWindowUpdate(1, k))
		}
	}
	r.get(3, true)
	r.wantHead(3, "200")
}

// What comes behind the end is read for a while, and not without a bound.
func TestTheEndIsNotReadForEver(t *testing.T) {
	a, b := memPair(64 << 10)
	srv := NewServer(b, Options{})
	over := make(chan error, 1)
	go func() { over <- srv.Serve(t.Context(), echo) }()
	if _, err := a.Write([]byte("PRI * HTTP/2.0\r\n\r\nno preface")); err != nil {
		t.Fatal(err)
	}
	for sent := 0; a.Flush() == nil; sent += 16 << 10 {
		if sent > 4*lingerMost {
			t.Fatalf("%d bytes were read behind the end", sent)
		}
		if _, err := a.Write(make([]byte, 16<<10)); err != nil {
			t.Fatal(err)
		}
	}
	if err := <-over; CodeOf(err) != CodeProtocol {
		t.Error(err)
	}
}

// A peer that asks and does not read must not fill memory.
func TestAnswersThatAreNotRead(t *testing.T) {
	a, b := pair(t)
	clock := time.Now()
	// Time flies, so that the flood limit is not what ends it.
	s := serve(t, b, Options{Now: func() time.Time { clock = clock.Add(time.Second); return clock }}, echo)
	r := rawClient(t, a)
	go func() {
		for r.fr.WritePing(false, [8]byte{}) == nil {
		}
	}()
	if err := s.wait(t); err == nil {
		t.Error("the connection lives")
	}
}
