package dataplane

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// h2conn is an HTTP/2 peer that speaks frame by frame, and lies where asked.
type h2conn struct {
	t   testing.TB
	nc  net.Conn
	fr  *http2.Framer
	enc *hpack.Encoder
	buf bytes.Buffer
}

func newH2(t testing.TB, nc net.Conn) *h2conn {
	c := &h2conn{t: t, nc: nc, fr: http2.NewFramer(nc, nc)}
	c.enc = hpack.NewEncoder(&c.buf)
	c.fr.AllowIllegalWrites = true
	c.fr.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	nc.SetDeadline(time.Now().Add(patience))
	return c
}

// dialH2 opens a connection with prior knowledge.
func dialH2(t testing.TB, to string, set ...http2.Setting) *h2conn {
	t.Helper()
	var d net.Dialer
	nc, err := d.DialContext(context.Background(), "tcp", to)
	must(t, err)
	t.Cleanup(func() { nc.Close() })
	c := newH2(t, nc)
	if len(set) == 1 && set[0].ID == 0 {
		return c // as somebody who does not speak HTTP/2
	}
	c.bytes(http2.ClientPreface)
	must(t, c.fr.WriteSettings(set...))
	return c
}

// bytes writes; that the peer has closed already shows when it is read.
func (c *h2conn) bytes(s string) { _, _ = io.WriteString(c.nc, s) }

func (c *h2conn) frame(typ http2.FrameType, flags http2.Flags, id uint32, payload ...byte) {
	_ = c.fr.WriteRawFrame(typ, flags, id, payload) // as bytes
}

func (c *h2conn) encode(kv ...string) []byte {
	c.buf.Reset()
	for i := 0; i < len(kv); i += 2 {
		_ = c.enc.WriteField(hpack.HeaderField{Name: kv[i], Value: kv[i+1]}) // a buffer takes everything
	}
	return bytes.Clone(c.buf.Bytes())
}

const (
	flagEndStream  = http2.FlagHeadersEndStream
	flagEndHeaders = http2.FlagHeadersEndHeaders
)

// head sends a head in one frame.
func (c *h2conn) head(id uint32, end bool, kv ...string) {
	flags := flagEndHeaders
	if end {
		flags |= flagEndStream
	}
	c.frame(http2.FrameHeaders, flags, id, c.encode(kv...)...)
}

// get sends a request for path.
func (c *h2conn) get(id uint32, path string, more ...string) {
	c.head(id, true, append([]string{":method", "GET", ":scheme", "http", ":path", path, ":authority", "a"}, more...)...)
}

// post opens a request whose body follows.
func (c *h2conn) post(id uint32, path string, more ...string) {
	c.head(id, false, append([]string{":method", "POST", ":scheme", "http", ":path", path, ":authority", "a"}, more...)...)
}

func (c *h2conn) data(id uint32, end bool, p string) {
	var flags http2.Flags
	if end {
		flags = flagEndStream
	}
	c.frame(http2.FrameData, flags, id, []byte(p)...)
}

// outcome is how the peer reacts: a frame that ends a stream or the connection,
// or its end.
type outcome struct {
	reset  bool
	goaway bool
	closed bool
	err    error // how, where closed
	id     uint32
	code   http2.ErrCode
	head   *http2.MetaHeadersFrame
	body   string
	trail  *http2.MetaHeadersFrame
}

func (o outcome) String() string {
	switch {
	case o.reset:
		return fmt.Sprintf("RST_STREAM of %d with %v", o.id, o.code)
	case o.goaway:
		return fmt.Sprintf("GOAWAY with %v", o.code)
	case o.closed:
		return "end of the connection: " + o.err.Error()
	case o.head != nil:
		return fmt.Sprintf("response %s %q", o.head.PseudoValue("status"), o.body)
	}
	return "nothing"
}

