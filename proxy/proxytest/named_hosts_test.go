package proxytest

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weftmesh/weft/proxy/config"
	"github.com/weftmesh/weft/proxy/route"
)

// foreignTo is an address to which nothing may be sent.
func foreignTo(t *testing.T) netip.AddrPort {
	t.Helper()
	return server(t, func(c *net.TCPConn) { t.Error("something was sent to where the client dialled") })
}

// TestForgedHosts: under REGISTRY_ONLY a client that names an entry's host at a
// foreign address gets to the entry's endpoints, and never to that address;
// pipelined requests are each judged alone.
func TestForgedHosts(t *testing.T) {
	w := New(t, NewCA(t), ID("web"), Options{})
	w.Source.SetUnknown(config.RegistryOnly)
	app := func(name string) netip.AddrPort {
		return h2app(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprintf(w, "%s %s", name, r.Host) })
	}
	foreign := foreignTo(t)
	port := foreign.Port()
	for _, name := range []string{"a", "b"} {
		w.Destination(fmt.Sprintf("%s.example.com:%d", name, port), config.HTTP, Share{w.Cluster(name, Plain(app(name))), 1})
	}
	// A destination that speaks no HTTP though it is listed, and one that is not there.
	tcp, _ := w.Destination(fmt.Sprintf("bytes.example.com:%d", port), config.TCP, Share{w.Cluster("bytes", Plain(foreign)), 1})
	tcp.table.Store(nil)
	names(w, port, &route.ByName{HTTP: route.NewNames([]string{"a.example.com", "b.example.com", "bytes.example.com", "none.example.com"}, port)})
	at := w.Redirected(foreign).String()

	c, err := net.Dial("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patient))
	steps := []struct {
		head string
		want string
	}{
		{"GET / HTTP/1.1\r\nHost: a.example.com\r\n\r\n", "200 a a.example.com"},
		{"GET / HTTP/1.1\r\nHost: B.Example.com.:9999\r\n\r\n", "200 b B.Example.com.:9999"},
		{"GET http://a.example.com/ HTTP/1.1\r\nHost: b.example.com\r\n\r\n", "200 a a.example.com"},
		{"GET http://evil.example.com/ HTTP/1.1\r\nHost: a.example.com\r\n\r\n", "502"},
		{"GET / HTTP/1.1\r\nHost: evil.example.com\r\n\r\n", "502"},
		{"GET / HTTP/1.1\r\nHost: " + foreign.String() + "\r\n\r\n", "502"},
		{"GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", "502"},
		{"GET / HTTP/1.1\r\nHost:\r\n\r\n", "502"},
		{"GET / HTTP/1.1\r\nHost: none.example.com\r\n\r\n", "503"},
		{"GET / HTTP/1.1\r\nHost: bytes.example.com\r\n\r\n", "404"},
		{"GET / HTTP/1.1\r\nHost: a.example.com..\r\n\r\n", "502"},
		{"GET / HTTP/1.1\r\nHost: b.example.com\r\n\r\n", "200 b b.example.com"},
	}
	var all strings.Builder
	for _, s := range steps {
		all.WriteString(s.head)
	}
	if _, err := io.WriteString(c, all.String()); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(c)
	for _, s := range steps {
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatalf("%q: %v", s.head, err)
		}
		b, _ := io.ReadAll(resp.Body)
		if got := fmt.Sprintf("%d %s", resp.StatusCode, b); got != s.want && !(len(s.want) == 3 && strings.HasPrefix(got, s.want)) {
			t.Errorf("%q: %s, want %s", s.head, got, s.want)
		}
	}

	// The same on the streams of one connection.
	h2 := h2client(t)
	var wg sync.WaitGroup
	for i := range 60 {
		host, want := []string{"a.example.com", "b.example.com", "evil.example.com"}[i%3], []string{"200 a", "200 b", "502"}[i%3]
		wg.Go(func() {
			q, _ := http.NewRequest("GET", "http://"+at+"/", nil)
			q.Host = host
			resp, err := h2.Do(q)
			if err != nil {
				t.Error(err)
				return
			}
			defer resp.Body.Close()
			b, _ := io.ReadAll(resp.Body)
			if got := fmt.Sprintf("%d %s", resp.StatusCode, b); !strings.HasPrefix(got, want) {
				t.Errorf("%s: %s, want %s", host, got, want)
			}
		})
	}
	wg.Wait()
	// What is no plain request is judged alike.
	for _, request := range []string{"CONNECT evil.example.com:443 HTTP/1.1\r\nHost: a.example.com\r\n\r\n", "GET / HTTP/1.1\r\nHost: evil\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"} {
		c, err := net.Dial("tcp", at)
		if err != nil {
			t.Fatal(err)
		}
		c.SetDeadline(time.Now().Add(patient))
		io.WriteString(c, request)
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil || resp.StatusCode != 502 {
			t.Errorf("%q: %v %v", request, resp, err)
		}
		c.Close()
	}
}

