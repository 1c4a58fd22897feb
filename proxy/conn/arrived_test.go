package conn

import (
	"io"
	"net"
	"testing"
	"time"

	"github.com/weftmesh/weft/internal/waittest"
	"github.com/weftmesh/weft/proxy/conntest"
)

// tcpEnds is a connection of ours and its raw other end.
func tcpEnds(t *testing.T) (*Conn, *net.TCPConn) {
	t.Helper()
	d, a := conntest.TCP(t)
	c := New(d)
	c.SetDeadline(time.Now().Add(patience))
	a.SetDeadline(time.Now().Add(patience))
	return c, a
}

// A request that meets the end of an idle connection has not arrived; one that
// the peer has taken before it ended has, whatever it did with it.
func TestArrived(t *testing.T) {
	for _, c := range []struct {
		name string
		end  func(t *testing.T, c *Conn, peer *net.TCPConn)
		want bool
	}{
		{"closed before", func(t *testing.T, c *Conn, peer *net.TCPConn) {
			peer.Close()
			waittest.Until(t, "the FIN", c.PeerEnded)
		}, false},
		{"taken, then closed", nil, true},
		{"closed for writing before", func(t *testing.T, c *Conn, peer *net.TCPConn) {
			peer.CloseWrite() // it still reads
			waittest.Until(t, "the FIN", c.PeerEnded)
		}, true},
	} {
		mine, peer := tcpEnds(t)
		// An exchange before, as a connection from a pool has had.
		mine.Write([]byte("first"))
		if err := mine.Flush(); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(peer, make([]byte, 5)); err != nil {
			t.Fatal(err)
		}
		peer.Write([]byte("answer"))
		for n := 0; n < 6; n = len(mine.Buffered()) {
			if err := mine.Fill(); err != nil {
				t.Fatal(err)
			}
		}
		mine.Discard(6)
		m := mine.Mark()
		if mine.Arrived(m, io.EOF) {
			t.Errorf("%s: nothing was sent, and may have arrived", c.name)
		}
		if c.end != nil {
			c.end(t, mine, peer)
		}
		mine.Write([]byte("second"))
		if err := mine.Flush(); err != nil {
			t.Fatal(err)
		}
		if c.end == nil {
			if _, err := io.ReadFull(peer, make([]byte, 6)); err != nil {
				t.Fatal(err)
			}
			peer.Close()
		}
		err := mine.Fill()
		if err == nil {
			t.Fatalf("%s: read %q", c.name, mine.Buffered())
		}
		if got := mine.Arrived(m, err); got != c.want {
			t.Errorf("%s: arrived %v after %v, want %v", c.name, got, err, c.want)
		}
	}
	// A reset tells nothing: the peer's system may have taken what it did not
	// acknowledge yet.
	mine, peer := tcpEnds(t)
	m := mine.Mark()
	mine.Write([]byte("request"))
	if err := mine.Flush(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(peer, make([]byte, 7)); err != nil {
		t.Fatal(err)
	}
	peer.SetLinger(0)
	peer.Close()
	if err := mine.Fill(); err == nil || !mine.Arrived(m, err) {
		t.Errorf("a request that was read has not arrived: %v", err)
	}
}
