//go:build e2e

package traffic_test

import (
	"context"
	"crypto/rand"
	"errors"
	"net"
	"os"
	"testing"
	"time"

	"github.com/weftmesh/weft/e2e/cluster/clustertest"
	"github.com/weftmesh/weft/e2e/meshtest"
	"github.com/weftmesh/weft/e2e/traffic"
)

// A client that sends garbage, half a request or nothing harms nobody else.
func TestGarbageHarmsNobody(t *testing.T) {
	t.Parallel()
	c := clustertest.On(t, shared)
	const ns = "abuse"
	client := meshtest.Meshed(c, ns, meshtest.App{Name: "api", Namespace: ns}.YAML())
	ip := address(c, ns, "api")
	garbage := make([]byte, 64<<10)
	if _, err := rand.Read(garbage); err != nil {
		t.Fatal(err)
	}
	c.Run("all at once", func(c *clustertest.T) {
		for name, send := range map[string][]byte{
			"garbage":            garbage,
			"half a request":     []byte("POST / HTTP/1.1\r\nHost: api\r\nContent-Length: 100\r\n\r\nhalf"),
			"half a head":        []byte("GET / HTTP/1.1\r\nHost: a"),
			"nothing":            nil,
			"half a TLS hello":   {22, 3, 1, 2, 0, 1, 0},
			"half an h2 preface": []byte("PRI * HTTP/2.0\r\n\r\nSM"),
			"two lengths":        []byte("POST / HTTP/1.1\r\nHost: api\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nhello"),
		} {
			// The application's ports, through the proxy, and the proxy's own.
			for _, port := range []string{"8080", "9000", "4143", "4140"} {
				c.Run(name+" to "+port, func(t *clustertest.T) {
					t.Parallel()
					ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
					defer cancel()
					conn, err := t.Dial(ctx, "tcp", net.JoinHostPort(ip, port))
					if err != nil {
						return // refused is an answer
					}
					defer conn.Close()
					conn.SetDeadline(time.Now().Add(time.Second)) // only a bound
					conn.Write(send)                              // it may refuse the rest
					_, err = conn.Read(make([]byte, 4096))
					if err != nil && errors.Is(err, os.ErrInvalid) {
						t.Error(err)
					}
				})
			}
		}
	})
	load(c, client, "-target", "http://api/", "-rate", "50", "-n", "100")
	load(c, client, "-proto", "tcp", "-target", "api:9000", "-rate", "50", "-n", "50")
	pods, err := traffic.Pods(t.Context(), shared, ns, "app=api")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range pods {
		if s, ok := p.ContainerStatus(meshtest.Proxy); !ok || s.RestartCount > 0 || !s.Ready {
			t.Errorf("the proxy of %s: %+v", p.Metadata.Name, s)
		}
	}
}
