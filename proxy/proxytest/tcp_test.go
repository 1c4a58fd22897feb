package proxytest

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/weftmesh/weft/internal/porttest"
	"github.com/weftmesh/weft/internal/waittest"
	"github.com/weftmesh/weft/proxy/alpn"
	"github.com/weftmesh/weft/proxy/config"
	"github.com/weftmesh/weft/proxy/policy"
)

// server runs a TCP server.
func server(t testing.TB, serve func(*net.TCPConn)) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				serve(c.(*net.TCPConn))
			}()
		}
	}()
	return addr(l)
}

func tlsApp(t testing.TB, h http.HandlerFunc) (netip.AddrPort, *tls.Config) {
	s := httptest.NewTLSServer(h)
	t.Cleanup(s.Close)
	return addr(s.Listener), s.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
}

// tcpPair is a destination of the given protocol whose server is behind a proxy.
func tcpPair(t testing.TB, p config.Protocol, app netip.AddrPort) (netip.AddrPort, *Workload, *Workload) {
	ca := NewCA(t)
	s := New(t, ca, ID("db"), Options{})
	c := New(t, ca, ID("web"), Options{})
	_, out := c.Destination("db:5432", p, Share{c.Cluster("db", Meshed(s.Before(app), ID("db"))), 1})
	return out, c, s
}

func TestOpaqueEchoAndHalfClose(t *testing.T) {
	// It answers only when it has read to the end: half-close must travel.
	at := server(t, func(c *net.TCPConn) {
		h := sha256.New()
		n, _ := io.Copy(h, c)
		fmt.Fprintf(c, "%d %x", n, h.Sum(nil))
	})
	for _, p := range []config.Protocol{config.TCP, config.Detect} {
		out, c, s := tcpPair(t, p, at)
		for _, mode := range []policy.Protocol{policy.Detect, policy.Opaque} {
			s.Policy(policy.Port{Mode: policy.Strict, Protocol: mode})
			for _, size := range []int{10, 3 << 20} {
				data := make([]byte, size)
				rand.Read(data)
				data[0] = 0 // no HTTP
				w := dial(t, out.String())
				if _, err := w.Write(data); err != nil {
					t.Fatal(err)
				}
				w.Conn.(*net.TCPConn).CloseWrite()
				b, err := io.ReadAll(w.in)
				if want := fmt.Sprintf("%d %x", size, sha256.Sum256(data)); err != nil || string(b) != want {
					t.Fatalf("%s to %s, %d bytes: %q, %v", p, mode, size, b, err)
				}
			}
		}
		waittest.Until(t, "nothing is carried", func() bool { return c.Activity.Carried()+s.Activity.Carried() == 0 })
	}
}

func TestServerSpeaksFirst(t *testing.T) {
	at := server(t, func(c *net.TCPConn) {
		io.WriteString(c, "220 hello\r\n")
		in := bufio.NewScanner(c)
		for in.Scan() {
			fmt.Fprintf(c, "250 %s\r\n", in.Text())
		}
	})
	out, c, _ := tcpPair(t, config.Detect, at)
	// Those that come later need not wait for the client. A busy machine may be
	// slow at times, but not each time.
	quick := 0
	for i, end := 0, time.Now().Add(10*time.Second); i < 8 || quick == 0 && time.Now().Before(end); i++ {
		began := time.Now()
		w := dial(t, out.String())
		if got := w.line(); got != "220 hello" {
			t.Fatal(got)
		}
		if i > 0 && time.Since(began) < 90*time.Millisecond {
			quick++
		}
		for _, l := range []string{"EHLO a", "GET / HTTP/1.1"} {
			fmt.Fprintf(w, "%s\r\n", l)
			if got := w.line(); got != "250 "+l {
				t.Fatal(got)
			}
		}
		w.Close()
	}
	if quick == 0 {
		t.Error("every connection waited for a server that is known to speak first")
	}
	// In plaintext to the inbound proxy itself.
	s := New(t, NewCA(t), ID("db"), Options{})
	w := dial(t, s.Before(at).String())
	if got := w.line(); got != "220 hello" {
		t.Fatal(got)
	}
	w.Close()
	waittest.Until(t, "nothing is carried", func() bool { return c.Activity.Carried()+s.Activity.Carried() == 0 })
}

// A client that has nothing to say may end its side at once, and still hear the
// server.
func TestClientThatOnlyListens(t *testing.T) {
	var asked atomic.Int64
	at := server(t, func(c *net.TCPConn) {
		asked.Add(1)
		io.Copy(io.Discard, c) // it speaks when the client has ended
		io.WriteString(c, "220 hello\r\n")
	})
	for _, p := range []config.Protocol{config.TCP, config.Detect} {
		out, _, s := tcpPair(t, p, at)
		for _, to := range []netip.AddrPort{out, s.Before(at)} {
			for _, connected := range []bool{false, true} {
				before := asked.Load()
				w := dial(t, to.String())
				if connected {
					waittest.Until(t, "the server is asked whether it speaks first", func() bool { return asked.Load() > before })
				}
				w.Conn.(*net.TCPConn).CloseWrite()
				if got, err := io.ReadAll(w.in); err != nil || string(got) != "220 hello\r\n" {
					t.Errorf("%s, connected %v: %q, %v", p, connected, got, err)
				}
			}
		}
	}
}

