package forward_test

import (
	"context"
	"fmt"
	"io"
	nethttp "net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/weftmesh/weft/identity"
	"github.com/weftmesh/weft/proxy/alpn"
	"github.com/weftmesh/weft/proxy/config"
	"github.com/weftmesh/weft/proxy/conn"
	"github.com/weftmesh/weft/proxy/forward"
	"github.com/weftmesh/weft/proxy/inbound"
	"github.com/weftmesh/weft/proxy/listen"
	"github.com/weftmesh/weft/proxy/proxytest"
	"github.com/weftmesh/weft/proxy/upstream"
)

// older is a proxy that does not know of the multiplexed connection, until it
// is told that it does.
type older struct {
	*proxytest.Workload
	knows atomic.Bool
	mu    sync.Mutex
	conns []*conn.Conn
	spoke []string
}

func newOlder(t testing.TB, ca *proxytest.CA) *older {
	return &older{Workload: proxytest.New(t, ca, proxytest.ID("api"), proxytest.Options{})}
}

func (o *older) before(application netip.AddrPort) netip.AddrPort {
	return o.Listen(func(ctx context.Context, a listen.Accepted) {
		protocols := []string{alpn.HTTP2, alpn.HTTP1, alpn.TCP}
		if o.knows.Load() {
			protocols = append([]string{alpn.Mux}, protocols...)
		}
		c, err := conn.Server(ctx, a.Conn, o.TLS.Server(protocols...))
		if err != nil {
			return
		}
		spoken := c.TLS().NegotiatedProtocol
		o.mu.Lock()
		o.conns, o.spoke = append(o.conns, c), append(o.spoke, spoken)
		o.mu.Unlock()
		d := &forward.Downstream{Direction: forward.Inbound, Application: o.Registry.Apply(upstream.Spec{Name: inbound.ApplicationCluster, Kind: upstream.OriginalDestination}),
			Destination: application, Activity: o.Activity, Limits: forward.Limits{}.WithDefaults(), Watch: &forward.Watch{}, Telemetry: o.Telemetry,
			Log: quiet, Mutual: true, Peer: identity.ID{}}
		switch spoken {
		case alpn.Mux:
			forward.ServeMux(ctx, c, d, forward.Anything)
		case alpn.HTTP2:
			forward.ServeHTTP2(ctx, c, d)
		case alpn.HTTP1:
			forward.ServeHTTP1(ctx, c, d)
		}
	}).Addr()
}

// restart cuts every connection.
func (o *older) restart(knows bool) {
	o.knows.Store(knows)
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, c := range o.conns {
		c.Abort()
	}
	o.conns, o.spoke = nil, nil
}

func (o *older) protocols() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return append([]string(nil), o.spoke...)
}

// What a peer speaks is found out by each connection to it.
func TestPeersOfOtherVersions(t *testing.T) {
	a := both(t, func(w nethttp.ResponseWriter, r *nethttp.Request) {
		b, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s", r.Proto, b)
	})
	ca := proxytest.NewCA(t)
	client := proxytest.New(t, ca, proxytest.ID("web"), proxytest.Options{})
	server := newOlder(t, ca)
	_, out := client.Destination("api:80", config.HTTP, proxytest.Share{Cluster: client.Cluster("api", proxytest.Meshed(server.before(a), proxytest.ID("api"))), Weight: 1})
	one := &nethttp.Client{Transport: &nethttp.Transport{MaxIdleConnsPerHost: 64}, Timeout: 2 * patience}
	defer one.CloseIdleConnections()
	two := plainClient(t)
	load := func(cl *nethttp.Client, proto string, method string) {
		t.Helper()
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				for j := range 5 {
					req, _ := nethttp.NewRequest(method, "http://"+out.String(), strings.NewReader(fmt.Sprint(i, j)))
					r, err := cl.Do(req)
					if err != nil {
						t.Error(err)
						return
					}
					b, _ := io.ReadAll(r.Body)
					r.Body.Close()
					if r.StatusCode != 200 || string(b) != fmt.Sprint(proto, " ", i, " ", j) {
						t.Errorf("%d %q", r.StatusCode, b)
					}
				}
			})
		}
		wg.Wait()
	}
	only := func(step, want string, most int) {
		t.Helper()
		got := server.protocols()
		if len(got) == 0 || len(got) > most {
			t.Errorf("%s: connections %v, want at most %d", step, got, most)
		}
		for _, p := range got {
			if p != want {
				t.Errorf("%s: connections %v, want %s", step, got, want)
				return
			}
		}
	}
	for round := range 2 {
		server.restart(false)
		load(one, "HTTP/1.1", "PUT")
		only("older, HTTP/1", alpn.HTTP1, 12)
		server.restart(false)
		load(two, "HTTP/2.0", "PUT")
		only("older, HTTP/2", alpn.HTTP2, 2)
		server.restart(true)
		load(one, "HTTP/1.1", "PUT")
		only(fmt.Sprint("newer, HTTP/1, round ", round), alpn.Mux, 10)
		load(two, "HTTP/2.0", "PUT")
		only("newer, HTTP/2", alpn.Mux, 10)
		server.restart(true)
		load(two, "HTTP/2.0", "PUT")
		load(one, "HTTP/1.1", "PUT")
		only("newer again", alpn.Mux, 2)
	}
}
