package h2

import (
	"errors"
	"io"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/weftmesh/weft/internal/waittest"
	"github.com/weftmesh/weft/proxy/conn"
	"github.com/weftmesh/weft/proxy/http"
)

// hearing is a transport whose system tells when it last heard of the peer's.
type hearing struct {
	*conn.Conn
	silent atomic.Int64
}

func (h *hearing) Heard() (time.Duration, bool) { return time.Duration(h.silent.Load()), true }

// pinged is a client whose peer answers when it is told to.
func pinged(t *testing.T, o Options) (cl *Client, h *hearing, r *raw, ping func() *http2.PingFrame) {
	a, b := pair(t)
	h = &hearing{Conn: conn.New(a)}
	cl = NewClient(h, o)
	t.Cleanup(cl.Close)
	r = newRaw(t, b)
	r.fr.ReadMetaHeaders = nil
	r.must(io.ReadFull(b, make([]byte, len(http2.ClientPreface))))
	r.ok(r.fr.WriteSettings(http2.Setting{ID: setBytes, Val: 1}))
	return cl, h, r, func() *http2.PingFrame {
		return r.next("PING", func(f http2.Frame) bool { p, ok := f.(*http2.PingFrame); return ok && !p.IsAck() }).(*http2.PingFrame)
	}
}

const often = 5 * time.Millisecond

// A proxy that stands still, as one whose machine is overloaded does, answers
// nothing for a while; what it carries goes on afterwards.
func TestSilenceIsNotTheEnd(t *testing.T) {
	cl, _, r, ping := pinged(t, Options{KeepAlive: often})
	s, err := cl.Open(request("GET", "/"), true)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var last *http2.PingFrame
	for range 4 * silentRounds {
		last = ping()
	}
	if s, err := cl.Open(request("GET", "/"), true); !errors.Is(err, ErrBusy) {
		t.Errorf("a request goes to who is silent: %v %v", s, err)
	}
	r.ok(r.fr.WritePing(true, last.Data))
	waittest.Until(t, "requests are taken again", cl.CanOpen)
	r.headers(1, true, ":status", "200")
	var h http.Response
	if err := s.ReadHead(&h); err != nil || h.Status != 200 {
		t.Errorf("the request that waited: %v %v", h, err)
	}
}

// One whose system is not heard of either has gone, which ends requests in time;
// connections without HTTP have the time that TCP gives them.
func TestPeerThatHasGone(t *testing.T) {
	cl, heard, _, ping := pinged(t, Options{KeepAlive: often, Plain: true})
	flow, err := cl.Open(&http.Request{Method: []byte("CONNECT"), Authority: []byte("bytes"), Major: http.Bytes}, false)
	if err != nil {
		t.Fatal(err)
	}
	heard.silent.Store(int64(time.Hour))
	for range 4 * silentRounds {
		ping()
	}
	if err := flow.Err(); err != nil {
		t.Fatalf("bytes: %v", err)
	}
	flow.Close()

	cl, heard, _, ping = pinged(t, Options{KeepAlive: often})
	s, err := cl.Open(request("GET", "/"), true)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for range 4 * silentRounds {
		ping()
	}
	heard.silent.Store(int64(silentRounds*often - 1))
	ping()
	ping()
	heard.silent.Store(int64(silentRounds * often))
	var h http.Response
	if err := s.ReadHead(&h); !errors.Is(err, errSilent) {
		t.Errorf("got %v, want silence noticed", err)
	}
	<-cl.Done()
}