// TestSlowClientOfDetectedHTTP connects early and speaks late: the race with
// the server must not take its request.
func TestSlowClientOfDetectedHTTP(t *testing.T) {
	at, n := counted(t, ok)
	out, _, _ := tcpPair(t, config.Detect, at)
	w := dial(t, out.String())
	time.Sleep(300 * time.Millisecond) // longer than the race waits; the result does not depend on it
	for range 2 {
		io.WriteString(w, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		r := w.response("GET")
		b, _ := io.ReadAll(r.Body)
		if r.StatusCode != 200 || string(b) != "ok" || r.Header.Get("Connection") != "" {
			t.Fatalf("%s %q", r.Status, b)
		}
	}
	if n.Load() != 2 {
		t.Errorf("the application saw %d requests", n.Load())
	}
}

func TestBytesThatLookLikeHTTP(t *testing.T) {
	at := server(t, func(c *net.TCPConn) { io.Copy(c, c) })
	out, _, _ := tcpPair(t, config.Detect, at)
	w := dial(t, out.String())
	io.WriteString(w, "PO") // could become POST
	b := make([]byte, 2)
	if _, err := io.ReadFull(w, b); err != nil || string(b) != "PO" {
		t.Fatalf("%q, %v", b, err)
	}
}

func TestUnreachableServerResetsTheClient(t *testing.T) {
	for _, p := range []config.Protocol{config.TCP, config.Detect} {
		ca := NewCA(t)
		w := New(t, ca, ID("web"), Options{})
		_, out := w.Destination("db:5432", p, Share{w.Cluster("db", Plain(porttest.Nobody(t))), 1})
		if b, err := toldBy(out, "\x00\x01\x02"); len(b) > 0 || !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("%s: %q, %v", p, b, err)
		}
	}
}

func isTimeout(err error) bool {
	e, ok := err.(net.Error)
	return ok && e.Timeout()
}

// echoBehind takes a request's connection over, answers with the head, and sends
// back what comes behind it.
func echoBehind(t testing.TB, w http.ResponseWriter, head string) {
	c, rw, err := w.(http.Hijacker).Hijack()
	if err != nil {
		t.Error(err)
		return
	}
	defer c.Close()
	io.WriteString(c, head)
	io.Copy(c, rw)
}

func TestWebsocket(t *testing.T) {
	url, c, s := pair(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "websocket" || !strings.EqualFold(r.Header.Get("Connection"), "upgrade") {
			t.Errorf("the application sees %v", r.Header)
		}
		echoBehind(t, w, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\nfirst")
	})
	w := dial(t, url)
	io.WriteString(w, "GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: k\r\n\r\nearly")
	r := w.response("GET")
	if r.StatusCode != 101 || r.Header.Get("Upgrade") != "websocket" || r.Header.Get("Sec-WebSocket-Accept") != "x" {
		t.Fatal(r.Status, r.Header)
	}
	data := bytes.Repeat([]byte{1, 2, 3, 0x81}, 100<<10)
	go func() {
		w.Write(data)
		w.Conn.(*net.TCPConn).CloseWrite()
	}()
	b, err := io.ReadAll(w.in)
	if want := "firstearly" + string(data); err != nil || string(b) != want {
		t.Fatalf("%d bytes, want %d; %v", len(b), len(want), err)
	}
	waittest.Until(t, "nothing is carried", func() bool { return c.Activity.Carried()+s.Activity.Carried() == 0 })
}

func TestConnect(t *testing.T) {
	url, _, _ := pair(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method != "CONNECT" || r.Host != "far.away:443" {
			t.Errorf("the application sees %s %s", r.Method, r.Host)
		}
		echoBehind(t, w, "HTTP/1.1 200 OK\r\n\r\n")
	})
	w := dial(t, url)
	io.WriteString(w, "CONNECT far.away:443 HTTP/1.1\r\nHost: far.away:443\r\n\r\n")
	if r := w.response("CONNECT"); r.StatusCode != 200 {
		t.Fatal(r.Status)
	}
	io.WriteString(w, "ping")
	b := make([]byte, 4)
	if _, err := io.ReadFull(w.in, b); err != nil || string(b) != "ping" {
		t.Fatalf("%q %v", b, err)
	}
}

// TestPeerSpeaksLateToServerThatGreets: on a port where clients outside the
// mesh are greeted by the application, a peer's ClientHello may come late and
// is nevertheless understood.
func TestPeerSpeaksLateToServerThatGreets(t *testing.T) {
	at := server(t, func(c *net.TCPConn) {
		io.WriteString(c, "220 hello\r\n")
		io.Copy(io.Discard, c)
	})
	ca := NewCA(t)
	db, client := New(t, ca, ID("db"), Options{}), New(t, ca, ID("web"), Options{})
	to := db.Before(at)
	for range 2 { // what it learns of the application must not hold for peers
		w := dial(t, to.String())
		if got := w.line(); got != "220 hello" {
			t.Fatal(got)
		}
		w.Close()
	}
	cfg, err := client.TLS.Client(ID("db"), alpn.TCP)
	if err != nil {
		t.Fatal(err)
	}
	from := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
	for _, late := range []time.Duration{0, 300 * time.Millisecond} {
		c, err := from.Dial("tcp", to.String())
		if err != nil {
			t.Fatal(err)
		}
		c.SetDeadline(time.Now().Add(20 * time.Second))
		time.Sleep(late) // the lateness itself
		s := tls.Client(c, cfg)
		if err := s.Handshake(); err != nil {
			t.Fatalf("a ClientHello %s late: %v", late, err)
		}
		if got := newWire(t, s).line(); got != "220 hello" {
			t.Fatal(got)
		}
		c.Close()
	}
}
