package proxytest

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weftmesh/weft/proxy/config"
	"github.com/weftmesh/weft/proxy/forward"
	"github.com/weftmesh/weft/proxy/policy"
)

// tap passes bytes on to an address and keeps a copy of them.
func tap(t testing.TB, to netip.AddrPort) (netip.AddrPort, func() []byte) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	var mu sync.Mutex
	var seen bytes.Buffer
	pass := func(dst, src net.Conn) {
		b := make([]byte, 32<<10)
		for {
			n, err := src.Read(b)
			mu.Lock()
			seen.Write(b[:n])
			mu.Unlock()
			dst.Write(b[:n])
			if err != nil {
				dst.Close()
				return
			}
		}
	}
	go func() {
		for {
			a, err := l.Accept()
			if err != nil {
				return
			}
			b, err := net.Dial("tcp", to.String())
			if err != nil {
				a.Close()
				continue
			}
			go pass(a, b)
			go pass(b, a)
		}
	}()
	return addr(l), func() []byte {
		mu.Lock()
		defer mu.Unlock()
		return bytes.Clone(seen.Bytes())
	}
}

func TestWireIsEncrypted(t *testing.T) {
	const marker = "the-marker-that-nobody-may-see"
	ca := NewCA(t)
	server := New(t, ca, ID("api"), Options{})
	client := New(t, ca, ID("web"), Options{})
	in, seen := tap(t, server.Before(app(t, func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) })))
	_, out := client.Destination("api:80", config.HTTP, Share{client.Cluster("api", Meshed(in, ID("api"))), 1})
	if _, body, _ := do(t, "POST", "http://"+out.String()+"/"+marker, strings.NewReader(marker)); body != marker {
		t.Fatal(body)
	}
	b := seen()
	if len(b) < 500 || bytes.Contains(b, []byte(marker)) {
		t.Errorf("%d bytes on the wire, marker among them: %t", len(b), bytes.Contains(b, []byte(marker)))
	}
	if !bytes.HasPrefix(b, []byte{0x16, 0x03, 0x01}) {
		t.Errorf("the wire begins with %x, not with a TLS hello", b[:min(len(b), 8)])
	}
}

func TestModes(t *testing.T) {
	ca := NewCA(t)
	server := New(t, ca, ID("api"), Options{})
	client := New(t, ca, ID("web"), Options{})
	in := server.Before(app(t, ok))
	_, out := client.Destination("api:80", config.HTTP, Share{client.Cluster("api", Meshed(in, ID("api"))), 1})
	for _, c := range []struct {
		mode          policy.Mode
		plain, mutual bool
	}{{policy.Permissive, true, true}, {policy.Strict, false, true}, {policy.Closed, false, false}} {
		for _, protocol := range []policy.Protocol{policy.Detect, policy.HTTP} {
			t.Run(fmt.Sprint(c.mode, "/", protocol), func(t *testing.T) {
				server.Policy(policy.Port{Mode: c.mode, Protocol: protocol})
				client.Registry.SetEndpoints("api", nil) // a new connection
				client.Cluster("api", Meshed(in, ID("api")))
				if got := len(refusedBy(in)) > 0; got != c.plain {
					t.Errorf("plaintext accepted: %t, want %t", got, c.plain)
				}
				code, _, _ := get(t, "http://"+out.String())
				if got := code == 200; got != c.mutual {
					t.Errorf("mutual TLS answered %d", code)
				}
			})
		}
	}
}

func TestWrongIdentityIsRefused(t *testing.T) {
	ca := NewCA(t)
	var log lockedBuffer
	server := New(t, ca, ID("impostor"), Options{})
	client := New(t, ca, ID("web"), Options{Log: slog.New(slog.NewTextHandler(&log, nil))})
	at, n := counted(t, ok)
	_, out := client.Destination("api:80", config.HTTP, Share{client.Cluster("api", Meshed(server.Before(at), ID("api"))), 1})
	code, body, h := get(t, "http://"+out.String())
	if code != 503 || h.Get("weft-proxy-error") != forward.ReasonConnect || n.Load() != 0 {
		t.Errorf("%d %v, the application saw %d requests", code, h, n.Load())
	}
	for _, want := range []string{"identity refused", "sa/impostor", "sa/api"} {
		if !strings.Contains(body, want) || !strings.Contains(log.String(), want) {
			t.Errorf("%q is missing in\n%s\n%s", want, body, log.String())
		}
	}
}

