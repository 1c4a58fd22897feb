package h1

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	nethttp "net/http"
	"strings"
	"testing"

	"github.com/weftmesh/weft/proxy/http"
)

func crlf(s string) []byte { return []byte(strings.ReplaceAll(s, "\n", "\r\n")) }

func show(fields []http.Field) string {
	var b strings.Builder
	for _, f := range fields {
		fmt.Fprintf(&b, "%s=%s;", f.Name, f.Value)
	}
	return b.String()
}

func TestParseRequest(t *testing.T) {
	for _, c := range []struct {
		name, in                  string
		method, authority, target string
		fields                    string
		f                         Framing
	}{
		{"plain", "GET /a?b=c HTTP/1.1\nHost: h\nX-A:  v \n\n", "GET", "h", "/a?b=c", "X-A=v;", Framing{}},
		{"empty line first", "\nGET / HTTP/1.1\nHost: h\n\n", "GET", "h", "/", "", Framing{}},
		{"length", "POST / HTTP/1.1\nHost: h\nContent-Length: 5\n\nhello", "POST", "h", "/", "Content-Length=5;", Framing{Kind: Length, Length: 5}},
		{"length 0", "POST / HTTP/1.1\nHost: h\nContent-Length: 0\n\n", "POST", "h", "/", "Content-Length=0;", Framing{Kind: Length}},
		{"same length twice", "POST / HTTP/1.1\nHost: h\nContent-Length: 5\nContent-Length: 5\n\n", "POST", "h", "/", "Content-Length=5;", Framing{Kind: Length, Length: 5}},
		{"chunked", "POST / HTTP/1.1\nHost: h\nTransfer-Encoding: Chunked\nTE: gzip, trailers\n\n", "POST", "h", "/", "TE=trailers;", Framing{Kind: Chunked}},
		{"hop by hop", "GET / HTTP/1.1\nHost: h\nX-Gone: 1\nConnection: x-gone, close\nKeep-Alive: 5\nProxy-Connection: x\nTE: gzip\nX-Stays: 2\n\n", "GET", "h", "/", "X-Stays=2;", Framing{Close: true}},
		{"named twice", "GET / HTTP/1.1\nConnection: A\nHost: h\nA: 1\nB: 2\nC: 3\nConnection: keep-alive,b\n\n", "GET", "h", "/", "C=3;", Framing{}},
		{"length cannot be named", "POST / HTTP/1.1\nHost: h\nConnection: content-length\nContent-Length: 2\n\n", "POST", "h", "/", "Content-Length=2;", Framing{Kind: Length, Length: 2}},
		{"1.0", "GET / HTTP/1.0\n\n", "GET", "", "/", "", Framing{Close: true}},
		{"1.0 keep-alive", "GET / HTTP/1.0\nConnection: Keep-Alive\n\n", "GET", "", "/", "", Framing{}},
		{"upgrade", "GET /ws HTTP/1.1\nHost: h\nConnection: Upgrade\nUpgrade: websocket\n\n", "GET", "h", "/ws", "Upgrade=websocket;", Framing{Upgrade: true}},
		{"upgrade not asked for", "GET /ws HTTP/1.1\nHost: h\nUpgrade: websocket\n\n", "GET", "h", "/ws", "", Framing{}},
		{"h2c upgrade is not ours to pass", "GET / HTTP/1.1\nHost: h\nConnection: Upgrade, HTTP2-Settings\nUpgrade: h2c\nHTTP2-Settings: AA\n\n", "GET", "h", "/", "", Framing{}},
		{"expect", "PUT / HTTP/1.1\nHost: h\nExpect: 100-Continue\nContent-Length: 3\n\n", "PUT", "h", "/", "Expect=100-Continue;Content-Length=3;", Framing{Kind: Length, Length: 3, Expect100: true}},
		{"expect in 1.0", "PUT / HTTP/1.0\nHost: h\nExpect: 100-continue\nContent-Length: 3\n\n", "PUT", "h", "/", "Expect=100-continue;Content-Length=3;", Framing{Kind: Length, Length: 3, Close: true}},
		{"absolute", "GET http://api:80/x?y HTTP/1.1\nHost: other\n\n", "GET", "api:80", "/x?y", "", Framing{}},
		{"absolute without path", "GET http://api HTTP/1.1\nHost: api\n\n", "GET", "api", "/", "", Framing{}},
		{"absolute with a query and no path", "GET http://api?x=/y HTTP/1.1\nHost: api\n\n", "GET", "api", "/?x=/y", "", Framing{}},
		{"absolute with an empty query and no path", "GET http://api:80? HTTP/1.1\nHost: api\n\n", "GET", "api:80", "/?", "", Framing{}},
		{"absolute options with a query", "OPTIONS http://api?x HTTP/1.1\nHost: api\n\n", "OPTIONS", "api", "/?x", "", Framing{}},
		{"absolute options", "OPTIONS http://api HTTP/1.1\nHost: api\n\n", "OPTIONS", "api", "*", "", Framing{}},
		{"options star", "OPTIONS * HTTP/1.1\nHost: api\n\n", "OPTIONS", "api", "*", "", Framing{}},
		{"connect", "CONNECT db:5432 HTTP/1.1\nHost: db:5432\n\n", "CONNECT", "db:5432", "db:5432", "", Framing{Upgrade: true}},
		{"ipv6", "GET / HTTP/1.1\nHost: [fd00::1]:80\n\n", "GET", "[fd00::1]:80", "/", "", Framing{}},
		{"empty host", "GET / HTTP/1.1\nHost:\n\n", "GET", "", "/", "", Framing{}},
		{"empty value, utf-8 value", "GET / HTTP/1.1\nHost: h\nA:\nB: \u00e4\n\n", "GET", "h", "/", "A=;B=\u00e4;", Framing{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := crlf(c.in)
			var r http.Request
			want := bytes.Index(in[1:], crlf2) + 5
			for n := range want {
				if m, _, err := ParseRequest(in[:n], &r); m != 0 || err != nil {
					t.Fatalf("%d bytes: %d %v", n, m, err)
				}
			}
			n, f, err := ParseRequest(in, &r)
			if err != nil || n != want {
				t.Fatalf("%d of %d: %v", n, want, err)
			}
			if string(r.Method) != c.method || string(r.Authority) != c.authority || string(r.Target) != c.target || show(r.Fields) != c.fields || f != c.f {
				t.Errorf("%s %s %s %s %+v", r.Method, r.Authority, r.Target, show(r.Fields), f)
			}
		})
	}
}

