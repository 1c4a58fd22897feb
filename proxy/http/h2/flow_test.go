package h2

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"math/big"
	"sync"
	"testing"
	"time"

	"github.com/weftmesh/weft/internal/waittest"
	"github.com/weftmesh/weft/proxy/conn"
	"github.com/weftmesh/weft/proxy/http"
	"golang.org/x/net/http2"
)

func selfSigned(t testing.TB) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// both is our client and our server on one connection.
func both(t testing.TB, co, so Options, h func(*Stream)) (*Client, *serving) {
	t.Helper()
	a, b := pair(t)
	s := serve(t, b, so, h)
	cl := NewClient(conn.New(a), co)
	t.Cleanup(func() { cl.Close(); <-cl.Done() })
	return cl, s
}

// bothCodecs runs a test with HPACK and with plain blocks.
func bothCodecs(t *testing.T, f func(*testing.T, Options)) {
	t.Run("hpack", func(t *testing.T) { f(t, Options{}) })
	t.Run("plain", func(t *testing.T) { f(t, Options{Plain: true}) })
}

// A reader that does not read stops its writer at the window, and nobody else.
func TestSlowReaderStopsOnlyItsPeer(t *testing.T) {
	bothCodecs(t, testSlowReaderStopsOnlyItsPeer)
}

func testSlowReaderStopsOnlyItsPeer(t *testing.T, o Options) {
	const window = 100 << 10
	stuck := make(chan *Stream, 1)
	free := make(chan struct{})
	cl, srv := both(t, o, Options{Window: window, Plain: o.Plain}, func(s *Stream) {
		if string(s.Request().Target) == "/stuck" {
			stuck <- s
			<-free
		}
		echo(s)
	})
	slow, err := cl.Open(request("POST", "/stuck"), false)
	if err != nil {
		t.Fatal(err)
	}
	defer slow.Close()
	body := bytes.Repeat([]byte("abcdefgh"), 1<<20)
	sent := make(chan error, 1)
	go func() { _, err := slow.WriteEnd(body); sent <- err }()
	s := <-stuck
	waittest.Until(t, "a full window", func() bool { n, _ := s.Buffered(); return n == window })
	for range 3 {
		other, err := cl.Open(request("POST", "/"), false)
		if err != nil {
			t.Fatal(err)
		}
		go func() { _, _ = other.WriteEnd(body) }()
		var r http.Response
		if err := other.ReadHead(&r); err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(other); err != nil || len(got) != len(body) {
			t.Fatalf("%d bytes, %v", len(got), err)
		}
		other.Close()
	}
	if n, _ := s.Buffered(); n != window {
		t.Errorf("%d bytes are held, want %d", n, window)
	}
	srv.c.mu.Lock()
	if held := srv.c.buffered; held != window {
		t.Errorf("the connection holds %d bytes, want %d", held, window)
	}
	srv.c.mu.Unlock()
	close(free)
	var r http.Response
	if err := slow.ReadHead(&r); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(slow); err != nil || !bytes.Equal(got, body) {
		t.Fatalf("%d bytes, %v", len(got), err)
	}
	if err := <-sent; err != nil {
		t.Error(err)
	}
}

// Many slow readers together hold no more than MaxBuffered and a window.
func TestBufferedIsBounded(t *testing.T) {
	bothCodecs(t, testBufferedIsBounded)
}

func testBufferedIsBounded(t *testing.T, o Options) {
	const most = 1 << 20
	free := make(chan struct{})
	cl, srv := both(t, o, Options{MaxBuffered: most, Plain: o.Plain, ConnWindow: 1 << 20}, func(s *Stream) { <-free; echo(s) })
	body := make([]byte, 1<<20)
	var wg sync.WaitGroup
	for range 20 {
		s, err := cl.Open(request("POST", "/"), false)
		if err != nil {
			t.Fatal(err)
		}
		go func() { _, _ = s.WriteEnd(body) }()
		wg.Go(func() {
			defer s.Close()
			var r http.Response
			_ = s.ReadHead(&r)
			if n, err := io.Copy(io.Discard, s); err != nil || n != 1<<20 {
				t.Errorf("%d bytes, %v", n, err)
			}
		})
	}
	held := func() int { srv.c.mu.Lock(); defer srv.c.mu.Unlock(); return srv.c.buffered }
	if n := standstill(t, held, most); n > most+1<<20 {
		t.Errorf("%d bytes are held", n)
	}
	close(free)
	wg.Wait()
	if held() != 0 {
		t.Errorf("%d bytes are held at the end", held())
	}
}

