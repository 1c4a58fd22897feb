package h2

import (
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/weftmesh/weft/proxy/http"
	"golang.org/x/net/http2"
)

// What a server may not do, and what our client's streams say then.
func TestFaultsOfAServer(t *testing.T) {
	for _, c := range []struct {
		name string
		code Code
		conn bool
		do   func(*raw)
	}{
		{"no status", CodeProtocol, false, func(r *raw) { r.headers(1, true, "a", "b") }},
		{"status 101", CodeProtocol, false, func(r *raw) { r.headers(1, false, ":status", "101") }},
		{"status of letters", CodeProtocol, false, func(r *raw) { r.headers(1, true, ":status", "2xx") }},
		{"1xx that ends", CodeProtocol, false, func(r *raw) { r.headers(1, true, ":status", "100") }},
		{"endless 1xx", CodeProtocol, false, func(r *raw) {
			for range endlessInformational + 1 {
				r.headers(1, false, ":status", "103")
			}
			r.wantReset(1, http2.ErrCodeProtocol) // before anybody reads them
		}},
		{"DATA before the head", CodeProtocol, false, func(r *raw) { r.ok(r.fr.WriteData(1, true, nil)) }},
		{"request in a response", CodeProtocol, false, func(r *raw) { r.headers(1, true, ":status", "200", ":path", "/") }},
		{"upper case", CodeProtocol, false, func(r *raw) { r.headers(1, true, ":status", "200", "A", "b") }},
		{"window overflow", CodeFlowControl, false, func(r *raw) { r.ok(r.fr.WriteWindowUpdate(1, maxWindow)) }},
		{"reset", CodeCancel, false, func(r *raw) { r.ok(r.fr.WriteRSTStream(1, http2.ErrCodeCancel)) }},
		{"refused", CodeRefusedStream, false, func(r *raw) { r.ok(r.fr.WriteRSTStream(1, http2.ErrCodeRefusedStream)) }},
		{"push", CodeProtocol, true, func(r *raw) {
			r.ok(r.fr.WritePushPromise(http2.PushPromiseParam{StreamID: 1, PromiseID: 2, BlockFragment: r.encode(":method", "GET"), EndHeaders: true}))
		}},
		{"HEADERS on an idle stream", CodeProtocol, true, func(r *raw) { r.headers(7, true, ":status", "200") }},
		{"HEADERS on a server's stream", CodeProtocol, true, func(r *raw) { r.headers(2, true, ":status", "200") }},
		{"push allowed by a server", CodeProtocol, true, func(r *raw) { r.ok(r.fr.WriteSettings(http2.Setting{ID: http2.SettingEnablePush, Val: 1})) }},
		{"goes away in anger", CodeEnhanceYourCalm, true, func(r *raw) {
			r.ok(r.fr.WriteGoAway(1, http2.ErrCodeEnhanceYourCalm, []byte("too_many_pings")))
			r.ok(r.fr.WriteRSTStream(1, http2.ErrCodeEnhanceYourCalm))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, cl := rawServer(t)
			s, err := cl.Open(request("GET", "/"), true)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			// What has not left is unprocessed, whatever the server does.
			r.next("the request", func(f http2.Frame) bool { _, ok := f.(*http2.MetaHeadersFrame); return ok })
			c.do(r)
			var h http.Response
			for err == nil {
				err = s.ReadHead(&h)
			}
			if CodeOf(err) != c.code {
				t.Errorf("got %v, want %v", err, c.code)
			}
			if Unprocessed(err) != (c.code == CodeRefusedStream) {
				t.Errorf("%v: unprocessed is %v", err, Unprocessed(err))
			}
			var se *StreamError
			if c.conn {
				r.nc.Close()
				<-cl.Done()
			} else if !errors.As(err, &se) || cl.Closing() {
				t.Errorf("the connection ended: %v", cl.Err())
			}
		})
	}
}

// Interim responses that nobody has read yet do no harm to the one that follows.
func TestUnreadInterim(t *testing.T) {
	r, cl := rawServer(t)
	for _, c := range []struct{ heads, size, most int }{{3, 10, 3}, {500, 10, maxInformational}, {12, 15 << 10, keepInformational / (15 << 10)}} {
		s, err := cl.Open(request("GET", "/"), true)
		r.ok(err)
		r.next("the request", func(f http2.Frame) bool { _, ok := f.(*http2.MetaHeadersFrame); return ok })
		for range c.heads {
			r.headers(s.ID(), false, ":status", "103", "link", strings.Repeat("x", c.size))
		}
		r.headers(s.ID(), false, ":status", "200", "a", "b")
		r.ok(r.fr.WriteData(s.ID(), true, []byte("body")))
		for { // everything is here
			if _, last := s.Buffered(); last || s.Err() != nil {
				break
			}
			time.Sleep(time.Millisecond)
		}
		var h http.Response
		seen := 0
		for h.Status < 200 {
			if err := s.ReadHead(&h); err != nil {
				t.Fatalf("%d heads of %d bytes: %v", c.heads, c.size, err)
			}
			if h.Status == 103 {
				if v, _ := http.Get(h.Fields, "link"); len(v) != c.size {
					t.Errorf("link of %d bytes, want %d", len(v), c.size)
				}
				seen++
			}
		}
		if seen != c.most {
			t.Errorf("%d of %d heads were read, want %d", seen, c.heads, c.most)
		}
		if v, _ := http.Get(h.Fields, "a"); h.Status != 200 || string(v) != "b" || len(h.Fields) != 1 {
			t.Errorf("the final head is %d %v", h.Status, h.Fields)
		}
		if b, err := io.ReadAll(s); err != nil || string(b) != "body" {
			t.Errorf("%q %v", b, err)
		}
		s.Release()
	}
}
