//go:build e2e

package traffic_test

import (
	"flag"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/weftmesh/weft/e2e/app/report"
	"github.com/weftmesh/weft/e2e/cluster/clustertest"
	"github.com/weftmesh/weft/e2e/meshtest"
	"github.com/weftmesh/weft/e2e/traffic"
)

var changesFor = flag.Duration("changes", 30*time.Second, "how long routes are changed under load")

// change is the n-th state of a host's routes: weights, matches, subsets and
// limits all differ from the state before.
func change(namespace string, n int) string {
	stable := 10 + 37*n%81
	return fmt.Sprintf(`
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: api, namespace: %[1]s}
spec:
  hosts: [api]
  http:
    - match: [{headers: {x-change: {exact: "%[2]d"}}}]
      route: [{destination: {host: api, subset: canary}}]
    - name: change-%[2]d
      timeout: %[3]ds
      retries: {attempts: %[4]d}
      headers: {response: {set: {x-change: "%[2]d"}}}
      route:
        - {destination: {host: api, subset: stable}, weight: %[5]d}
        - {destination: {host: api, subset: canary}, weight: %[6]d}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: api, namespace: %[1]s}
spec:
  host: api
  trafficPolicy:
    loadBalancer: {simple: %[7]s}
    connectionPool: {http: {http2MaxRequests: %[8]d}}
  subsets:
    - {name: stable, labels: {version: stable}}
    - {name: canary, labels: {version: canary}}
`, namespace, n, 20+n%5, 1+n%2, stable, 100-stable, []string{"LEAST_REQUEST", "ROUND_ROBIN", "RANDOM"}[n%3], 1000+n)
}

// While a hundred changes a minute come into effect, 500 requests a second of
// all protocols are answered and no connection is cut.
func TestRouteChangesLoseNothing(t *testing.T) {
	c := clustertest.On(t, shared)
	const ns = "changes"
	client := meshtest.Meshed(c, ns, versions(ns))
	c.Apply(change(ns, 0))
	share(c, client, 1, "-header", "x-change=0")
	span, short := changesFor.String(), (*changesFor - 4*time.Second).String()
	// What is due while a slow machine stalls is sent after that, but not so much of
	// it at the same time that the limits below are met.
	loads := map[string][]string{
		"HTTP/1.1":            {"-target", "http://api/", "-rate", "430", "-for", span, "-most", "200"},
		"HTTP/2":              {"-proto", "h2c", "-target", "http://api/", "-rate", "120", "-for", span, "-most", "100"},
		"gRPC":                {"-proto", "grpc", "-target", "api:9090", "-rate", "40", "-for", span, "-most", "50"},
		"HTTP upgrades":       {"-proto", "upgrade", "-target", "http://api/upgrade", "-rate", "10", "-for", short, "-hold", "4s", "-timeout", "20s"},
		"TCP":                 {"-proto", "tcp", "-target", "api:9000", "-rate", "10", "-for", short, "-hold", "4s", "-timeout", "20s"},
		"one long connection": {"-proto", "tcp", "-target", "api:9000", "-n", "1", "-rate", "1", "-for", span, "-hold", span, "-timeout", (*changesFor + 10*time.Second).String()},
	}
	var mu sync.Mutex
	reports, failed := map[string]report.Report{}, map[string]error{}
	var running sync.WaitGroup
	for name, args := range loads {
		running.Go(func() {
			r, err := client.Load(t.Context(), args...)
			mu.Lock()
			defer mu.Unlock()
			reports[name], failed[name] = r, err
		})
	}
	n, began := 0, time.Now()
	tick := time.NewTicker(400 * time.Millisecond)
	defer tick.Stop()
	done := make(chan struct{})
	go func() { running.Wait(); close(done) }()
	for going := true; going; {
		n++
		c.Apply(change(ns, n))
		<-tick.C
		select {
		case <-done:
			going = false
		default:
		}
	}
	took := time.Since(began)
	sent := 0
	for name, r := range reports {
		if failed[name] != nil {
			t.Errorf("%s: %v", name, failed[name])
			continue
		}
		if err := r.Problem(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		sent += r.Sent
		t.Logf("%s: %d, %d failed, p99 %.1f ms, by version %v", name, r.Sent, r.Failed, r.P99, r.Versions)
	}
	t.Logf("%d changes in %.0f s, %d requests and connections", n, took.Seconds(), sent)
	if rate := float64(n) / took.Minutes(); rate < 100 {
		t.Errorf("only %.0f changes a minute", rate)
	}
	if rate := float64(sent) / took.Seconds(); rate < 500 {
		t.Errorf("only %.0f requests a second", rate)
	}
	// They did come into effect: the last one is.
	share(c, client, 1, "-header", fmt.Sprintf("x-change=%d", n))
	if r := reports["HTTP/1.1"]; r.Versions["stable"] == 0 || r.Versions["canary"] == 0 {
		t.Errorf("answered by %v only", r.Versions)
	}
}

// Limits of connections hold where each request or flow needs one of its own:
// what is over them is refused at once.
func TestConnectionLimits(t *testing.T) {
	t.Parallel()
	c := clustertest.On(t, shared)
	const ns = "limits"
	client := meshtest.Meshed(c, ns)
	c.Namespace("unmeshed")
	c.Apply(meshtest.App{Name: "plain", Namespace: "unmeshed"}.YAML())
	meshtest.Settled(c, "unmeshed")
	pod, err := traffic.PodOf(t.Context(), shared, ns, "client")
	if err != nil {
		t.Fatal(err)
	}
	servers, _, err := traffic.Apps(t.Context(), shared, "unmeshed", "app=plain", "app")
	if err != nil || len(servers) != 1 {
		t.Fatal(servers, err)
	}
	limited := []struct {
		what, name       string
		carried, waiting int
		args             []string
	}{
		{"HTTP/1.1", "gate", 100, 100, []string{"-target", "http://plain.unmeshed/api/v1/users", "-new-connections"}},
		{"TCP", "tcp", 100, 0, []string{"-target", "plain.unmeshed:9000"}},
	}
	for _, l := range limited {
		try := traffic.Limit{Client: client, Pod: pod, Server: servers[0], What: l.name, Carried: 250, Args: l.args}
		if m, err := try.Try(t.Context()); err != nil || m.Accepted != 250 {
			t.Errorf("without limits: %s: %+v: %v", l.what, m, err)
		}
	}
	c.Apply(`
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: plain, namespace: unmeshed}
spec:
  host: plain
  trafficPolicy:
    connectionPool:
      tcp: {maxConnections: 100}
      http: {http1MaxPendingRequests: 100}
`)
	// 100 are carried, and as many requests wait for their connections.
	for _, l := range limited {
		try := traffic.Limit{Client: client, Pod: pod, Server: servers[0], What: l.name, Carried: l.carried, Waiting: l.waiting, Refused: 50, Args: l.args}
		accepted := l.carried + l.waiting
		c.Eventually(30*time.Second, func() error {
			r, err := try.Try(t.Context())
			if err == nil && (r.Accepted != accepted || r.Refused != 50 || r.FailedMax > 1000) {
				err = fmt.Errorf("%s: of %d %d were accepted, not %d; the others were refused within %.0f ms: %v %s", l.what, accepted+50, r.Accepted, accepted, r.FailedMax, r.Codes, r.Why)
			}
			return err
		})
	}
}
