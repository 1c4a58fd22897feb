package h2

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	"sync"
	"testing"
	"time"

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
	eventually(t, "a full window", func() bool { n, _ := s.Buffered(); return n == window })
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
	eventually(t, "as much as is allowed", func() bool { return held() >= most })
	last := -1
	eventually(t, "standstill", func() bool { time.Sleep(20 * time.Millisecond); was := last; last = held(); return was == last })
	if last > most+1<<20 {
		t.Errorf("%d bytes are held", last)
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
	eventually(t, "writers that wait", func() bool { c.mu.Lock(); defer c.mu.Unlock(); return len(c.blocked) == 50 })
	c.mu.Lock()
	if n := len(c.out); n > outLimit+minFrameSize+1000 {
		t.Errorf("%d bytes of output wait", n)
	}
	c.mu.Unlock()
	// A reset frees the one whose turn never came.
	r.ok(r.fr.WriteRSTStream(1, http2.ErrCodeCancel))
	eventually(t, "one less", func() bool { return srv.Active() == 49 })
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

func TestServerDrains(t *testing.T) {
	bothCodecs(t, testServerDrains)
}

func testServerDrains(t *testing.T, o Options) {
	free := make(chan struct{})
	cl, srv := both(t, o, o, func(s *Stream) { <-free; echo(s) })
	s, err := cl.Open(request("GET", "/"), true)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	eventually(t, "the stream", func() bool { return srv.Active() == 1 })
	srv.Drain()
	eventually(t, "GOAWAY", cl.Closing)
	if _, err := cl.Open(request("GET", "/"), true); !Unprocessed(err) {
		t.Errorf("got %v, want an unprocessed request", err)
	}
	close(free)
	var r http.Response
	if err := s.ReadHead(&r); err != nil || r.Status != 200 {
		t.Errorf("head: %v %v", r, err)
	}
	if _, err := io.ReadAll(s); err != nil {
		t.Error(err)
	}
	<-cl.Done()
	if err := srv.wait(t); err != nil || cl.Err() != nil {
		t.Errorf("server: %v, client: %v", err, cl.Err())
	}
}

// What is sent between the two GOAWAYs is served; what comes later is not
// touched.
func TestDrainHasNoGap(t *testing.T) {
	a, b := pair(t)
	free := make(chan struct{})
	srv := serve(t, b, Options{}, func(s *Stream) { <-free; echo(s) })
	r := rawClient(t, a)
	r.get(1, true)
	eventually(t, "the stream", func() bool { return srv.Active() == 1 })
	srv.Drain()
	if f := r.wantGoAway(http2.ErrCodeNo); f.LastStreamID != maxWindow {
		t.Errorf("first GOAWAY names %d", f.LastStreamID)
	}
	r.get(3, true)
	r.ok(r.fr.WritePing(true, drainPing))
	if f := r.wantGoAway(http2.ErrCodeNo); f.LastStreamID != 3 {
		t.Errorf("second GOAWAY names %d, want 3", f.LastStreamID)
	}
	r.get(5, false)
	r.ok(r.fr.WriteData(5, true, []byte("x")))
	close(free)
	ends := 0
	r.next("two ends", func(f http2.Frame) bool {
		if f.Header().StreamID == 5 {
			t.Errorf("stream 5 was touched: %v", f)
		}
		if d, ok := f.(*http2.DataFrame); ok && d.StreamEnded() {
			ends++
		}
		return ends == 2
	})
	r.wantClosed()
	a.Close()
	if err := srv.wait(t); err != nil {
		t.Error(err)
	}
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

func TestClientAndGoAway(t *testing.T) {
	r, cl := rawServer(t)
	open := func() *Stream {
		t.Helper()
		s, err := cl.Open(request("POST", "/"), false)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.Close)
		return s
	}
	one, three := open(), open()
	aborted := make(chan error, 1)
	three.OnAbort(AbortFunc(func(err error) { aborted <- err }))
	r.ok(r.fr.WriteGoAway(1, http2.ErrCodeNo, nil))
	var h http.Response
	if err := three.ReadHead(&h); !Unprocessed(err) {
		t.Errorf("above the last: %v", err)
	}
	if err := <-aborted; !Unprocessed(err) {
		t.Errorf("OnAbort: %v", err)
	}
	r.headers(1, true, ":status", "200")
	if err := one.ReadHead(&h); err != nil || h.Status != 200 {
		t.Errorf("below the last: %v %v", h, err)
	}
	if err := one.End(); err != nil {
		t.Error(err)
	}
	r.wantClosed()
	r.nc.Close()
	<-cl.Done()
	if cl.Err() != nil {
		t.Error(cl.Err())
	}
}

// A server that was slow to hear of many cancelled requests answers them all
// the same; that is no reason to fail the others.
func TestLateAnswersOfCancelledStreams(t *testing.T) {
	r, cl := rawServer(t)
	open := func() *Stream {
		t.Helper()
		s, err := cl.Open(request("GET", "/"), true)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	kept := open()
	defer kept.Close()
	for range 2 * resetRingSize {
		open().Close()
	}
	r.headers(3, false, ":status", "200")
	r.ok(r.fr.WriteData(3, true, []byte("late")))
	r.headers(1, true, ":status", "200")
	var h http.Response
	if err := kept.ReadHead(&h); err != nil || h.Status != 200 {
		t.Errorf("the request that was not cancelled: %v %v", h, err)
	}
}

// A request that meets a connection which the peer has just reset has not left,
// so that it may be sent elsewhere whatever it is.
func TestRequestThatNeverLeft(t *testing.T) {
	for range 50 {
		r, cl := rawServer(t)
		r.nc.(*net.TCPConn).SetLinger(0)
		r.nc.Close()
		s, err := cl.Open(request("POST", "/"), true)
		if err == nil {
			var h http.Response
			err = s.ReadHead(&h)
			s.Close()
		}
		if !Unprocessed(err) {
			t.Fatal(err)
		}
	}
}

// What a server may not do, and what our client's streams say then.
func TestFaultsOfAServer(t *testing.T) {
	for _, c := range []struct {
		name string
		code Code
		conn bool
		do   func(*raw)
	}{
		{"no status", CodeProtocol, false, func(r *raw) { r.headers(1, true, "a", "b") }},
		{"status 101", CodeProtocol, false, func(r *raw) { r.headers(1, false, ":status", "101") }},
		{"status of letters", CodeProtocol, false, func(r *raw) { r.headers(1, true, ":status", "2xx") }},
		{"1xx that ends", CodeProtocol, false, func(r *raw) { r.headers(1, true, ":status", "100") }},
		{"endless 1xx", CodeProtocol, false, func(r *raw) {
			for range maxInformational + 1 {
				r.headers(1, false, ":status", "103")
			}
			r.wantReset(1, http2.ErrCodeProtocol) // before anybody reads them
		}},
		{"DATA before the head", CodeProtocol, false, func(r *raw) { r.ok(r.fr.WriteData(1, true, nil)) }},
		{"request in a response", CodeProtocol, false, func(r *raw) { r.headers(1, true, ":status", "200", ":path", "/") }},
		{"upper case", CodeProtocol, false, func(r *raw) { r.headers(1, true, ":status", "200", "A", "b") }},
		{"window overflow", CodeFlowControl, false, func(r *raw) { r.ok(r.fr.WriteWindowUpdate(1, maxWindow)) }},
		{"reset", CodeCancel, false, func(r *raw) { r.ok(r.fr.WriteRSTStream(1, http2.ErrCodeCancel)) }},
		{"refused", CodeRefusedStream, false, func(r *raw) { r.ok(r.fr.WriteRSTStream(1, http2.ErrCodeRefusedStream)) }},
		{"push", CodeProtocol, true, func(r *raw) {
			r.ok(r.fr.WritePushPromise(http2.PushPromiseParam{StreamID: 1, PromiseID: 2, BlockFragment: r.encode(":method", "GET"), EndHeaders: true}))
		}},
		{"HEADERS on an idle stream", CodeProtocol, true, func(r *raw) { r.headers(7, true, ":status", "200") }},
		{"HEADERS on a server's stream", CodeProtocol, true, func(r *raw) { r.headers(2, true, ":status", "200") }},
		{"push allowed by a server", CodeProtocol, true, func(r *raw) { r.ok(r.fr.WriteSettings(http2.Setting{ID: http2.SettingEnablePush, Val: 1})) }},
		{"goes away in anger", CodeEnhanceYourCalm, true, func(r *raw) {
			r.ok(r.fr.WriteGoAway(1, http2.ErrCodeEnhanceYourCalm, []byte("too_many_pings")))
			r.ok(r.fr.WriteRSTStream(1, http2.ErrCodeEnhanceYourCalm))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, cl := rawServer(t)
			s, err := cl.Open(request("GET", "/"), true)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			// What has not left is unprocessed, whatever the server does.
			r.next("the request", func(f http2.Frame) bool { _, ok := f.(*http2.MetaHeadersFrame); return ok })
			c.do(r)
			var h http.Response
			for err == nil {
				err = s.ReadHead(&h)
			}
			if CodeOf(err) != c.code {
				t.Errorf("got %v, want %v", err, c.code)
			}
			if Unprocessed(err) != (c.code == CodeRefusedStream) {
				t.Errorf("%v: unprocessed is %v", err, Unprocessed(err))
			}
			var se *StreamError
			if c.conn {
				r.nc.Close()
				<-cl.Done()
			} else if !errors.As(err, &se) || cl.Closing() {
				t.Errorf("the connection ended: %v", cl.Err())
			}
		})
	}
}

func TestKeepAlive(t *testing.T) {
	a, b := pair(t)
	cl := NewClient(conn.New(a), Options{KeepAlive: 20 * time.Millisecond})
	defer cl.Close()
	r := newRaw(t, b)
	_, _ = io.ReadFull(b, make([]byte, len(http2.ClientPreface)))
	r.ok(r.fr.WriteSettings())
	s, err := cl.Open(request("GET", "/"), true)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for range 3 {
		p := r.next("PING", func(f http2.Frame) bool { p, ok := f.(*http2.PingFrame); return ok && !p.IsAck() }).(*http2.PingFrame)
		r.ok(r.fr.WritePing(true, p.Data))
	}
	// From here the peer is silent.
	var h http.Response
	if err := s.ReadHead(&h); !errors.Is(err, errSilent) {
		t.Errorf("got %v, want silence noticed", err)
	}
	<-cl.Done()
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
	eventually(t, "memory given back", func() bool {
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
