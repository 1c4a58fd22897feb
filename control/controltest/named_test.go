package controltest_test

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"

	"github.com/weftmesh/weft/control/controltest"
	"github.com/weftmesh/weft/control/xds"
)

// server answers with its name and what it sees of the request. /slow waits
// until the test lets go, or the client leaves.
type server struct {
	at    string
	port  string
	let   chan struct{}
	begun chan struct{}
}

func newServer(t *testing.T, name string, tls bool) *server {
	t.Helper()
	s := &server{let: make(chan struct{}), begun: make(chan struct{}, 16)}
	h := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			s.begun <- struct{}{}
			select {
			case <-s.let:
			case <-r.Context().Done():
			}
		}
		fmt.Fprintf(w, "%s %s", name, strings.TrimSpace(r.Host+" "+r.Header.Get("x-by")))
	}))
	h.Config.Protocols = new(http.Protocols)
	h.Config.Protocols.SetHTTP1(true)
	h.Config.Protocols.SetUnencryptedHTTP2(true)
	h.Config.Protocols.SetHTTP2(tls)
	h.EnableHTTP2 = tls
	if tls {
		h.StartTLS()
	} else {
		h.Start()
	}
	t.Cleanup(h.Close)
	s.at = h.Listener.Addr().String()
	_, s.port, _ = net.SplitHostPort(s.at)
	return s
}

func entry(name, rest string) string {
	return "\n---\napiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: " + name + ", namespace: default}\nspec: {" + rest + "}\n"
}

func virtualService(name, rest string) string {
	return "\n---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: " + name + ", namespace: default}\nspec: {" + rest + "}\n"
}

const registryOnly = `
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: strict, namespace: default}
spec: {egress: [{hosts: ["*/*"]}], outboundTrafficPolicy: {mode: REGISTRY_ONLY}}
`

var loopback = netip.MustParseAddr("127.0.0.1")

// TestEntriesWithoutAddresses: captured connections to an address that is
// nobody's are told apart by their requests' host, and have all that is said of
// the entry; what is for no entry has the fate of unknown destinations.
func TestEntriesWithoutAddresses(t *testing.T) {
	original, dns, secure := newServer(t, "original", false), newServer(t, "dns", false), newServer(t, "secure", true)
	files := map[string]string{"entries.yaml": absentService +
		entry("api", `hosts: [api.example.com], resolution: DNS, location: MESH_EXTERNAL, ports: [{number: `+original.port+`, name: http, protocol: HTTP, targetPort: `+dns.port+`}]`) +
		virtualService("api", `hosts: [api.example.com], http: [{match: [{uri: {prefix: /slow}}], timeout: 100ms, route: [{destination: {host: api.example.com}}]}, {headers: {request: {set: {x-by: api}}}, route: [{destination: {host: api.example.com}}]}]`) +
		entry("wild", `hosts: ["*.example.com"], resolution: NONE, ports: [{number: `+original.port+`, name: http, protocol: HTTP}]`) +
		virtualService("wild", `hosts: ["*.example.com"], http: [{headers: {request: {set: {x-by: wild}}}, route: [{destination: {host: "*.example.com"}}]}]`) +
		entry("secure", `hosts: [secure.example.org], resolution: STATIC, location: MESH_EXTERNAL, endpoints: [{address: 127.0.0.1}], ports: [{number: `+original.port+`, name: http, protocol: HTTP, targetPort: `+secure.port+`}]`) +
		entry("same", `hosts: [same.example.org], resolution: STATIC, endpoints: [{address: 127.0.0.1}], ports: [{number: `+original.port+`, name: http, protocol: HTTP}]`) +
		virtualService("same", `hosts: [same.example.org], http: [{headers: {request: {set: {x-by: same}}}, route: [{destination: {host: same.example.org}}]}]`) +
		`
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: secure, namespace: default}
spec: {host: secure.example.org, trafficPolicy: {tls: {mode: SIMPLE, insecureSkipVerify: true}}}
` + strings.ReplaceAll(entry("hidden", `hosts: [hidden.example.org], exportTo: ["."], resolution: NONE, ports: [{number: `+original.port+`, name: http, protocol: HTTP}]`), "namespace: default", "namespace: other")}
	m := controltest.Start(t, files)
	c := newCaptured(t, m, "default", "caller", names{"api.example.com": loopback})
	w := c.web(original.at)
	port := ":" + original.port
	expect := func(what string, cases map[string]string) {
		t.Helper()
		for url, want := range cases {
			if status, body := w.get("http://" + url); strings.TrimSpace(fmt.Sprint(status, " ", body)) != want {
				t.Errorf("%s: %s: %d %q, want %s", what, url, status, body, want)
			}
		}
	}
	known := map[string]string{
		"api.example.com/":              "200 dns api.example.com api",
		"API.Example.com" + port + "/":  "200 dns API.Example.com" + port + " api",
		"www.example.com/":              "200 original www.example.com wild",
		"a.b.example.com" + port + "/x": "200 original a.b.example.com" + port + " wild",
		"secure.example.org/":           "200 secure secure.example.org",
		"same.example.org/":             "200 original same.example.org same",
	}
	expect("known", known)
	var h2c http.Protocols
	h2c.SetUnencryptedHTTP2(true)
	old := w
	w = c.web(original.at)
	w.Transport.(*http.Transport).Protocols = &h2c
	expect("known, HTTP/2", known)
	expect("unknown, HTTP/2", map[string]string{"elsewhere.org/": "200 original elsewhere.org"})
	w = old
	expect("unknown, ALLOW_ANY", map[string]string{
		"elsewhere.org/":      "200 original elsewhere.org",
		"example.com/":        "200 original example.com",
		"hidden.example.org/": "200 original hidden.example.org",
		original.at + "/":     "200 original " + original.at,
	})
	if status, body := w.get("http://api.example.com/slow"); status != http.StatusGatewayTimeout {
		t.Errorf("the timeout does not hold: %d %q", status, body)
	}
	var b bytes.Buffer
	if err := c.metrics.WriteLinkerd(&b); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(b.String(), `authority="api.example.com`+port+`"`) {
		t.Error("the metrics do not name the host")
	}

	m.Write("strict.yaml", registryOnly)
	m.Eventually("unknown hosts are refused", func() bool {
		status, body := w.get("http://elsewhere.org/")
		return status == http.StatusBadGateway && strings.Contains(body, "REGISTRY_ONLY")
	})
	expect("known, REGISTRY_ONLY", known)
	for _, h := range []string{"hidden.example.org", "example.com", original.at} {
		if status, _ := w.get("http://" + h); status != http.StatusBadGateway {
			t.Errorf("%s: %d, want 502", h, status)
		}
	}
}