// TestForgedServerNames: the same for TLS, also where the ClientHello comes in
// pieces; and without any name.
func TestForgedServerNames(t *testing.T) {
	w := New(t, NewCA(t), ID("web"), Options{})
	w.Source.SetUnknown(config.RegistryOnly)
	foreign := foreignTo(t)
	port := foreign.Port()
	hello := make(chan []byte, 1)
	api := server(t, func(c *net.TCPConn) {
		c.SetReadDeadline(time.Now().Add(patient))
		b := make([]byte, 5)
		_, _ = io.ReadFull(c, b)
		hello <- b
	})
	w.Destination(fmt.Sprintf("a.example.com:%d", port), config.TCP, Share{w.Cluster("a", Plain(api)), 1})
	// A destination without a way for bytes.
	d, _ := w.Destination(fmt.Sprintf("http.example.com:%d", port), config.HTTP)
	d.table.Store(nil)
	names(w, port, &route.ByName{TLS: route.NewNames([]string{"a.example.com", "http.example.com", "none.example.com"}, port)})
	at := w.Redirected(foreign).String()
	for name, reaches := range map[string]bool{"A.example.com": true, "http.example.com": false, "none.example.com": false, "evil.example.com": false, "": false} {
		raw, err := net.Dial("tcp", at)
		if err != nil {
			t.Fatal(err)
		}
		raw.SetDeadline(time.Now().Add(patient))
		err = tls.Client(pieces{raw}, &tls.Config{ServerName: name, InsecureSkipVerify: true}).Handshake()
		if err == nil {
			t.Errorf("%q: a handshake with nobody", name)
		}
		select {
		case <-hello:
			if !reaches {
				t.Errorf("%q got through", name)
			}
		default:
			if reaches {
				t.Errorf("%q did not get through: %v", name, err)
			}
		}
		raw.Close()
	}
}

// pieces writes in small ones.
type pieces struct{ net.Conn }

func (p pieces) Write(b []byte) (n int, err error) {
	for len(b) > 0 {
		k := min(len(b), 7)
		m, err := p.Conn.Write(b[:k])
		if n += m; err != nil {
			return n, err
		}
		b = b[k:]
	}
	return n, nil
}

// TestListsThatCannotBeUsed: where there is a list of names that is not usable,
// requests are refused, since any of them may belong to the mesh; also on a
// connection that has seen the list go before.
func TestListsThatCannotBeUsed(t *testing.T) {
	w := New(t, NewCA(t), ID("web"), Options{})
	w.Source.SetUnknown(config.AllowAny)
	original := h2app(t, func(http.ResponseWriter, *http.Request) {})
	list := names(w, original.Port(), &route.ByName{HTTP: route.NewNames([]string{"a.example.com"}, original.Port())})
	c, err := net.Dial("tcp", w.Redirected(original).String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patient))
	r := bufio.NewReader(c)
	get := func(want int) {
		t.Helper()
		if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: a.example.com\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		if resp.StatusCode != want {
			t.Errorf("%d, want %d", resp.StatusCode, want)
		}
	}
	get(503) // listed, without configuration
	w.Source.mu.Lock()
	delete(w.Source.destinations, config.NamesListener(original.Port()))
	w.Source.mu.Unlock()
	list.stale.Store(true)
	get(200)
	w.Source.Fail(config.ErrIncomplete)
	get(503)
	w.Source.Fail(nil)
	get(200)
}
