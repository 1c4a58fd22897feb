package dataplane

import (
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/net/http2"
)

// rawH2App is an application that speaks HTTP/2 frame by frame: on is called
// for heads and content.
func rawH2App(t testing.TB, set []http2.Setting, on func(c *h2conn, f http2.Frame)) string {
	return listen(t, func(nc *net.TCPConn) {
		c := newH2(t, nc)
		preface := make([]byte, len(http2.ClientPreface))
		if _, err := io.ReadFull(nc, preface); err != nil || string(preface) != http2.ClientPreface {
			return
		}
		_ = c.fr.WriteSettings(set...) // a peer that has gone shows when it is read
		for {
			nc.SetDeadline(farFuture())
			f, err := c.fr.ReadFrame()
			if err != nil {
				return
			}
			switch f := f.(type) {
			case *http2.SettingsFrame:
				if !f.IsAck() {
					_ = c.fr.WriteSettingsAck()
				}
			case *http2.PingFrame:
				if !f.IsAck() {
					_ = c.fr.WritePing(true, f.Data)
				}
			case *http2.MetaHeadersFrame:
				on(c, f)
			case *http2.DataFrame:
				if n := uint32(len(f.Data())); n > 0 {
					_ = c.fr.WriteWindowUpdate(0, n)
					_ = c.fr.WriteWindowUpdate(f.StreamID, n)
				}
				on(c, f)
			}
		}
	})
}

// badAnswers are what an application may not send. The client must be told that
// its request failed; nobody else's may.
var badAnswers = []struct {
	ref, name string
	f         func(c *h2conn, id uint32)
	// conn: the application's connection is at fault, so that other streams on it
	// may fail too.
	conn bool
	// cut: a head has been sent, so that the stream is reset.
	cut bool
}{
	{"8.3.2", "no status", func(c *h2conn, id uint32) { c.head(id, true, "x-a", "b") }, false, false},
	{"8.3.2", "status of letters", func(c *h2conn, id uint32) { c.head(id, true, ":status", "abc") }, false, false},
	{"8.3.2", "status of two digits", func(c *h2conn, id uint32) { c.head(id, true, ":status", "20") }, false, false},
	{"8.3", "two statuses", func(c *h2conn, id uint32) { c.head(id, true, ":status", "200", ":status", "201") }, false, false},
	{"8.3", "a pseudo-header of requests", func(c *h2conn, id uint32) { c.head(id, true, ":status", "200", ":path", "/") }, false, false},
	{"8.3", "a pseudo-header behind a field", func(c *h2conn, id uint32) { c.head(id, true, "x-a", "b", ":status", "200") }, false, false},
	{"8.2", "capitals", func(c *h2conn, id uint32) { c.head(id, true, ":status", "200", "X-A", "b") }, false, false},
	{"8.2.1", "CR LF in a value", func(c *h2conn, id uint32) { c.head(id, true, ":status", "200", "x-a", "b\r\nset-cookie: c") }, false, false},
	{"8.2.2", "connection", func(c *h2conn, id uint32) { c.head(id, true, ":status", "200", "connection", "close") }, false, false},
	{"8.2.2", "transfer-encoding", func(c *h2conn, id uint32) { c.head(id, true, ":status", "200", "transfer-encoding", "chunked") }, false, false},
	{"8.1", "content before a head", func(c *h2conn, id uint32) { c.data(id, true, "x") }, false, false},
	{"8.1", "the end in an interim head", func(c *h2conn, id uint32) { c.head(id, true, ":status", "103") }, false, false},
	{"8.1", "101", func(c *h2conn, id uint32) { c.head(id, true, ":status", "101") }, false, false},
	{"8.1", "a final head twice", func(c *h2conn, id uint32) {
		c.head(id, false, ":status", "200")
		c.head(id, false, ":status", "200")
	}, false, true},
	{"8.1.1", "content shorter than its length", func(c *h2conn, id uint32) {
		c.head(id, false, ":status", "200", "content-length", "9")
		c.data(id, true, "short")
	}, false, true},
	{"8.1.1", "content longer than its length", func(c *h2conn, id uint32) {
		c.head(id, false, ":status", "200", "content-length", "3")
		c.data(id, true, "longer")
	}, false, true},
	{"5.4.2", "RST_STREAM before the head", func(c *h2conn, id uint32) { c.frame(http2.FrameRSTStream, 0, id, 0, 0, 0, 2) }, false, false},
	{"5.4.2", "RST_STREAM behind the head", func(c *h2conn, id uint32) {
		c.head(id, false, ":status", "200")
		c.frame(http2.FrameRSTStream, 0, id, 0, 0, 0, 2)
	}, false, true},
	{"6.8", "GOAWAY with an error", func(c *h2conn, id uint32) { c.frame(http2.FrameGoAway, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1); c.nc.Close() }, true, false},
	{"6.6", "PUSH_PROMISE", func(c *h2conn, id uint32) {
		c.frame(http2.FramePushPromise, flagEndHeaders, id, append([]byte{0, 0, 0, 2}, c.encode(":method", "GET", ":scheme", "http", ":path", "/", ":authority", "a")...)...)
	}, true, false},
	{"6.9.1", "a window that overflows", func(c *h2conn, id uint32) { c.frame(http2.FrameWindowUpdate, 0, 0, 0x7f, 0xff, 0xff, 0xff) }, true, false},
	{"4.3", "broken compression", func(c *h2conn, id uint32) { c.frame(http2.FrameHeaders, flagEndHeaders, id, 0x80) }, true, false},
	{"5.1", "a response to nobody", func(c *h2conn, id uint32) { c.head(id+2, true, ":status", "200") }, true, false},
	{"6.5", "SETTINGS of 5 bytes", func(c *h2conn, id uint32) { c.frame(http2.FrameSettings, 0, 0, 0, 3, 0, 0, 0) }, true, false},
	{"9", "HTTP/1.1 for an answer", func(c *h2conn, id uint32) { c.bytes("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") }, true, false},
}

func TestH2Answers(t *testing.T) {
	var row atomic.Int64
	app := rawH2App(t, nil, func(c *h2conn, f http2.Frame) {
		m, ok := f.(*http2.MetaHeadersFrame)
		if !ok {
			return
		}
		if strings.HasPrefix(m.PseudoValue("path"), "/bad") {
			badAnswers[row.Load()].f(c, m.StreamID)
			return
		}
		c.head(m.StreamID, false, ":status", "200", "content-length", fmt.Sprint(len(m.PseudoValue("path"))))
		c.data(m.StreamID, true, m.PseudoValue("path"))
	})
	p := newPair(t, port{protocol: "http2", app: app})
	c := dialH2(t, p.to[0])
	id := uint32(1)
	for i, r := range badAnswers {
		t.Run(r.ref+" "+r.name, func(t *testing.T) {
			row.Store(int64(i))
			c.post(id, "/bad") // a method that is not tried again
			c.data(id, true, "")
			o, err := c.react(id)
			must(t, err)
			switch {
			case o.closed || o.goaway:
				t.Fatalf("the client's connection is ended: %v", o)
			case o.reset && !r.cut && o.head != nil, !o.reset && r.cut:
				t.Errorf("%v", o)
			case !o.reset && !strings.HasPrefix(o.head.PseudoValue("status"), "50"):
				t.Errorf("%v", o)
			}
			id += 2
			want := fmt.Sprintf("/good-%d", i)
			c.get(id, want)
			if o := c.want(id, "200"); o.body != want {
				t.Errorf("the next request is answered %q", o.body)
			}
			id += 2
		})
	}
}
