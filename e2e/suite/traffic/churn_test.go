//go:build e2e

package traffic_test

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/weftmesh/weft/e2e/app/report"
	"github.com/weftmesh/weft/e2e/cluster"
	"github.com/weftmesh/weft/e2e/cluster/clustertest"
	"github.com/weftmesh/weft/e2e/meshtest"
	"github.com/weftmesh/weft/e2e/traffic"
)

// lossless makes 200 requests a second, most of them HTTP, some gRPC, while f
// runs and until the Service has so many pods and none on its way out. Not one
// may fail.
func lossless(t *clustertest.T, namespace string, pods int, f func()) {
	t.Helper()
	client := meshtest.From(shared, namespace, "client")
	var grpc report.Report
	began := time.Now()
	http := during(t, client, func() {
		grpc = during(t, client, func() {
			defer ended(t, client)
			begun(t, client, 2)
			f()
			t.Eventually(90*time.Second, func() error {
				out, err := t.Kubectl(t.Context(), "-n", namespace, "get", "pods", "-l", "app=api", "-o", "name")
				if n := len(strings.Fields(out)); err == nil && n != pods {
					err = fmt.Errorf("%d pods, not %d", n, pods)
				}
				return err
			})
			time.Sleep(2 * time.Second) // more of the load, on what is left
		}, "-proto", "grpc", "-target", "api:9090", "-rate", "40", "-for", "3m")
	}, "-target", "http://api/", "-rate", "160", "-for", "3m")
	span := time.Since(began)
	for name, r := range map[string]report.Report{"HTTP": http, "gRPC": grpc} {
		if err := r.Problem(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		t.Logf("%s: %d requests in %.0f s, %d failed, p99 %.1f ms, answered by %d pods", name, r.Sent, span.Seconds(), r.Failed, r.P99, len(r.Backends))
	}
	if least := int((span - 3*time.Second).Seconds() * 150); http.Sent < least {
		t.Errorf("only %d requests in %v", http.Sent, span)
	}
}

// ended ends the loads of clients, whatever has failed.
func ended(t *clustertest.T, clients ...traffic.Client) {
	t.Helper()
	for _, c := range clients {
		// Those that it does not reach end by themselves.
		_, _ = c.Run(context.WithoutCancel(t.Context()), "/bin/busybox", "killall", "-TERM", "app")
	}
}

// begun waits until so many loads of a client are under way.
func begun(t *clustertest.T, client traffic.Client, loads int) {
	t.Helper()
	t.Eventually(limit, func() error {
		out, err := client.Run(t.Context(), "/bin/busybox", "pidof", "app")
		if n := len(strings.Fields(out)); err == nil && n != loads {
			err = fmt.Errorf("%d loads are running", n)
		}
		return err
	})
}

func TestRollingRestartAndScaleDownLoseNothing(t *testing.T) {
	c := clustertest.On(t, shared)
	const ns = "churn"
	meshtest.Meshed(c, ns, meshtest.App{Name: "api", Namespace: ns, Replicas: 3}.YAML())
	c.Run("rolling restart", func(t *clustertest.T) {
		lossless(t, ns, 3, func() {
			t.Kube("-n", ns, "rollout", "restart", "deployment/api")
			t.Rollout(ns, "api")
		})
	})
	c.Run("scale down", func(t *clustertest.T) {
		lossless(t, ns, 1, func() {
			t.Kube("-n", ns, "scale", "deployment/api", "--replicas=1")
			t.Rollout(ns, "api")
		})
	})
	c.Run("scale up", func(t *clustertest.T) {
		lossless(t, ns, 3, func() {
			t.Kube("-n", ns, "scale", "deployment/api", "--replicas=3")
			t.Rollout(ns, "api")
		})
	})
	c.Run("a pod is deleted", func(t *clustertest.T) {
		lossless(t, ns, 3, func() {
			pod := strings.Fields(t.Kube("-n", ns, "get", "pods", "-l", "app=api", "-o", "jsonpath={.items[*].metadata.name}"))[0]
			t.Kube("-n", ns, "delete", "pod", pod)
		})
	})
}

// killControl kills the control plane as a crash would and keeps it away.
func killControl(t *clustertest.T) {
	t.Helper()
	l, err := cluster.DefaultLayout()
	if err != nil {
		t.Fatal(err)
	}
	killed := 0
	for _, p := range cluster.Processes(l) {
		if p.Program == meshtest.Control && syscall.Kill(p.PID, syscall.SIGKILL) == nil {
			killed++
		}
	}
	if killed == 0 {
		t.Fatal("no control plane to kill")
	}
	// Before the kubelet's restart of the container is of use to anybody.
	t.Kube("-n", meshtest.Namespace, "scale", "deployment/"+meshtest.Deployment, "--replicas=0")
	t.Kube("-n", meshtest.Namespace, "wait", "--for=delete", "pods", "--all", "--timeout=60s")
}

func returnControl(t *clustertest.T) {
	t.Helper()
	t.Kube("-n", meshtest.Namespace, "scale", "deployment/"+meshtest.Deployment, "--replicas=1")
	if err := meshtest.Ready(t.Context(), t.Cluster); err != nil {
		t.Fatal(err)
	}
}

func TestControlPlaneAway(t *testing.T) {
	c := clustertest.On(t, shared)
	const ns = "away"
	client := meshtest.Meshed(c, ns, versions(ns), meshtest.App{Name: "unknown", Namespace: ns}.YAML())
	c.Apply(trafficSplit(ns, "1", "0"))
	share(c, client, 0)
	t.Cleanup(func() { // whatever fails below, the other tests need it
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if _, err := shared.Kubectl(ctx, "-n", meshtest.Namespace, "scale", "deployment/"+meshtest.Deployment, "--replicas=1"); err != nil {
			t.Error(err)
		}
		if err := meshtest.Ready(ctx, shared); err != nil {
			t.Error(err)
		}
	})
	lossless := during(c, client, func() { killControl(c) }, "-target", "http://api/", "-rate", "200", "-for", "10s")
	if err := lossless.Problem(); err != nil {
		t.Errorf("while the control plane was killed: %v", err)
	}
	if s := lossless.Share("stable"); s != 1 {
		t.Errorf("the last configuration is not kept: stable's share is %.2f", s)
	}
	c.Run("a destination asked for the first time", func(t *clustertest.T) {
		// ALLOW_ANY, the default: its original address, without mutual TLS.
		load(t, client, "-target", "http://unknown/", "-rate", "20", "-n", "20")
	})
	c.Run("the webhooks' policy", func(t *clustertest.T) {
		// Ignore, the default: the pod starts, without a sidecar; an object is
		// accepted without a look.
		t.Apply(meshtest.Client("late", ns))
		t.Kube("-n", ns, "wait", "--for=condition=Ready", "pod/late", "--timeout=60s")
		if out := t.Kube("-n", ns, "get", "pod", "late", "-o", "jsonpath={.spec.containers[*].name} {.spec.initContainers[*].name}"); strings.TrimSpace(out) != "client" {
			t.Errorf("containers of a pod made meanwhile: %s", out)
		}
	})
	returnControl(c)
	c.Run("changes flow again", func(t *clustertest.T) {
		t.Apply(trafficSplit(ns, "0", "1"))
		share(t, client, 1)
	})
}

func TestFootprint(t *testing.T) {
	c := clustertest.On(t, shared)
	const ns = "footprint"
	var services strings.Builder
	for i := range 50 {
		services.WriteString(meshtest.Service("service-"+strconv.Itoa(i), ns, "app: api"))
	}
	l, err := cluster.DefaultLayout()
	if err != nil {
		t.Fatal(err)
	}
	before := map[int]bool{}
	for _, p := range cluster.Processes(l) {
		before[p.PID] = true
	}
	meshtest.Meshed(c, ns, meshtest.App{Name: "api", Namespace: ns, Replicas: 2}.YAML(), services.String())
	const mib = 1 << 20
	for program, most := range map[string]int64{meshtest.Proxy: 20 * mib, meshtest.Control: 80 * mib} {
		found := 0
		for _, p := range cluster.Processes(l) {
			if p.Program != program || program == meshtest.Proxy && before[p.PID] {
				continue
			}
			found++
			var rss int64
			// What start-up took is given back within the runtime's own time.
			c.Eventually(30*time.Second, func() error {
				if rss, err = meshtest.Resident(p.PID); err == nil && rss > most {
					err = fmt.Errorf("%s has %.1f MiB resident, the most is %d MiB", program, float64(rss)/mib, most/mib)
				}
				return err
			})
			t.Logf("%s: %.1f MiB", program, float64(rss)/mib)
		}
		if found == 0 {
			t.Errorf("no %s is running", program)
		}
	}
}
