package h2

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/weftmesh/weft/proxy/http"
	"golang.org/x/net/http2"
)

// echo answers 200 with the request's body.
func echo(s *Stream) {
	if s.WriteHead(&http.Response{Status: 200}, false) != nil {
		return
	}
	for {
		p, err := s.Next()
		if err == io.EOF {
			_ = s.WriteTrailers(s.Trailers())
			return
		}
		if err != nil {
			return
		}
		if _, err := s.Write(p); err != nil {
			return
		}
		s.Consume(len(p))
	}
}

// holdOrEcho holds requests for /hold until they are aborted.
func holdOrEcho(s *Stream) {
	if string(s.Request().Target) != "/hold" {
		echo(s)
		return
	}
	stop := make(chan struct{})
	s.OnAbort(AbortFunc(func(error) { close(stop) }))
	<-stop
}

func rawFrame(nc net.Conn, h frameHeader, payload []byte) error {
	_, err := nc.Write(append(appendHeader(nil, int(h.length), h.typ, h.flags, h.stream), payload...))
	return err
}

// Faults of a client and the answer that RFC 9113 demands.
func TestFaultsOfTheConnection(t *testing.T) {
	frame := func(typ frameType, flags uint8, stream uint32, payload ...byte) func(*raw) {
		return func(r *raw) {
			r.ok(rawFrame(r.nc, frameHeader{uint32(len(payload)), typ, flags, stream}, payload))
		}
	}
	for _, c := range []struct {
		name string
		code http2.ErrCode
		do   func(*raw)
	}{
		{"DATA on stream 0", http2.ErrCodeProtocol, frame(frameData, 0, 0, 1)},
		{"DATA on an idle stream", http2.ErrCodeProtocol, frame(frameData, 0, 1, 1)},
		{"HEADERS on stream 0", http2.ErrCodeProtocol, frame(frameHeaders, flagEndHeaders, 0)},
		{"HEADERS on an even stream", http2.ErrCodeProtocol, func(r *raw) { r.get(2, true) }},
		{"PRIORITY of wrong length", http2.ErrCodeFrameSize, frame(framePriority, 0, 1, 1, 2, 3)},
		{"PRIORITY on stream 0", http2.ErrCodeProtocol, frame(framePriority, 0, 0, 0, 0, 0, 0, 0)},
		{"RST_STREAM on stream 0", http2.ErrCodeProtocol, frame(frameReset, 0, 0, 0, 0, 0, 0)},
		{"RST_STREAM on an idle stream", http2.ErrCodeProtocol, frame(frameReset, 0, 1, 0, 0, 0, 0)},
		{"RST_STREAM of wrong length", http2.ErrCodeFrameSize, frame(frameReset, 0, 1, 0)},
		{"SETTINGS on a stream", http2.ErrCodeProtocol, frame(frameSettings, 0, 1)},
		{"SETTINGS of wrong length", http2.ErrCodeFrameSize, frame(frameSettings, 0, 0, 1)},
		{"SETTINGS ACK with payload", http2.ErrCodeFrameSize, frame(frameSettings, flagAck, 0, 0, 1, 0, 0, 0, 0)},
		{"ENABLE_PUSH of 2", http2.ErrCodeProtocol, frame(frameSettings, 0, 0, 0, 2, 0, 0, 0, 2)},
		{"INITIAL_WINDOW_SIZE too large", http2.ErrCodeFlowControl, frame(frameSettings, 0, 0, 0, 4, 0x80, 0, 0, 0)},
		{"MAX_FRAME_SIZE too small", http2.ErrCodeProtocol, frame(frameSettings, 0, 0, 0, 5, 0, 0, 0x3f, 0xff)},
		{"MAX_FRAME_SIZE too large", http2.ErrCodeProtocol, frame(frameSettings, 0, 0, 0, 5, 1, 0, 0, 0)},
		{"ENABLE_CONNECT_PROTOCOL of 2", http2.ErrCodeProtocol, frame(frameSettings, 0, 0, 0, 8, 0, 0, 0, 2)},
		{"PUSH_PROMISE from a client", http2.ErrCodeProtocol, frame(framePushPromise, flagEndHeaders, 1, 0, 0, 0, 2)},
		{"PING on a stream", http2.ErrCodeProtocol, frame(framePing, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0)},
		{"PING of wrong length", http2.ErrCodeFrameSize, frame(framePing, 0, 0, 0)},
		{"GOAWAY on a stream", http2.ErrCodeProtocol, frame(frameGoAway, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0)},
		{"GOAWAY too short", http2.ErrCodeFrameSize, frame(frameGoAway, 0, 0, 0, 0, 0, 0)},
		{"WINDOW_UPDATE of 0", http2.ErrCodeProtocol, frame(frameWindowUpdate, 0, 0, 0, 0, 0, 0)},
		{"WINDOW_UPDATE of wrong length", http2.ErrCodeFrameSize, frame(frameWindowUpdate, 0, 0, 0)},
		{"WINDOW_UPDATE on an idle stream", http2.ErrCodeProtocol, frame(frameWindowUpdate, 0, 1, 0, 0, 0, 1)},
		{"WINDOW_UPDATE overflow", http2.ErrCodeFlowControl, frame(frameWindowUpdate, 0, 0, 0x7f, 0xff, 0xff, 0xff)},
		{"CONTINUATION without HEADERS", http2.ErrCodeProtocol, frame(frameContinuation, flagEndHeaders, 1)},
		{"frame inside a head", http2.ErrCodeProtocol, func(r *raw) {
			frame(frameHeaders, flagEndStream, 1, r.encode(":method", "GET")...)(r)
			frame(framePing, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)(r)
		}},
		{"unknown frame inside a head", http2.ErrCodeProtocol, func(r *raw) {
			frame(frameHeaders, flagEndStream, 1, r.encode(":method", "GET")...)(r)
			frame(frameType(0x16), 0, 0)(r)
		}},
		{"CONTINUATION of another stream", http2.ErrCodeProtocol, func(r *raw) {
			frame(frameHeaders, flagEndStream, 1, r.encode(":method", "GET")...)(r)
			frame(frameContinuation, flagEndHeaders, 3)(r)
		}},
		{"frame above the limit", http2.ErrCodeFrameSize, func(r *raw) {
			r.ok(rawFrame(r.nc, frameHeader{minFrameSize + 1, framePing, 0, 0}, make([]byte, 100)))
		}},
		{"broken HPACK", http2.ErrCodeCompression, frame(frameHeaders, flagEndHeaders|flagEndStream, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff)},
		{"HPACK index 0", http2.ErrCodeCompression, frame(frameHeaders, flagEndHeaders|flagEndStream, 1, 0x80)},
		{"padding longer than the frame", http2.ErrCodeProtocol, func(r *raw) {
			r.headers(1, false, ":method", "POST", ":scheme", "http", ":path", "/")
			frame(frameData, flagPadded, 1, 5, 1, 2)(r)
		}},
		{"padded HEADERS without a length", http2.ErrCodeFrameSize, frame(frameHeaders, flagPadded|flagEndHeaders, 1)},
		{"HEADERS too short for its priority", http2.ErrCodeFrameSize, frame(frameHeaders, flagPriority|flagEndHeaders, 1, 0, 0)},
		{"HEADERS on a closed stream", http2.ErrCodeStreamClosed, func(r *raw) {
			r.get(1, true)
			r.next("end", func(f http2.Frame) bool { d, ok := f.(*http2.DataFrame); return ok && d.StreamEnded() })
			r.get(1, true)
		}},
		{"lower stream number", http2.ErrCodeStreamClosed, func(r *raw) {
			r.get(5, true)
			r.get(3, true)
		}},
		{"DATA beyond the connection's window", http2.ErrCodeFlowControl, func(r *raw) {
			// Streams in turn, so that no stream's own window is the limit.
			for i := uint32(0); i < 8; i++ {
				r.headers(2*i+1, false, ":method", "POST", ":scheme", "http", ":path", "/hold")
			}
			for n := 0; n < 80; n++ {
				if r.fr.WriteData(uint32(2*(n%8)+1), false, make([]byte, minFrameSize)) != nil {
					return
				}
			}
		}},
		{"windows that SETTINGS overflow", http2.ErrCodeFlowControl, func(r *raw) {
			r.headers(1, false, ":method", "POST", ":scheme", "http", ":path", "/hold")
			r.ok(r.fr.WriteWindowUpdate(1, maxWindow-defaultWindow))
			r.ok(r.fr.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: defaultWindow + 1}))
		}},
		{"too large a compressed head", http2.ErrCodeEnhanceYourCalm, func(r *raw) {
			frame(frameHeaders, flagEndStream, 1, r.encode(":method", "GET")...)(r)
			for i := 0; i < 9; i++ {
				if rawFrame(r.nc, frameHeader{minFrameSize, frameContinuation, 0, 1}, make([]byte, minFrameSize)) != nil {
					return
				}
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, b := pair(t)
			o := Options{}
			if strings.Contains(c.name, "connection's window") {
				o.MaxBuffered = 1 // nothing is given back
			}
			s := serve(t, b, o, holdOrEcho)
			r := rawClient(t, a)
			c.do(r)
			r.wantGoAway(c.code)
			r.wantClosed()
			a.Close()
			if err := s.wait(t); err == nil {
				t.Error("Serve returned no error")
			}
		})
	}
}

