package controltest_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/weftmesh/weft/control"
	"github.com/weftmesh/weft/control/controltest"
	"github.com/weftmesh/weft/internal/freeport"
	"github.com/weftmesh/weft/proxy/sidecar"
)

var ports freeport.Ports

func free(t *testing.T) string {
	t.Helper()
	n, err := ports.Next()
	if err != nil {
		t.Fatal(err)
	}
	return "127.0.0.1:" + strconv.Itoa(n)
}

// application listens at an address of its own and answers with its name, and
// with what it sees of the request. It returns its pod and its endpoint of a
// service, which are outside of the mesh.
func application(t *testing.T, service, name, address string) (objects string) {
	t.Helper()
	l, err := net.Listen("tcp", address+":0")
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s", name, r.Host)
	}))
	s.Listener.Close()
	s.Listener = l
	s.Start()
	t.Cleanup(s.Close)
	return fmt.Sprintf(`
apiVersion: v1
kind: Pod
metadata: {name: %[2]s-0, namespace: default, labels: {app: %[1]s, version: %[2]s}}
spec: {containers: [{name: c}]}
status: {phase: Running, podIP: %[3]s}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: %[1]s-%[2]s, namespace: default, labels: {kubernetes.io/service-name: %[1]s}}
addressType: IPv4
ports: [{name: http, port: %[4]d}]
endpoints: [{addresses: [%[3]s], conditions: {ready: true}, targetRef: {kind: Pod, namespace: default, name: %[2]s-0}}]
`, service, name, address, l.Addr().(*net.TCPAddr).Port)
}

// client is a workload that sends through a proxy of its own.
type client struct {
	t  *testing.T
	to map[string]string // where its proxy listens, by destination
	// stats is where Istio's metrics are.
	stats string
	http  http.Client
}

// newClient runs the proxy of a workload, with a listener for each destination.
func newClient(t *testing.T, m *controltest.Mesh, account string, destinations ...string) *client {
	t.Helper()
	c := &client{t: t, to: map[string]string{}, stats: free(t), http: http.Client{Timeout: controltest.Deadline}}
	t.Cleanup(c.http.CloseIdleConnections)
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte(m.Token("default", account, account+"-0")), 0o600); err != nil {
		t.Fatal(err)
	}
	var upstreams []string
	admin := free(t)
	for _, d := range destinations {
		c.to[d] = free(t)
		upstreams = append(upstreams, d+"="+c.to[d])
	}
	env := map[string]string{
		"WEFT_MODE": "none", "WEFT_CONTROL_ADDRESS": m.Control.Address().String(), "WEFT_CONTROL_NAME": "localhost",
		"WEFT_TRUST_ANCHORS_FILE": filepath.Join(m.State, control.TrustAnchorsFile), "WEFT_TOKEN_FILE": token,
		"POD_NAMESPACE": "default", "POD_NAME": account + "-0", "POD_IP": "127.0.0.1", "SERVICE_ACCOUNT": account,
		"WEFT_STATS_LISTEN": c.stats, "WEFT_HEALTH_LISTEN": "", "WEFT_ADMIN_LISTEN": admin,
		"WEFT_UPSTREAMS": strings.Join(upstreams, ","), "WEFT_CORES": strconv.Itoa(runtime.GOMAXPROCS(0)),
	}
	s, err := sidecar.Read(func(name string) (string, bool) { v, ok := env[name]; return v, ok })
	if err != nil {
		t.Fatal(err)
	}
	stop, done := make(chan os.Signal, 2), make(chan error, 1)
	go func() { done <- sidecar.Run(context.Background(), s, stop, slog.New(slog.DiscardHandler)) }()
	t.Cleanup(func() {
		stop <- os.Interrupt
		stop <- os.Interrupt
		if err := <-done; err != nil {
			t.Errorf("proxy: %v", err)
		}
	})
	m.Eventually("the proxy is ready", func() bool {
		status, _ := c.fetch("http://"+admin+"/ready", "")
		return status == http.StatusOK
	})
	return c
}

// fetch returns status 0 where there is no answer.
func (c *client) fetch(url, host string) (status int, body string) {
	c.t.Helper()
	r, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	r.Host = host
	resp, err := c.http.Do(r)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// get sends a request to a destination by its proxy.
func (c *client) get(destination, host, path string) (status int, body string) {
	c.t.Helper()
	return c.fetch("http://"+c.to[destination]+path, host)
}

// metrics are those lines of the proxy's metrics that hold all of the parts.
func (c *client) metrics(parts ...string) (lines []string) {
	c.t.Helper()
	_, all := c.fetch("http://"+c.stats+"/stats/prometheus", "")
next:
	for line := range strings.Lines(all) {
		for _, p := range parts {
			if !strings.Contains(line, p) {
				continue next
			}
		}
		lines = append(lines, strings.TrimSpace(line))
	}
	return lines
}
