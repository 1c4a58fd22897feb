package proxytest

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/weftmesh/weft/internal/porttest"
	"github.com/weftmesh/weft/internal/waittest"
	"github.com/weftmesh/weft/proxy/alpn"
	"github.com/weftmesh/weft/proxy/config"
	"github.com/weftmesh/weft/proxy/forward"
	"github.com/weftmesh/weft/proxy/upstream"
)

// counted is an application that counts what it sees.
func counted(t testing.TB, h http.HandlerFunc) (netip.AddrPort, *atomic.Int64) {
	var n atomic.Int64
	return app(t, func(w http.ResponseWriter, r *http.Request) {
		n.Add(1)
		h(w, r)
	}), &n
}

func ok(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "ok") }

func TestDeadEndpointIsAvoided(t *testing.T) {
	ca := NewCA(t)
	w := New(t, ca, ID("web"), Options{})
	live, n := counted(t, ok)
	c := w.Cluster("api", Plain(porttest.Nobody(t)), Plain(live), Plain(porttest.Nobody(t)))
	_, out := w.Destination("api:80", config.HTTP, Share{c, 1})
	for range 50 {
		for _, method := range []string{"GET", "POST"} {
			if code, body, _ := do(t, method, "http://"+out.String(), strings.NewReader("x")); code != 200 {
				t.Fatalf("%s: %d %s", method, code, body)
			}
		}
	}
	if n.Load() != 100 {
		t.Errorf("the live endpoint saw %d requests, want 100", n.Load())
	}
}

func TestLastEndpointIsTriedWhilePenalised(t *testing.T) {
	ca := NewCA(t)
	w := New(t, ca, ID("web"), Options{})
	at, listen := reserved(t)
	c := w.Cluster("api", Plain(at))
	_, out := w.Destination("api:80", config.HTTP, Share{c, 1})
	url := "http://" + out.String()
	for range 5 {
		code, body, h := get(t, url)
		if code != 503 || h.Get("weft-proxy-error") != forward.ReasonConnect || !strings.Contains(body, "refused") {
			t.Fatalf("%d %q %q", code, h.Get("weft-proxy-error"), body)
		}
		if h.Get("weft-unprocessed") != "" {
			t.Error("a client that is no proxy was told weft-unprocessed")
		}
	}
	s := &http.Server{Handler: http.HandlerFunc(ok)}
	go s.Serve(listen())
	t.Cleanup(func() { s.Close() })
	if code, body, _ := get(t, url); code != 200 {
		t.Fatalf("the endpoint is back, and the answer is %d %s", code, body)
	}
}

// TestUnreachableApplication has two replicas behind proxies, one of which has
// lost its application.
func TestUnreachableApplication(t *testing.T) {
	ca := NewCA(t)
	server := New(t, ca, ID("api"), Options{})
	client := New(t, ca, ID("web"), Options{})
	live, n := counted(t, func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) })
	good, dead := server.Before(live), server.Before(porttest.Nobody(t))
	c := client.Cluster("api", Meshed(good, ID("api")), Meshed(dead, ID("api")))
	_, out := client.Destination("api:80", config.HTTP, Share{c, 1})
	for i := range 40 {
		want := fmt.Sprint("body ", i)
		if code, body, _ := do(t, "POST", "http://"+out.String(), strings.NewReader(want)); code != 200 || body != want {
			t.Fatalf("%d %q", code, body)
		}
	}
	if n.Load() != 40 {
		t.Errorf("the application saw %d requests, want 40", n.Load())
	}

	// With no other endpoint left the peer's answer arrives, without what only
	// proxies may know.
	client.Registry.SetEndpoints("api", []upstream.EndpointSpec{Meshed(dead, ID("api"))})
	code, _, h := get(t, "http://"+out.String())
	if code != 503 || h.Get("weft-unprocessed") != "" || h.Get("weft-proxy-error") != "" {
		t.Errorf("%d %v", code, h)
	}
}

