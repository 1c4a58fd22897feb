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
	client := mesh(c, ns, versions(ns))
	c.Apply(change(ns, 0))
	load(c, client, "-target", "http://api/", "-rate", "100", "-n", "50")
	span := changesFor.String()
	loads := map[string][]string{
		"HTTP/1.1":            {"-target", "http://api/", "-rate", "400", "-for", span},
		"HTTP/2":              {"-proto", "h2c", "-target", "http://api/", "-rate", "110", "-for", span},
		"gRPC":                {"-proto", "grpc", "-target", "api:9090", "-rate", "40", "-for", span},
		"HTTP upgrades":       {"-proto", "upgrade", "-target", "http://api/upgrade", "-rate", "10", "-for", span, "-hold", "4s"},
		"TCP":                 {"-proto", "tcp", "-target", "api:9000", "-rate", "10", "-for", span, "-hold", "4s"},
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
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for time.Since(began) < *changesFor {
		n++
		c.Apply(change(ns, n))
		<-tick.C
	}
	took := time.Since(began)
	running.Wait()
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
	// A slow machine may stay below what is asked of it; it must not stand still.
	if rate := float64(n) / took.Minutes(); rate < 40 {
		t.Errorf("only %.0f changes a minute", rate)
	}
	if rate := float64(sent) / took.Seconds(); rate < 200 {
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
	c := clustertest.On(t, shared)
	const ns = "limits"
	client := mesh(c, ns)
	c.Namespace("unmeshed")
	c.Apply(meshtest.App{Name: "plain", Namespace: "unmeshed"}.YAML())
	ready(c, "unmeshed")
	args := map[string][]string{
		"HTTP/1.1": {"-target", "http://plain.unmeshed/api/v1/users", "-header", "x-delay-ms=3000", "-new-connections"},
		"TCP":      {"-proto", "tcp", "-target", "plain.unmeshed:9000", "-hold", "3s"},
	}
	// A connection that is being made counts as waiting too, hence not all at once.
	at := func(what string, n int) report.Report {
		r, err := client.Load(t.Context(), append(args[what], "-rate", "250", "-n", fmt.Sprint(n), "-for", "20s", "-timeout", "15s")...)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	for what := range args {
		if err := at(what, 250).Problem(); err != nil {
			t.Errorf("without limits: %s: %v", what, err)
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
	// 100 are carried, and as many requests wait for their connections; one that
	// is being made when the limit is met may cost a place.
	for what, accepted := range map[string]int{"HTTP/1.1": 200, "TCP": 100} {
		c.Eventually(30*time.Second, func() error {
			r := at(what, 250)
			if r.OK > accepted || r.OK < accepted-10 || r.FailedMax > 2000 {
				return fmt.Errorf("%s: of 250 within a second %d were accepted, not %d; the others were refused within %.0f ms: %v %s", what, r.OK, accepted, r.FailedMax, r.Codes, r.Why())
			}
			return nil
		})
	}
}
