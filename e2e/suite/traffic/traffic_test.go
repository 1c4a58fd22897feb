//go:build e2e

// Package traffic_test is the suite of what the mesh carries.
package traffic_test

import (
	"os"
	"strings"
	"testing"

	"github.com/weftmesh/weft/e2e/app/report"
	"github.com/weftmesh/weft/e2e/cluster"
	"github.com/weftmesh/weft/e2e/cluster/clustertest"
	"github.com/weftmesh/weft/e2e/meshtest"
	"github.com/weftmesh/weft/e2e/traffic"
)

// shared is the cluster of this package; the mesh is installed on it.
var shared *cluster.Cluster

func TestMain(m *testing.M) { os.Exit(clustertest.Main(m, &shared, meshtest.Prepare)) }

// load makes load that must not fail.
func load(t *clustertest.T, c traffic.Client, args ...string) report.Report {
	t.Helper()
	r, err := c.Load(t.Context(), args...)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Problem(); err != nil {
		t.Errorf("load %v: %v", args, err)
	}
	return r
}

// during makes load while f runs, and for as long as the arguments say.
func during(t *clustertest.T, c traffic.Client, f func(), args ...string) report.Report {
	t.Helper()
	type result struct {
		r   report.Report
		err error
	}
	done := make(chan result, 1)
	go func() {
		r, err := c.Load(t.Context(), args...)
		done <- result{r, err}
	}()
	f()
	got := <-done
	if got.err != nil {
		t.Fatal(got.err)
	}
	return got.r
}

// protocols that the test application speaks, on the ports that it declares.
var protocols = []struct{ name, proto, port string }{
	{"HTTP", "http", "80"}, {"h2c", "h2c", "80"}, {"gRPC", "grpc", "9090"}, {"TCP", "tcp", "9000"}, {"server first", "server-first", "9001"},
	{"HTTP on an undeclared port", "http", "8000"}, {"server first on an undeclared port", "server-first", "9999"},
}

func target(proto, host, port string) string {
	if proto == "http" || proto == "h2c" {
		return "http://" + host + ":" + port + "/"
	}
	return host + ":" + port
}

func TestEveryProtocolFlows(t *testing.T) {
	t.Parallel()
	c := clustertest.On(t, shared)
	client := meshtest.Meshed(c, "protocols", meshtest.App{Name: "api", Namespace: "protocols", Replicas: 2}.YAML())
	c.Namespace("outside")
	c.Apply(meshtest.App{Name: "plain", Namespace: "outside"}.YAML() + meshtest.Client("client", "outside"))
	meshtest.Settled(c, "outside")
	stranger := meshtest.From(shared, "outside", "client")
	for _, p := range protocols {
		c.Run(p.name, func(t *clustertest.T) {
			t.Parallel()
			for what, run := range map[string]struct {
				client traffic.Client
				host   string
			}{
				"both in the mesh": {client, "api"}, "a client outside": {stranger, "api.protocols"}, "a server outside": {client, "plain.outside"},
			} {
				t.Run(what, func(t *clustertest.T) {
					r := load(t, run.client, "-proto", p.proto, "-target", target(p.proto, run.host, p.port), "-rate", "50", "-n", "100", "-body", "hello", "-new-connections")
					// TCP without a greeting does not say who answered.
					if what == "both in the mesh" && p.proto != "tcp" && len(r.Backends) != 2 {
						t.Errorf("two replicas, but the answers came from %v", r.Backends)
					}
				})
			}
		})
	}
}

func TestLargeBodiesAndStatusesPass(t *testing.T) {
	t.Parallel()
	c := clustertest.On(t, shared)
	client := meshtest.Meshed(c, "bodies", meshtest.App{Name: "api", Namespace: "bodies"}.YAML())
	out, err := client.Run(t.Context(), "/bin/busybox", "sh", "-c", "/bin/busybox wget -q -O - http://api/bytes/5000000 | /bin/busybox wc -c")
	if err != nil || strings.TrimSpace(out) != "5000000" {
		t.Errorf("5000000 bytes were asked for, %s came: %v", out, err)
	}
	r, err := client.Load(t.Context(), "-target", "http://api/status/418", "-rate", "20", "-n", "10")
	if err != nil || r.Codes["418"] != 10 {
		t.Errorf("status 418 became %v: %v", r.Codes, err)
	}
}
