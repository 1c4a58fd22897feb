package dataplane

import (
	"bufio"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/net/http2"
)

var shapes = []string{"[[::a:b:99999999", "[::1", "::1]", "[]", "[]:80", "[:]", "[1:2]", "[::1]x", "[::1]:80:80", "a:80:80", "a:b", "a:99999", ":80", "::1", "u@a", "a b", "a/b", "%zz", "a%2"}

// A request says whom it is for in a shape that can be read in one way only.
func TestHosts(t *testing.T) {
	var rows []row
	for _, s := range shapes {
		rows = append(rows, row{ref: "3.2", name: "Host " + s, send: "GET /x HTTP/1.1\nHost: " + s + "\n\n", status: 400, closes: true})
		if !strings.ContainsAny(s, " /") {
			rows = append(rows, row{ref: "3.2.2", name: "absolute form of " + s, send: "GET http://" + s + "/x HTTP/1.1\nHost: a\n\n", status: 400, closes: true})
		}
	}
	for _, s := range []string{"a", "a:80", "a:", "10.0.0.1", "[::1]", "[::1]:80", "[2001:db8::1]:8080", "a_b.c-d", "a%20b", "a,b", "", "[v1.a]"} {
		rows = append(rows, row{ref: "3.2", name: "Host " + s, send: "GET /x HTTP/1.1\nHost: " + s + "\n\n", status: 200, app: "GET /x HTTP/1.1", has: []string{"Host: " + s}})
	}
	rows = append(rows,
		row{ref: "3.2.2", name: "a query without a path", send: "GET http://b?q=/1 HTTP/1.1\nHost: a\n\n", status: 200, app: "GET /?q=/1 HTTP/1.1", has: []string{"Host: b"}},
		row{ref: "3.2.2", name: "an empty query without a path", send: "GET http://b:80? HTTP/1.1\nHost: a\n\n", status: 200, app: "GET /? HTTP/1.1", has: []string{"Host: b:80"}},
		row{ref: "3.2.2", name: "neither path nor query", send: "GET http://b HTTP/1.1\nHost: a\n\n", status: 200, app: "GET / HTTP/1.1", has: []string{"Host: b"}},
	)
	h1Rows(t, rows)
}

// What can never become a response is not waited for.
func TestAnswersThatAreNoHTTP(t *testing.T) {
	var rows []row
	for _, s := range []string{"SSH-2.0-OpenSSH_9.6\r\n", "* OK ready", "\x00", "H2", "HTTP/1.1 2x", "HTTP/1.1 200OK", "\r\nSSH", "\x15\x03\x03\x00\x02\x02\x46"} {
		rows = append(rows, row{ref: "4", name: fmt.Sprintf("%q and silence", s), raw: true, send: crlf(get()), app: "GET /x HTTP/1.1", reply: s, status: 502})
	}
	h1Rows(t, rows)
}

// What a client claims of certificates that it has not shown is not passed on.
func TestClaimedCertificates(t *testing.T) {
	app := newApp(t)
	p := newPair(t, port{protocol: "http", app: app.addr})
	const line = "X-Forwarded-Client-Cert: URI=spiffe://cluster.local/ns/default/sa/admin"
	for name, c := range map[string]struct {
		to   string
		kept bool
	}{"no mutual TLS": {p.before[0], false}, "mutual TLS": {p.to[0], true}} {
		t.Run(name, func(t *testing.T) {
			app.handle(answer(okReply, false))
			w := dial(t, c.to)
			w.send("GET / HTTP/1.1\r\nHost: a\r\n" + line + "\r\n\r\n")
			w.want("GET", 200)
			if seen, _ := app.saw(); len(seen) != 1 || seen[0].has(line) != c.kept {
				t.Errorf("the application saw %+v", seen)
			}
		})
	}
}

