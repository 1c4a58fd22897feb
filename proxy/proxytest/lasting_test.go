package proxytest

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/weftmesh/weft/internal/waittest"
	"github.com/weftmesh/weft/proxy/alpn"
	"github.com/weftmesh/weft/proxy/config"
	"github.com/weftmesh/weft/proxy/forward"
	"github.com/weftmesh/weft/proxy/policy"
)

// A client that says that its request is the last one may end its side behind it.
func TestHalfClosedClientGetsItsResponse(t *testing.T) {
	cancelled := make(chan struct{}, 1)
	// Longer than the watch's patience and tick together.
	url, _, _ := pair(t, func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
			cancelled <- struct{}{}
		case <-time.After(3 * time.Second):
			io.WriteString(w, "late")
		}
	})
	w := dial(t, url)
	io.WriteString(w, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
	w.Conn.(*net.TCPConn).CloseWrite()
	r := w.response("GET")
	b, err := io.ReadAll(r.Body)
	if r.StatusCode != 200 || string(b) != "late" || err != nil {
		t.Errorf("%s %q %v", r.Status, b, err)
	}
	select {
	case <-cancelled:
		t.Error("the request was given up")
	default:
	}
}

// One that did not, and ends its side before the response begins, has left: its
// request is not made elsewhere either. A response that has begun goes on.
func TestClientThatClosesEndsItsRequest(t *testing.T) {
	begun, ended := make(chan string, 10), make(chan string, 10)
	url, _, _ := pair(t, func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		begun <- r.URL.Path
		if r.URL.Path == "/slow" {
			http.NewResponseController(w).Flush()
			select {
			case <-r.Context().Done():
				ended <- r.URL.Path
			case <-time.After(3 * time.Second):
				io.WriteString(w, "late")
			}
			return
		}
		<-r.Context().Done()
		ended <- r.URL.Path
	})
	for path, send := range map[string]string{
		"/get":  "GET /get HTTP/1.1\r\nHost: a\r\n\r\n",
		"/post": "POST /post HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
	} {
		w := dial(t, url)
		io.WriteString(w, send)
		if got := <-begun; got != path {
			t.Fatal(got)
		}
		w.Conn.Close()
		select {
		case got := <-ended:
			if got != path {
				t.Error(got)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("%s: the application still works for a client that has left", path)
		}
	}
	w := dial(t, url)
	io.WriteString(w, "GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
	r := w.response("GET")
	w.Conn.(*net.TCPConn).CloseWrite()
	if b, err := io.ReadAll(r.Body); string(b) != "late" || err != nil {
		t.Errorf("a response that had begun: %q %v", b, err)
	}
	<-begun
	select {
	case path := <-begun:
		t.Errorf("%s was made again", path)
	default:
	}
}

// A connection that rested while its destination was given up, and its
// clusters with it, must not go on with what is no longer kept current.
func TestConnectionOutlivesItsDestination(t *testing.T) {
	a := app(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "ok") })
	ca := NewCA(t)
	client := New(t, ca, ID("web"), Options{})
	_, to := client.Destination("api:80", config.HTTP, Share{client.Cluster("old", Plain(a)), 1})
	w := dial(t, "http://"+to.String())
	ask := func() int {
		io.WriteString(w, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		r := w.response("GET")
		io.Copy(io.Discard, r.Body)
		return r.StatusCode
	}
	if got := ask(); got != 200 {
		t.Fatal(got)
	}
	client.Destination("api:80", config.HTTP, Share{client.Cluster("new", Plain(a)), 1})
	client.Registry.Remove("old")
	if got := ask(); got != 200 {
		t.Errorf("status %d after the destination was given up and asked for again", got)
	}
}

