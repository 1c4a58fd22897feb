package h2

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/weftmesh/weft/proxy/http"
	"github.com/weftmesh/weft/proxy/http/h1"
)

// Whatever HTTP/1 says is there behind a plain block: the head that is written
// from it is the one that would have been written without.
func TestPlainKeepsHTTP1(t *testing.T) {
	for _, in := range []string{
		"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET /x?y HTTP/1.1\r\nhOsT: a:80\r\nX-Mixed-CASE: Value  with  room\r\nx-empty:\r\naccept: */*\r\nAccept: again\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\nTE: trailers\r\nConnection: TE\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n",
		"GET http://b/x HTTP/1.1\r\nHost: b\r\n\r\n",
		"GET / HTTP/1.0\r\n\r\n",
		"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\nX-Text: \xe4\xf6\xfc\tx\r\nCookie: a=b\r\nCookie: c=d\r\nAuthorization: Basic x\r\n\r\n",
	} {
		var r, back http.Request
		_, f, err := h1.ParseRequest([]byte(in), &r)
		if err != nil {
			t.Fatalf("%q: %v", in, err)
		}
		h := decodeHead(t, plainCodec{}, plainCodec{}.appendRequest(nil, &r))
		if why := h.request(&back); why != "" {
			t.Errorf("%q: %s", in, why)
			continue
		}
		if got, want := h1.AppendRequest(nil, &back, f), h1.AppendRequest(nil, &r, f); !bytes.Equal(got, want) {
			t.Errorf("got  %q\nwant %q", got, want)
		}
		if back.Major != 1 || back.Minor != r.Minor || string(back.Scheme) != string(r.Scheme) {
			t.Errorf("%q: got HTTP/%d.%d, scheme %q", in, back.Major, back.Minor, back.Scheme)
		}
	}
	for _, in := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nX-A: b\r\n\r\n",
		"HTTP/1.1 200 \r\n\r\n",
		"HTTP/1.0 404 Nothing like that here\r\nServer: x\r\n\r\n",
		"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n",
		"HTTP/1.1 426 Upgrade Required\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 304 Not Modified\r\nContent-Length: 100\r\nETag: \"x\"\r\n\r\n",
	} {
		var r, back http.Response
		_, f, err := h1.ParseResponse([]byte(in), []byte("GET"), &r)
		if err != nil {
			t.Fatalf("%q: %v", in, err)
		}
		h := decodeHead(t, plainCodec{}, plainCodec{}.appendResponse(nil, &r))
		if why := h.response(&back); why != "" {
			t.Errorf("%q: %s", in, why)
			continue
		}
		if got, want := h1.AppendResponse(nil, &back, f), h1.AppendResponse(nil, &r, f); !bytes.Equal(got, want) {
			t.Errorf("got  %q\nwant %q", got, want)
		}
		if back.Major != 1 || back.Minor != r.Minor {
			t.Errorf("%q: got HTTP/%d.%d", in, back.Major, back.Minor)
		}
	}
}

// HTTP/2 in a plain block reads as it would in HPACK.
func TestPlainIsHPACK(t *testing.T) {
	for _, r := range []*http.Request{
		unaryRequest(),
		request("GET", "", field("X-Upper", "v"), field("Connection", "close"), field("TE", "trailers"), field("te", "gzip"), field("Host", "z")),
		{Method: []byte("CONNECT"), Target: []byte("a:1")},
		{Method: []byte("CONNECT"), Scheme: []byte("https"), Authority: []byte("a"), Target: []byte("/chat"), Protocol: []byte("websocket")},
	} {
		a := decodeHead(t, plainCodec{}, plainCodec{}.appendRequest(nil, r))
		b := decodeHead(t, hpackCodec{nil, newDecoder()}, newEncoder().appendRequest(nil, r))
		var x, y http.Request
		if why := a.request(&x) + b.request(&y); why != "" {
			t.Error(why)
		}
		if got, want := fmt.Sprintf("%q", x), fmt.Sprintf("%q", y); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
		if a.size != b.size {
			t.Errorf("size %d, want %d", a.size, b.size)
		}
	}
}

