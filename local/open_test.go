package local

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
)

// The shop must not open while somebody's share of the requests would fail.
func TestAShopIsNotOpenBeforeEveryBackendIsKnown(t *testing.T) {
	for _, c := range []struct {
		name, config string
		want         error
	}{
		{"nothing behind the canary", `{"clusters":[{"name":"stable","kind":"EDS","endpoints":[{"address":"127.0.0.1:1"}]},{"name":"canary","kind":"EDS","endpoints":[]}]}`, errAlone},
		{"somebody behind each", `{"clusters":[{"name":"stable","kind":"EDS","endpoints":[{"address":"127.0.0.1:1"}]},{"name":"PassthroughCluster","kind":"ORIGINAL_DST","endpoints":[]}]}`, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(c.config)) }))
			defer srv.Close()
			w := &workload{pod: "web-1", admin: srv.Listener.Addr().(*net.TCPAddr).Port}
			if err := knowsAll(context.Background(), w); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
}