func TestRefusedRequests(t *testing.T) {
	const h = "GET / HTTP/1.1\r\nHost: h\r\n"
	for _, c := range []struct {
		in   string
		want *Error
	}{
		{h + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", ErrLengthCoding},
		{h + "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n", ErrLengthCoding},
		{h + "Content-Length: 5\r\nContent-Length: 6\r\n\r\n", ErrLengths},
		{h + "Content-Length: 5, 5\r\n\r\n", ErrLength},
		{h + "Content-Length: +5\r\n\r\n", ErrLength},
		{h + "Content-Length: -5\r\n\r\n", ErrLength},
		{h + "Content-Length: 5 5\r\n\r\n", ErrLength},
		{h + "Content-Length: 0x5\r\n\r\n", ErrLength},
		{h + "Content-Length:\r\n\r\n", ErrLength},
		{h + "Content-Length: 9999999999999999999\r\n\r\n", ErrLength},
		{h + "Transfer-Encoding: chunked, chunked\r\n\r\n", ErrCoding},
		{h + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", ErrCoding},
		{h + "Transfer-Encoding: chunked, gzip\r\n\r\n", ErrCoding},
		{h + "Transfer-Encoding: chunked,\r\n\r\n", ErrCoding},
		{h + "Transfer-Encoding: ,chunked\r\n\r\n", ErrCoding},
		{h + "Transfer-Encoding: chunked;x=y\r\n\r\n", ErrCoding},
		{h + "Transfer-Encoding: \"chunked\"\r\n\r\n", ErrCoding},
		{h + "Transfer-Encoding:\r\n\r\n", ErrCoding},
		{h + "Transfer-Encoding: xchunked\r\n\r\n", ErrCodingOther},
		{h + "Transfer-Encoding: gzip, chunked\r\n\r\n", ErrCodingOther},
		{h + "Transfer-Encoding: identity\r\n\r\n", ErrCodingOther},
		{h + "Transfer-Encoding: \x0bchunked\r\n\r\n", ErrFieldValue},
		{"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", ErrCoding10},
		{h + "Transfer-Encoding : chunked\r\n\r\n", ErrFieldName},
		{h + "X-A : b\r\n\r\n", ErrFieldName},
		{h + ": b\r\n\r\n", ErrFieldName},
		{h + "no colon\r\n\r\n", ErrFieldName},
		{h + "X\x00A: b\r\n\r\n", ErrFieldName},
		{h + "X(A): b\r\n\r\n", ErrFieldName},
		{h + "X-A: b\r\n folded\r\n\r\n", ErrFold},
		{h + "\tX-A: b\r\n\r\n", ErrFold},
		{h + "X-A: b\x00c\r\n\r\n", ErrFieldValue},
		{h + "X-A: b\x7fc\r\n\r\n", ErrFieldValue},
		{h + "X-A: b\rc\r\n\r\n", ErrBareCR},
		{h + "X-A: b\nX-B: c\r\n\r\n", ErrBareLF},
		{h + "X-A: b\r\r\n\r\n", ErrBareCR},
		{"GET / HTTP/1.1\nHost: h\n\n", ErrBareLF},
		{"GET / HTTP/1.1\rHost: h\r\n\r\n", ErrBareCR},
		{"GET / HTTP/1.1\r\n\r\n", ErrHostMissing},
		{h + "Host: h\r\n\r\n", ErrHostTwice},
		{"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", ErrHost},
		{"GET / HTTP/1.1\r\nHost: user@h\r\n\r\n", ErrHost},
		{"GET / HTTP/1.1\r\nHost: h/x\r\n\r\n", ErrHost},
		{"GET / HTTP/1.1\r\nHost: h:99999\r\n\r\n", ErrHost},
		{"GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", ErrHost},
		{"GET / HTTP/1.1\r\nHost: [[::1]\r\n\r\n", ErrHost},
		{"GET / HTTP/1.1\r\nHost: [::1]:1:1\r\n\r\n", ErrHost},
		{"GET / HTTP/1.1\r\nHost: :80\r\n\r\n", ErrHost},
		{"GET / HTTP/1.1\r\nHost: a%zz\r\n\r\n", ErrHost},
		{"GET http://[::1/ HTTP/1.1\r\nHost: h\r\n\r\n", ErrTarget},
		{"GET  / HTTP/1.1\r\nHost: h\r\n\r\n", ErrTarget},
		{"GET / x HTTP/1.1\r\nHost: h\r\n\r\n", ErrTarget},
		{"GET /#frag HTTP/1.1\r\nHost: h\r\n\r\n", ErrTarget},
		{"GET\t/ HTTP/1.1\r\nHost: h\r\n\r\n", ErrRequestLine},
		{"GET /\r\nHost: h\r\n\r\n", ErrRequestLine},
		{"GET / HTTP/1.1 \r\nHost: h\r\n\r\n", ErrTarget},
		{" GET / HTTP/1.1\r\nHost: h\r\n\r\n", ErrRequestLine},
		{"G@T / HTTP/1.1\r\nHost: h\r\n\r\n", ErrMethod},
		{"GET * HTTP/1.1\r\nHost: h\r\n\r\n", ErrTarget},
		{"GET foo HTTP/1.1\r\nHost: h\r\n\r\n", ErrTarget},
		{"GET ftp://h/ HTTP/1.1\r\nHost: h\r\n\r\n", ErrTarget},
		{"GET http:///x HTTP/1.1\r\nHost: h\r\n\r\n", ErrTarget},
		{"GET http://u@h/x HTTP/1.1\r\nHost: h\r\n\r\n", ErrTarget},
		{"CONNECT / HTTP/1.1\r\nHost: h\r\n\r\n", ErrTarget},
		{"CONNECT h HTTP/1.1\r\nHost: h\r\n\r\n", ErrTarget},
		{"CONNECT h:1 HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\n", ErrConnectBody},
		{"GET / HTTP/2.0\r\nHost: h\r\n\r\n", ErrVersion},
		{"GET / HTTP/0.9\r\nHost: h\r\n\r\n", ErrVersion},
		{"GET / HTTP/1.10\r\nHost: h\r\n\r\n", ErrRequestLine},
		{"GET / http/1.1\r\nHost: h\r\n\r\n", ErrRequestLine},
		{"GET /" + strings.Repeat("a", MaxTarget) + " HTTP/1.1\r\nHost: h\r\n\r\n", ErrTargetLong},
		{strings.Repeat("a", MaxHead), ErrTargetLong},
		{h + "A: " + strings.Repeat("a", MaxHead), ErrHeadLong},
		{h + "A: " + strings.Repeat("a", MaxHead) + "\r\n\r\n", ErrHeadLong},
		{h + strings.Repeat("A: b\r\n", MaxFields) + "\r\n", ErrManyFields},
		{h + strings.Repeat("Connection: x\r\n", 9) + "\r\n", ErrManyFields},
	} {
		var r http.Request
		n, f, err := ParseRequest([]byte(c.in), &r)
		if !errors.Is(err, c.want) || n != 0 || !f.Close {
			t.Errorf("%.80q: %d, %v, want %v", c.in, n, err, c.want)
		}
	}
}

func TestParseResponse(t *testing.T) {
	for _, c := range []struct {
		in, method string
		status     int
		fields     string
		f          Framing
		bad        bool
	}{
		{"HTTP/1.1 200 OK\nContent-Length: 3\n\n", "GET", 200, "Content-Length=3;", Framing{Kind: Length, Length: 3}, false},
		{"HTTP/1.1 200\nContent-Length: 3\n\n", "GET", 200, "Content-Length=3;", Framing{Kind: Length, Length: 3}, false},
		{"HTTP/1.1 200 \nTransfer-Encoding: chunked\n\n", "GET", 200, "", Framing{Kind: Chunked}, false},
		{"HTTP/1.1 200 OK\n\n", "GET", 200, "", Framing{Kind: UntilClose, Close: true}, false},
		{"HTTP/1.0 200 OK\nContent-Length: 3\n\n", "GET", 200, "Content-Length=3;", Framing{Kind: Length, Length: 3, Close: true}, false},
		{"HTTP/1.0 200 OK\nConnection: keep-alive\nContent-Length: 3\n\n", "GET", 200, "Content-Length=3;", Framing{Kind: Length, Length: 3}, false},
		{"HTTP/1.1 200 OK\nContent-Length: 3\n\n", "HEAD", 200, "Content-Length=3;", Framing{}, false},
		{"HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n", "HEAD", 200, "", Framing{}, false},
		{"HTTP/1.1 204 No Content\nConnection: close\n\n", "GET", 204, "", Framing{Close: true}, false},
		{"HTTP/1.1 304 Not Modified\nContent-Length: 9\n\n", "GET", 304, "Content-Length=9;", Framing{}, false},
		{"HTTP/1.1 100 Continue\n\n", "POST", 100, "", Framing{}, false},
		{"HTTP/1.1 103 Early Hints\nLink: x\n\n", "GET", 103, "Link=x;", Framing{}, false},
		{"HTTP/1.1 101 Switching Protocols\nConnection: upgrade\nUpgrade: websocket\n\n", "GET", 101, "Upgrade=websocket;", Framing{Upgrade: true}, false},
		{"HTTP/1.1 200 OK\n\n", "CONNECT", 200, "", Framing{Upgrade: true}, false},
		{"HTTP/1.1 407 No\nContent-Length: 0\n\n", "CONNECT", 407, "Content-Length=0;", Framing{Kind: Length}, false},
		{"HTTP/1.1 200 OK\nContent-Length: 3\nTransfer-Encoding: chunked\n\n", "GET", 200, "", Framing{}, true},
		{"HTTP/1.1 200 OK\nContent-Length: 3\nContent-Length: 4\n\n", "GET", 200, "", Framing{}, true},
		{"HTTP/1.0 200 OK\nTransfer-Encoding: chunked\n\n", "GET", 200, "", Framing{}, true},
		{"HTTP/1.1 20 OK\n\n", "GET", 0, "", Framing{}, true},
		{"HTTP/1.1 2000 OK\n\n", "GET", 0, "", Framing{}, true},
		{"HTTP/1.1 099 OK\n\n", "GET", 0, "", Framing{}, true},
		{"HTTP/2.0 200 OK\n\n", "GET", 0, "", Framing{}, true},
		{"SSH-2.0-OpenSSH\n\n", "GET", 0, "", Framing{}, true},
	} {
		in := crlf(c.in)
		var r http.Response
		n, f, err := ParseResponse(in, []byte(c.method), &r)
		if c.bad {
			var e *Error
			if !errors.As(err, &e) || e.Status != 502 || n != 0 {
				t.Errorf("%q: %v", c.in, err)
			}
			continue
		}
		if err != nil || n != len(in) || r.Status != c.status || show(r.Fields) != c.fields || f != c.f {
			t.Errorf("%q: %d %v %d %s %+v", c.in, n, err, r.Status, show(r.Fields), f)
		}
	}
}

func TestAppendRequest(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"GET http://api/x HTTP/1.1\nHost: o\nA: b\nConnection: close\n\n", "GET /x HTTP/1.1\nHost: api\nA: b\nConnection: close\n\n"},
		{"GET /ws HTTP/1.1\nHost: o\nConnection: upgrade\nUpgrade: websocket\nTE: trailers\n\n", "GET /ws HTTP/1.1\nHost: o\nUpgrade: websocket\nTE: trailers\nConnection: Upgrade, TE\n\n"},
		{"POST / HTTP/1.1\nHost: o\nContent-Length: 0\n\n", "POST / HTTP/1.1\nHost: o\nContent-Length: 0\n\n"},
		{"POST / HTTP/1.0\n\n", "POST / HTTP/1.1\nHost: \nConnection: close\n\n"},
		{"POST / HTTP/1.1\nHost: h\nTransfer-Encoding: chunked\n\n", "POST / HTTP/1.1\nHost: h\nTransfer-Encoding: chunked\n\n"},
		{"CONNECT h:1 HTTP/1.1\nHost: h:1\n\n", "CONNECT h:1 HTTP/1.1\nHost: h:1\n\n"},
	} {
		var r http.Request
		_, f, err := ParseRequest(crlf(c.in), &r)
		if err != nil {
			t.Fatal(err)
		}
		if got := AppendRequest(nil, &r, f); string(got) != string(crlf(c.want)) {
			t.Errorf("%q\n got %q", c.in, got)
		}
	}
}

