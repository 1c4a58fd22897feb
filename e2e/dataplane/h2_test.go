package dataplane

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/http2"
)

// h2row is one case of HTTP/2 against a listener of a sidecar, by section of RFC
// 9113 or of another as it says.
type h2row struct {
	ref, name string
	f         func(c *h2conn, path string)
	// id is the stream that is judged; 0 is 1.
	id uint32
	// mute: the preface is the case's own.
	mute bool
	// conn are the codes with which the connection may be ended; any is allowed
	// to end it without a word, as RFC 9113 section 5.4.1 does.
	conn []http2.ErrCode
	// stream are the codes with which stream 1 may be reset; a malformed request
	// may also be answered 400 (section 8.1.1).
	stream []http2.ErrCode
	// status is a good end of stream 1.
	status string
	// seen: the application may see the whole request.
	seen bool
	// more looks at what was answered and at what the application saw.
	more func(t *testing.T, o outcome, r *http.Request)
}

func (r *h2row) run(t *testing.T, to, path string, a *h2app) {
	var c *h2conn
	if r.mute {
		c = dialH2(t, to, http2.Setting{})
	} else {
		c = dialH2(t, to)
	}
	r.f(c, path)
	o, err := c.react(max(1, r.id))
	must(t, err)
	if r.seen && r.status == "" && o.head != nil && !o.reset && !o.goaway && !o.closed {
		// The answer to what was right may come before the fault is met.
		o, err = c.react(max(1, r.id))
		must(t, err)
	}
	switch {
	case r.status != "":
		if o.head == nil || o.reset || o.head.PseudoValue("status") != r.status {
			t.Fatalf("%v, want status %s", o, r.status)
		}
	case o.goaway:
		if !slices.Contains(r.conn, o.code) && !slices.Contains(r.stream, o.code) {
			t.Errorf("%v, want %v %v", o, r.conn, r.stream)
		}
	case o.closed:
		if r.conn == nil {
			t.Errorf("%v, want RST_STREAM %v", o, r.stream)
		}
	case o.reset:
		if !slices.Contains(r.stream, o.code) {
			t.Errorf("%v, want GOAWAY %v, or RST_STREAM %v", o, r.conn, r.stream)
		}
	default:
		if r.stream == nil || o.head == nil || o.head.PseudoValue("status") != "400" {
			t.Errorf("%v, want GOAWAY %v, or RST_STREAM %v", o, r.conn, r.stream)
		}
	}
	if !r.seen && r.status == "" && a.count(path) > 0 {
		t.Error("the application saw a whole request")
	}
	if r.more != nil {
		r.more(t, o, a.request(path))
	}
	if r.conn == nil { // the connection must live
		c.frame(http2.FrameSettings, 0, 0, setting(4, 65535)...)
		c.get(101, path+"/next")
		c.want(101, "200")
	}
}

func TestH2(t *testing.T) {
	a := newH2App(t)
	p := newPair(t, port{protocol: "http2", app: a.addr})
	n := 0
	for _, way := range []struct{ name, to string }{{"both sidecars", p.to[0]}, {"inbound alone", p.before[0]}} {
		beside := dialH2(t, way.to)
		id := uint32(1)
		for _, r := range slices.Concat(h2Connection, h2Streams, h2Heads, h2Good) {
			n++
			t.Run(fmt.Sprintf("%s/%s %s", way.name, r.ref, r.name), func(t *testing.T) { r.run(t, way.to, fmt.Sprintf("/case-%d", n), a) })
			// Another client of the same sidecar never notices.
			beside.get(id, "/beside")
			beside.want(id, "200")
			id += 2
		}
	}
	t.Logf("%d cases", n)
}

func codes(c ...http2.ErrCode) []http2.ErrCode { return c }

const (
	errProtocol = http2.ErrCodeProtocol
	errFlow     = http2.ErrCodeFlowControl
	errSize     = http2.ErrCodeFrameSize
	errClosed   = http2.ErrCodeStreamClosed
	errCompress = http2.ErrCodeCompression
	errCalm     = http2.ErrCodeEnhanceYourCalm
)

// raw makes a case of one frame.
func raw(ref, name string, code []http2.ErrCode, typ http2.FrameType, flags http2.Flags, id uint32, payload ...byte) h2row {
	return h2row{ref: ref, name: name, conn: code, f: func(c *h2conn, _ string) { c.frame(typ, flags, id, payload...) }}
}

// fault makes a case that ends the connection.
func fault(ref, name string, code []http2.ErrCode, f func(c *h2conn, path string)) h2row {
	return h2row{ref: ref, name: name, conn: code, f: f}
}

// malformed makes a case of a head that is no request.
func malformed(ref, name string, kv ...string) h2row {
	return h2row{ref: ref, name: name, stream: codes(errProtocol), f: func(c *h2conn, path string) {
		for i := range kv {
			kv[i] = strings.ReplaceAll(kv[i], "PATH", path)
		}
		c.head(1, true, kv...)
	}}
}

// field is a GET with one field more.
func field(ref, what, name, value string) h2row {
	return malformed(ref, what, ":method", "GET", ":scheme", "http", ":path", "PATH", ":authority", "a", name, value)
}
