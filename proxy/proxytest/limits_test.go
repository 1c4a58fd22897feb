package proxytest

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/weftmesh/weft/proxy/config"
	"github.com/weftmesh/weft/proxy/upstream"
)

// A request whose response has reached the client is not under way any more: who
// asks for one thing after the other never meets a limit of one request.
func TestOneRequestAtATimeIsWithinALimitOfOne(t *testing.T) {
	handler := func(w http.ResponseWriter, q *http.Request) {
		switch q.URL.Path {
		case "/flushed":
			http.NewResponseController(w).Flush()
		case "/trailers":
			w.Header().Set("Trailer", "x")
			w.Header().Set("x", "y")
		}
		io.WriteString(w, strings.Repeat("b", len(q.URL.RawQuery)))
	}
	for _, meshed := range []bool{false, true} {
		r := newRuled(t, handler)
		at := h2app(t, handler)
		to := Plain(at)
		if meshed {
			to = Meshed(r.server.Before(at), ID("api"))
		}
		one := r.client.Registry.Apply(upstream.Spec{Name: "one", Kind: upstream.Pushed, ConnectTimeout: patient, Limits: upstream.Limits{MaxRequests: upstream.AtMost(1)}})
		r.client.Registry.SetEndpoints("one", []upstream.EndpointSpec{to})
		_, out := r.client.Destination("one:80", config.HTTP, Share{one, 1})
		for _, h2c := range []bool{false, true} {
			c := client(t, h2c)
			for _, path := range []string{"/", "/?" + strings.Repeat("q", 3000), "/flushed", "/trailers?q"} {
				refused := 0
				for range 200 {
					resp, err := c.Get("http://" + out.String() + path)
					if err != nil {
						t.Fatal(err)
					}
					io.Copy(io.Discard, resp.Body)
					resp.Body.Close()
					if resp.StatusCode != 200 {
						refused++
					}
				}
				if refused > 0 {
					t.Errorf("meshed %v, http2 %v, %.10s: %d of 200 refused", meshed, h2c, path, refused)
				}
			}
		}
	}
}
