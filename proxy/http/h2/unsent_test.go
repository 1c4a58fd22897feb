package h2

import (
	"errors"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/weftmesh/weft/proxy/conn"
	"github.com/weftmesh/weft/proxy/http"
	"golang.org/x/net/http2"
)

// gated is a transport whose writes can be held up.
type gated struct {
	Transport
	gate    sync.Mutex
	waiting chan struct{}
}

func (g *gated) Write(p []byte) (int, error) {
	select {
	case g.waiting <- struct{}{}:
	default:
	}
	g.gate.Lock()
	defer g.gate.Unlock()
	return g.Transport.Write(p)
}

// A request that is reported as not processed must not leave afterwards: it has
// been sent elsewhere meanwhile.
func TestUnprocessedIsNotSent(t *testing.T) {
	a, b := pair(t)
	g := &gated{Transport: conn.New(a), waiting: make(chan struct{}, 1)}
	cl := NewClient(g, Options{})
	defer cl.Close()
	r := newRaw(t, b)
	r.ok(r.fr.WriteSettings())
	buf := make([]byte, len(http2.ClientPreface))
	r.must(b.Read(buf))
	r.next("the acknowledgement", func(f http2.Frame) bool { s, ok := f.(*http2.SettingsFrame); return ok && s.IsAck() })

	g.gate.Lock()
	select {
	case <-g.waiting:
	default:
	}
	first, err := cl.Open(request("POST", "/first"), true)
	r.ok(err)
	<-g.waiting
	second, err := cl.Open(request("POST", "/second"), true)
	r.ok(err)
	r.ok(r.fr.WriteRawFrame(http2.FramePing, 0, 0, []byte("bad")))
	var h http.Response
	if err := first.ReadHead(&h); err == nil || Unprocessed(err) {
		t.Errorf("the first request: %v", err)
	}
	if err := second.ReadHead(&h); !Unprocessed(err) {
		t.Errorf("the second request: %v", err)
	}
	g.gate.Unlock()
	sent := map[uint32]bool{}
	r.ok(b.SetReadDeadline(time.Now().Add(patience)))
	for {
		f, err := r.fr.ReadFrame()
		if err != nil {
			if ne, ok := err.(net.Error); ok && ne.Timeout() {
				t.Error("the connection stays open")
			}
			break
		}
		if f.Header().Type == http2.FrameHeaders {
			sent[f.Header().StreamID] = true
		}
	}
	if !sent[1] || sent[3] {
		t.Errorf("heads that were sent: %v", sent)
	}
}

// A peer that reads nothing does not make requests pile up that were given up
// long ago.
func TestDeafPeerTakesNoMoreStreams(t *testing.T) {
	a, b := pair(t)
	g := &gated{Transport: conn.New(a), waiting: make(chan struct{}, 1)}
	cl := NewClient(g, Options{})
	defer cl.Close()
	r := newRaw(t, b)
	r.ok(r.fr.WriteSettings())
	buf := make([]byte, len(http2.ClientPreface))
	r.must(b.Read(buf))
	r.next("the acknowledgement", func(f http2.Frame) bool { s, ok := f.(*http2.SettingsFrame); return ok && s.IsAck() })
	g.gate.Lock()
	defer g.gate.Unlock()
	go func() { // the first one to write stands at the gate
		if s, err := cl.Open(request("GET", "/"), true); err == nil {
			s.Release()
		}
	}()
	<-g.waiting
	for range 200_000 {
		s, err := cl.Open(request("GET", "/"), true)
		if errors.Is(err, ErrBusy) {
			if cl.CanOpen() || cl.Closing() {
				t.Error("it does not say so")
			}
			return
		}
		r.ok(err)
		s.Release()
	}
	t.Error("everything is taken")
}