// What a plain block may not say, though its peer has our certificate.
func TestPlainFaults(t *testing.T) {
	req := func(version byte, parts ...string) []byte {
		b := []byte{plainRequest, version}
		for _, p := range parts[:5] {
			b = appendString(b, []byte(p))
		}
		for i := 5; i < len(parts); i += 2 {
			b = appendLength(appendLength(b, len(parts[i])), len(parts[i+1]))
			b = append(append(b, parts[i]...), parts[i+1]...)
		}
		return b
	}
	field := func(version byte, name, value string) []byte {
		return req(version, "GET", "http", "a", "/", "", name, value)
	}
	for _, c := range []struct {
		name  string
		block []byte
	}{
		{"empty method", req(0x11, "", "http", "a", "/", "")},
		{"method with a space", req(0x11, "GET /x", "http", "a", "/", "")},
		{"method with a line end", req(0x11, "GET\r\n", "http", "a", "/", "")},
		{"target with a line end", req(0x11, "GET", "http", "a", "/\r\nx: y", "")},
		{"target with a space", req(0x11, "GET", "http", "a", "/ HTTP/1.1", "")},
		{"empty target", req(0x11, "GET", "http", "a", "", "")},
		{"authority with a line end", req(0x11, "GET", "http", "a\r\nx: y", "/", "")},
		{"authority with a space", req(0x11, "GET", "http", "a b", "/", "")},
		{"authority of a wrong shape", req(0x11, "GET", "http", "[[::a:b:99999999", "/", "")},
		{"authority with a port that is none", req(0x10, "GET", "", "a:99999", "/", "")},
		{"authority without a host", req(0x20, "GET", "http", ":80", "/", "")},
		{"authority with userinfo", req(0x11, "GET", "http", "u@a", "/", "")},
		{"scheme with a line end", req(0x11, "GET", "h\n", "a", "/", "")},
		{"no scheme in HTTP/2", req(0x20, "GET", "", "a", "/", "")},
		{"protocol without CONNECT", req(0x20, "GET", "http", "a", "/", "websocket")},
		{"CONNECT with a path", req(0x20, "CONNECT", "http", "a", "/", "")},
		{"empty name", field(0x11, "", "x")},
		{"name with a colon", field(0x11, "a:", "x")},
		{"name with a line end", field(0x11, "a\r\nb", "x")},
		{"value with a line feed", field(0x11, "a", "x\ny")},
		{"value with a carriage return", field(0x11, "a", "x\ry")},
		{"value with NUL", field(0x20, "a", "x\x00")},
		{"value with a control character in HTTP/1", field(0x11, "a", "x\x01")},
		{"space in front of a value", field(0x11, "a", " x")},
		{"upper case in HTTP/2", field(0x20, "A", "x")},
		{"Host", field(0x11, "Host", "b")},
		{"Connection", field(0x11, "cOnnection", "close")},
		{"Transfer-Encoding", field(0x11, "Transfer-Encoding", "chunked")},
		{"Keep-Alive", field(0x11, "Keep-Alive", "1")},
		{"Upgrade", field(0x11, "Upgrade", "h2c")},
		{"TE", field(0x11, "TE", "gzip")},
		{"pseudo-header", field(0x20, ":path", "/x")},
		{"a response", []byte{plainResponse, 0x20, '2', '0', '0', 0}},
		{"trailers", []byte{plainTrailers, 0x20}},
	} {
		var r http.Request
		h := decodeHead(t, plainCodec{}, c.block)
		if why := h.request(&r); why == "" {
			t.Errorf("%s: accepted as %q", c.name, r)
		}
	}
	for _, block := range []string{"", "\x01", "\x04\x20", "\x01\x12", "\x01\x20\x03GE", "\x02\x20" + "20", "\x02\x20200\x02OK",
		"\x03\x20\x01", "\x03\x20\x01\x05ab", "\x03\x20\xff\xff\xff\x01\x01a", "\x03\x20\x80\x80\x80\x00"} {
		h := &headReader{}
		h.reset(&headMem{}, 1<<20)
		if err := (plainCodec{}).decode(h, []byte(block)); err == nil {
			t.Errorf("%q is taken for a block", block)
		}
	}
	var r http.Response
	for _, block := range []string{"\x02\x11200\x03a\r\n", "\x02\x112x0\x00", "\x02\x11000\x00", "\x02\x11101\x00", "\x02\x11200\x00\x07\x01Upgradex", "\x01\x20\x03GET"} {
		h := &headReader{}
		h.reset(&headMem{}, 1<<20)
		if err := (plainCodec{}).decode(h, []byte(block)); err == nil && h.response(&r) == "" {
			t.Errorf("%q is taken for a response: %q", block, r.Fields)
		}
	}
}

