package h2

import (
	"io"
	"strings"
	"testing"

	"golang.org/x/net/http2"
)

// What the peer is to see of a case.
type verdict struct {
	kind string // served, reset, goaway, or ack
	code http2.ErrCode
}

func fatal(c http2.ErrCode) verdict { return verdict{"goaway", c} }
func reset(c http2.ErrCode) verdict { return verdict{"reset", c} }

var (
	served = verdict{kind: "served"} // stream 1 is answered with 200
	pong   = verdict{kind: "ack"}    // the connection answers a PING, and nothing before it
)

// send writes a frame as given.
func send(typ frameType, flags uint8, stream uint32, payload string) func(*raw) {
	return func(r *raw) {
		r.ok(rawFrame(r.nc, frameHeader{uint32(len(payload)), typ, flags, stream}, []byte(payload)))
	}
}

func all(steps ...func(*raw)) func(*raw) {
	return func(r *raw) {
		for _, s := range steps {
			s(r)
		}
	}
}

func headers(id uint32, end bool, kv ...string) func(*raw) {
	return func(r *raw) { r.headers(id, end, kv...) }
}

// held opens a stream that the server does not answer.
func held(id uint32, end bool) func(*raw) {
	return headers(id, end, ":method", "POST", ":scheme", "http", ":path", "/hold", ":authority", "x")
}

func answered(r *raw) {
	r.get(1, true)
	r.next("the end", func(f http2.Frame) bool { d, ok := f.(*http2.DataFrame); return ok && d.StreamEnded() })
}

const zeros = "\x00\x00\x00\x00\x00\x00\x00\x00"

