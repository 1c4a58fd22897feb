package proxytest

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/weftmesh/weft/internal/waittest"
)

// TestDrainingServesOn asks both proxies to drain while a request is under way:
// it completes, old connections are asked to end, new ones are served.
func TestDrainingServesOn(t *testing.T) {
	began, finish := make(chan struct{}), make(chan struct{})
	url, client, server := pair(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			close(began)
			<-finish
		}
		io.WriteString(w, r.URL.Path)
	})
	c := dial(t, url)
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	if r := c.response("GET"); r.Close {
		t.Fatal("asked to close before draining")
	} else {
		io.Copy(io.Discard, r.Body)
	}
	io.WriteString(c, "GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
	<-began
	if n := client.Activity.Carried(); n != 1 {
		t.Errorf("%d requests under way, want 1", n)
	}
	client.Activity.Drain()
	server.Activity.Drain()
	n := dial(t, url)
	for range 3 {
		io.WriteString(n, "GET /new HTTP/1.1\r\nHost: a\r\n\r\n")
		r := n.response("GET")
		if b, _ := io.ReadAll(r.Body); r.StatusCode != 200 || string(b) != "/new" || r.Close {
			t.Fatalf("a new connection is answered %s %q, close=%t", r.Status, b, r.Close)
		}
	}
	close(finish)
	r := c.response("GET")
	if b, _ := io.ReadAll(r.Body); r.StatusCode != 200 || string(b) != "/slow" || !r.Close {
		t.Errorf("the old connection is answered %s %q, close=%t", r.Status, b, r.Close)
	}
	waittest.Until(t, "nothing is carried", func() bool { return client.Activity.Carried()+server.Activity.Carried() == 0 })
}

func TestListenerDrainWaitsForRequests(t *testing.T) {
	began, finish := make(chan struct{}), make(chan struct{})
	ca := NewCA(t)
	s := New(t, ca, ID("api"), Options{})
	l := s.Listen(s.Inbound.Explicit(app(t, func(w http.ResponseWriter, r *http.Request) {
		close(began)
		<-finish
	})))
	got := make(chan string, 1)
	go func() {
		c := dial(t, l.Addr().String())
		io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
		b, _ := io.ReadAll(c.in)
		got <- string(b)
	}()
	<-began
	time.AfterFunc(100*time.Millisecond, func() { close(finish) })
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := l.Drain(ctx); err != nil {
		t.Error(err)
	}
	if b := <-got; !strings.HasPrefix(b, "HTTP/1.1 200") {
		t.Errorf("%q", b)
	}
}

func TestTelemetrySeesEveryRequestOnce(t *testing.T) {
	url, client, server := pair(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/bad" {
			w.WriteHeader(500)
		}
	})
	for i := range 10 {
		path := "/good"
		if i < 3 {
			path = "/bad"
		}
		get(t, url+path)
	}
	for side, w := range map[string]*Workload{"outbound": client, "inbound": server} {
		waittest.Until(t, "10 requests "+side, func() bool {
			var b strings.Builder
			if err := w.Telemetry.WriteLinkerd(&b); err != nil {
				t.Fatal(err)
			}
			requests, good, bad := 0, 0, 0
			for _, l := range strings.Split(b.String(), "\n") {
				var n int
				if _, err := fmt.Sscan(l[strings.LastIndexByte(l, ' ')+1:], &n); err != nil || !strings.Contains(l, `direction="`+side+`"`) || !strings.Contains(l, `tls="true"`) {
					continue
				}
				switch {
				case strings.HasPrefix(l, "request_total{"):
					requests += n
				case strings.HasPrefix(l, "response_total{") && strings.Contains(l, `status_code="200"`):
					good += n
				case strings.HasPrefix(l, "response_total{") && strings.Contains(l, `status_code="500"`):
					bad += n
				}
			}
			return requests == 10 && good == 7 && bad == 3
		})
	}
}