// A peer that never reads the socket does not make the output grow.
func TestOutputIsBounded(t *testing.T) {
	a, b := pair(t)
	srv := serve(t, b, Options{}, func(s *Stream) {
		_ = s.WriteHead(&http.Response{Status: 200}, false)
		for {
			if _, err := s.Write(make([]byte, 1<<20)); err != nil {
				return
			}
		}
	})
	r := rawClient(t, a, http2.Setting{ID: http2.SettingInitialWindowSize, Val: maxWindow})
	r.ok(r.fr.WriteWindowUpdate(0, maxWindow-defaultWindow))
	for id := uint32(1); id < 100; id += 2 {
		r.get(id, true)
	}
	c := srv.c
	waittest.Until(t, "writers that wait", func() bool { c.mu.Lock(); defer c.mu.Unlock(); return writers(c) == 50 })
	c.mu.Lock()
	if n := len(c.out); n > outLimit+minFrameSize+1000 {
		t.Errorf("%d bytes of output wait", n)
	}
	c.mu.Unlock()
	// A reset frees the one whose turn never came.
	r.ok(r.fr.WriteRSTStream(1, http2.ErrCodeCancel))
	waittest.Until(t, "one less", func() bool { return srv.Active() == 49 })
}

// A window that shrinks below zero and recovers (RFC 9113, section 6.9.2).
func TestNegativeWindow(t *testing.T) {
	a, b := pair(t)
	serve(t, b, Options{}, func(s *Stream) {
		_ = s.WriteHead(&http.Response{Status: 200}, false)
		_, _ = s.WriteEnd([]byte("0123456789"))
	})
	r := rawClient(t, a, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 5})
	data := func(want string, end bool) {
		t.Helper()
		d := r.next("DATA", func(f http2.Frame) bool { _, ok := f.(*http2.DataFrame); return ok }).(*http2.DataFrame)
		if string(d.Data()) != want || d.StreamEnded() != end {
			t.Errorf("got %q %v, want %q", d.Data(), d.StreamEnded(), want)
		}
	}
	r.get(1, true)
	data("01234", false)
	r.ok(r.fr.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 2}))
	r.ok(r.fr.WriteWindowUpdate(1, 3)) // -3 + 3 = 0
	r.ok(r.fr.WritePing(false, [8]byte{9}))
	r.next("PONG before DATA", func(f http2.Frame) bool {
		if _, ok := f.(*http2.DataFrame); ok {
			t.Fatal("DATA without a window")
		}
		p, ok := f.(*http2.PingFrame)
		return ok && p.IsAck()
	})
	r.ok(r.fr.WriteWindowUpdate(1, 1))
	data("5", false)
	r.ok(r.fr.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 100}))
	data("6789", true)
}

// rawServer is a server that answers frame by frame, with our client.
func rawServer(t testing.TB, set ...http2.Setting) (*raw, *Client) {
	a, b := pair(t)
	cl := NewClient(conn.New(a), Options{})
	t.Cleanup(func() { cl.Close(); <-cl.Done() })
	got := make([]byte, len(http2.ClientPreface))
	if _, err := io.ReadFull(b, got); err != nil || string(got) != http2.ClientPreface {
		t.Fatalf("preface: %q %v", got, err)
	}
	r := newRaw(t, b)
	r.ok(r.fr.WriteSettings(set...))
	return r, cl
}

// A body that is dropped, by either side, frees its memory and the windows.
func TestResetGivesWindowsBack(t *testing.T) {
	bothCodecs(t, testResetGivesWindowsBack)
}

func testResetGivesWindowsBack(t *testing.T, o Options) {
	cl, srv := both(t, o, o, func(s *Stream) {
		if string(s.Request().Target) == "/drop" {
			_, _ = s.Next()
			return
		}
		echo(s)
	})
	for range 200 {
		s, err := cl.Open(request("POST", "/drop"), false)
		if err != nil {
			t.Fatal(err)
		}
		if _, err = s.Write(make([]byte, 100<<10)); err == nil {
			var h http.Response
			err = s.ReadHead(&h)
		}
		if CodeOf(err) != CodeInternal {
			t.Fatal(err)
		}
		s.Close()
	}
	waittest.Until(t, "memory given back", func() bool {
		srv.c.mu.Lock()
		defer srv.c.mu.Unlock()
		return srv.c.buffered == 0 && srv.c.handlers == 0
	})
	s, err := cl.Open(request("POST", "/"), false)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	go func() { _, _ = s.WriteEnd(make([]byte, 4<<20)) }()
	var h http.Response
	if err := s.ReadHead(&h); err != nil {
		t.Fatal(err)
	}
	if n, err := io.Copy(io.Discard, s); err != nil || n != 4<<20 {
		t.Errorf("%d bytes, %v", n, err)
	}
}