// TestEntriesWithoutAddressesByServerName: TLS of the client's own is told
// apart by what it asks for, and goes on unread.
func TestEntriesWithoutAddressesByServerName(t *testing.T) {
	original, other := newServer(t, "original", true), newServer(t, "other", true)
	m := controltest.Start(t, map[string]string{"entries.yaml": absentService +
		entry("tls", `hosts: [tls.example.com], resolution: DNS, location: MESH_EXTERNAL, ports: [{number: `+original.port+`, name: tls, protocol: TLS, targetPort: `+other.port+`}]`) +
		entry("wild", `hosts: ["*.wild.example.com", "*.routed.example.com"], resolution: NONE, ports: [{number: `+original.port+`, name: https, protocol: HTTPS}]`) +
		virtualService("routed", `hosts: ["*.routed.example.com"], tls: [{match: [{sniHosts: ["a.routed.example.com"]}], route: [{destination: {host: tls.example.com}}]}]`)})
	envoy, own := m.Delta("envoy", "default", "web", "web-0"), m.Delta("weft-proxy", "default", "web", "web-0")
	var list listenerv3.Listener
	own.Subscribe(xds.ListenerType, "*_"+original.port, "*_1")
	own.Wait(xds.ListenerType, "*_"+original.port, &list, nil)
	own.WaitRemoved(xds.ListenerType, "*_1", 1)
	if f := list.GetMetadata().GetFilterMetadata()["weft"].GetFields(); len(f) != 1 || f["tls_hosts"].GetStringValue() != "*.routed.example.com *.wild.example.com tls.example.com" {
		t.Errorf("the list: %v", &list)
	}
	envoy.Subscribe(xds.ListenerType, "*_"+original.port)
	envoy.WaitRemoved(xds.ListenerType, "*_"+original.port, 1)
	c := newCaptured(t, m, "default", "caller", names{"tls.example.com": loopback})
	ask := func(host string) (int, string) { return c.web(original.at).get("https://" + host) }
	known := map[string]string{"tls.example.com": "other", "a.wild.example.com": "original", "a.routed.example.com": "other", "b.routed.example.com": "original"}
	expect := func(what string) {
		t.Helper()
		for host, want := range known {
			if status, body := ask(host); status != 200 || body != want+" "+host {
				t.Errorf("%s: %s: %d %q, want %s", what, host, status, body, want)
			}
		}
	}
	expect("ALLOW_ANY")
	for _, host := range []string{"elsewhere.org", "wild.example.com"} {
		if status, body := ask(host); status != 200 || body != "original "+host {
			t.Errorf("%s: %d %q", host, status, body)
		}
	}
	// Requests in the clear have no entry at this port.
	if status, _ := c.web(original.at).get("http://tls.example.com"); status != http.StatusBadRequest {
		t.Errorf("in the clear: %d, want the answer of the server for TLS", status)
	}
	m.Write("strict.yaml", registryOnly)
	m.Eventually("unknown names are refused", func() bool { status, _ := ask("elsewhere.org"); return status == 0 })
	expect("REGISTRY_ONLY")
}

