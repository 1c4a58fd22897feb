//go:build e2e

package gateway_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/weftmesh/weft/e2e/app/report"
	"github.com/weftmesh/weft/e2e/meshtest"
	"github.com/weftmesh/weft/e2e/traffic"
)

// send makes load of POST requests, which nobody sends again unasked.
func (b *bed) send(n int, url string, args ...string) report.Report {
	b.Helper()
	r, err := b.client.Load(b.Context(), append([]string{"-target", "http://" + url, "-method", "POST", "-rate", "100", "-n", fmt.Sprint(n)}, args...)...)
	if err != nil {
		b.Fatal(err)
	}
	return r
}

// A request whose connection is refused is sent again if the route retries on
// connect-failure, and just once where retries are off or made on something else.
// How often it was tried is what the kernel of the endpoint says.
func TestRetriesAfterARefusedConnection(t *testing.T) {
	t.Parallel()
	b := newBed(t, "refusal")
	b.Kube("-n", b.ns, "scale", "deployment/v2", "--replicas=0")
	b.Apply(`
apiVersion: v1
kind: Pod
metadata: {name: refuser, namespace: refusal, labels: {app: api, version: none}, annotations: {weft.mesh/inject: disabled}}
spec:
  terminationGracePeriodSeconds: 1
  containers: [{name: nobody, image: "localhost/app:e2e", imagePullPolicy: Never, command: [/bin/busybox, sleep, "1000000"]}]
---
` + meshtest.Service("lonely", b.ns, "version: none") + `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: both, namespace: refusal}
spec:
  hosts: [api, lonely]
  http:
    - match: [{uri: {prefix: /api/v1/never}, authority: {exact: lonely}}]
      retries: {attempts: 0}
      route: [{destination: {host: lonely}}]
    - match: [{uri: {prefix: /api/v1/other}, authority: {exact: lonely}}]
      retries: {attempts: 3, retryOn: retriable-4xx}
      route: [{destination: {host: lonely}}]
    - match: [{authority: {exact: lonely}}]
      retries: {attempts: 3, retryOn: connect-failure}
      route: [{destination: {host: lonely}}]
    - retries: {attempts: 3, retryOn: connect-failure}
      route: [{destination: {host: api}}]
`)
	b.Kube("-n", b.ns, "wait", "--for=condition=Ready", "pod/refuser", "--timeout=60s")
	refuser := traffic.Client{Cluster: b.Cluster, Namespace: b.ns, Target: "pod/refuser", Container: "nobody"}
	refusals := func() int {
		b.Helper()
		out, err := refuser.Run(b.Context(), "/bin/busybox", "cat", "/proc/net/snmp")
		n := 0
		if err == nil {
			n, err = resets(out)
		}
		if err != nil {
			b.Fatal(err)
		}
		return n
	}
	const n = 25
	tried := func(path string, each int) error {
		before := refusals()
		r := b.send(n, "lonely"+path)
		// Beside the requests, the proxy looks now and then whether it can connect.
		if got := refusals() - before; r.Codes["503"] != n || got < each*n || got > each*n+n/2 {
			return fmt.Errorf("%s: %d requests were tried %d times, not %d each, and answered %v %s", path, n, got, each, r.Codes, r.Why())
		}
		return nil
	}
	b.Eventually(limit, func() error { return tried("/api/v1/never", 1) })
	for path, each := range map[string]int{"/api/v1/never": 1, "/api/v1/other": 1, "/api/v1/refused": 4} {
		if err := tried(path, each); err != nil {
			t.Error(err)
		}
	}
	// Where another endpoint listens, nobody notices.
	apps, _, err := traffic.Apps(b.Context(), b.Cluster, b.ns, "version=v1", "app")
	if err != nil || len(apps) != 1 {
		t.Fatal(apps, err)
	}
	r := b.send(100, "api/api/v1/users", "-header", "x-mark=refused")
	seen, err := apps[0].Seen(b.Context(), "refused")
	if r.Problem() != nil || err != nil || seen != 100 {
		t.Errorf("with retries on connect-failure %d of 100 fail, and the endpoint that listens saw %d: %s %v", r.Failed, seen, r.Why(), err)
	}
}

// resets reads Tcp's OutRsts from /proc/net/snmp (RFC 2012, tcpOutRsts).
func resets(snmp string) (int, error) {
	var names []string
	for _, line := range strings.Split(snmp, "\n") {
		f := strings.Fields(line)
		if len(f) == 0 || f[0] != "Tcp:" {
			continue
		}
		if names == nil {
			names = f
			continue
		}
		if i := slices.Index(names, "OutRsts"); i > 0 && i < len(f) {
			return strconv.Atoi(f[i])
		}
	}
	return 0, fmt.Errorf("no OutRsts in %q", snmp)
}

// Of two endpoints one fails and is ejected. It gets its share again where
// minHealthPercent says that half of the endpoints are too few to bear the load.
func TestMinHealthPercentIsThePanicThreshold(t *testing.T) {
	t.Parallel()
	b := newBed(t, "panic")
	apps, _, err := traffic.Apps(b.Context(), b.Cluster, b.ns, "version=v1", "app")
	if err != nil || len(apps) != 1 {
		t.Fatal(apps, err)
	}
	bad := apps[0]
	rule := func(health int) {
		b.Apply(fmt.Sprintf(`
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: api, namespace: panic}
spec:
  host: api
  trafficPolicy:
    loadBalancer: {simple: ROUND_ROBIN}
    outlierDetection: {consecutive5xxErrors: 3, interval: 1s, baseEjectionTime: 120s, maxEjectionPercent: 100, minHealthPercent: %d}
`, health))
	}
	const n = 100
	// share is how many of the requests the bad endpoint gets.
	share := func(least, most int) func() error {
		return func() error {
			mark := fmt.Sprintf("panic-%d", time.Now().UnixNano())
			r := b.send(n, "api/api/v1/users", "-header", "x-mark="+mark, "-most", "1")
			seen, err := bad.Seen(b.Context(), mark)
			if err == nil && (seen < least || seen > most || r.Codes["500"] != 0 && r.Codes["500"] != seen) {
				err = fmt.Errorf("of %d requests %d went to the bad endpoint, not %d to %d; the answers are %v", n, seen, least, most, r.Codes)
			}
			return err
		}
	}
	rule(0)
	b.Eventually(limit, share(n/2-2, n/2+2)) // it is well yet
	if _, err := bad.Tell(b.Context(), "/fail/500"); err != nil {
		t.Fatal(err)
	}
	if err := share(3, 3)(); err != nil {
		t.Error("at first: ", err)
	}
	if err := share(0, 0)(); err != nil {
		t.Error("when it is ejected: ", err)
	}
	rule(60) // half are healthy, which is less
	b.Eventually(limit, share(n/2-5, n/2+5))
	if err := share(n/2-5, n/2+5)(); err != nil {
		t.Error("in panic: ", err)
	}
	rule(50) // half are healthy, which is enough
	b.Eventually(limit, share(0, 0))
}