func TestAppendResponse(t *testing.T) {
	for _, c := range []struct{ method, in, want string }{
		{"GET", "HTTP/1.0 200 OK\nContent-Length: 2\nA: b\n\n", "HTTP/1.1 200 OK\nA: b\nContent-Length: 2\nConnection: close\n\n"},
		{"HEAD", "HTTP/1.1 200 OK\nContent-Length: 2\n\n", "HTTP/1.1 200 OK\nContent-Length: 2\n\n"},
		{"GET", "HTTP/1.1 304 NM\nContent-Length: 2\n\n", "HTTP/1.1 304 NM\nContent-Length: 2\n\n"},
		{"GET", "HTTP/1.1 204 NC\nContent-Length: 2\n\n", "HTTP/1.1 204 NC\n\n"},
		{"GET", "HTTP/1.1 100 Continue\n\n", "HTTP/1.1 100 Continue\n\n"},
		{"GET", "HTTP/1.1 101 SP\nConnection: Upgrade\nUpgrade: ws\n\n", "HTTP/1.1 101 SP\nUpgrade: ws\nConnection: Upgrade\n\n"},
		{"GET", "HTTP/1.1 426 UR\nConnection: Upgrade\nUpgrade: ws\nContent-Length: 0\n\n", "HTTP/1.1 426 UR\nUpgrade: ws\nContent-Length: 0\nConnection: Upgrade\n\n"},
	} {
		var r http.Response
		_, f, err := ParseResponse(crlf(c.in), []byte(c.method), &r)
		if err != nil {
			t.Fatal(err)
		}
		if got := AppendResponse(nil, &r, f); string(got) != string(crlf(c.want)) {
			t.Errorf("%q\n got %q", c.in, got)
		}
	}
}