// peer speaks to an inbound proxy as a peer's proxy would.
func peer(t testing.TB, w *Workload, to netip.AddrPort, want string, protocol string) *wire {
	t.Helper()
	cfg, err := w.TLS.Client(ID(want), protocol)
	if err != nil {
		t.Fatal(err)
	}
	c, err := tls.Dial("tcp", to.String(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(20 * time.Second))
	return newWire(t, c)
}

func TestWhatInboundTellsItsPeers(t *testing.T) {
	ca := NewCA(t)
	server := New(t, ca, ID("api"), Options{})
	client := New(t, ca, ID("web"), Options{})
	dead := server.Before(porttest.Nobody(t))
	broken := server.Before(app(t, func(w http.ResponseWriter, r *http.Request) {
		c, _, _ := w.(http.Hijacker).Hijack()
		c.(*net.TCPConn).SetLinger(0)
		c.Close()
	}))
	lying := server.Before(app(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Weft-Proxy-Error", "connect failed")
		w.Header().Set("Weft-Unprocessed", "1")
		w.WriteHeader(503)
	}))
	for _, c := range []struct {
		name               string
		to                 netip.AddrPort
		reason, untouched  string
		plainReason, plain string
	}{
		{"application not reachable", dead, forward.ReasonConnect, "1", "", ""},
		{"application resets", broken, forward.ReasonReset, "", "", ""},
		{"application claims to be a proxy", lying, "", "", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := peer(t, client, c.to, "api", alpn.HTTP1)
			for range 2 {
				io.WriteString(p, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi")
				r := p.response("POST")
				io.Copy(io.Discard, r.Body)
				if r.StatusCode != 503 || r.Header.Get("weft-proxy-error") != c.reason || r.Header.Get("weft-unprocessed") != c.untouched {
					t.Errorf("a peer is told %s %v", r.Status, r.Header)
				}
			}
			_, _, h := get(t, "http://"+c.to.String())
			if h.Get("weft-proxy-error") != "" || h.Get("weft-unprocessed") != "" {
				t.Errorf("a plaintext client is told %v", h)
			}
		})
	}
}

// TestPlaintextIsNotBelieved has an endpoint without a proxy that claims not to
// have processed a request.
func TestPlaintextIsNotBelieved(t *testing.T) {
	ca := NewCA(t)
	w := New(t, ca, ID("web"), Options{})
	at, n := counted(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("l5d-client-id") != "" || r.Header.Get("weft-proxy-error") != "" {
			t.Errorf("a client's claims arrived: %v", r.Header)
		}
		w.Header().Set("Weft-Proxy-Error", "connect failed")
		w.Header().Set("Weft-Unprocessed", "1")
		w.WriteHeader(503)
	})
	_, out := w.Destination("api:80", config.HTTP, Share{w.Cluster("api", Plain(at)), 1})
	req, _ := http.NewRequest("GET", "http://"+out.String(), nil)
	req.Header.Set("l5d-client-id", "root")
	req.Header.Set("weft-proxy-error", "x")
	r, err := browser(t).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	r.Body.Close()
	if n.Load() != 1 || r.StatusCode != 503 || r.Header.Get("weft-proxy-error") != "" || r.Header.Get("weft-unprocessed") != "" {
		t.Errorf("%d tries, %s, %v", n.Load(), r.Status, r.Header)
	}
}

func TestResetIsRetriedWhereSafe(t *testing.T) {
	ca := NewCA(t)
	w := New(t, ca, ID("web"), Options{})
	var n atomic.Int64
	at := app(t, func(w http.ResponseWriter, r *http.Request) {
		if n.Add(1)%2 == 1 {
			c, _, _ := w.(http.Hijacker).Hijack()
			c.(*net.TCPConn).SetLinger(0)
			c.Close()
		}
	})
	_, out := w.Destination("api:80", config.HTTP, Share{w.Cluster("api", Plain(at)), 1})
	url := "http://" + out.String()
	for _, c := range []struct {
		method string
		code   int
		tries  int64
	}{{"GET", 200, 2}, {"PUT", 200, 2}, {"DELETE", 200, 2}, {"POST", 503, 1}, {"PATCH", 503, 1}} {
		n.Store(0)
		code, _, h := do(t, c.method, url, strings.NewReader("body"))
		if code != c.code || n.Load() != c.tries {
			t.Errorf("%s: %d after %d tries, want %d after %d", c.method, code, n.Load(), c.code, c.tries)
		}
		if code == 503 && h.Get("weft-proxy-error") != forward.ReasonReset {
			t.Errorf("%s: reason %q", c.method, h.Get("weft-proxy-error"))
		}
	}
}

