package forward

import (
	"io"
	"testing"

	"github.com/weftmesh/weft/internal/waittest"
	"github.com/weftmesh/weft/proxy/conn"
	"github.com/weftmesh/weft/proxy/conntest"
	"github.com/weftmesh/weft/proxy/http/h1"
	"github.com/weftmesh/weft/proxy/upstream"
)

// The end of an idle connection that crosses a request, of whatever method, is
// found out by the server's proxy, which sends the request once more; what the
// application may have read it does not.
func TestEndThatCrossesARequest(t *testing.T) {
	d, peer := conntest.TCP(t)
	up := &upstream.HTTP1{Conn: conn.New(d), Reused: true}
	defer up.Close()
	peer.Close()
	waittest.Until(t, "the peer has ended", up.PeerEnded)
	r := &relay{whole: true, in: h1.Framing{Kind: h1.None}, method: keepMethod([]byte("POST")), out: []byte("POST / HTTP/1.1\r\nHost: a\r\n\r\n")}
	r.x.Downstream = &Downstream{Direction: Inbound}
	if !r.try(up) {
		t.Error("a request that the application has not seen is given up")
	}
	stranger := &Exchange{Downstream: &Downstream{Direction: Inbound}, idempotent: true}
	if !stranger.Again(Reset, true, true) || stranger.Again(Reset, true, false) || stranger.Again(Reset, false, true) {
		t.Error("a client without a proxy has its request sent once more after a reset, on a connection that was used before")
	}
	if stranger.idempotent = false; stranger.Again(Reset, true, true) {
		t.Error("a request that may not be made twice is")
	}
	x := &Exchange{Downstream: &Downstream{Direction: Inbound, Mutual: true}, idempotent: true}
	for _, c := range []struct {
		cause              Cause
		replayable, reused bool
		want               bool
	}{{Stale, true, true, true}, {NotProcessed, true, true, true}, {Stale, false, true, false}, {Stale, true, false, false},
		{NotProcessed, true, false, false}, {Reset, true, true, false}, {Reset, true, false, false}, {NotConnected, true, true, false}} {
		if got := x.Again(c.cause, c.replayable, c.reused); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
	if f := x.Failed(Stale, io.EOF); !f.Unprocessed || f.Reason != ReasonReset {
		t.Errorf("the client's proxy is told %+v", f)
	}
}

func TestHTTPStatusOfGRPC(t *testing.T) {
	for grpc, want := range map[int]int{-1: 500, 0: 200, 1: 499, 3: 400, 4: 504, 7: 403, 12: 501, 13: 500, 14: 503, 16: 401, 17: 500, 1 << 30: 500} {
		if got := httpStatus(grpc); got != want {
			t.Errorf("%d: %d, want %d", grpc, got, want)
		}
	}
}

// Early hints of a second try would contradict those of the first; 100 is what a
// client waits for.
func TestInterimHeadsOfALaterTry(t *testing.T) {
	x := &Exchange{hinted: 7} // another try than the current one
	if x.Interim(103) || !x.Interim(100) {
		t.Error("103 of a later try is passed on, or 100 is not")
	}
}