// Only a client that asked for another protocol may be given one.
func TestUnaskedUpgradeIsRefused(t *testing.T) {
	url, _, _ := pair(t, func(w http.ResponseWriter, r *http.Request) {
		c, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\nHTTP/1.1 200 OK\r\n\r\nsmuggled")
	})
	w := dial(t, url)
	io.WriteString(w, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx")
	if r := w.response("POST"); r.StatusCode != 502 {
		t.Errorf("status %d", r.StatusCode)
	}
}

// An upgraded connection is as much under way as a request.
func TestUpgradedConnectionCountsAsCarried(t *testing.T) {
	url, c, _ := pair(t, func(w http.ResponseWriter, r *http.Request) {
		echoBehind(t, w, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n")
	})
	w := dial(t, url)
	io.WriteString(w, "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n")
	w.response("GET")
	// A byte that came back proves that the tunnel stands.
	io.WriteString(w, "x")
	if _, err := w.in.ReadByte(); err != nil {
		t.Fatal(err)
	}
	if n := c.Activity.Carried(); n != 1 {
		t.Errorf("%d carried while a tunnel is open", n)
	}
	w.Close()
	waittest.Until(t, "nothing is carried", func() bool { return c.Activity.Carried() == 0 })
}

// Without the mesh nobody would cut a connection on which both are silent.
func TestBothSilentIsNoReasonToCut(t *testing.T) {
	echo := server(t, func(c *net.TCPConn) { io.Copy(c, c) })
	ca := NewCA(t)
	api := New(t, ca, ID("api"), Options{Limits: forward.Limits{Head: 300 * time.Millisecond}})
	api.Policy(policy.Port{Mode: policy.Permissive})
	client := New(t, ca, ID("web"), Options{Limits: forward.Limits{Head: 300 * time.Millisecond}})
	_, to := client.Destination("api:9", config.Detect, Share{client.Cluster("api", Meshed(api.Before(echo), api.ID)), 1})
	w := dial(t, "http://"+to.String())
	waittest.Until(t, "the silent connection is carried", func() bool { return client.Activity.Carried() == 1 })
	io.WriteString(w, "bytes at last\n")
	if got := w.line(); got != "bytes at last" {
		t.Errorf("%q", got)
	}
}

// metric finds the sum of a family's series that carry all of the labels.
func metric(t testing.TB, w *Workload, family string, labels ...string) (sum int) {
	t.Helper()
	var b strings.Builder
	if err := w.Telemetry.WriteLinkerd(&b); err != nil {
		t.Fatal(err)
	}
	return series(b.String(), family, labels...)
}

// series adds up the series of a family in text that have all the labels.
func series(text, family string, labels ...string) (sum int) {
next:
	for _, l := range strings.Split(text, "\n") {
		if !strings.HasPrefix(l, family+"{") {
			continue
		}
		for _, want := range labels {
			if !strings.Contains(l, want) {
				continue next
			}
		}
		var n int
		fmt.Sscan(l[strings.LastIndexByte(l, ' ')+1:], &n)
		sum += n
	}
	return sum
}

func TestConnectionsOfHTTPAreCounted(t *testing.T) {
	url, client, server := pair(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "hello") })
	w := dial(t, url)
	for i := range 3 {
		io.WriteString(w, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		io.Copy(io.Discard, w.response("GET").Body)
		// What is counted has given its connection back, for the next one.
		waittest.Until(t, "the response is counted", func() bool { return metric(t, server, "response_total", `direction="inbound"`) == i+1 })
	}
	for _, c := range []struct {
		on     *Workload
		labels []string
	}{
		{client, []string{`direction="outbound"`, `peer="src"`, `no_tls_reason="loopback"`}},
		{client, []string{`direction="outbound"`, `peer="dst"`, `tls="true"`, `dst_pod="api-0"`}},
		{server, []string{`direction="inbound"`, `peer="src"`, `tls="true"`, `client_id="spiffe`}},
		{server, []string{`direction="inbound"`, `peer="dst"`, `no_tls_reason="loopback"`}},
	} {
		if o, n := metric(t, c.on, "tcp_open_total", c.labels...), metric(t, c.on, "tcp_open_connections", c.labels...); o != 1 || n != 1 {
			t.Errorf("%v: opened %d, open %d", c.labels, o, n)
		}
		if r, w := metric(t, c.on, "tcp_read_bytes_total", c.labels...), metric(t, c.on, "tcp_write_bytes_total", c.labels...); r < 60 || w < 60 {
			t.Errorf("%v: read %d, written %d bytes", c.labels, r, w)
		}
	}
	w.Close()
	src := []string{`direction="outbound"`, `peer="src"`}
	waittest.Until(t, "the accepted connection is closed in the books", func() bool {
		return metric(t, client, "tcp_close_total", src...) == 1 && metric(t, client, "tcp_open_connections", src...) == 0 &&
			metric(t, client, "tcp_connection_duration_ms_count", src...) == 1
	})
	client.Registry.Close()
	dst := []string{`direction="outbound"`, `peer="dst"`}
	waittest.Until(t, "the dialled connection is closed in the books", func() bool {
		return metric(t, client, "tcp_close_total", dst...) == 1 && metric(t, client, "tcp_connection_duration_ms_count", dst...) == 1
	})
}

// A peer that calls its HTTP opaque bytes must not be able to state an identity
// of its own choice.
func TestIdentityCannotBeForgedAsBytes(t *testing.T) {
	ca := NewCA(t)
	api, client := New(t, ca, ID("api"), Options{}), New(t, ca, ID("web"), Options{})
	api.Policy(policy.Port{Mode: policy.Strict, Protocol: policy.HTTP})
	to := api.Before(app(t, func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, strings.Join(r.Header.Values("L5d-Client-Id"), ","))
	}))
	for _, method := range []string{"GET", "X1"} { // the latter does not look like HTTP
		p := peer(t, client, to, "api", alpn.TCP)
		io.WriteString(p, method+" / HTTP/1.1\r\nHost: a\r\nL5d-Client-Id: admin.default\r\nConnection: close\r\n\r\n")
		b, _ := io.ReadAll(p.response(method).Body)
		if !strings.HasPrefix(string(b), "web.default.") || strings.Contains(string(b), "admin") {
			t.Errorf("%s: the application is told that %q asks", method, b)
		}
	}
}

// Nor by a name that gateways to applications take for the same, nor behind the
// body.
func TestIdentityCannotBeForgedByFields(t *testing.T) {
	for _, h2 := range []bool{false, true} {
		got := make(chan http.Header, 1)
		handler := func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			h := r.Header.Clone()
			for n, v := range r.Trailer {
				h["Trailer/"+n] = v
			}
			got <- h
		}
		ca := NewCA(t)
		api, client := New(t, ca, ID("api"), Options{}), New(t, ca, ID("web"), Options{})
		var a netip.AddrPort
		c := browser(t)
		if h2 {
			a, c = h2app(t, handler), h2client(t)
		} else {
			a = app(t, handler)
		}
		_, to := client.Destination("api:80", config.HTTP, Share{client.Cluster("api", Meshed(api.Before(a), api.ID)), 1})
		r, err := http.NewRequest("POST", "http://"+to.String(), io.MultiReader(strings.NewReader("body")))
		if err != nil {
			t.Fatal(err)
		}
		r.Header["l5d_client_id"] = []string{"admin"}
		r.Header["L5d-Client_Id"] = []string{"admin"}
		r.Trailer = http.Header{"L5d-Client-Id": {"admin"}, "Checksum": {"c"}}
		resp, err := c.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		h := <-got
		if text := fmt.Sprint(h); strings.Contains(text, "admin") || h.Get("Trailer/Checksum") == "" && len(h["Trailer/Checksum"]) == 0 {
			t.Errorf("http/2 %v: the application sees %v", h2, h)
		}
	}
}