func TestTriesAreBounded(t *testing.T) {
	ca := NewCA(t)
	w := New(t, ca, ID("web"), Options{})
	var n atomic.Int64
	at := app(t, func(w http.ResponseWriter, r *http.Request) {
		n.Add(1)
		c, _, _ := w.(http.Hijacker).Hijack()
		c.(*net.TCPConn).SetLinger(0)
		c.Close()
	})
	_, out := w.Destination("api:80", config.HTTP, Share{w.Cluster("api", Plain(at)), 1})
	if code, _, _ := get(t, "http://"+out.String()); code != 503 || n.Load() != forward.MaxTries {
		t.Errorf("%d after %d tries, want 503 after %d", code, n.Load(), forward.MaxTries)
	}
}

// TestKillUnderLoad ends one of two replicas, proxy and application, while
// requests run. None may be lost.
func TestKillUnderLoad(t *testing.T) {
	ca := NewCA(t)
	client := New(t, ca, ID("web"), Options{})
	type replica struct {
		app *httptest.Server
		in  interface{ Close() error }
		n   atomic.Int64
	}
	var rs [2]replica
	var specs []upstream.EndpointSpec
	for i := range rs {
		r := &rs[i]
		r.app = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			r.n.Add(1)
			time.Sleep(time.Millisecond)
			io.WriteString(w, "ok")
		}))
		t.Cleanup(r.app.Close)
		server := New(t, ca, ID("api"), Options{})
		l := server.Listen(server.Inbound.Explicit(addr(r.app.Listener)))
		r.in = l
		specs = append(specs, Meshed(l.Addr(), ID("api")))
	}
	_, out := client.Destination("api:80", config.HTTP, Share{client.Cluster("api", specs...), 1})
	b := browser(t)
	var sent, failed atomic.Int64
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				r, err := b.Get("http://" + out.String())
				sent.Add(1)
				if err != nil {
					failed.Add(1)
					t.Log(err)
					continue
				}
				body, _ := io.ReadAll(r.Body)
				r.Body.Close()
				if r.StatusCode != 200 {
					failed.Add(1)
					t.Logf("%s %s", r.Status, body)
				}
			}
		})
	}
	waittest.Until(t, "both replicas serve", func() bool { return rs[0].n.Load() > 50 && rs[1].n.Load() > 50 })
	rs[0].app.CloseClientConnections()
	rs[0].app.Listener.Close()
	rs[0].in.Close() // as by kill -9: connections are reset
	at := rs[1].n.Load()
	waittest.Until(t, "the other one carries on", func() bool { return rs[1].n.Load() > at+500 })
	close(stop)
	wg.Wait()
	if failed.Load() > 0 {
		t.Errorf("%d of %d requests were lost", failed.Load(), sent.Load())
	}
}

func TestClientThatLeavesEndsItsRequest(t *testing.T) {
	began, ended := make(chan struct{}), make(chan struct{})
	url, _, _ := pair(t, func(w http.ResponseWriter, r *http.Request) {
		close(began)
		<-r.Context().Done()
		close(ended)
	})
	c := dial(t, url)
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	<-began
	c.Conn.(*net.TCPConn).SetLinger(0) // a reset; a mere FIN may be a half-close
	c.Close()
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		t.Fatal("the application still works for a client that is gone")
	}
}

// reserved is an address that refuses connections, and that nobody else can take
// until listen opens it: its socket is bound but does not listen yet.
func reserved(t *testing.T) (at netip.AddrPort, listen func() net.Listener) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	must(err)
	f := os.NewFile(uintptr(fd), "reserved")
	t.Cleanup(func() { f.Close() })
	must(syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
	name, err := syscall.Getsockname(fd)
	must(err)
	in := name.(*syscall.SockaddrInet4)
	return netip.AddrPortFrom(netip.AddrFrom4(in.Addr), uint16(in.Port)), func() net.Listener {
		t.Helper()
		must(syscall.Listen(fd, 16))
		l, err := net.FileListener(f)
		must(err)
		return l
	}
}