// FuzzPlain takes any block: what is accepted says the same when it is written
// again, and cannot break an HTTP/1 head.
func FuzzPlain(f *testing.F) {
	f.Add(plainCodec{}.appendRequest(nil, unaryRequest()))
	f.Add(plainCodec{}.appendResponse(nil, unaryResponse))
	f.Add(plainCodec{}.appendTrailers(nil, unaryTrailers))
	f.Add(plainCodec{}.appendResponse(nil, &http.Response{Status: 426, Major: 1, Minor: 1, Reason: []byte("no"), Fields: []http.Field{field("Upgrade", "x")}}))
	f.Add([]byte("\x01\x10\x03GET\x00\x00\x01/\x00\x01\x81\x00a" + strings.Repeat("b", 129)))
	f.Fuzz(func(t *testing.T, block []byte) {
		h := &headReader{}
		h.reset(&headMem{}, 1<<16)
		if (plainCodec{}).decode(h, block) != nil || h.large {
			return
		}
		clean := func(what string, b []byte) {
			if bytes.ContainsAny(b, "\r\n\x00") {
				t.Fatalf("%s is %q", what, b)
			}
		}
		check := func(fields []http.Field) {
			for _, f := range fields {
				if !validToken(f.Name) {
					t.Fatalf("name %q", f.Name)
				}
				clean("value", f.Value)
				if c := nameClassFold(f.Name); c == classDrop && !http.EqualFold(f.Name, "upgrade") {
					t.Fatalf("%q is passed on", f.Name)
				}
			}
		}
		again := func(b []byte) *headReader { return decodeHead(t, plainCodec{}, b) }
		var r, r2 http.Request
		var p, p2 http.Response
		switch {
		case h.request(&r) == "":
			check(r.Fields)
			clean("method", r.Method)
			clean("authority", r.Authority)
			clean("target", r.Target)
			clean("scheme", r.Scheme)
			if why := again(plainCodec{}.appendRequest(nil, &r)).request(&r2); why != "" || fmt.Sprintf("%q", r) != fmt.Sprintf("%q", r2) {
				t.Fatalf("%s\n%q\n%q", why, r, r2)
			}
		case h.response(&p) == "":
			check(p.Fields)
			clean("reason", p.Reason)
			if why := again(plainCodec{}.appendResponse(nil, &p)).response(&p2); why != "" || fmt.Sprintf("%+v", p) != fmt.Sprintf("%+v", p2) {
				t.Fatalf("%s\n%+v\n%+v", why, p, p2)
			}
		case h.trailers() == "":
			check(h.fields())
			if h2 := again(plainCodec{}.appendTrailers(nil, h.fields())); h2.trailers() != "" || !sameFields(h.fields(), h2.fields()) {
				t.Fatalf("%s\n%q\n%q", h2.bad, h.fields(), h2.fields())
			}
		}
	})
}
