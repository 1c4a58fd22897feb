package h2

import (
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/weftmesh/weft/internal/waittest"
	"github.com/weftmesh/weft/proxy/conn"
	"github.com/weftmesh/weft/proxy/http"
	"golang.org/x/net/http2"
)

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
	waittest.Until(t, "the stream", func() bool { return srv.Active() == 1 })
	srv.Drain()
	waittest.Until(t, "GOAWAY", cl.Closing)
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
	waittest.Until(t, "the stream", func() bool { return srv.Active() == 1 })
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

func TestKeepAlive(t *testing.T) {
	a, b := pair(t)
	cl := NewClient(conn.New(a), Options{KeepAlive: 20 * time.Millisecond, PingTimeout: time.Second})
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