// TestServersThatSpeakFirst: a port where hosts are known by name takes what is
// neither HTTP nor TLS to where the client dialled.
func TestServersThatSpeakFirst(t *testing.T) {
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
			fmt.Fprintln(c, "220 ready")
			go func() {
				defer c.Close()
				line, _ := bufio.NewReader(c).ReadString('\n')
				fmt.Fprint(c, "you said ", line)
			}()
		}
	}()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	m := controltest.Start(t, map[string]string{"entries.yaml": absentService +
		entry("any", `hosts: ["*.example.com"], resolution: NONE, ports: [{number: `+port+`, name: http, protocol: HTTP}, {number: 1, name: tls, protocol: TLS}]`)})
	c := newCaptured(t, m, "default", "caller", nil)
	conn, err := net.Dial("tcp", c.towards(l.Addr().String()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	r := bufio.NewReader(conn)
	if line, err := r.ReadString('\n'); line != "220 ready\n" {
		t.Fatalf("%q %v", line, err)
	}
	fmt.Fprintln(conn, "hello")
	if line, err := r.ReadString('\n'); line != "you said hello\n" {
		t.Fatalf("%q %v", line, err)
	}
}

// TestEntryComesAndGoes: what is under way ends as it began, and the next
// request on the same connection meets what holds then.
func TestEntryComesAndGoes(t *testing.T) {
	original, dns := newServer(t, "original", false), newServer(t, "dns", false)
	api := entry("api", `hosts: [api.example.com], resolution: DNS, location: MESH_EXTERNAL, ports: [{number: `+original.port+`, name: http, protocol: HTTP, targetPort: `+dns.port+`}]`)
	stays := entry("stays", `hosts: [stays.example.com], resolution: NONE, ports: [{number: `+original.port+`, name: http, protocol: HTTP}]`)
	m := controltest.Start(t, map[string]string{"service.yaml": absentService + stays, "api.yaml": api})
	c := newCaptured(t, m, "default", "caller", names{"api.example.com": loopback})
	w, slow := c.web(original.at), c.web(original.at)
	ask := func(want string) func() bool {
		return func() bool { _, body := w.get("http://api.example.com/"); return body == want+" api.example.com" }
	}
	if !ask("dns")() {
		t.Fatal("the entry is not in effect")
	}
	done := make(chan string)
	go func() {
		status, body := slow.get("http://api.example.com/slow")
		done <- fmt.Sprint(status, " ", body)
	}()
	<-dns.begun
	m.Remove("api.yaml")
	m.Eventually("the entry is gone", ask("original"))
	close(dns.let)
	if got := <-done; got != "200 dns api.example.com" {
		t.Errorf("what was under way: %s", got)
	}
	m.Write("api.yaml", api)
	m.Eventually("the entry is back", ask("dns"))
	// The last of a port goes, and comes back.
	m.Remove("api.yaml")
	m.Write("service.yaml", absentService)
	m.Eventually("no entry is left", ask("original"))
	m.Write("api.yaml", api)
	m.Eventually("the entry is back again", ask("dns"))
	if n := w.dials.Load(); n != 1 {
		t.Errorf("%d connections, want one", n)
	}
}