var typical = crlf("GET /api/v1/items?id=12345 HTTP/1.1\nHost: api.default.svc.cluster.local\nUser-Agent: load/1.0\nAccept: */*\nAccept-Encoding: gzip\nX-Request-Id: 3f0c8e2a-6d9e-4b5f-9a52-5c1f1cf3a5b6\nX-Forwarded-For: 10.0.0.7\nCookie: session=abcdef0123456789\nContent-Type: application/json\nConnection: keep-alive\nX-B3-Traceid: 463ac35c9f6413ad48485a3953bb6124\n\n")
var typicalResponse = crlf("HTTP/1.1 200 OK\nDate: Mon, 02 Jan 2006 15:04:05 GMT\nContent-Type: application/json\nContent-Length: 1024\nServer: app\nX-A: b\nConnection: keep-alive\n\n")

func TestHeadsAllocateNothing(t *testing.T) {
	var r http.Request
	var p http.Response
	out := make([]byte, 0, 4096)
	get := []byte("GET")
	n := testing.AllocsPerRun(200, func() {
		_, f, err := ParseRequest(typical, &r)
		if err != nil {
			t.Fatal(err)
		}
		out = AppendRequest(out[:0], &r, f)
		_, f, err = ParseResponse(typicalResponse, get, &p)
		if err != nil {
			t.Fatal(err)
		}
		out = AppendResponse(out[:0], &p, f)
	})
	if n != 0 {
		t.Errorf("%v allocations for two heads", n)
	}
}