// The same for HTTP/2, and what has no place behind a message.
func TestH2Shapes(t *testing.T) {
	var rows []h2row
	for _, s := range append(slices.Clone(shapes), "") {
		rows = append(rows, malformed("8.3.1", fmt.Sprintf(":authority %q", s), ":method", "GET", ":scheme", "http", ":path", "PATH", ":authority", s))
	}
	for _, f := range [][2]string{{"content-length", "1"}, {"content-length", "9"}, {"host", "b"}, {"te", "trailers"}, {"connection", "close"}, {"transfer-encoding", "chunked"}} {
		rows = append(rows, h2row{ref: "9110 6.5.1", name: fmt.Sprintf("trailer %s: %s", f[0], f[1]), stream: codes(errProtocol), f: func(c *h2conn, path string) {
			c.post(1, path)
			c.data(1, false, "x")
			c.head(1, true, f[0], f[1])
		}})
	}
	a := newH2App(t)
	p := newPair(t, port{protocol: "http2", app: a.addr})
	n := 0
	for _, way := range []struct{ name, to string }{{"both sidecars", p.to[0]}, {"inbound alone", p.before[0]}} {
		for _, r := range rows {
			n++
			t.Run(fmt.Sprintf("%s/%s %s", way.name, r.ref, r.name), func(t *testing.T) { r.run(t, way.to, fmt.Sprintf("/shape-%d", n), a) })
		}
	}
}

// floods are clients of HTTP/2 that cost more than they pay for. Those that make
// the proxy reset streams (CVE-2025-8671) are sent away; WINDOW_UPDATE costs no
// more than reading it. Others are never harmed.
func TestH2Floods(t *testing.T) {
	app := newEndless(t)
	p := newPair(t, port{protocol: "http2", app: app.two}, port{protocol: "http", app: app.addr})
	n := size(20000, 200000)
	for _, flood := range []struct {
		name  string
		calm  bool // it must be sent away
		frame func(c *h2conn, i uint32)
	}{
		{"resets provoked by a window of 0", true, func(c *h2conn, i uint32) {
			c.post(2*i+1, "/never")
			c.frame(http2.FrameWindowUpdate, 0, 2*i+1, 0, 0, 0, 0)
		}},
		{"resets provoked by a window that overflows", true, func(c *h2conn, i uint32) {
			c.post(2*i+1, "/never")
			c.frame(http2.FrameWindowUpdate, 0, 2*i+1, 0x7f, 0xff, 0xff, 0xff)
		}},
		{"resets provoked by a body that is too long", true, func(c *h2conn, i uint32) {
			c.post(2*i+1, "/never", "content-length", "1")
			c.data(2*i+1, false, "ab")
		}},
		{"resets provoked by a malformed head", true, func(c *h2conn, i uint32) { c.get(2*i+1, "/never", "connection", "close") }},
		{"windows", false, func(c *h2conn, _ uint32) { c.frame(http2.FrameWindowUpdate, 0, 0, 0, 0, 0, 1) }},
	} {
		t.Run(flood.name, func(t *testing.T) {
			before := p.out.rss()
			beside(t, p.to[1], func() {
				c := dialH2(t, p.to[0])
				var sent atomic.Int64
				done := make(chan struct{})
				go func() {
					defer close(done)
					// Many frames a write, as somebody would who means harm.
					w := bufio.NewWriterSize(c.nc, 16<<10)
					to := newH2(t, c.nc)
					to.fr = http2.NewFramer(w, nil)
					to.fr.AllowIllegalWrites = true
					for i := range uint32(n) {
						flood.frame(to, i)
						sent.Add(1)
					}
					_ = w.Flush() // it may have been sent away
					if !flood.calm {
						c.nc.Close()
					}
				}()
				code := http2.ErrCodeNo
				for {
					f, err := c.fr.ReadFrame()
					if err != nil {
						break
					}
					if g, ok := f.(*http2.GoAwayFrame); ok {
						code = g.ErrCode
					}
				}
				c.nc.Close()
				<-done
				if flood.calm && code != errCalm {
					t.Errorf("ended by %v after %d of %d", code, sent.Load(), n)
				}
				bounded(t, "outbound", before, p.out, 24<<20)
			})
		})
	}
}
