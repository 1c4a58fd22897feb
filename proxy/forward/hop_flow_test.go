package forward_test

import (
	"bufio"
	"bytes"
	"io"
	"net"
	nethttp "net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weftmesh/weft/internal/waittest"
)

// A client that does not read holds up nobody else on the connection, and in
// the end the application.
func TestHopBackpressure(t *testing.T) {
	var written atomic.Int64
	ended := make(chan struct{}, 1)
	a := both(t, func(w nethttp.ResponseWriter, r *nethttp.Request) {
		if r.URL.Path != "/flood" {
			io.WriteString(w, "ok")
			return
		}
		for b := make([]byte, 32<<10); ; written.Add(int64(len(b))) {
			if _, err := w.Write(b); err != nil {
				ended <- struct{}{}
				return
			}
		}
	})
	out, client, servers := meshed(t, a)
	c, r := ask(t, out)
	io.WriteString(c, "GET /flood HTTP/1.1\r\nHost: a\r\n\r\n")
	if _, err := head(r); err != nil {
		t.Fatal(err)
	}
	last := int64(-1)
	waittest.Until(t, "standstill", func() bool {
		time.Sleep(50 * time.Millisecond)
		was := last
		last = written.Load()
		return last > 0 && was == last
	})
	if last > 24<<20 {
		t.Errorf("the application sent %d bytes to nobody", last)
	}
	for range 20 {
		w, in := ask(t, out)
		io.WriteString(w, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
		if b, err := io.ReadAll(in); err != nil || !bytes.HasSuffix(b, []byte("\r\n\r\nok")) {
			t.Fatalf("beside it: %q %v", b, err)
		}
	}
	_ = c.(*net.TCPConn).SetLinger(0)
	c.Close()
	select {
	case <-ended:
	case <-time.After(patience):
		t.Error("the application floods on for a client that is gone")
	}
	for _, w := range append(servers, client) {
		waittest.Until(t, "nothing carried", func() bool { return w.Activity.Carried() == 0 })
	}
}

// A body that is still being sent when its client leaves ends as what it is: cut
// off.
func TestHopUploadIsCutOff(t *testing.T) {
	began, got := make(chan struct{}, 1), make(chan error, 1)
	a := both(t, func(_ nethttp.ResponseWriter, r *nethttp.Request) {
		began <- struct{}{}
		_, err := io.Copy(io.Discard, r.Body)
		got <- err
	})
	out, client, servers := meshed(t, a)
	for _, framing := range []string{"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", "Content-Length: 100000\r\n\r\nhello"} {
		c, _ := ask(t, out)
		io.WriteString(c, "POST / HTTP/1.1\r\nHost: a\r\n"+framing)
		<-began
		_ = c.(*net.TCPConn).SetLinger(0)
		c.Close()
		select {
		case err := <-got:
			if err == nil {
				t.Errorf("%q: the application took it for whole", framing)
			}
		case <-time.After(patience):
			t.Fatalf("%q: the application still waits", framing)
		}
	}
	for _, w := range append(servers, client) {
		waittest.Until(t, "nothing carried", func() bool { return w.Activity.Carried() == 0 })
	}
}

// A response that the application cuts off is cut off for the client.
func TestHopResponseIsCutOff(t *testing.T) {
	a := rawHTTP1(t, func(c net.Conn, r *bufio.Reader) {
		h, _ := head(r)
		switch {
		case strings.HasPrefix(h, "GET /length"):
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
		case strings.HasPrefix(h, "GET /chunked"):
			io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n")
		case strings.HasPrefix(h, "GET /garbage"):
			io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")
		case strings.HasPrefix(h, "GET /head"):
			io.WriteString(c, "HTTP/1.1 abc\r\n\r\n")
		}
	})
	out, _, _ := meshed(t, a)
	for path, broken := range map[string]bool{"/length": true, "/chunked": true, "/garbage": true, "/head": false} {
		c, in := ask(t, out)
		io.WriteString(c, "GET "+path+" HTTP/1.1\r\nHost: a\r\n\r\n")
		r, err := nethttp.ReadResponse(in, nil)
		if err == nil {
			_, err = io.ReadAll(r.Body)
		}
		switch {
		case broken && err == nil && r.StatusCode == 200:
			t.Errorf("%s: taken for whole", path)
		case !broken && (err != nil || r.StatusCode != 502):
			t.Errorf("%s: %v %v", path, r, err)
		}
	}
}
