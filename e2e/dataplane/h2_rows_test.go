package dataplane

import (
	"encoding/binary"
	"net/http"
	"strings"
	"testing"

	"golang.org/x/net/http2"
)

func setting(id uint16, v uint32) []byte {
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint16(nil, id), v)
}

var h2Connection = []h2row{
	{ref: "3.4", name: "a preface that is none", mute: true, conn: codes(errProtocol), f: func(c *h2conn, _ string) { c.bytes("PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n") }},
	{ref: "3.4", name: "no SETTINGS behind the preface", mute: true, conn: codes(errProtocol), f: func(c *h2conn, path string) {
		c.bytes(http2.ClientPreface)
		c.get(1, path)
	}},
	fault("4.2", "a frame above SETTINGS_MAX_FRAME_SIZE", codes(errSize), func(c *h2conn, path string) {
		c.post(1, path)
		c.frame(http2.FrameData, 0, 1, make([]byte, 16385)...)
	}),
	fault("4.2", "a head above SETTINGS_MAX_FRAME_SIZE", codes(errSize), func(c *h2conn, _ string) {
		c.frame(http2.FrameHeaders, flagEndHeaders|flagEndStream, 1, make([]byte, 16385)...)
	}),
	raw("4.3", "broken compression", codes(errCompress), http2.FrameHeaders, flagEndHeaders|flagEndStream, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff),
	raw("4.3", "index 0", codes(errCompress), http2.FrameHeaders, flagEndHeaders|flagEndStream, 1, 0x80),
	raw("4.3", "an index beyond the table", codes(errCompress), http2.FrameHeaders, flagEndHeaders|flagEndStream, 1, 0xff, 0x7f),
	raw("7541 4.2", "a table larger than allowed", codes(errCompress), http2.FrameHeaders, flagEndHeaders|flagEndStream, 1, 0x3f, 0xe1, 0xff, 0x7f),
	raw("7541 5.2", "a Huffman code that ends in EOS", codes(errCompress), http2.FrameHeaders, flagEndHeaders|flagEndStream, 1, 0x00, 0x85, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01, 'x'),
	raw("7541 5.2", "Huffman padding of 8 bits", codes(errCompress), http2.FrameHeaders, flagEndHeaders|flagEndStream, 1, 0x00, 0x82, 0x1f, 0xff, 0x01, 'x'),
	raw("5.1", "DATA on an idle stream", codes(errProtocol), http2.FrameData, 0, 1, 'x'),
	raw("5.1", "RST_STREAM on an idle stream", codes(errProtocol), http2.FrameRSTStream, 0, 1, 0, 0, 0, 8),
	raw("5.1", "WINDOW_UPDATE on an idle stream", codes(errProtocol), http2.FrameWindowUpdate, 0, 1, 0, 0, 0, 1),
	raw("5.1", "CONTINUATION on an idle stream", codes(errProtocol), http2.FrameContinuation, flagEndHeaders, 1),
	fault("5.1.1", "an even stream", codes(errProtocol), func(c *h2conn, path string) { c.get(2, path) }),
	fault("5.1.1", "a lower stream", codes(errProtocol, errClosed), func(c *h2conn, path string) { c.get(5, "/beside"); c.get(3, path) }),
	fault("6.1", "DATA on stream 0", codes(errProtocol), func(c *h2conn, _ string) { c.data(0, false, "x") }),
	fault("6.1", "padding longer than DATA", codes(errProtocol), func(c *h2conn, path string) {
		c.post(1, path)
		c.frame(http2.FrameData, http2.FlagDataPadded, 1, 6, 'x', 0, 0, 0, 0)
	}),
	raw("6.2", "HEADERS on stream 0", codes(errProtocol), http2.FrameHeaders, flagEndHeaders, 0, 0x82),
	raw("6.2", "padding longer than HEADERS", codes(errProtocol), http2.FrameHeaders, flagEndHeaders|http2.FlagHeadersPadded, 1, 9, 0x82),
	raw("6.3", "PRIORITY on stream 0", codes(errProtocol), http2.FramePriority, 0, 0, 0, 0, 0, 3, 1),
	{ref: "6.3", name: "PRIORITY of 4 bytes", conn: codes(errSize), stream: codes(errSize), f: func(c *h2conn, path string) {
		c.post(1, path)
		c.frame(http2.FramePriority, 0, 1, 0, 0, 0, 3)
	}},
	raw("6.4", "RST_STREAM on stream 0", codes(errProtocol), http2.FrameRSTStream, 0, 0, 0, 0, 0, 8),
	fault("6.4", "RST_STREAM of 3 bytes", codes(errSize), func(c *h2conn, path string) {
		c.post(1, path)
		c.frame(http2.FrameRSTStream, 0, 1, 0, 0, 8)
	}),
	raw("6.5", "SETTINGS on a stream", codes(errProtocol), http2.FrameSettings, 0, 1, setting(3, 100)...),
	raw("6.5", "SETTINGS of 5 bytes", codes(errSize), http2.FrameSettings, 0, 0, 0, 3, 0, 0, 0),
	raw("6.5", "an acknowledgement with content", codes(errSize), http2.FrameSettings, http2.FlagSettingsAck, 0, setting(3, 100)...),
	raw("6.5.2", "ENABLE_PUSH of 2", codes(errProtocol), http2.FrameSettings, 0, 0, setting(2, 2)...),
	raw("6.5.2", "INITIAL_WINDOW_SIZE of 2^31", codes(errFlow), http2.FrameSettings, 0, 0, setting(4, 1<<31)...),
	raw("6.5.2", "MAX_FRAME_SIZE of 16,383", codes(errProtocol), http2.FrameSettings, 0, 0, setting(5, 16383)...),
	raw("6.5.2", "MAX_FRAME_SIZE of 2^24", codes(errProtocol), http2.FrameSettings, 0, 0, setting(5, 1<<24)...),
	raw("8441 3", "ENABLE_CONNECT_PROTOCOL of 2", codes(errProtocol), http2.FrameSettings, 0, 0, setting(8, 2)...),
	raw("6.6", "PUSH_PROMISE from a client", codes(errProtocol), http2.FramePushPromise, flagEndHeaders, 1, 0, 0, 0, 2, 0x82),
	raw("6.7", "PING on a stream", codes(errProtocol), http2.FramePing, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0),
	raw("6.7", "PING of 6 bytes", codes(errSize), http2.FramePing, 0, 0, 0, 0, 0, 0, 0, 0),
	raw("6.8", "GOAWAY on a stream", codes(errProtocol), http2.FrameGoAway, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0),
	raw("6.8", "GOAWAY of 7 bytes", codes(errSize), http2.FrameGoAway, 0, 0, 0, 0, 0, 0, 0, 0, 0),
	raw("6.9", "WINDOW_UPDATE of 0", codes(errProtocol), http2.FrameWindowUpdate, 0, 0, 0, 0, 0, 0),
	raw("6.9", "WINDOW_UPDATE of 3 bytes", codes(errSize), http2.FrameWindowUpdate, 0, 0, 0, 0, 1),
	raw("6.9.1", "a window above 2^31-1", codes(errFlow), http2.FrameWindowUpdate, 0, 0, 0x7f, 0xff, 0xff, 0xff),
	fault("6.9.2", "SETTINGS that overflow a stream's window", codes(errFlow), func(c *h2conn, path string) {
		c.post(1, path)
		c.frame(http2.FrameWindowUpdate, 0, 1, 0x7f, 0, 0, 0)
		c.frame(http2.FrameSettings, 0, 0, setting(4, 1<<31-1)...)
	}),
	raw("6.10", "CONTINUATION without HEADERS", codes(errProtocol), http2.FrameContinuation, flagEndHeaders, 1, 0x82),
	fault("6.10", "DATA inside a head", codes(errProtocol), func(c *h2conn, path string) {
		c.frame(http2.FrameHeaders, 0, 1, c.encode(":method", "GET")...)
		c.data(1, false, "x")
	}),
	fault("6.10", "a PING inside a head", codes(errProtocol), func(c *h2conn, path string) {
		c.frame(http2.FrameHeaders, 0, 1, c.encode(":method", "GET")...)
		c.frame(http2.FramePing, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
	}),
	fault("5.5", "an unknown frame inside a head", codes(errProtocol), func(c *h2conn, path string) {
		c.frame(http2.FrameHeaders, 0, 1, c.encode(":method", "GET")...)
		c.frame(0xbb, 0, 1, 'x')
	}),
	fault("6.10", "CONTINUATION of another stream", codes(errProtocol), func(c *h2conn, path string) {
		c.frame(http2.FrameHeaders, 0, 1, c.encode(":method", "GET")...)
		c.frame(http2.FrameContinuation, flagEndHeaders, 3, c.encode(":path", path)...)
	}),
	fault("10.5.1", "a head without end", codes(errCalm, errProtocol, errCompress), func(c *h2conn, path string) {
		c.frame(http2.FrameHeaders, flagEndStream, 1, c.encode(":method", "GET", ":scheme", "http", ":path", path, ":authority", "a")...)
		for range 2000 {
			c.frame(http2.FrameContinuation, 0, 1, c.encode("x", strings.Repeat("y", 1000))...)
		}
	}),
	fault("10.5", "empty CONTINUATION without end", codes(errCalm, errProtocol), func(c *h2conn, path string) {
		c.frame(http2.FrameHeaders, flagEndStream, 1, c.encode(":method", "GET")...)
		for range 200000 {
			c.frame(http2.FrameContinuation, 0, 1)
		}
	}),
	fault("10.5", "a flood of PING", codes(errCalm), func(c *h2conn, _ string) {
		for range 200000 {
			c.frame(http2.FramePing, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
		}
	}),
	fault("10.5", "a flood of SETTINGS", codes(errCalm), func(c *h2conn, _ string) {
		for range 200000 {
			c.frame(http2.FrameSettings, 0, 0)
		}
	}),
	fault("10.5", "rapid reset", codes(errCalm), func(c *h2conn, _ string) {
		for i := range uint32(100000) {
			c.get(2*i+3, "/beside")
			c.frame(http2.FrameRSTStream, 0, 2*i+3, 0, 0, 0, 8)
		}
	}),
}

var h2Streams = []h2row{
	{ref: "5.1", name: "DATA behind the end", conn: codes(errClosed), stream: codes(errClosed), seen: true, f: func(c *h2conn, path string) { c.get(1, path); c.data(1, true, "x") }},
	{ref: "5.1", name: "HEADERS behind the end", conn: codes(errClosed), stream: codes(errClosed), seen: true, f: func(c *h2conn, path string) { c.get(1, path); c.head(1, true, "x-a", "b") }},
	{ref: "6.9", name: "WINDOW_UPDATE of 0 on a stream", stream: codes(errProtocol), f: func(c *h2conn, path string) {
		c.post(1, path)
		c.frame(http2.FrameWindowUpdate, 0, 1, 0, 0, 0, 0)
	}},
	{ref: "6.9.1", name: "a stream's window above 2^31-1", stream: codes(errFlow), f: func(c *h2conn, path string) {
		c.post(1, path)
		c.frame(http2.FrameWindowUpdate, 0, 1, 0x7f, 0xff, 0xff, 0xff)
	}},
	{ref: "5.3.1", name: "a stream that depends on itself is no matter any more", status: "200", f: func(c *h2conn, path string) {
		c.frame(http2.FramePriority, 0, 1, 0, 0, 0, 1, 16)
		c.get(1, path)
	}},
	{ref: "8.1", name: "a second head that is not the last", stream: codes(errProtocol), f: func(c *h2conn, path string) { c.post(1, path); c.head(1, false, "x-a", "b") }},
	{ref: "8.1", name: "pseudo-header in the trailers", stream: codes(errProtocol), f: func(c *h2conn, path string) { c.post(1, path); c.head(1, true, ":method", "GET") }},
	{ref: "8.2", name: "capitals in the trailers", stream: codes(errProtocol), f: func(c *h2conn, path string) { c.post(1, path); c.head(1, true, "X-A", "b") }},
	{ref: "8.2.1", name: "LF in the trailers", stream: codes(errProtocol), f: func(c *h2conn, path string) { c.post(1, path); c.head(1, true, "x-a", "b\nc") }},
	{ref: "8.2.2", name: "transfer-encoding in the trailers", stream: codes(errProtocol), f: func(c *h2conn, path string) { c.post(1, path); c.head(1, true, "transfer-encoding", "chunked") }},
	{ref: "8.1.1", name: "content shorter than its length", stream: codes(errProtocol), f: func(c *h2conn, path string) { c.post(1, path, "content-length", "5"); c.data(1, true, "1234") }},
	{ref: "8.1.1", name: "content shorter than its length, with trailers", stream: codes(errProtocol), f: func(c *h2conn, path string) {
		c.post(1, path, "content-length", "5")
		c.data(1, false, "1234")
		c.head(1, true, "x-a", "b")
	}},
	{ref: "8.1.1", name: "content longer than its length", stream: codes(errProtocol), f: func(c *h2conn, path string) { c.post(1, path, "content-length", "5"); c.data(1, true, "123456") }},
	{ref: "8.1.1", name: "a length without content", stream: codes(errProtocol), f: func(c *h2conn, path string) { c.get(1, path, "content-length", "1") }},
	{ref: "8.1.1", name: "two lengths", stream: codes(errProtocol), f: func(c *h2conn, path string) {
		c.post(1, path, "content-length", "1", "content-length", "2")
		c.data(1, true, "x")
	}},
	{ref: "8.1.1", name: "a length that is none", stream: codes(errProtocol), f: func(c *h2conn, path string) { c.post(1, path, "content-length", "+1"); c.data(1, true, "x") }},
	{ref: "6.9.1", name: "more than the stream's window", conn: codes(errFlow), stream: codes(errFlow), f: func(c *h2conn, path string) {
		c.post(1, "/echo")
		// Nothing is given back to the echo, whose client does not read: whatever
		// the windows are, this is more.
		p := make([]byte, 16384)
		for range 4096 {
			c.frame(http2.FrameData, 0, 1, p...)
		}
	}},
	{ref: "5.1.2", name: "more streams than allowed", conn: codes(errProtocol, errCalm), stream: codes(http2.ErrCodeRefusedStream, errProtocol), f: func(c *h2conn, path string) {
		for i := range uint32(20000) {
			c.post(2*i+3, "/open")
		}
		c.frame(http2.FrameHeaders, flagEndHeaders|flagEndStream, 1, 0x82)
	}},
}

var h2Heads = []h2row{
	malformed("8.3.1", "no method", ":scheme", "http", ":path", "PATH", ":authority", "a"),
	malformed("8.3.1", "no scheme", ":method", "GET", ":path", "PATH", ":authority", "a"),
	malformed("8.3.1", "no path", ":method", "GET", ":scheme", "http", ":authority", "a"),
	malformed("8.3.1", "empty path", ":method", "GET", ":scheme", "http", ":path", "", ":authority", "a"),
	malformed("8.3.1", "path without a slash", ":method", "GET", ":scheme", "http", ":path", "x", ":authority", "a"),
	malformed("8.3.1", "path with a space", ":method", "GET", ":scheme", "http", ":path", "PATH HTTP/1.1", ":authority", "a"),
	malformed("8.3.1", "path with CR LF", ":method", "GET", ":scheme", "http", ":path", "PATH HTTP/1.1\r\nX: y\r\n\r\nGET PATH", ":authority", "a"),
	malformed("8.3.1", "asterisk of GET", ":method", "GET", ":scheme", "http", ":path", "*", ":authority", "a"),
	malformed("8.3.1", "method with a space", ":method", "GET PATH", ":scheme", "http", ":path", "PATH", ":authority", "a"),
	malformed("8.3.1", "empty method", ":method", "", ":scheme", "http", ":path", "PATH", ":authority", "a"),
	malformed("8.3.1", "authority with user information", ":method", "GET", ":scheme", "http", ":path", "PATH", ":authority", "me@a"),
	malformed("8.3.1", "authority with a space", ":method", "GET", ":scheme", "http", ":path", "PATH", ":authority", "a b"),
	malformed("8.3.1", "authority with CR LF", ":method", "GET", ":scheme", "http", ":path", "PATH", ":authority", "a\r\nX: y"),
	malformed("8.3.1", "Host that differs from the authority", ":method", "GET", ":scheme", "http", ":path", "PATH", ":authority", "a", "host", "b"),
	malformed("8.3", "two methods", ":method", "GET", ":method", "POST", ":scheme", "http", ":path", "PATH", ":authority", "a"),
	malformed("8.3", "two paths", ":method", "GET", ":scheme", "http", ":path", "PATH", ":path", "PATH", ":authority", "a"),
	malformed("8.3", "two schemes", ":method", "GET", ":scheme", "http", ":scheme", "https", ":path", "PATH", ":authority", "a"),
	malformed("8.3", "two authorities", ":method", "GET", ":scheme", "http", ":path", "PATH", ":authority", "a", ":authority", "b"),
	malformed("8.3", "a pseudo-header nobody knows", ":method", "GET", ":scheme", "http", ":path", "PATH", ":authority", "a", ":x", "y"),
	malformed("8.3", "a pseudo-header of responses", ":method", "GET", ":scheme", "http", ":path", "PATH", ":authority", "a", ":status", "200"),
	malformed("8.3", "a pseudo-header behind a field", ":method", "GET", ":scheme", "http", "x-a", "b", ":path", "PATH", ":authority", "a"),
	malformed("8441 4", ":protocol of another method", ":method", "GET", ":scheme", "http", ":path", "PATH", ":authority", "a", ":protocol", "websocket"),
	malformed("8.5", "CONNECT with a path", ":method", "CONNECT", ":scheme", "http", ":path", "PATH", ":authority", "a:1"),
	malformed("8.5", "CONNECT without an authority", ":method", "CONNECT"),
	field("8.2", "capitals in a name", "X-A", "b"),
	field("8.2.1", "space in a name", "x a", "b"),
	field("8.2.1", "colon in a name", "x:a", "b"),
	field("8.2.1", "empty name", "", "b"),
	field("8.2.1", "CR in a name", "x\ra", "b"),
	field("8.2.1", "obs-text in a name", "x\xe9", "b"),
	field("8.2.1", "LF in a value", "x", "a\nb"),
	field("8.2.1", "CR in a value", "x", "a\rb"),
	field("8.2.1", "CR LF and a field in a value", "x", "a\r\ny: z"),
	field("8.2.1", "NUL in a value", "x", "a\x00b"),
	field("8.2.1", "space before a value", "x", " a"),
	field("8.2.1", "tab behind a value", "x", "a\t"),
	field("8.2.2", "connection", "connection", "close"),
	field("8.2.2", "keep-alive", "keep-alive", "timeout=1"),
	field("8.2.2", "proxy-connection", "proxy-connection", "close"),
	field("8.2.2", "transfer-encoding", "transfer-encoding", "chunked"),
	field("8.2.2", "upgrade", "upgrade", "websocket"),
	field("8.2.2", "te that is not trailers", "te", "gzip"),
}

var h2Good = []h2row{
	{ref: "8.3.1", name: "a request", status: "200", f: func(c *h2conn, path string) { c.get(1, path, "x-a", "b") }, more: func(t *testing.T, o outcome, r *http.Request) {
		if o.body != "ok" || r.Host != "a" || r.Header.Get("X-A") != "b" || r.Method != "GET" {
			t.Error(o, r)
		}
	}},
	{ref: "8.3.1", name: "Host for the authority", status: "200", f: func(c *h2conn, path string) {
		c.head(1, true, ":method", "GET", ":scheme", "http", ":path", path, "host", "b")
	}, more: func(t *testing.T, _ outcome, r *http.Request) {
		if r.Host != "b" {
			t.Error(r.Host)
		}
	}},
	{ref: "8.2.3", name: "crumbs of a cookie", status: "200", f: func(c *h2conn, path string) { c.get(1, path, "cookie", "a=b", "cookie", "c=d") }, more: func(t *testing.T, _ outcome, r *http.Request) {
		if got := strings.Join(r.Header["Cookie"], "; "); got != "a=b; c=d" {
			t.Error(got)
		}
	}},
	{ref: "8.2.2", name: "te: trailers", status: "200", f: func(c *h2conn, path string) { c.get(1, path, "te", "trailers") }, more: func(t *testing.T, _ outcome, r *http.Request) {
		if r.Header.Get("Te") != "trailers" {
			t.Error(r.Header)
		}
	}},
	{ref: "6.1", name: "padding of every length", status: "200", f: func(c *h2conn, path string) {
		c.post(1, path)
		for n := range 256 {
			c.frame(http2.FrameData, http2.FlagDataPadded, 1, append([]byte{byte(n), 'x'}, make([]byte, n)...)...)
		}
		c.data(1, true, "")
	}, more: func(t *testing.T, o outcome, _ *http.Request) {
		if o.body != "ok" {
			t.Error(o)
		}
	}},
	{ref: "6.2", name: "a padded head with priority, in pieces", status: "200", f: func(c *h2conn, path string) {
		b := c.encode(":method", "GET", ":scheme", "http", ":path", path, ":authority", "a")
		c.frame(http2.FrameHeaders, flagEndStream|http2.FlagHeadersPadded|http2.FlagHeadersPriority, 1, append(append([]byte{3, 0, 0, 0, 0, 7}, b[:4]...), 0, 0, 0)...)
		for _, x := range b[4:] {
			c.frame(http2.FrameContinuation, 0, 1, x)
		}
		c.frame(http2.FrameContinuation, flagEndHeaders, 1)
	}},
	{ref: "5.5", name: "unknown frames, flags and settings", status: "200", f: func(c *h2conn, path string) {
		c.frame(0xbb, 0xff, 0, 'x')
		c.frame(http2.FrameSettings, 0, 0, setting(0xbbbb, 7)...)
		c.frame(0xbb, 0xff, 1, 'x')
		c.frame(http2.FramePing, 0xf0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
		c.get(1, path)
	}},
	{ref: "4.1", name: "the reserved bit", status: "200", f: func(c *h2conn, path string) {
		b := c.encode(":method", "GET", ":scheme", "http", ":path", path, ":authority", "a")
		c.bytes(string([]byte{0, 0, byte(len(b)), byte(http2.FrameHeaders), byte(flagEndHeaders | flagEndStream), 0x80, 0, 0, 1}) + string(b))
	}},
	{ref: "5.1.1", name: "numbers may be left out", status: "200", f: func(c *h2conn, path string) { c.get(1, path); c.get(99, path) }},
	{ref: "6.4", name: "RST_STREAM of a stream that has ended", status: "200", id: 5, f: func(c *h2conn, path string) {
		c.get(3, "/beside")
		if o, err := c.react(3); err != nil || o.head == nil {
			c.t.Fatal(o, err)
		}
		c.frame(http2.FrameRSTStream, 0, 3, 0, 0, 0, 8)
		c.frame(http2.FrameWindowUpdate, 0, 3, 0, 0, 0, 1)
		c.frame(http2.FramePriority, 0, 3, 0, 0, 0, 0, 1)
		c.get(5, path)
	}},
	{ref: "6.5.3", name: "a small window is kept to", status: "200", f: func(c *h2conn, path string) {
		c.frame(http2.FrameSettings, 0, 0, setting(4, 1)...)
		c.get(1, path) // "ok" comes byte by byte
	}, more: func(t *testing.T, o outcome, _ *http.Request) {
		if o.body != "ok" {
			t.Error(o)
		}
	}},
	{ref: "6.9.2", name: "a window below 0", status: "200", f: func(c *h2conn, path string) {
		c.post(1, "/echo")
		c.data(1, false, strings.Repeat("x", 1000))
		c.frame(http2.FrameSettings, 0, 0, setting(4, 0)...)
		c.frame(http2.FrameWindowUpdate, 0, 1, 0, 1, 0, 0)
		c.data(1, true, "")
	}, more: func(t *testing.T, o outcome, _ *http.Request) {
		if len(o.body) != 1000 {
			t.Errorf("%d bytes", len(o.body))
		}
	}},
	{ref: "8.1", name: "trailers both ways", status: "200", f: func(c *h2conn, path string) {
		c.post(1, "/echo", "te", "trailers", "trailer", "x-sum")
		c.data(1, false, "hello")
		c.head(1, true, "x-sum", "42")
	}, more: func(t *testing.T, o outcome, _ *http.Request) {
		if o.body != "hello" || o.trail == nil || value(o.trail, "x-last") != "42" {
			t.Error(o, o.trail)
		}
	}},
	{ref: "8.1", name: "an early answer", status: "413", f: func(c *h2conn, path string) {
		c.post(1, "/early")
		c.data(1, false, "hello")
	}},
	{ref: "8.3.1", name: "OPTIONS of a whole server", status: "200", f: func(c *h2conn, path string) {
		c.head(1, true, ":method", "OPTIONS", ":scheme", "http", ":path", "*", ":authority", "a")
	}},
	{ref: "9", name: "what only proxies may say", status: "200", f: func(c *h2conn, path string) { c.get(1, path, "weft-unprocessed", "1", "l5d-client-id", "root") }, more: func(t *testing.T, _ outcome, r *http.Request) {
		if r.Header.Get("Weft-Unprocessed") != "" || r.Header.Get("L5d-Client-Id") == "root" {
			t.Error(r.Header)
		}
	}},
}

func value(f *http2.MetaHeadersFrame, name string) string {
	for _, x := range f.Fields {
		if x.Name == name {
			return x.Value
		}
	}
	return ""
}
