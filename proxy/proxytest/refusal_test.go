package proxytest

import (
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/weftmesh/weft/proxy/config"
	"github.com/weftmesh/weft/proxy/forward"
	"github.com/weftmesh/weft/proxy/policy"
)

func TestGarbageAndSilence(t *testing.T) {
	ca := NewCA(t)
	o := Options{Limits: forward.Limits{Head: 2 * time.Second}} // what is sent is there long before
	server, client := New(t, ca, ID("api"), o), New(t, ca, ID("web"), o)
	server.Policy(policy.Port{Mode: policy.Permissive, Protocol: policy.HTTP})
	in := server.Before(app(t, ok))
	_, out := client.Destination("api:80", config.HTTP, Share{client.Cluster("api", Meshed(in, ID("api"))), 1})
	t.Run("all", func(t *testing.T) {
		for side, to := range map[string]netip.AddrPort{"inbound": in, "outbound": out} {
			for _, c := range []struct{ name, send, want string }{
				{"nothing", "", ""},
				{"garbage", "\x00\x01\x02\x03 what is this\r\n\r\n", "HTTP/1.1 400"},
				{"bad request line", "GET\r\n\r\n", "HTTP/1.1 400"},
				{"two lengths", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx", "HTTP/1.1 400"},
				{"half a head", "GET / HTTP/1.1\r\nHost: a", "HTTP/1.1 408"},
				{"endless head", "GET / HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("x", 80<<10), "HTTP/1.1 431"},
				{"half a TLS hello", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", ""},
			} {
				t.Run(side+"/"+c.name, func(t *testing.T) {
					t.Parallel()
					w := dial(t, to.String())
					began := time.Now()
					go io.WriteString(w, c.send)
					b, _ := io.ReadAll(w.in)
					if !strings.HasPrefix(string(b), c.want) || c.want == "" && len(b) > 0 && side == "inbound" {
						t.Errorf("answered %q, want %q", b, c.want)
					}
					if d := time.Since(began); d > 5*time.Second {
						t.Errorf("it took %s", d)
					}
				})
			}
		}
	})
	if code, _, _ := get(t, "http://"+out.String()); code != 200 {
		t.Error("it serves no longer: ", code)
	}
	if n := server.Activity.Panics() + client.Activity.Panics(); n > 0 {
		t.Errorf("%d panics", n)
	}
}

// toldBy sends something and returns what comes back, and what ends it other than
// an end. A reset may come as early as the connect, and is told once: to the write
// behind it, if there is one.
func toldBy(a netip.AddrPort, send string) ([]byte, error) {
	c, err := net.Dial("tcp", a.String())
	if err != nil {
		return nil, err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	_, wrote := io.WriteString(c, send)
	b, err := io.ReadAll(c)
	if err == nil {
		err = wrote
	}
	return b, err
}

// refusedBy sends a request and returns what comes back before the end.
func refusedBy(a netip.AddrPort) []byte {
	b, _ := toldBy(a, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
	return b
}

func TestWithoutConfiguration(t *testing.T) {
	ca := NewCA(t)
	w := New(t, ca, ID("web"), Options{})
	w.NoPolicy()
	w.Source.Fail(config.ErrNotReady)
	in := w.Before(app(t, ok))
	if b := refusedBy(in); len(b) > 0 {
		t.Errorf("inbound answered %q", b)
	}
	code, _, h := get(t, "http://"+w.Towards("api:80").String())
	if code != 503 || h.Get("weft-proxy-error") != forward.ReasonNoConfiguration {
		t.Errorf("outbound answered %d %v", code, h)
	}
}

func TestUnknownDestinations(t *testing.T) {
	ca := NewCA(t)
	w := New(t, ca, ID("web"), Options{})
	at := app(t, ok)
	out := "http://" + w.Redirected(at).String()

	w.Source.SetUnknown(config.AllowAny)
	if code, body, _ := get(t, out); code != 200 || body != "ok" {
		t.Errorf("ALLOW_ANY: %d %s", code, body)
	}
	w.Source.SetUnknown(config.RegistryOnly)
	code, body, h := get(t, out)
	if code != 502 || !strings.Contains(body, "REGISTRY_ONLY") || h.Get("weft-proxy-error") == "" {
		t.Errorf("REGISTRY_ONLY: %d %s", code, body)
	}
	c := dial(t, out)
	io.WriteString(c, "\x00\x01\x02\r\n\r\n")
	if b, err := io.ReadAll(c.in); len(b) > 0 {
		t.Errorf("REGISTRY_ONLY answers bytes that are no HTTP: %q, %v", b, err)
	}
	// Without an original destination there is nowhere to go.
	w.Source.SetUnknown(config.AllowAny)
	code, _, h = get(t, "http://"+w.Towards("other:80").String())
	if code != 503 || h.Get("weft-proxy-error") != forward.ReasonNoConfiguration {
		t.Errorf("explicit listener: %d %v", code, h)
	}
	// What belongs to the mesh and is incomplete is never sent round it.
	w.Source.Fail(config.ErrIncomplete)
	if code, _, _ = get(t, out); code != 503 {
		t.Errorf("incomplete: %d", code)
	}
}

func TestNoRouteAndNoBackend(t *testing.T) {
	ca := NewCA(t)
	w := New(t, ca, ID("web"), Options{})
	d, out := w.Destination("api:80", config.HTTP, Share{nil, 1})
	code, _, h := get(t, "http://"+out.String())
	if code != 500 || h.Get("weft-proxy-error") != forward.ReasonNoBackend {
		t.Errorf("invalid backend: %d %v", code, h)
	}
	d.Rules()
	code, _, h = get(t, "http://"+out.String())
	if code != 404 || h.Get("weft-proxy-error") != forward.ReasonNoRoute {
		t.Errorf("no route: %d %v", code, h)
	}
}
