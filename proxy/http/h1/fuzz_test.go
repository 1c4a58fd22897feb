package h1

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	nethttp "net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/weftmesh/weft/proxy/conn"
	"github.com/weftmesh/weft/proxy/http"
)

// passed is one message as a proxy understood it.
type passed struct {
	line, host, body string
	trailers         string
	framing          Framing
	upgrade          bool
}

// through passes the messages of in on to out, as a proxy does. It ends at the
// first fault, at a message that is the connection's last, or at the end; what
// was passed on of a message that broke off is in out, and not in seen.
func through(in []byte, cuts *rand.Rand, responses string) (seen []passed, out []byte, err error) {
	src := from(&random{in, cuts})
	sink := &feed{}
	dst := conn.New(sink)
	defer func() {
		dst.Flush()
		out = sink.out.Bytes()
	}()
	for i := 0; ; i++ {
		var req http.Request
		var resp http.Response
		var f Framing
		n := 0
		for n == 0 {
			if responses == "" {
				n, f, err = ParseRequest(src.Buffered(), &req)
			} else {
				n, f, err = ParseResponse(src.Buffered(), []byte(method(responses, i)), &resp)
			}
			if err != nil {
				return seen, nil, err
			}
			if n == 0 {
				if err := src.Fill(); err != nil {
					return seen, nil, err
				}
			}
		}
		p := passed{framing: f, upgrade: f.Upgrade}
		to := f
		var head []byte
		if responses == "" {
			p.line, p.host = fmt.Sprintf("%s %s", req.Method, req.Target), string(req.Authority)
			head = AppendRequest(nil, &req, f)
		} else {
			p.line = strconv.Itoa(resp.Status)
			if to.Kind == UntilClose {
				to.Kind = Chunked
			}
			head = AppendResponse(nil, &resp, to)
		}
		src.Discard(n)
		if _, err := dst.Write(head); err != nil {
			return seen, nil, err
		}
		if f.Upgrade {
			return append(seen, p), nil, nil
		}
		var r Reader
		var w Writer
		r.Reset(src, f)
		w.Reset(dst, to)
		for {
			b, err := r.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return seen, nil, err
			}
			p.body += string(b)
			if _, err := w.Write(b); err != nil {
				return seen, nil, err
			}
		}
		if to.Kind == Chunked {
			p.trailers = show(r.Trailers())
		}
		if err := w.Close(r.Trailers()); err != nil {
			return seen, nil, err
		}
		interim := responses != "" && resp.Status < 200
		seen = append(seen, p)
		if f.Close && !interim {
			return seen, nil, nil
		}
	}
}

// method gives the request's method of the response i.
func method(methods string, i int) string {
	if methods[i%len(methods)] == 'h' {
		return "HEAD"
	}
	return "GET"
}

// FuzzRequests: what we pass on must be the same requests to whoever reads it
// next, one after the other, and net/http must not read the original in another
// way.
func FuzzRequests(f *testing.F) {
	for _, s := range []string{
		"GET / HTTP/1.1\nHost: h\n\nGET /2 HTTP/1.1\nHost: h\n\n",
		"POST /a HTTP/1.1\nHost: h\nContent-Length: 3\n\nabcPOST /b HTTP/1.1\nHost: h\nTransfer-Encoding: chunked\n\n3;x=y\nabc\n0\nT: v\n\nHEAD /c HTTP/1.0\n\n",
		"POST /a HTTP/1.1\nHost: h\nContent-Length: 3\nConnection: content-length, transfer-encoding, host\n\nabcGET http://x/ HTTP/1.1\nHost: y\nConnection: close\n\nGET /no HTTP/1.1\nHost: h\n\n",
		"\nGET / HTTP/1.1\nHost: h\nUpgrade: websocket\nConnection: upgrade\n\nbytes",
		"CONNECT h:1 HTTP/1.1\nHost: h:1\n\nbytes", "OPTIONS * HTTP/1.1\nHost: h\nExpect: 100-continue\nTE: trailers\nContent-Length: 1\n\nx",
		"POST / HTTP/1.1\nHost: h\nTransfer-Encoding: chunked\nContent-Length: 5\n\n0\n\nGET /x HTTP/1.1\nHost: h\n\n",
		"POST / HTTP/1.1\nHost: h\nTransfer-Encoding: chunked\n\n0\nContent-Length: 5\n\nGET /x HTTP/1.1\nHost: h\n\n",
	} {
		f.Add(crlf(s), uint64(1))
		f.Add([]byte(s), uint64(2))
	}
	f.Fuzz(func(t *testing.T, in []byte, seed uint64) {
		seen, out, _ := through(in, rand.New(rand.NewPCG(seed, 1)), "")
		again, _, _ := through(in, rand.New(rand.NewPCG(seed, 2)), "")
		if fmt.Sprint(seen) != fmt.Sprint(again) {
			t.Fatalf("cut differently it reads differently:\n%+v\n%+v", seen, again)
		}
		// Whoever reads what was passed on.
		next := bufio.NewReader(bytes.NewReader(out))
		for i, p := range seen {
			r, err := nethttp.ReadRequest(next)
			if err != nil {
				if lax(err) {
					return
				}
				t.Fatalf("request %d as passed on: %v\n%q", i, err, out)
			}
			same(t, i, p, r, "as passed on")
			if p.upgrade {
				return
			}
		}
		if r, err := nethttp.ReadRequest(next); err == nil {
			if _, err = io.ReadAll(r.Body); err == nil {
				t.Fatalf("net/http sees a request more: %s %s\n%q", r.Method, r.RequestURI, out)
			}
		}
		// Whoever reads the original understands it as we do.
		next = bufio.NewReader(bytes.NewReader(in))
		for i, p := range seen {
			if b, _ := next.Peek(2); string(b) == "\r\n" { // which net/http does not forgive
				next.Discard(2)
			}
			r, err := nethttp.ReadRequest(next)
			if err != nil {
				if lax(err) {
					return
				}
				t.Fatalf("net/http refuses request %d, which is accepted: %v\n%q", i, err, in)
			}
			same(t, i, p, r, "as received")
			if p.upgrade {
				return
			}
		}
	})
}

