package proxytest

import (
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/weftmesh/weft/proxy/config"
)

// A client that ends its side behind its request and waits is answered, also where
// the connection for it must be made first.
func TestHalfClosedClientIsAnsweredByANewConnection(t *testing.T) {
	client := New(t, NewCA(t), ID("web"), Options{})
	to := app(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) })
	for name, send := range map[string]string{
		"no body": "GET / HTTP/1.1\r\nHost: api\r\n\r\n",
		"short":   "POST / HTTP/1.1\r\nHost: api\r\nContent-Length: 2\r\n\r\nab",
		"long":    "POST / HTTP/1.1\r\nHost: api\r\nContent-Length: 100000\r\n\r\n" + strings.Repeat("b", 100_000),
	} {
		// Each has a cluster without connections.
		_, out := client.Destination(name, config.HTTP, Share{client.Cluster(name, Plain(to)), 1})
		w := dial(t, out.String())
		go func() {
			_, _ = io.WriteString(w, send)
			_ = w.Conn.(*net.TCPConn).CloseWrite()
		}()
		resp, err := http.ReadResponse(w.in, nil)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != 200 {
			t.Errorf("%s: %s, %v", name, resp.Status, err)
		}
	}
}