// Faults of one stream; the connection goes on.
func TestFaultsOfAStream(t *testing.T) {
	post := func(r *raw, more ...string) {
		r.headers(1, false, append([]string{":method", "POST", ":scheme", "http", ":path", "/"}, more...)...)
	}
	head := func(kv ...string) func(*raw) { return func(r *raw) { r.headers(1, true, kv...) } }
	get := func(kv ...string) func(*raw) { return func(r *raw) { r.get(1, true, kv...) } }
	for _, c := range []struct {
		name string
		code http2.ErrCode
		do   func(*raw)
	}{
		{"DATA after the end", http2.ErrCodeStreamClosed, func(r *raw) {
			r.headers(1, true, ":method", "POST", ":scheme", "http", ":path", "/hold")
			r.ok(r.fr.WriteData(1, false, []byte("x")))
		}},
		{"HEADERS after the end", http2.ErrCodeStreamClosed, func(r *raw) {
			r.headers(1, true, ":method", "POST", ":scheme", "http", ":path", "/hold")
			r.headers(1, true, "a", "b")
		}},
		{"DATA on a closed stream", http2.ErrCodeStreamClosed, func(r *raw) {
			r.get(1, true)
			r.next("end", func(f http2.Frame) bool { d, ok := f.(*http2.DataFrame); return ok && d.StreamEnded() })
			r.ok(r.fr.WriteData(1, true, []byte("x")))
		}},
		{"WINDOW_UPDATE of 0", http2.ErrCodeProtocol, func(r *raw) { post(r); r.ok(r.fr.WriteWindowUpdate(1, 0)) }},
		{"WINDOW_UPDATE overflow", http2.ErrCodeFlowControl, func(r *raw) { post(r); r.ok(r.fr.WriteWindowUpdate(1, maxWindow)) }},
		{"second head without the end", http2.ErrCodeProtocol, func(r *raw) { post(r); r.headers(1, false, "a", "b") }},
		{"pseudo-header in trailers", http2.ErrCodeProtocol, func(r *raw) { post(r); r.headers(1, true, ":method", "GET") }},
		{"body too short", http2.ErrCodeProtocol, func(r *raw) { post(r, "content-length", "5"); r.ok(r.fr.WriteData(1, true, []byte("1234"))) }},
		{"body too short with trailers", http2.ErrCodeProtocol, func(r *raw) {
			post(r, "content-length", "5")
			r.ok(r.fr.WriteData(1, false, []byte("1234")))
			r.headers(1, true, "a", "b")
		}},
		{"body too long", http2.ErrCodeProtocol, func(r *raw) { post(r, "content-length", "5"); r.ok(r.fr.WriteData(1, false, []byte("123456"))) }},
		{"no body but content-length", http2.ErrCodeProtocol, get("content-length", "1")},
		{"two content-lengths", http2.ErrCodeProtocol, func(r *raw) { post(r, "content-length", "1", "content-length", "2") }},
		{"signed content-length", http2.ErrCodeProtocol, func(r *raw) { post(r, "content-length", "+1") }},
		{"no method", http2.ErrCodeProtocol, head(":scheme", "http", ":path", "/")},
		{"no scheme", http2.ErrCodeProtocol, head(":method", "GET", ":path", "/")},
		{"no path", http2.ErrCodeProtocol, head(":method", "GET", ":scheme", "http")},
		{"empty path", http2.ErrCodeProtocol, head(":method", "GET", ":scheme", "http", ":path", "")},
		{"relative path", http2.ErrCodeProtocol, head(":method", "GET", ":scheme", "http", ":path", "x")},
		{"path with a space", http2.ErrCodeProtocol, head(":method", "GET", ":scheme", "http", ":path", "/a b")},
		{"method with a space", http2.ErrCodeProtocol, head(":method", "GET /", ":scheme", "http", ":path", "/")},
		{"asterisk with GET", http2.ErrCodeProtocol, head(":method", "GET", ":scheme", "http", ":path", "*")},
		{"two methods", http2.ErrCodeProtocol, head(":method", "GET", ":method", "GET", ":scheme", "http", ":path", "/")},
		{"two paths", http2.ErrCodeProtocol, head(":method", "GET", ":path", "/", ":scheme", "http", ":path", "/")},
		{"unknown pseudo-header", http2.ErrCodeProtocol, get(":test", "1")},
		{"status in a request", http2.ErrCodeProtocol, head(":method", "GET", ":scheme", "http", ":path", "/", ":status", "200")},
		{"pseudo-header after a field", http2.ErrCodeProtocol, head(":method", "GET", ":scheme", "http", "a", "b", ":path", "/")},
		{"upper-case name", http2.ErrCodeProtocol, get("X-Test", "1")},
		{"name with a space", http2.ErrCodeProtocol, get("x test", "1")},
		{"empty name", http2.ErrCodeProtocol, get("", "1")},
		{"line feed in a value", http2.ErrCodeProtocol, get("x", "a\nb")},
		{"NUL in a value", http2.ErrCodeProtocol, get("x", "a\x00b")},
		{"space before a value", http2.ErrCodeProtocol, get("x", " a")},
		{"connection", http2.ErrCodeProtocol, get("connection", "close")},
		{"keep-alive", http2.ErrCodeProtocol, get("keep-alive", "1")},
		{"proxy-connection", http2.ErrCodeProtocol, get("proxy-connection", "1")},
		{"transfer-encoding", http2.ErrCodeProtocol, get("transfer-encoding", "chunked")},
		{"upgrade", http2.ErrCodeProtocol, get("upgrade", "x")},
		{"te", http2.ErrCodeProtocol, get("te", "gzip")},
		{"authority and host differ", http2.ErrCodeProtocol, get("host", "y")},
		{"CONNECT with a path", http2.ErrCodeProtocol, head(":method", "CONNECT", ":scheme", "http", ":path", "/", ":authority", "x")},
		{"CONNECT without authority", http2.ErrCodeProtocol, head(":method", "CONNECT")},
		{"protocol without CONNECT", http2.ErrCodeProtocol, get(":protocol", "websocket")},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, b := pair(t)
			s := serve(t, b, Options{}, holdOrEcho)
			r := rawClient(t, a)
			c.do(r)
			r.wantReset(1, c.code)
			// Frames that were under way are no fault, and others are served.
			r.ok(r.fr.WriteWindowUpdate(1, 1))
			r.get(3, true)
			r.wantHead(3, "200")
			s.Drain()
			r.next("PING", func(f http2.Frame) bool { _, ok := f.(*http2.PingFrame); return ok })
			r.ok(r.fr.WritePing(true, drainPing))
			r.wantClosed()
			a.Close()
			if err := s.wait(t); err != nil {
				t.Errorf("Serve: %v", err)
			}
		})
	}
}