func BenchmarkHead(b *testing.B) {
	var r http.Request
	out := make([]byte, 0, 4096)
	b.ReportAllocs()
	b.SetBytes(int64(len(typical)))
	for b.Loop() {
		_, f, _ := ParseRequest(typical, &r)
		out = AppendRequest(out[:0], &r, f)
	}
}

// FuzzRequest compares with net/http: whatever we accept, it must accept and
// understand in the same way, and what we write must read back as the same.
func FuzzRequest(f *testing.F) {
	for _, s := range []string{
		"GET / HTTP/1.1\nHost: h\n\n", "POST /x HTTP/1.1\nHost: h\nContent-Length: 3\n\nabc",
		"POST /x HTTP/1.1\nHost: h\nTransfer-Encoding: chunked\nConnection: x, close\nX: 1\n\n3\nabc\n0\n\n",
		"GET http://h/x HTTP/1.1\nHost: h\nUpgrade: websocket\nConnection: upgrade\n\n", "OPTIONS * HTTP/1.0\n\n",
		"CONNECT h:1 HTTP/1.1\nHost: h:1\n\n", "\nGET / HTTP/1.1\nHost: [::1]:8\nTE: trailers\nExpect: 100-continue\n\n",
	} {
		f.Add(crlf(s))
	}
	f.Add([]byte("GET / HTTP/1.1\r\nHost: h\r\nA: b\rc\n\r\n\r\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		var r http.Request
		n, fr, err := ParseRequest(in, &r)
		if err != nil || n == 0 {
			if n != 0 {
				t.Fatal("an error with a length")
			}
			return
		}
		if n > len(in) {
			t.Fatal("longer than the input")
		}
		// net/http's reader does not forgive a leading empty line.
		std, err := nethttp.ReadRequest(bufio.NewReader(bytes.NewReader(bytes.TrimPrefix(in, []byte("\r\n")))))
		if err != nil {
			if lax(err) {
				return
			}
			t.Fatalf("net/http refuses what is accepted: %v\n%q", err, in)
		}
		agree(t, std, &r, fr)
		out := AppendRequest(nil, &r, fr)
		var again http.Request
		m, fr2, err := ParseRequest(out, &again)
		if err != nil || m != len(out) {
			t.Fatalf("what is written does not read back: %v\n%q", err, out)
		}
		if fr2.Kind != fr.Kind || fr2.Length != fr.Length || fr2.Close != fr.Close || fr2.Upgrade != fr.Upgrade && r.Minor == 1 || string(again.Target) != string(r.Target) || string(again.Authority) != string(r.Authority) {
			t.Fatalf("%+v became %+v\n%q\n%q", fr, fr2, in, out)
		}
	})
}