func TestExpiredCertificateIsRefused(t *testing.T) {
	ca := NewCA(t)
	past := -30 * time.Minute
	server := New(t, ca, ID("api"), Options{Now: func() time.Time { return time.Now().Add(past) },
		Issuer: &Issuer{CA: ca, ID: ID("api"), From: past, For: 10 * time.Minute}})
	client := New(t, ca, ID("web"), Options{})
	at, n := counted(t, ok)
	_, out := client.Destination("api:80", config.HTTP, Share{client.Cluster("api", Meshed(server.Before(at), ID("api"))), 1})
	if code, body, _ := get(t, "http://"+out.String()); code != 503 || n.Load() != 0 || !strings.Contains(body, "expired") {
		t.Errorf("an expired server is answered %d %s", code, body)
	}
	// And the other way round: the client's certificate has expired.
	good := New(t, ca, ID("api"), Options{})
	_, out = server.Destination("api:80", config.HTTP, Share{server.Cluster("api", Meshed(good.Before(at), ID("api"))), 1})
	if code, _, _ := get(t, "http://"+out.String()); code != 503 || n.Load() != 0 {
		t.Errorf("an expired client is answered %d", code)
	}
}

func TestStrangersAreRefused(t *testing.T) {
	ours, theirs := NewCA(t), NewCA(t)
	server := New(t, ours, ID("api"), Options{})
	client := New(t, theirs, ID("web"), Options{})
	at, n := counted(t, ok)
	_, out := client.Destination("api:80", config.HTTP, Share{client.Cluster("api", Meshed(server.Before(at), ID("api"))), 1})
	if code, _, _ := get(t, "http://"+out.String()); code != 503 || n.Load() != 0 {
		t.Errorf("another authority's workload is answered %d", code)
	}
	client.TLS.SetBundle(ours.Bundle())
	if code, _, _ := get(t, "http://"+out.String()); code != 503 || n.Load() != 0 {
		t.Errorf("a client of another authority is answered %d", code)
	}
}

func TestOwnAddressIsDialledDirectly(t *testing.T) {
	ca := NewCA(t)
	w := New(t, ca, ID("web"), Options{Own: []netip.Addr{netip.MustParseAddr("127.0.0.1")}})
	_, out := w.Destination("web:80", config.HTTP, Share{w.Cluster("web", Meshed(app(t, ok), ID("web"))), 1})
	if code, body, _ := get(t, "http://"+out.String()); code != 200 {
		t.Errorf("%d %s", code, body)
	}
}

func TestSplitByWeight(t *testing.T) {
	ca := NewCA(t)
	server := New(t, ca, ID("api"), Options{})
	client := New(t, ca, ID("web"), Options{})
	stable, a := counted(t, ok)
	canary, b := counted(t, ok)
	ca1 := client.Cluster("stable", Meshed(server.Before(stable), ID("api")))
	ca2 := client.Cluster("canary", Meshed(server.Before(canary), ID("api")))
	d, out := client.Destination("api:80", config.HTTP, Share{ca1, 90}, Share{ca2, 10})
	const n = 2000
	run := func() {
		a.Store(0)
		b.Store(0)
		client := browser(t)
		for range n {
			r, err := client.Get("http://" + out.String())
			if err != nil {
				t.Fatal(err)
			}
			io.Copy(io.Discard, r.Body)
			r.Body.Close()
		}
	}
	within := func(share float64) {
		t.Helper()
		// Six and a half standard deviations: chance exceeds them once in ten
		// thousand million times.
		slack := 6.5 * math.Sqrt(share*(1-share)*n)
		if got := float64(b.Load()); math.Abs(got-share*n) > slack || a.Load()+b.Load() != n {
			t.Errorf("canary got %d and stable %d of %d, want a share of %.2f", b.Load(), a.Load(), n, share)
		}
	}
	run()
	within(0.1)
	d.Route(t, Share{ca1, 1}, Share{ca2, 1})
	run()
	within(0.5)
}

// lockedBuffer is a log that is written and read at once.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func TestMeshTLSIsToldFromTheApplications(t *testing.T) {
	ca := NewCA(t)
	server := New(t, ca, ID("api"), Options{})
	client := New(t, ca, ID("web"), Options{})
	var n atomic.Int64
	secure, pool := tlsApp(t, func(w http.ResponseWriter, r *http.Request) { n.Add(1); io.WriteString(w, r.Proto) })
	in := server.Before(secure)
	// Directly, and as opaque bytes inside mesh TLS.
	_, out := client.Destination("api:443", config.Detect, Share{client.Cluster("api", Meshed(in, ID("api"))), 1})
	for _, to := range []netip.AddrPort{in, out} {
		c := browser(t)
		c.Transport.(*http.Transport).TLSClientConfig = pool
		r, err := c.Get("https://" + to.String())
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, r.Body)
		r.Body.Close()
	}
	if n.Load() != 2 {
		t.Errorf("the application saw %d requests", n.Load())
	}
	server.Policy(policy.Port{Mode: policy.Strict})
	c := browser(t)
	c.Transport.(*http.Transport).TLSClientConfig = pool
	if r, err := c.Get("https://" + in.String()); err == nil {
		r.Body.Close()
		t.Error("STRICT lets the application's own TLS through")
	}
}