func TestNoPreface(t *testing.T) {
	for _, first := range []string{"GET / HTTP/1.1\r\nhost: x\r\n\r\n", http2.ClientPreface + "\x00\x00\x08\x06\x00\x00\x00\x00\x0012345678"} {
		a, b := pair(t)
		s := serve(t, b, Options{}, echo)
		r := newRaw(t, a)
		r.must(io.WriteString(a, first))
		r.wantGoAway(http2.ErrCodeProtocol)
		r.wantClosed()
		a.Close()
		if s.wait(t) == nil {
			t.Error("Serve returned no error")
		}
	}
	// Silence has an end too.
	_, b := pair(t)
	s := serve(t, b, Options{HandshakeTimeout: 10 * time.Millisecond}, echo)
	if err := s.wait(t); CodeOf(err) != CodeSettingsTimeout {
		t.Errorf("got %v, want SETTINGS_TIMEOUT", err)
	}
}

// What looks odd and is allowed.
func TestAllowed(t *testing.T) {
	a, b := pair(t)
	heads := make(chan string, 10)
	serve(t, b, Options{}, func(s *Stream) {
		var w bytes.Buffer
		r := s.Request()
		fmt.Fprintf(&w, "%s %s %s", r.Method, r.Authority, r.Target)
		for _, f := range r.Fields {
			fmt.Fprintf(&w, " %s=%s", f.Name, f.Value)
		}
		heads <- w.String()
		echo(s)
	})
	r := rawClient(t, a)
	r.ok(rawFrame(a, frameHeader{3, frameType(0xfa), 0xff, 7}, []byte{1, 2, 3}))
	r.ok(r.fr.WritePriority(9, http2.PriorityParam{StreamDep: 9}))
	r.ok(r.fr.WriteSettings(http2.Setting{ID: 0xabcd, Val: 1}))
	// Padding, priority, a head in pieces of one byte, padded data, trailers.
	block := r.encode(":method", "POST", ":path", "/a?b", ":scheme", "https", "host", "h", "te", "trailers", "x", "")
	r.ok(r.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block[:1], PadLength: 7, Priority: http2.PriorityParam{StreamDep: 1, Weight: 3}}))
	for i := 1; i < len(block); i++ {
		r.ok(r.fr.WriteContinuation(1, i == len(block)-1, block[i:i+1]))
	}
	r.ok(r.fr.WriteDataPadded(1, false, []byte("abc"), make([]byte, 100)))
	r.ok(r.fr.WriteDataPadded(1, false, nil, make([]byte, 255)))
	r.headers(1, true, "t", "u")
	r.wantHead(1, "200")
	d := r.next("DATA", func(f http2.Frame) bool { _, ok := f.(*http2.DataFrame); return ok }).(*http2.DataFrame)
	if string(d.Data()) != "abc" || d.StreamEnded() {
		t.Errorf("got %v %q", d, d.Data())
	}
	tr := r.next("trailers", func(f http2.Frame) bool { _, ok := f.(*http2.MetaHeadersFrame); return ok }).(*http2.MetaHeadersFrame)
	if !tr.StreamEnded() || len(tr.Fields) != 1 || tr.Fields[0].Name != "t" || tr.Fields[0].Value != "u" {
		t.Errorf("got trailers %v", tr)
	}
	if got, want := <-heads, "POST h /a?b te=trailers x="; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	// A tunnel, an extended CONNECT, and OPTIONS *.
	r.headers(3, true, ":method", "CONNECT", ":authority", "x:1")
	r.wantHead(3, "200")
	r.headers(5, true, ":method", "CONNECT", ":authority", "x", ":scheme", "http", ":path", "/chat", ":protocol", "websocket")
	r.wantHead(5, "200")
	r.headers(7, true, ":method", "OPTIONS", ":authority", "x", ":scheme", "http", ":path", "*")
	r.wantHead(7, "200")
	for _, want := range []string{"CONNECT x:1 x:1", "CONNECT x /chat", "OPTIONS x *"} {
		if got := <-heads; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func FuzzServer(f *testing.F) {
	var seed bytes.Buffer
	r := newRaw(f, nil)
	r.fr = http2.NewFramer(&seed, nil)
	_ = r.fr.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 10})
	_ = r.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: r.encode(":method", "POST", ":scheme", "http", ":path", "/"), EndHeaders: true})
	_ = r.fr.WriteData(1, false, []byte("hello world, a long one"))
	_ = r.fr.WriteWindowUpdate(1, 100)
	_ = r.fr.WritePing(false, [8]byte{1})
	_ = r.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: r.encode("a", "b"), EndHeaders: true, EndStream: true})
	_ = r.fr.WriteRSTStream(1, 8)
	_ = r.fr.WriteGoAway(0, 0, []byte("bye"))
	f.Add(seed.Bytes(), false)
	f.Add([]byte{0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 4, 1, 5, 0, 0, 0, 1, 0x82, 0x84, 0x86, 0x41}, false)
	f.Add(append(appendSettings(nil), appendBlock(nil, plainCodec{}.appendRequest(nil, unaryRequest()), 1, true, minFrameSize)...), true)
	f.Fuzz(func(t *testing.T, in []byte, plain bool) {
		tr := &memory{in: append([]byte(preface), in...)}
		s := NewServer(tr, Options{Plain: plain})
		defer time.AfterFunc(patience, func() { panic("Serve does not return") }).Stop()
		if err := s.Serve(t.Context(), echo); err == nil && s.c.open.n > 0 {
			t.Error("streams outlive their connection")
		}
		if s.c.buffered != 0 {
			t.Errorf("%d bytes are still held", s.c.buffered)
		}
	})
}

