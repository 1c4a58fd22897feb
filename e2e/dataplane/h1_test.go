package dataplane

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// row is one case of HTTP/1.1 between a client and an application, with two
// sidecars in the middle. Line ends are CRLF where the text has LF, unless raw.
type row struct {
	ref, name string // section of RFC 9112, or of another as it says
	send      string
	raw       bool
	status    int    // what the client is answered
	or        int    // or this
	app       string // request line that the application must see; empty: it sees nothing
	has       []string
	lacks     []string // names, in lower case
	body      string   // content that it must see
	framing   string   // how it must be framed: one or several of none, length, chunked; empty: in any way
	trailers  []string

	reply     string // of the application; empty: okReply
	ends      bool   // the application closes after it
	want      []string
	wantLacks []string
	wantBody  string // empty: not judged, - none
	wantFrame string
	interim   []string // status lines of 1xx that the client must see
	interims  bool     // any
	wantTrail []string

	// closes: the client's connection ends afterwards. Otherwise it must carry
	// another request.
	closes bool
	// broken: the message is malformed in its body: the application may see
	// its beginning, but never a whole one, and the client no success.
	broken bool
	// cut: the client must see that the response is not complete.
	cut bool
}

const smuggled = "GET /smuggled HTTP/1.1\r\nHost: smuggled\r\n\r\n"

func (r *row) run(t *testing.T, to string, a *rawApp) {
	reply := okReply
	if r.reply != "" {
		reply = r.reply
		if !r.raw {
			reply = crlf(reply)
		}
	}
	a.handle(answer(reply, r.ends))
	c := dial(t, to)
	send := r.send
	if !r.raw {
		send = crlf(send)
	}
	if r.app == "" || r.broken {
		send += smuggled
	}
	c.send(send)
	method, _, _ := strings.Cut(strings.TrimLeft(send, "\r\n"), " ")
	m, err := c.response(method)
	switch {
	case r.broken:
		if m.status() != 0 && m.status() != 400 && m.status() != 431 {
			t.Errorf("answered %q", m.line)
		}
		must(t, c.ended())
	case r.cut:
		if err == nil && m.status() < 500 {
			t.Errorf("a response that was cut off looks complete: %q %q", m.line, m.body)
		}
	case err != nil:
		t.Fatalf("the response %+v: %v", m, err)
	default:
		r.judge(t, m)
		if r.app != "" {
			seen, _ := a.saw()
			r.judgeApp(t, slices.DeleteFunc(seen, late))
		}
		if r.closes {
			must(t, c.ended())
		} else {
			a.handle(answer(okReply, false))
			c.send("GET /probe HTTP/1.1\r\nHost: a\r\n\r\n")
			if m := c.want("GET", 200); m.body != "ok" {
				t.Errorf("the next request is answered %q", m.body)
			}
			return
		}
	}
	seen, wrong := a.saw()
	if len(wrong) > 0 {
		t.Errorf("the application was sent what is no HTTP: %q", wrong)
	}
	for _, m := range seen {
		if strings.Contains(m.line, "smuggled") {
			t.Error("what follows in the connection became a request of its own")
		}
		if r.broken && m.whole {
			t.Errorf("the application saw a whole request: %+v", m)
		}
		if r.app == "" && !late(m) {
			t.Errorf("the application saw %+v", m)
		}
	}
}

// late tells what a case before this one has sent.
func late(m *message) bool { return m.has("X-Broken: 1") }

// judge looks at what both ends saw of a whole exchange.
func (r *row) judge(t *testing.T, m *message) {
	t.Helper()
	if m.status() != r.status && (r.or == 0 || m.status() != r.or) {
		t.Errorf("answered %q %q, want %d", m.line, m.body, r.status)
	}
	for _, w := range r.want {
		if !m.has(w) && m.line != w {
			t.Errorf("the client does not see %q: %q %q", w, m.line, m.fields)
		}
	}
	for _, n := range r.wantLacks {
		if v := m.get(n); v != nil {
			t.Errorf("the client sees %s: %q", n, v)
		}
	}
	if r.wantBody == "-" && m.body != "" || r.wantBody != "" && r.wantBody != "-" && m.body != r.wantBody {
		t.Errorf("the client sees the body %q, want %q", m.body, r.wantBody)
	}
	if r.wantFrame != "" && m.framing != r.wantFrame {
		t.Errorf("the client sees framing %s, want %s", m.framing, r.wantFrame)
	}
	var interim []string
	for _, i := range m.interim {
		interim = append(interim, i.line)
	}
	if !r.interims && !slices.Equal(interim, r.interim) {
		t.Errorf("the client sees %q first, want %q", interim, r.interim)
	}
	if !slices.Equal(m.trailers, r.wantTrail) {
		t.Errorf("the client sees trailers %q, want %q", m.trailers, r.wantTrail)
	}
	for _, n := range []string{"weft-proxy-error", "weft-unprocessed"} {
		if v := m.get(n); v != nil && m.status() < 400 {
			t.Errorf("the client sees %s: %q", n, v)
		}
	}
}

// judgeApp looks at what the application saw.
func (r *row) judgeApp(t *testing.T, seen []*message) {
	t.Helper()
	if len(seen) == 0 {
		t.Error("the application saw nothing")
		return
	}
	m := seen[0]
	if m.line != r.app {
		t.Errorf("the application sees %q, want %q", m.line, r.app)
	}
	for _, w := range r.has {
		if !m.has(w) {
			t.Errorf("the application does not see %q in %q", w, m.fields)
		}
	}
	if n := len(m.get("host")); n != 1 {
		t.Errorf("the application sees %d Host fields", n)
	}
	for _, n := range append([]string{"keep-alive", "proxy-connection", "weft-proxy-error", "weft-unprocessed"}, r.lacks...) {
		if v := m.get(n); v != nil {
			t.Errorf("the application sees %s: %q", n, v)
		}
	}
	if m.body != r.body {
		t.Errorf("the application sees the body %.100q, want %.100q", m.body, r.body)
	}
	if r.framing != "" && !strings.Contains(r.framing, m.framing) {
		t.Errorf("the application sees framing %s, want %s", m.framing, r.framing)
	}
	if !slices.Equal(m.trailers, r.trailers) {
		t.Errorf("the application sees trailers %q, want %q", m.trailers, r.trailers)
	}
}

func h1Rows(t *testing.T, rows []row) {
	a := newApp(t)
	p := newPair(t, port{protocol: "http", app: a.addr})
	began := time.Now()
	for _, way := range []struct{ name, to string }{{"both sidecars", p.to[0]}, {"inbound alone", p.before[0]}} {
		for _, r := range rows {
			t.Run(fmt.Sprintf("%s/%s %s", way.name, r.ref, r.name), func(t *testing.T) { r.run(t, way.to, a) })
		}
	}
	t.Logf("%d cases in %s", 2*len(rows), time.Since(began).Round(time.Millisecond))
}

func TestH1Requests(t *testing.T) {
	h1Rows(t, slices.Concat(requestLines, targets, hosts, fieldLines, hopByHop))
}
func TestH1Bodies(t *testing.T) { h1Rows(t, slices.Concat(requestBodies, chunkedBodies)) }
func TestH1Responses(t *testing.T) {
	h1Rows(t, slices.Concat(statusLines, responseBodies, responseFields))
}