// react reads until something is decided about stream id: a whole response, a
// reset, a GOAWAY with an error, or the end. SETTINGS and PING are answered and
// windows are given back.
func (c *h2conn) react(id uint32) (outcome, error) {
	var o outcome
	c.nc.SetDeadline(time.Now().Add(patience))
	for {
		f, err := c.fr.ReadFrame()
		if err != nil {
			var ne net.Error
			if errors.As(err, &ne) && ne.Timeout() {
				return o, fmt.Errorf("no reaction within %v", patience)
			}
			var se http2.StreamError
			if errors.As(err, &se) {
				return o, fmt.Errorf("the proxy sent a malformed head: %w", err)
			}
			o.closed, o.err = true, err
			return o, nil
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
		case *http2.GoAwayFrame:
			if f.ErrCode != http2.ErrCodeNo {
				return outcome{goaway: true, code: f.ErrCode}, nil
			}
		case *http2.RSTStreamFrame:
			if f.StreamID == id {
				if f.ErrCode == http2.ErrCodeNo && o.head != nil {
					continue // behind an early response
				}
				return outcome{reset: true, id: id, code: f.ErrCode, head: o.head, body: o.body}, nil
			}
		case *http2.MetaHeadersFrame:
			if f.StreamID != id {
				continue
			}
			switch {
			case o.head == nil && strings.HasPrefix(f.PseudoValue("status"), "1"):
			case o.head == nil:
				o.head = f
			default:
				o.trail = f
			}
			if f.StreamEnded() {
				return o, nil
			}
		case *http2.DataFrame:
			if n := uint32(len(f.Data())); n > 0 {
				_ = c.fr.WriteWindowUpdate(0, n)
				if !f.StreamEnded() {
					_ = c.fr.WriteWindowUpdate(f.StreamID, n)
				}
			}
			if f.StreamID == id {
				o.body += string(f.Data())
				if f.StreamEnded() {
					return o, nil
				}
			}
		}
	}
}

// want reads the response to stream id.
func (c *h2conn) want(id uint32, status string) outcome {
	c.t.Helper()
	o, err := c.react(id)
	if err != nil || o.head == nil || o.reset || o.head.PseudoValue("status") != status {
		c.t.Fatalf("stream %d: %v, %v; want %s", id, o, err, status)
	}
	return o
}

// h2app is an application that speaks HTTP/2 (and 1.1) and remembers what it was
// asked.
type h2app struct {
	addr string
	mu   sync.Mutex
	seen map[string]int // by path, whole requests
	reqs map[string]*http.Request
}

// newH2App serves: /echo echoes the body, /headers answers with fields and
// trailers, all else is "ok".
func newH2App(t testing.TB) *h2app {
	a := &h2app{seen: map[string]int{}, reqs: map[string]*http.Request{}}
	a.addr = serveH2(t, func(w http.ResponseWriter, r *http.Request) {
		a.mu.Lock()
		a.reqs[r.URL.Path] = r
		a.mu.Unlock()
		if r.URL.Path == "/echo" {
			w.Header().Set("Trailer", "X-Last")
			_, _ = io.Copy(flushing{w}, r.Body)
			w.Header().Set("X-Last", r.Trailer.Get("X-Sum"))
			return
		}
		if r.URL.Path == "/early" {
			w.WriteHeader(413)
			return
		}
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			return
		}
		a.mu.Lock()
		a.seen[r.URL.Path]++
		a.mu.Unlock()
		w.Header().Set("X-Proto", r.Proto)
		io.WriteString(w, "ok")
	})
	return a
}

func (a *h2app) count(path string) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.seen[path]
}

func (a *h2app) request(path string) *http.Request {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.reqs[path]
}

type flushing struct{ http.ResponseWriter }

func (f flushing) Write(p []byte) (int, error) {
	n, err := f.ResponseWriter.Write(p)
	if fl, ok := f.ResponseWriter.(http.Flusher); ok {
		fl.Flush()
	}
	return n, err
}

// serveH2 is net/http with HTTP/2 in the clear.
func serveH2(t testing.TB, h http.HandlerFunc) string {
	t.Helper()
	var lc net.ListenConfig
	l, err := lc.Listen(context.Background(), "tcp", "127.0.0.1:0")
	must(t, err)
	s := &http.Server{Handler: h, Protocols: new(http.Protocols), HTTP2: &http.HTTP2Config{MaxConcurrentStreams: 1000}, ReadHeaderTimeout: time.Minute}
	s.Protocols.SetHTTP1(true)
	s.Protocols.SetUnencryptedHTTP2(true)
	go func() { _ = s.Serve(l) }()
	t.Cleanup(func() { s.Close() })
	return l.Addr().String()
}
