package proxytest

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/weftmesh/weft/proxy/config"
	"github.com/weftmesh/weft/proxy/route"
)

// names makes hosts known by name at a port.
func names(w *Workload, port uint16, n *route.ByName) *Destination {
	d, _ := w.Destination(config.NamesListener(port), config.Named)
	d.Names(n)
	return d
}

// rename gives a destination another name.
func (w *Workload) rename(from, to string) {
	w.Source.mu.Lock()
	defer w.Source.mu.Unlock()
	w.Source.destinations[to] = w.Source.destinations[from]
	delete(w.Source.destinations, from)
}

// TestHostsWithoutConfiguration: what is known by name belongs to the mesh: it
// does not go round it to where the client dialled.
func TestHostsWithoutConfiguration(t *testing.T) {
	ca := NewCA(t)
	w := New(t, ca, ID("web"), Options{})
	w.Source.SetUnknown(config.AllowAny)
	original := server(t, func(c *net.TCPConn) {
		r := bufio.NewReader(c)
		for {
			if _, err := http.ReadRequest(r); err != nil {
				return
			}
			fmt.Fprint(c, "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\noriginal")
		}
	})
	list := names(w, original.Port(), &route.ByName{HTTP: route.NewNames([]string{"api.example.com"}, original.Port())})
	c, err := net.Dial("tcp", w.Redirected(netip.AddrPortFrom(original.Addr(), original.Port())).String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	r := bufio.NewReader(c)
	get := func(host string) (int, string) {
		t.Helper()
		fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", host)
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(resp.Body)
		return resp.StatusCode, string(b)
	}
	if status, body := get("api.example.com"); status != 503 || !strings.Contains(body, "no configuration for api.example.com") {
		t.Errorf("without configuration: %d %s", status, body)
	}
	if status, body := get("other.example.com"); status != 200 || body != "original" {
		t.Errorf("unknown: %d %s", status, body)
	}
	w.Source.SetUnknown(config.RegistryOnly)
	if status, body := get("other.example.com"); status != 502 || !strings.Contains(body, "other.example.com is not known to the mesh") {
		t.Errorf("refused: %d %s", status, body)
	}
	// The configuration arrives, on a connection that is there.
	api := w.Cluster("api", Plain(original))
	w.Destination(fmt.Sprintf("api.example.com:%d", original.Port()), config.HTTP, Share{api, 1})
	if status, body := get("api.example.com"); status != 200 || body != "original" {
		t.Errorf("configured: %d %s", status, body)
	}
	list.Names(&route.ByName{HTTP: route.NewNames([]string{"new.example.com"}, original.Port())})
	if status, _ := get("api.example.com"); status != 502 {
		t.Errorf("not known any more: %d, want 502", status)
	}
}