func same(t *testing.T, i int, p passed, r *nethttp.Request, which string) {
	t.Helper()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatalf("request %d %s: %v", i, which, err)
	}
	line := r.Method + " " + r.RequestURI
	if which == "as received" {
		line = r.Method + p.line[len(r.Method):] // the form of the target may change
	}
	if line != p.line || r.Host != p.host && r.Method != "CONNECT" {
		t.Fatalf("request %d %s: net/http sees %q at %q, we %q at %q", i, which, line, r.Host, p.line, p.host)
	}
	if p.upgrade {
		return // what follows is no content
	}
	if string(body) != p.body {
		t.Fatalf("request %d %s: net/http sees the body %q, we %q", i, which, body, p.body)
	}
	for name := range r.Trailer {
		if !strings.Contains(strings.ToLower(p.trailers), strings.ToLower(name)+"=") && len(r.Trailer[name]) > 0 {
			t.Fatalf("request %d %s: net/http sees the trailer %s, we %q", i, which, name, p.trailers)
		}
	}
}

// FuzzResponses is the same for the other direction; methods says what was
// asked, h for HEAD.
func FuzzResponses(f *testing.F) {
	for _, s := range []string{
		"HTTP/1.1 200 OK\nContent-Length: 3\n\nabcHTTP/1.1 204 x\n\nHTTP/1.1 304 x\nContent-Length: 9\n\nHTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n3\nabc\n0\nT: v\n\n",
		"HTTP/1.1 100 Continue\n\nHTTP/1.1 103 x\nLink: y\n\nHTTP/1.1 200 OK\n\nuntil close", "HTTP/1.0 200 OK\nContent-Length: 2\n\nok",
		"HTTP/1.1 101 x\nUpgrade: a\nConnection: upgrade\n\nbytes", "HTTP/1.1 200 OK\nContent-Length: 3\nTransfer-Encoding: chunked\n\n0\n\n",
		"HTTP/1.1 204 x\nTransfer-Encoding: chunked\n\nHTTP/1.1 200 OK\nContent-Length: 0\n\n",
	} {
		f.Add(crlf(s), uint64(1), "g")
		f.Add(crlf(s), uint64(2), "hg")
	}
	f.Fuzz(func(t *testing.T, in []byte, seed uint64, methods string) {
		if methods == "" || len(methods) > 8 {
			return
		}
		seen, out, err := through(in, rand.New(rand.NewPCG(seed, 1)), methods)
		again, _, err2 := through(in, rand.New(rand.NewPCG(seed, 2)), methods)
		if fmt.Sprint(seen) != fmt.Sprint(again) || (err == nil) != (err2 == nil) {
			t.Fatalf("cut differently it reads differently:\n%+v\n%+v", seen, again)
		}
		next := bufio.NewReader(bytes.NewReader(out))
		for i, p := range seen {
			r, err := nethttp.ReadResponse(next, &nethttp.Request{Method: method(methods, i)})
			if err != nil {
				t.Fatalf("response %d as passed on: %v\n%q", i, err, out)
			}
			if strconv.Itoa(r.StatusCode) != p.line {
				t.Fatalf("response %d: net/http sees %d, we %s", i, r.StatusCode, p.line)
			}
			if p.upgrade {
				return
			}
			body, err := io.ReadAll(r.Body)
			if err != nil || string(body) != p.body {
				t.Fatalf("response %d: net/http sees the body %q (%v), we %q\n%q", i, body, err, p.body, out)
			}
		}
		next = bufio.NewReader(bytes.NewReader(in))
		for i, p := range seen {
			if b, _ := next.Peek(2); string(b) == "\r\n" {
				next.Discard(2)
			}
			r, err := nethttp.ReadResponse(next, &nethttp.Request{Method: method(methods, i)})
			if err != nil {
				t.Fatalf("net/http refuses response %d, which is accepted: %v\n%q", i, err, in)
			}
			if p.upgrade {
				return
			}
			body, err := io.ReadAll(r.Body)
			if err != nil || strconv.Itoa(r.StatusCode) != p.line || string(body) != p.body {
				t.Fatalf("response %d as received: net/http sees %d %q (%v), we %s %q", i, r.StatusCode, body, err, p.line, p.body)
			}
		}
	})
}

