package h2

import (
	"encoding/binary"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/weftmesh/weft/internal/waittest"
	"github.com/weftmesh/weft/proxy/conn"
	"github.com/weftmesh/weft/proxy/conntest"
	"github.com/weftmesh/weft/proxy/http"
)

// paused is a connection that reads nothing new until it is let go.
type paused struct {
	*conn.Conn
	hold chan chan struct{}
}

func (h *paused) Fill() error {
	select {
	case wait := <-h.hold:
		<-wait
	default:
	}
	return h.Conn.Fill()
}

// A request that crosses the peer's end has not been processed, and may be made
// again; one that the peer had before it ended may have been.
func TestEndThatCrossesAStream(t *testing.T) {
	for _, c := range []struct {
		name    string
		arrives bool // before the end
		half    bool // the peer closes its side alone
		written bool // it is writing that meets the end first
	}{{name: "crosses"}, {name: "arrives", arrives: true}, {name: "crosses a half-close", half: true},
		{name: "crosses, and another follows", written: true}, {name: "arrives, and others follow", arrives: true, written: true}} {
		t.Run(c.name, func(t *testing.T) {
			d, peer := conntest.TCP(t)
			peer.SetDeadline(time.Now().Add(10 * time.Second))
			mine := conn.New(d)
			h := &paused{mine, make(chan chan struct{}, 1)}
			goOn := make(chan struct{})
			h.hold <- goOn // before anything is read
			cl := NewClient(h, Options{})
			defer cl.Close()
			open := func() (*Stream, error) {
				return cl.Open(&http.Request{Method: []byte("POST"), Scheme: []byte("http"), Authority: []byte("a"), Target: []byte("/"), Major: 2}, true)
			}
			first, err := open()
			if err != nil {
				t.Fatal(err)
			}
			// The peer takes all of what has come, so that its end is a FIN.
			if _, err := io.CopyN(io.Discard, peer, int64(len(preface))); err != nil {
				t.Fatal(err)
			}
			must := func(s *Stream, err error) *Stream {
				if err != nil {
					t.Fatal(err)
				}
				return s
			}
			take := func(s *Stream) {
				for {
					var head [frameHeaderLen]byte
					if _, err := io.ReadFull(peer, head[:]); err != nil {
						t.Fatal(err)
					}
					if _, err := io.CopyN(io.Discard, peer, int64(head[0])<<16|int64(head[1])<<8|int64(head[2])); err != nil {
						t.Fatal(err)
					}
					if head[3] == byte(frameHeaders) && binary.BigEndian.Uint32(head[5:]) == s.ID() {
						return
					}
				}
			}
			take(first)
			var second *Stream
			if c.arrives {
				if second, err = open(); err != nil {
					t.Fatal(err)
				}
				take(second)
			}
			if c.half {
				peer.CloseWrite()
			} else {
				peer.Close()
			}
			waittest.Until(t, "the peer has ended", mine.PeerEnded)
			if !c.arrives {
				if second, err = open(); err != nil {
					t.Fatal(err)
				}
			}
			wants := map[*Stream]bool{first: false, second: !c.arrives && !c.half}
			if c.written {
				if c.arrives {
					wants[must(open())] = true // it has the peer's system answer
				}
				waittest.Until(t, "the peer's system answers", func() bool { _, ok := mine.Lost(); return ok })
				wants[must(open())] = true
			}
			close(goOn)
			for s, want := range wants {
				var got error
				for got == nil {
					_, got = s.Next()
				}
				if Unprocessed(got) != want || errors.Is(got, io.EOF) {
					t.Errorf("stream %d: %v, unprocessed %v", s.ID(), got, Unprocessed(got))
				}
			}
		})
	}
}
