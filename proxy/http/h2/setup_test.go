package h2

import (
	"bytes"
	"context"
	"io"
	"net"
	"testing"
	"time"

	"github.com/weftmesh/weft/proxy/conn"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

const patience = 10 * time.Second

// pair is a TCP connection over loopback.
func pair(t testing.TB) (a, b net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	got := make(chan net.Conn, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			t.Error(err)
		}
		got <- c
	}()
	a, err = net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	b = <-got
	t.Cleanup(func() { a.Close(); b.Close() })
	return a, b
}

// serving is a Server under test.
type serving struct {
	*Server
	over chan error
}

func serve(t testing.TB, nc net.Conn, o Options, h func(*Stream)) *serving {
	t.Helper()
	s := &serving{NewServer(conn.New(nc), o), make(chan error, 1)}
	go func() { s.over <- s.Serve(context.Background(), h) }()
	t.Cleanup(func() {
		s.Close()
		select {
		case err := <-s.over:
			s.over <- err
		case <-time.After(patience):
			t.Error("Serve does not return after Close")
		}
	})
	return s
}

func (s *serving) wait(t testing.TB) error {
	t.Helper()
	select {
	case err := <-s.over:
		s.over <- err
		return err
	case <-time.After(patience):
		t.Fatal("the server's connection does not end")
		return nil
	}
}

// raw is a peer that speaks frame by frame.
type raw struct {
	t   testing.TB
	nc  net.Conn
	fr  *http2.Framer
	enc *hpack.Encoder
	buf bytes.Buffer
}

func newRaw(t testing.TB, nc net.Conn) *raw {
	r := &raw{t: t, nc: nc, fr: http2.NewFramer(nc, nc)}
	r.enc = hpack.NewEncoder(&r.buf)
	r.fr.AllowIllegalWrites = true
	r.fr.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	return r
}

// client sends the preface and SETTINGS.
func rawClient(t testing.TB, nc net.Conn, set ...http2.Setting) *raw {
	r := newRaw(t, nc)
	r.must(io.WriteString(nc, http2.ClientPreface))
	r.ok(r.fr.WriteSettings(set...))
	return r
}

func (r *raw) must(_ int, err error) { r.t.Helper(); r.ok(err) }

func (r *raw) ok(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

func (r *raw) encode(kv ...string) []byte {
	r.buf.Reset()
	for i := 0; i < len(kv); i += 2 {
		r.ok(r.enc.WriteField(hpack.HeaderField{Name: kv[i], Value: kv[i+1]}))
	}
	return bytes.Clone(r.buf.Bytes())
}

func (r *raw) get(id uint32, end bool, more ...string) {
	r.t.Helper()
	r.headers(id, end, append([]string{":method", "GET", ":scheme", "http", ":path", "/", ":authority", "x"}, more...)...)
}

func (r *raw) headers(id uint32, end bool, kv ...string) {
	r.t.Helper()
	r.ok(r.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: r.encode(kv...), EndStream: end, EndHeaders: true}))
}

// next reads frames until one for which want is true.
func (r *raw) next(what string, want func(http2.Frame) bool) http2.Frame {
	r.t.Helper()
	r.ok(r.nc.SetReadDeadline(time.Now().Add(patience)))
	for {
		f, err := r.fr.ReadFrame()
		if err != nil {
			r.t.Fatalf("while waiting for %s: %v", what, err)
		}
		if want(f) {
			return f
		}
		if g, ok := f.(*http2.GoAwayFrame); ok && g.ErrCode != 0 {
			r.t.Fatalf("while waiting for %s: %v", what, f)
		}
	}
}

func (r *raw) wantReset(id uint32, code http2.ErrCode) {
	r.t.Helper()
	f := r.next("RST_STREAM", func(f http2.Frame) bool { _, ok := f.(*http2.RSTStreamFrame); return ok }).(*http2.RSTStreamFrame)
	if f.StreamID != id || f.ErrCode != code {
		r.t.Fatalf("got %v, want RST_STREAM of %d with %v", f, id, code)
	}
}

func (r *raw) wantGoAway(code http2.ErrCode) *http2.GoAwayFrame {
	r.t.Helper()
	f := r.next("GOAWAY", func(f http2.Frame) bool { _, ok := f.(*http2.GoAwayFrame); return ok }).(*http2.GoAwayFrame)
	if f.ErrCode != code {
		r.t.Fatalf("got %v %q, want GOAWAY with %v", f, f.DebugData(), code)
	}
	return f
}

func (r *raw) wantHead(id uint32, status string) *http2.MetaHeadersFrame {
	r.t.Helper()
	f := r.next("HEADERS", func(f http2.Frame) bool { _, ok := f.(*http2.MetaHeadersFrame); return ok }).(*http2.MetaHeadersFrame)
	if f.StreamID != id || f.PseudoValue("status") != status {
		r.t.Fatalf("got %v, want status %s on %d", f, status, id)
	}
	return f
}

// wantClosed waits for the end of the connection.
func (r *raw) wantClosed() {
	r.t.Helper()
	r.ok(r.nc.SetReadDeadline(time.Now().Add(patience)))
	for {
		if _, err := r.fr.ReadFrame(); err != nil {
			if ne, ok := err.(net.Error); ok && ne.Timeout() {
				r.t.Fatal("the connection stays open")
			}
			return
		}
	}
}