// FuzzPrefixes: a head is judged the same however little of it is there. What
// is refused early stays refused, what is accepted was never refused before.
func FuzzPrefixes(f *testing.F) {
	for _, s := range []string{"GET / HTTP/1.1\nHost: h\nA: b\n\nrest", "\nPOST http://h/ HTTP/1.1\nHost: h\nContent-Length: 3\n\n", "HTTP/1.1 200 OK\nA: b\n\n", "GET / HTTP/1.1\rHost: h\n\n"} {
		f.Add(crlf(s))
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		if len(in) > 1000 {
			return
		}
		for _, parse := range []func([]byte) (int, Framing, error){
			func(b []byte) (int, Framing, error) { var r http.Request; return ParseRequest(b, &r) },
			func(b []byte) (int, Framing, error) { var r http.Response; return ParseResponse(b, []byte("GET"), &r) },
		} {
			head := 0
			var framing Framing
			var refused error
			for i := range len(in) + 1 {
				n, fr, err := parse(in[:i])
				switch {
				case head > 0 && (n != head || fr != framing || err != nil):
					t.Fatalf("accepted as %d bytes, then %d, %v of %q", head, n, err, in[:i])
				case refused != nil && err == nil:
					t.Fatalf("refused (%v), then not, at %q", refused, in[:i])
				case n > i:
					t.Fatal("longer than the input")
				case err != nil && n != 0:
					t.Fatal("an error with a length")
				}
				head, framing, refused = n, fr, err
			}
		}
	})
}

// FuzzChunkLine and the trailers alone, piece by piece.
func FuzzChunkLine(f *testing.F) {
	for _, s := range []string{"5\n", "A;x=y\n", "0\n", "fffffffffffffff\n", " 5\n", "5 ;\"a\"\n", "5\rx\n"} {
		f.Add(crlf(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		if len(in) > 3000 {
			return
		}
		var before int
		var refused bool
		for i := range len(in) + 1 {
			size, n, err := chunkLine(in[:i])
			if before > 0 && n != before || refused && err == nil || n > i || err != nil && n != 0 {
				t.Fatalf("%q: %d, %v, before %d, refused %v", in[:i], n, err, before, refused)
			}
			if before, refused = n, err != nil; n > 0 {
				digits, _, _ := strings.Cut(strings.TrimRight(string(in[:n-2]), " \t"), ";")
				want, e := strconv.ParseInt(strings.TrimRight(digits, " \t"), 16, 63)
				if e != nil || want != size || !bytes.HasSuffix(in[:n], []byte("\r\n")) || bytes.Count(in[:n], []byte("\n")) != 1 {
					t.Fatalf("%q is %d, want %d, %v", in[:n], size, want, e)
				}
			}
		}
	})
}

func FuzzTrailerLines(f *testing.F) {
	for _, s := range []string{"\n", "A: b\n\n", "A: b\nC:d\n\nrest", "Content-Length: 1\n\n", "A : b\n\n", "A: b\n c\n\n", "Host: x\n\n"} {
		f.Add(crlf(s))
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		fields, n, err := trailerLines(in, nil)
		if err != nil && n != 0 || n > len(in) {
			t.Fatal(n, err)
		}
		if n == 0 {
			return
		}
		var w []byte
		for i := range fields {
			for _, name := range []string{"content-length", "transfer-encoding", "host", "connection", "te", "upgrade"} {
				if http.EqualFold(fields[i].Name, name) {
					t.Fatalf("%s among the trailers", name)
				}
			}
			w = appendField(w, &fields[i])
		}
		again, m, err := trailerLines(append(w, "\r\n"...), nil)
		if err != nil || m != len(w)+2 || show(again) != show(fields) {
			t.Fatalf("%s became %s, %v", show(fields), show(again), err)
		}
	})
}