// lax lists what net/http refuses although it is no matter of framing.
func lax(err error) bool {
	s := err.Error()
	return strings.Contains(s, "invalid URL escape") || strings.Contains(s, "invalid URI") || strings.Contains(s, "parse ") || strings.Contains(s, "malformed Host header")
}

func agree(t *testing.T, std *nethttp.Request, r *http.Request, f Framing) {
	t.Helper()
	if std.Method != string(r.Method) {
		t.Fatalf("method %q and %q", std.Method, r.Method)
	}
	if std.Host != string(r.Authority) && string(r.Method) != "CONNECT" {
		t.Fatalf("host %q and %q", std.Host, r.Authority)
	}
	chunked := len(std.TransferEncoding) == 1 && std.TransferEncoding[0] == "chunked"
	switch f.Kind {
	case Chunked:
		if !chunked {
			t.Fatal("we alone see chunked")
		}
	case Length:
		if chunked || std.ContentLength != f.Length {
			t.Fatalf("length %d and %d", std.ContentLength, f.Length)
		}
	case None:
		if chunked || std.ContentLength > 0 {
			t.Fatalf("net/http sees a body: %d %v", std.ContentLength, chunked)
		}
	}
}

func FuzzResponse(f *testing.F) {
	for _, s := range []string{"HTTP/1.1 200 OK\nContent-Length: 3\n\nabc", "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n0\n\n", "HTTP/1.0 200 OK\n\n", "HTTP/1.1 204 x\n\n", "HTTP/1.1 101 x\nUpgrade: a\nConnection: upgrade\n\n"} {
		f.Add(crlf(s), false)
		f.Add(crlf(s), true)
	}
	f.Fuzz(func(t *testing.T, in []byte, head bool) {
		method := "GET"
		if head {
			method = "HEAD"
		}
		var r http.Response
		n, fr, err := ParseResponse(in, []byte(method), &r)
		if err != nil || n == 0 {
			return
		}
		std, err := nethttp.ReadResponse(bufio.NewReader(bytes.NewReader(bytes.TrimPrefix(in, []byte("\r\n")))), &nethttp.Request{Method: method})
		if err != nil {
			t.Fatalf("net/http refuses what is accepted: %v\n%q", err, in)
		}
		if std.StatusCode != r.Status {
			t.Fatal("status")
		}
		if fr.Kind == Length && std.ContentLength != fr.Length {
			t.Fatalf("length %d and %d", std.ContentLength, fr.Length)
		}
		if chunked := len(std.TransferEncoding) > 0; fr.HasBody() && chunked != (fr.Kind == Chunked) {
			t.Fatalf("chunked %v, %+v", chunked, fr)
		}
		if fr.Kind == None && !fr.Upgrade && r.Status >= 200 {
			if b, _ := io.ReadAll(std.Body); len(b) > 0 {
				t.Fatalf("net/http sees a body %q in %q", b, in)
			}
		}
	})
}
