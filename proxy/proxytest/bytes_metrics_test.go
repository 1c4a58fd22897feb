package proxytest

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/weftmesh/weft/internal/waittest"
	"github.com/weftmesh/weft/proxy/config"
	"github.com/weftmesh/weft/proxy/policy"
)

// istioMetric adds up the series of a family of Istio's that have all the labels.
func istioMetric(t testing.TB, w *Workload, family string, labels ...string) (sum int) {
	t.Helper()
	var b strings.Builder
	if err := w.Telemetry.WriteIstio(&b); err != nil {
		t.Fatal(err)
	}
	return series(b.String(), family, labels...)
}

// books are the four places that count a connection between two workloads.
func books(client, server *Workload) map[*Workload][][]string {
	return map[*Workload][][]string{
		client: {{`direction="outbound"`, `peer="src"`}, {`direction="outbound"`, `peer="dst"`, `tls="true"`}},
		server: {{`direction="inbound"`, `peer="src"`, `tls="true"`}, {`direction="inbound"`, `peer="dst"`}},
	}
}

// What the proxies share is nothing that a workload has opened.
func TestAConnectionOfBytesCountsOnce(t *testing.T) {
	c := newCarried(t, echo)
	const flows, text = 3, "hello"
	var all []*wire
	for range flows {
		w := c.dial()
		w.says(text)
		all = append(all, w)
	}
	if got := c.hops.Load(); got != 1 {
		t.Fatalf("%d connections between the proxies", got)
	}
	want := func(open int) {
		t.Helper()
		for w, sides := range books(c.client, c.server) {
			for _, labels := range sides {
				for family, want := range map[string]int{"tcp_open_total": flows, "tcp_open_connections": open,
					"tcp_read_bytes_total": flows * len(text), "tcp_write_bytes_total": flows * len(text), "tcp_close_total": flows - open} {
					if got := metric(t, w, family, labels...); got != want {
						t.Errorf("%s %v: %d, want %d", family, labels, got, want)
					}
				}
			}
		}
		for w, reporter := range map[*Workload]string{c.client: `reporter="source"`, c.server: `reporter="destination"`} {
			for family, want := range map[string]int{"istio_tcp_connections_opened_total": flows, "istio_tcp_connections_closed_total": flows - open,
				"istio_tcp_sent_bytes_total": flows * len(text), "istio_tcp_received_bytes_total": flows * len(text)} {
				if got := istioMetric(t, w, family, reporter); got != want {
					t.Errorf("%s %s: %d, want %d", family, reporter, got, want)
				}
			}
		}
	}
	want(flows)
	for _, w := range all {
		w.Close()
	}
	c.quiet()
	waittest.Until(t, "all are closed in the books", func() bool {
		return metric(t, c.server, "tcp_close_total") == 2*flows && metric(t, c.client, "tcp_close_total") == 2*flows
	})
	c.client.Registry.Close()
	want(0)
}

// The shared connection counts once, for its requests, beside what it carries
// for others.
func TestRequestsBesideBytesAreCountedApart(t *testing.T) {
	application := app(t, func(w http.ResponseWriter, r *http.Request) { b, _ := io.ReadAll(r.Body); w.Write(b) })
	ca := NewCA(t)
	server, client := New(t, ca, ID("api"), Options{}), New(t, ca, ID("web"), Options{})
	server.Policy(policy.Port{Mode: policy.Strict, Protocol: policy.Detect})
	cluster := client.Cluster("api", Meshed(server.Before(application), ID("api")))
	_, requests := client.Destination("api:80", config.HTTP, Share{cluster, 1})
	_, bytes := client.Destination("api:81", config.TCP, Share{cluster, 1})
	const size = 300 << 10
	request := fmt.Sprintf("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", size, strings.Repeat("x", size))
	opened := func(n int) {
		t.Helper()
		for w, sides := range books(client, server) {
			for _, labels := range sides {
				if got := metric(t, w, "tcp_open_total", labels...); got != n {
					t.Errorf("%v: %d are counted, want %d", labels, got, n)
				}
			}
		}
	}
	flow := dial(t, bytes.String())
	flow.Write([]byte(request))
	io.Copy(io.Discard, flow.response("POST").Body)
	opened(1)
	w := dial(t, requests.String())
	io.WriteString(w, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello")
	io.Copy(io.Discard, w.response("POST").Body)
	waittest.Until(t, "the request is counted", func() bool { return metric(t, server, "response_total", `direction="inbound"`) == 1 })
	opened(2)
	flow.Write([]byte(request))
	io.Copy(io.Discard, flow.response("POST").Body)
	for w, sides := range books(client, server) {
		for _, labels := range sides {
			for _, family := range []string{"tcp_read_bytes_total", "tcp_write_bytes_total"} {
				// Heads, and what the proxies say to each other, come on top.
				if got := metric(t, w, family, labels...); got < 2*size+50 || got > 2*size+8<<10 {
					t.Errorf("%s %v: %d bytes are counted", family, labels, got)
				}
			}
		}
	}
}