// memory is a transport whose input is given and whose output is dropped.
type memory struct {
	in    []byte
	pos   int
	start chan struct{} // what is read before it is closed waits
}

func (m *memory) Fill() error {
	if m.start != nil {
		<-m.start
	}
	if m.pos == len(m.in) {
		return io.EOF
	}
	m.pos = min(m.pos+100, len(m.in))
	return nil
}
func (m *memory) Buffered() []byte            { return m.in[:m.pos] }
func (m *memory) Discard(n int)               { m.in, m.pos = m.in[n:], m.pos-n }
func (m *memory) Write(p []byte) (int, error) { return len(p), nil }
func (m *memory) Flush() error                { return nil }
func (m *memory) SetDuplex()                  {}
func (m *memory) CloseWrite() error           { return nil }
func (m *memory) Close() error                { return nil }

func FuzzClient(f *testing.F) {
	var seed bytes.Buffer
	r := newRaw(f, nil)
	r.fr = http2.NewFramer(&seed, nil)
	_ = r.fr.WriteSettings(http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 10})
	_ = r.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: r.encode(":status", "103"), EndHeaders: true})
	_ = r.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: r.encode(":status", "200", "content-length", "4"), EndHeaders: true})
	_ = r.fr.WriteDataPadded(1, false, []byte("body"), []byte{0})
	_ = r.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: r.encode("a", "b"), EndHeaders: true, EndStream: true})
	_ = r.fr.WriteGoAway(1, 0, []byte("bye"))
	f.Add(seed.Bytes(), false)
	f.Add(append(appendSettings(nil), appendBlock(nil, plainCodec{}.appendResponse(nil, unaryResponse), 1, true, minFrameSize)...), true)
	f.Fuzz(func(t *testing.T, in []byte, plain bool) {
		defer time.AfterFunc(patience, func() { panic("the client does not end") }).Stop()
		tr := &memory{in: in, start: make(chan struct{})}
		cl := NewClient(tr, Options{Plain: plain})
		s, err := cl.Open(request("POST", "/"), false)
		if err != nil {
			t.Fatal(err)
		}
		close(tr.start)
		_, _ = s.Write([]byte("hello"))
		var h http.Response
		for h.Status < 200 && err == nil {
			err = s.ReadHead(&h)
		}
		if err == nil {
			_, _ = io.Copy(io.Discard, s)
		}
		s.Close()
		<-cl.Done()
		if cl.c.buffered != 0 || cl.Active() != 0 {
			t.Errorf("%d bytes and %d streams are still held", cl.c.buffered, cl.Active())
		}
	})
}

func BenchmarkRoundTrip(b *testing.B) {
	cl, _ := both(b, Options{}, Options{}, func(s *Stream) {
		_ = s.WriteHead(&http.Response{Status: 200, Fields: []http.Field{field("content-type", "text/plain"), field("content-length", "1024")}}, false)
		_, _ = s.WriteEnd(make([]byte, 1024))
	})
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		r := request("GET", "/path", field("accept", "*/*"), field("user-agent", "bench"))
		buf := make([]byte, 2048)
		for pb.Next() {
			s, err := cl.Open(r, true)
			if err != nil {
				b.Error(err)
				return
			}
			var h http.Response
			if err := s.ReadHead(&h); err != nil {
				b.Error(err)
			}
			for err == nil {
				_, err = s.Read(buf)
			}
			s.Close()
		}
	})
}

// Taken implements Transport.
func (*memory) Taken() uint64 { return 0 }