// The cases of RFC 9113 by section, for a server. They follow the list that the
// tool h2spec works through.
func TestSections(t *testing.T) {
	p, f, sc, fc := http2.ErrCodeProtocol, http2.ErrCodeFrameSize, http2.ErrCodeStreamClosed, http2.ErrCodeFlowControl
	req := []string{":method", "GET", ":scheme", "http", ":path", "/", ":authority", "x"}
	with := func(more ...string) func(*raw) {
		return headers(1, true, append(append([]string{}, req...), more...)...)
	}
	post := func(more ...string) func(*raw) {
		return headers(1, false, append([]string{":method", "POST", ":scheme", "http", ":path", "/", ":authority", "x"}, more...)...)
	}
	for _, c := range []struct {
		section, name string
		do            func(*raw)
		want          verdict
	}{
		{"4.1", "frame of unknown type", all(send(0xff, 0, 0, zeros), with()), served},
		{"4.1", "unknown flags", all(send(framePing, 0xfe, 0, zeros), with()), served},
		{"4.1", "reserved bit of the stream", func(r *raw) {
			r.ok(rawFrame(r.nc, frameHeader{8, framePing, 0, 1 << 31}, []byte(zeros)))
			r.get(1, true)
		}, served},
		{"4.2", "DATA of 2^14 bytes", all(post(), send(frameData, flagEndStream, 1, strings.Repeat("x", minFrameSize))), served},
		{"4.2", "DATA above the limit", all(held(1, false), send(frameData, 0, 1, strings.Repeat("x", minFrameSize+1))), fatal(f)},
		{"4.2", "HEADERS above the limit", send(frameHeaders, flagEndHeaders|flagEndStream, 1, strings.Repeat("\x82", minFrameSize+1)), fatal(f)},
		{"4.3", "invalid block", send(frameHeaders, flagEndHeaders|flagEndStream, 1, "\x40"), fatal(http2.ErrCodeCompression)},
		{"4.3", "PRIORITY within a block", all(send(frameHeaders, flagEndStream, 1, "\x82"), send(framePriority, 0, 1, zeros[:5])), fatal(p)},
		{"4.3", "HEADERS within a block", all(send(frameHeaders, flagEndStream, 1, "\x82"), send(frameHeaders, flagEndHeaders, 3, "\x82")), fatal(p)},
		{"5.1", "idle: DATA", send(frameData, flagEndStream, 1, "x"), fatal(p)},
		{"5.1", "idle: RST_STREAM", send(frameReset, 0, 1, zeros[:4]), fatal(p)},
		{"5.1", "idle: WINDOW_UPDATE", send(frameWindowUpdate, 0, 1, "\x00\x00\x00\x64"), fatal(p)},
		{"5.1", "idle: CONTINUATION", send(frameContinuation, flagEndHeaders, 1, "\x82"), fatal(p)},
		{"5.1", "half-closed: DATA", all(held(1, true), send(frameData, flagEndStream, 1, "x")), reset(sc)},
		{"5.1", "half-closed: HEADERS", all(held(1, true), headers(1, true, "a", "b")), reset(sc)},
		{"5.1", "half-closed: CONTINUATION", all(held(1, true), send(frameContinuation, flagEndHeaders, 1, "\x82")), fatal(p)},
		{"5.1", "closed by RST_STREAM: DATA", all(held(1, false), send(frameReset, 0, 1, zeros[:4]), send(frameData, flagEndStream, 1, "x")), reset(sc)},
		{"5.1", "closed by RST_STREAM: HEADERS", all(held(1, false), send(frameReset, 0, 1, zeros[:4]), headers(1, true, "a", "b")), fatal(sc)},
		{"5.1", "closed by RST_STREAM: CONTINUATION", all(held(1, false), send(frameReset, 0, 1, zeros[:4]), send(frameContinuation, flagEndHeaders, 1, "\x82")), fatal(p)},
		{"5.1", "closed: DATA", all(answered, send(frameData, flagEndStream, 1, "x")), reset(sc)},
		{"5.1", "closed: HEADERS", all(answered, headers(1, true, req...)), fatal(sc)},
		{"5.1", "closed: CONTINUATION", all(answered, send(frameContinuation, flagEndHeaders, 1, "\x82")), fatal(p)},
		{"5.1", "closed: WINDOW_UPDATE", all(answered, send(frameWindowUpdate, 0, 1, "\x00\x00\x00\x01")), pong},
		{"5.1", "closed: RST_STREAM", all(answered, send(frameReset, 0, 1, zeros[:4])), pong},
		{"5.1", "closed: PRIORITY", all(answered, send(framePriority, 0, 1, zeros[:5])), pong},
		{"5.1.1", "even stream", headers(2, true, req...), fatal(p)},
		{"5.1.1", "stream below the last", all(held(5, true), headers(3, true, req...)), fatal(sc)},
		{"5.3", "PRIORITY of an idle stream", all(send(framePriority, 0, 7, zeros[:5]), with()), served},
		{"5.3", "HEADERS with priority", func(r *raw) {
			send(frameHeaders, flagEndHeaders|flagEndStream|flagPriority, 1, "\x00\x00\x00\x00\x10"+string(r.encode(req...)))(r)
		}, served},
		{"5.4.1", "GOAWAY before the close", send(framePing, 0, 0, zeros[:6]), fatal(f)},
		{"5.5", "unknown frame", all(send(0x21, 0, 0, zeros), send(0x21, 0xff, 9, "")), pong},
		{"5.5", "unknown frame within a block", all(send(frameHeaders, flagEndStream, 1, "\x82"), send(0x21, 0, 1, "")), fatal(p)},
		{"6.1", "DATA on stream 0", send(frameData, flagEndStream, 0, "x"), fatal(p)},
		{"6.1", "DATA with padding", all(post(), send(frameData, flagEndStream|flagPadded, 1, "\x03abc"+zeros[:3])), served},
		{"6.1", "DATA of padding alone", all(post(), send(frameData, flagEndStream|flagPadded, 1, "\x00")), served},
		{"6.1", "padding as long as the payload", all(held(1, false), send(frameData, flagPadded, 1, "\x04abc")), fatal(p)},
		{"6.1", "padded DATA without a length", all(held(1, false), send(frameData, flagPadded, 1, "")), fatal(f)},
		{"6.2", "HEADERS on stream 0", send(frameHeaders, flagEndHeaders|flagEndStream, 0, "\x82\x86\x84"), fatal(p)},
		{"6.2", "HEADERS with too much padding", send(frameHeaders, flagEndHeaders|flagEndStream|flagPadded, 1, "\x09\x82\x86\x84"), fatal(p)},
		{"6.2", "HEADERS with padding", func(r *raw) {
			send(frameHeaders, flagEndHeaders|flagEndStream|flagPadded, 1, "\x02"+string(r.encode(req...))+zeros[:2])(r)
		}, served},
		{"6.3", "PRIORITY on stream 0", send(framePriority, 0, 0, zeros[:5]), fatal(p)},
		{"6.3", "PRIORITY of 4 bytes", send(framePriority, 0, 1, zeros[:4]), fatal(f)},
		{"6.4", "RST_STREAM on stream 0", send(frameReset, 0, 0, zeros[:4]), fatal(p)},
		{"6.4", "RST_STREAM of 3 bytes", all(held(1, false), send(frameReset, 0, 1, zeros[:3])), fatal(f)},
		{"6.4", "RST_STREAM with an unknown code", all(held(1, false), send(frameReset, 0, 1, "\xff\xff\xff\xff")), pong},
		{"6.5", "SETTINGS ACK with a payload", send(frameSettings, flagAck, 0, zeros[:6]), fatal(f)},
		{"6.5", "SETTINGS on a stream", send(frameSettings, 0, 1, ""), fatal(p)},
		{"6.5", "SETTINGS of 3 bytes", send(frameSettings, 0, 0, zeros[:3]), fatal(f)},
		{"6.5.2", "ENABLE_PUSH of 2", send(frameSettings, 0, 0, "\x00\x02\x00\x00\x00\x02"), fatal(p)},
		{"6.5.2", "INITIAL_WINDOW_SIZE of 2^31", send(frameSettings, 0, 0, "\x00\x04\x80\x00\x00\x00"), fatal(fc)},
		{"6.5.2", "MAX_FRAME_SIZE of 2^14-1", send(frameSettings, 0, 0, "\x00\x05\x00\x00\x3f\xff"), fatal(p)},
		{"6.5.2", "MAX_FRAME_SIZE of 2^24", send(frameSettings, 0, 0, "\x00\x05\x01\x00\x00\x00"), fatal(p)},
		{"6.5.2", "unknown setting", all(send(frameSettings, 0, 0, "\x00\xff\x00\x00\x00\x01"), with()), served},
		{"6.5.2", "the same setting twice", all(send(frameSettings, 0, 0, "\x00\x04\x00\x00\x00\x01\x00\x04\x00\x00\xff\xff"), with()), served},
		{"6.5.3", "SETTINGS are acknowledged", func(r *raw) {
			send(frameSettings, 0, 0, "\x00\x03\x00\x00\x00\x64")(r)
			for range 2 { // the first ones too
				r.next("ACK", func(f http2.Frame) bool { s, ok := f.(*http2.SettingsFrame); return ok && s.IsAck() })
			}
		}, pong},
		{"6.6", "PUSH_PROMISE of a client", all(held(1, false), send(framePushPromise, flagEndHeaders, 1, zeros[:4])), fatal(p)},
		{"6.7", "PING", send(framePing, 0, 0, "12345678"), verdict{"ack12345678", 0}},
		{"6.7", "PING ACK that nobody asked for", send(framePing, flagAck, 0, zeros), pong},
		{"6.7", "PING on a stream", send(framePing, 0, 1, zeros), fatal(p)},
		{"6.7", "PING of 6 bytes", send(framePing, 0, 0, zeros[:6]), fatal(f)},
		{"6.8", "GOAWAY on a stream", send(frameGoAway, 0, 1, zeros), fatal(p)},
		{"6.8", "GOAWAY with an unknown code of nobody's error", all(send(frameGoAway, 0, 0, zeros), with()), served},
		{"6.9", "WINDOW_UPDATE of 0 on the connection", send(frameWindowUpdate, 0, 0, zeros[:4]), fatal(p)},
		{"6.9", "WINDOW_UPDATE of 0 on a stream", all(held(1, false), send(frameWindowUpdate, 0, 1, zeros[:4])), reset(p)},
		{"6.9", "WINDOW_UPDATE of 3 bytes", send(frameWindowUpdate, 0, 0, zeros[:3]), fatal(f)},
		{"6.9.1", "connection window above 2^31-1", all(send(frameWindowUpdate, 0, 0, "\x7f\xff\xff\xff"), send(frameWindowUpdate, 0, 0, "\x7f\xff\xff\xff")), fatal(fc)},
		{"6.9.1", "stream window above 2^31-1", all(held(1, false), send(frameWindowUpdate, 0, 1, "\x7f\xff\xff\xff"), send(frameWindowUpdate, 0, 1, "\x7f\xff\xff\xff")), reset(fc)},
		{"6.9.2", "settings that push a stream's window over", all(held(1, false), send(frameWindowUpdate, 0, 1, "\x7f\xff\x00\x00"), send(frameSettings, 0, 0, "\x00\x04\x7f\xff\xff\xff")), fatal(fc)},
		{"6.10", "several CONTINUATIONs", func(r *raw) {
			b := r.encode(req...)
			r.ok(r.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: b[:1], EndStream: true}))
			r.ok(r.fr.WriteContinuation(1, false, b[1:2]))
			r.ok(r.fr.WriteContinuation(1, true, b[2:]))
		}, served},
		{"6.10", "CONTINUATION with another frame before", all(send(frameHeaders, flagEndStream, 1, "\x82"), send(frameData, 0, 1, "x")), fatal(p)},
		{"6.10", "CONTINUATION on stream 0", all(send(frameHeaders, flagEndStream, 1, "\x82"), send(frameContinuation, flagEndHeaders, 0, "\x86\x84")), fatal(p)},
		{"6.10", "CONTINUATION behind END_HEADERS", all(held(1, false), send(frameContinuation, flagEndHeaders, 1, "\x82")), fatal(p)},
		{"6.10", "CONTINUATION behind DATA", all(held(1, false), send(frameData, 0, 1, "x"), send(frameContinuation, flagEndHeaders, 1, "\x82")), fatal(p)},
		{"7", "GOAWAY with an unknown code", send(frameGoAway, 0, 0, "\x00\x00\x00\x00\x00\x00\x00\xff"), verdict{"closed", 0}},
		{"8.1", "second HEADERS without END_STREAM", all(held(1, false), headers(1, false, "a", "b")), reset(p)},
		{"8.1", "trailers", all(post(), headers(1, true, "a", "b")), served},
		{"8.2", "upper-case name", with("X-TEST", "ok"), reset(p)},
		{"8.2.1", "name with a control character", with("x\x01", "ok"), reset(p)},
		{"8.2.1", "name with a colon", with("x:y", "ok"), reset(p)},
		{"8.2.1", "value with a carriage return", with("x", "a\rb"), reset(p)},
		{"8.2.1", "value with a space behind", with("x", "a "), reset(p)},
		{"8.2.1", "value with a tab in front", with("x", "\ta"), reset(p)},
		{"8.2.1", "value that is empty", with("x", ""), served},
		{"8.2.2", "connection", with("connection", "keep-alive"), reset(p)},
		{"8.2.2", "te: trailers, deflate", with("te", "trailers, deflate"), reset(p)},
		{"8.2.2", "te: trailers", with("te", "trailers"), served},
		{"8.2.3", "several cookies", with("cookie", "a=b", "cookie", "c=d"), served},
		{"8.3", "unknown pseudo-header", with(":test", "ok"), reset(p)},
		{"8.3", "pseudo-header of responses", with(":status", "200"), reset(p)},
		{"8.3", "pseudo-header in trailers", all(post(), headers(1, true, ":path", "/")), reset(p)},
		{"8.3", "pseudo-header behind a field", headers(1, true, ":method", "GET", ":scheme", "http", "x", "y", ":path", "/"), reset(p)},
		{"8.1", "content-length in trailers", all(post(), headers(1, true, "content-length", "5")), reset(p)},
		{"8.1", "content-length in trailers that is right", all(post(), headers(1, true, "content-length", "0")), reset(p)},
		{"8.1", "host in trailers", all(post(), headers(1, true, "host", "x")), reset(p)},
		{"8.1", "te in trailers", all(post(), headers(1, true, "te", "trailers")), reset(p)},
		{"8.3.1", "empty :path", headers(1, true, ":method", "GET", ":scheme", "http", ":path", ""), reset(p)},
		{"8.3.1", "no :method", headers(1, true, ":scheme", "http", ":path", "/"), reset(p)},
		{"8.3.1", "no :scheme", headers(1, true, ":method", "GET", ":path", "/"), reset(p)},
		{"8.3.1", "no :path", headers(1, true, ":method", "GET", ":scheme", "http"), reset(p)},
		{"8.3.1", "two :method", with(":method", "GET"), reset(p)},
		{"8.3.1", ":authority with userinfo", headers(1, true, ":method", "GET", ":scheme", "http", ":path", "/", ":authority", "u@x"), reset(p)},
		{"8.3.1", ":authority with a space", headers(1, true, ":method", "GET", ":scheme", "http", ":path", "/", ":authority", "x y"), reset(p)},
		{"8.3.1", "empty :authority", headers(1, true, ":method", "GET", ":scheme", "http", ":path", "/", ":authority", ""), reset(p)},
		{"8.3.1", ":authority with an open bracket", headers(1, true, ":method", "GET", ":scheme", "http", ":path", "/", ":authority", "[[::a:b:99999999"), reset(p)},
		{"8.3.1", ":authority with two ports", headers(1, true, ":method", "GET", ":scheme", "http", ":path", "/", ":authority", "x:80:80"), reset(p)},
		{"8.3.1", ":authority without a host", headers(1, true, ":method", "GET", ":scheme", "http", ":path", "/", ":authority", ":80"), reset(p)},
		{"8.3.1", "host of a wrong shape in place of :authority", headers(1, true, ":method", "GET", ":scheme", "http", ":path", "/", "host", "[]"), reset(p)},
		{"8.3.1", ":authority with an address and a port", headers(1, true, ":method", "GET", ":scheme", "http", ":path", "/", ":authority", "[::1]:80"), served},
		{"8.3.1", "host in place of :authority", headers(1, true, ":method", "GET", ":scheme", "http", ":path", "/", "host", "x"), served},
		{"8.1.1", "content-length above DATA", all(post("content-length", "2"), send(frameData, flagEndStream, 1, "x")), reset(p)},
		{"8.1.1", "content-length below DATA in two frames", all(post("content-length", "1"), send(frameData, 0, 1, "x"), send(frameData, flagEndStream, 1, "y")), reset(p)},
		{"8.1.1", "content-length that fits", all(post("content-length", "2"), send(frameData, 0, 1, "x"), send(frameData, flagEndStream, 1, "y")), served},
		{"8.4", "PUSH_PROMISE on stream 0", send(framePushPromise, flagEndHeaders, 0, zeros[:4]), fatal(p)},
		{"8.5", "CONNECT with :scheme", headers(1, true, ":method", "CONNECT", ":scheme", "http", ":authority", "x:1"), reset(p)},
		{"8.5", "CONNECT without a port", headers(1, true, ":method", "CONNECT", ":authority", "x"), reset(p)},
		{"8.5", "CONNECT", headers(1, true, ":method", "CONNECT", ":authority", "x:1"), served},
	} {
		t.Run(c.section+" "+c.name, func(t *testing.T) {
			a, b := pair(t)
			serve(t, b, Options{}, holdOrEcho)
			r := rawClient(t, a)
			c.do(r)
			switch {
			case c.want.kind == "served":
				r.wantHead(1, "200")
			case c.want.kind == "reset":
				r.wantReset(1, c.want.code)
			case c.want.kind == "goaway":
				r.wantGoAway(c.want.code)
				r.wantClosed()
			case c.want.kind == "closed":
				r.wantClosed()
			default:
				want := [8]byte{'o', 'w', 'n'}
				if data := strings.TrimPrefix(c.want.kind, "ack"); data != "" {
					copy(want[:], data)
				} else {
					r.ok(r.fr.WritePing(false, want))
				}
				r.next("PING ACK", func(f http2.Frame) bool {
					if _, ok := f.(*http2.RSTStreamFrame); ok {
						t.Errorf("got %v", f)
					}
					p, ok := f.(*http2.PingFrame)
					return ok && p.IsAck() && p.Data == want
				})
			}
		})
	}
}

// Section 3.4: what a client sends first, and what it gets first.
func TestPrefaceOfTheServer(t *testing.T) {
	a, b := pair(t)
	serve(t, b, Options{}, echo)
	r := newRaw(t, a)
	r.must(io.WriteString(a, http2.ClientPreface))
	f, err := r.fr.ReadFrame()
	if s, ok := f.(*http2.SettingsFrame); err != nil || !ok || s.IsAck() {
		t.Errorf("the first frame is %v, %v", f, err)
	}
}
