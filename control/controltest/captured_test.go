package controltest_test

import (
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync/atomic"
	"testing"

	"github.com/weftmesh/weft/control/controltest"
	"github.com/weftmesh/weft/identity"
	"github.com/weftmesh/weft/proxy/config"
	"github.com/weftmesh/weft/proxy/forward"
	"github.com/weftmesh/weft/proxy/grpcwire"
	"github.com/weftmesh/weft/proxy/listen"
	"github.com/weftmesh/weft/proxy/outbound"
	"github.com/weftmesh/weft/proxy/telemetry"
	"github.com/weftmesh/weft/proxy/upstream"
)

// captured is a workload whose connections pass its proxy as if the kernel had
// redirected them.
type captured struct {
	t     *testing.T
	store *config.Store
	out   *outbound.Proxy
	// Metrics are those of the proxy.
	metrics *telemetry.Registry
}

// source gives outbound the store's destinations.
type source struct{ *config.Store }

func (s source) Destination(ctx context.Context, name string) (outbound.Destination, error) {
	d, err := s.Store.Destination(ctx, name)
	if err != nil {
		return nil, err
	}
	return d, nil
}

// stream is the discovery stream and its connection.
type stream struct {
	*grpcwire.Stream
	client *grpcwire.Client
}

func (s stream) Close() {
	s.Stream.Close()
	s.client.Close()
}

// names are a DNS of the test's own.
type names map[string]netip.Addr

func (n names) Lookup(_ context.Context, host string) ([]netip.Addr, error) {
	if a, ok := n[host]; ok {
		return []netip.Addr{a}, nil
	}
	return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
}

func newCaptured(t *testing.T, m *controltest.Mesh, namespace, account string, dns names) *captured {
	t.Helper()
	cert := m.Certificate(namespace, account)
	dial := func(ctx context.Context) (config.Stream, error) {
		c, err := grpcwire.Dial(ctx, m.Control.Address().String(), &tls.Config{RootCAs: m.Roots().Pool(), ServerName: "localhost", MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{*cert}})
		if err != nil {
			return nil, err
		}
		s, err := c.Stream(ctx, config.Method)
		if err != nil {
			c.Close()
			return nil, err
		}
		return stream{s, c}, nil
	}
	log := slog.New(slog.DiscardHandler)
	registry := upstream.NewRegistry(upstream.Options{Resolver: dns, Log: log})
	t.Cleanup(registry.Close)
	node := controltest.Node("weft-proxy", namespace, account, account+"-0")
	meta := map[string]string{}
	for k, v := range node.GetMetadata().GetFields() {
		meta[k] = v.GetStringValue()
	}
	c := &captured{t: t, metrics: telemetry.NewRegistry(telemetry.Self{Workload: account, Namespace: namespace, Identity: identity.ID{}, Version: "test"})}
	c.store = config.New(config.Options{Dial: dial, Registry: registry, Log: log, Node: config.Node{ID: node.GetId(), Version: "test", Metadata: meta}})
	c.out = outbound.New(outbound.Options{Source: source{c.store}, Registry: registry, Telemetry: c.metrics, Watch: &forward.Watch{},
		Activity: forward.NewActivity(), Log: log, Logs: c.store.UnknownLogs()})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = c.store.Run(ctx) }() // it ends with the test
	t.Cleanup(func() { cancel(); <-done })
	m.Eventually("the proxy is configured", func() bool {
		select {
		case <-c.store.Ready():
			return true
		default:
			return false
		}
	})
	return c
}

// towards opens a listener whose connections were made to an address.
func (c *captured) towards(original string) string {
	c.t.Helper()
	to := netip.MustParseAddrPort(original)
	l, err := listen.Listen(context.Background(), "127.0.0.1:0", slog.New(slog.DiscardHandler))
	if err != nil {
		c.t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = l.Serve(func(ctx context.Context, a listen.Accepted) { // who connects sees a failure
			a.Original, a.Redirected = to, true
			c.out.Redirected(ctx, a)
		})
	}()
	c.t.Cleanup(func() { _ = l.Close(); <-done })
	return l.Addr().String()
}

// web is a client whose connections all are made to one address.
type web struct {
	http.Client
	t     *testing.T
	dials atomic.Int32
}

func (c *captured) web(original string) *web {
	c.t.Helper()
	at := c.towards(original)
	w := &web{t: c.t}
	w.Timeout = controltest.Deadline
	tr := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12},
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			w.dials.Add(1)
			return (&net.Dialer{}).DialContext(ctx, network, at)
		}}
	w.Transport = tr
	c.t.Cleanup(tr.CloseIdleConnections)
	return w
}

// get returns status 0 where there is no answer.
func (w *web) get(url string) (status int, body string) {
	resp, err := w.Get(url)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err.Error()
	}
	return resp.StatusCode, string(b)
}
