//go:build e2e

package cluster_test

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/weftmesh/weft/e2e/cluster"
	"github.com/weftmesh/weft/e2e/cluster/clustertest"
)

const smoke = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: api, namespace: smoke}
spec:
  replicas: 2
  selector: {matchLabels: {app: api}}
  template:
    metadata: {labels: {app: api}}
    spec:
      terminationGracePeriodSeconds: 5
      containers:
        - name: api
          image: localhost/app:e2e
          imagePullPolicy: Never
          env: [{name: VERSION, value: one}]
          readinessProbe: {httpGet: {path: /healthz, port: 8080}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {name: api, namespace: smoke}
spec:
  selector: {app: api}
  ports:
    - {name: http, port: 80, targetPort: 8080}
    - {name: grpc, port: 9090}
    - {name: tcp, port: 9000}
    - {name: tcp-first, port: 9001}
---
apiVersion: v1
kind: Pod
metadata: {name: client, namespace: smoke}
spec:
  terminationGracePeriodSeconds: 1
  containers: [{name: client, image: "localhost/app:e2e", imagePullPolicy: Never, command: [/bin/busybox, sleep, "100000"]}]
---
apiVersion: v1
kind: Pod
metadata: {name: fortio, namespace: smoke}
spec:
  terminationGracePeriodSeconds: 1
  containers: [{name: fortio, image: "localhost/fortio:e2e", imagePullPolicy: Never, args: [server]}]
`

// TestClusterWorks drives what every suite relies on, and then that a killed
// and an orderly end leave the machine as it was.
func TestClusterWorks(t *testing.T) {
	l, err := cluster.DefaultLayout()
	if err != nil {
		t.Fatal(err)
	}
	before := links(t)
	began := time.Now()
	c, err := cluster.Up(t.Context(), l, os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cluster.Down(l); err != nil {
			t.Error(err)
		}
	})
	t.Logf("up, builds included, took %v", time.Since(began))
	clustertest.On(t, c).Run("traffic", traffic)

	t.Run("killed", func(t *testing.T) {
		// What a machine's crash of our own processes leaves: pods' processes,
		// shims, mounts and namespaces, with nobody to look after them.
		kill(t, "containerd", "kubelet", "kube-proxy", "kube-apiserver", "etcd", "containerd-shim-runc-v2")
		if len(cluster.Leftovers(l)) == 0 {
			t.Fatal("nothing is left of a killed cluster: there is nothing to test")
		}
		began := time.Now()
		c, err := cluster.Up(t.Context(), l, os.Stderr)
		if err != nil {
			t.Fatal(err)
		}
		if d := time.Since(began); d > time.Minute {
			t.Errorf("starting again took %v", d)
		}
		if out, err := c.Kubectl(t.Context(), "get", "namespaces", "-o", "name"); err != nil || strings.Contains(out, "smoke") {
			t.Errorf("a new cluster remembers the old one's namespaces: %s %v", out, err)
		}
	})

	if err := cluster.Down(l); err != nil {
		t.Fatal(err)
	}
	if left := cluster.Leftovers(l); len(left) > 0 {
		t.Errorf("left behind:\n  %s", strings.Join(left, "\n  "))
	}
	// The same without our own idea of what is ours.
	for what, args := range map[string][]string{
		"process": {"ps", "axww", "-o", "args"}, "mount": {"cat", "/proc/self/mounts"}, "namespace": {"ls", "/run/netns"},
	} {
		out, err := exec.Command(args[0], args[1:]...).Output()
		if err != nil && what != "namespace" {
			t.Fatal(err)
		}
		for _, line := range strings.Split(string(out), "\n") {
			if strings.Contains(line, l.Root+"/") || strings.Contains(line, "weft-cluster") || strings.HasPrefix(line, "cni-") {
				t.Errorf("%s left behind: %s", what, line)
			}
		}
	}
	if after := links(t); after != before {
		t.Errorf("network links before: %s after: %s", before, after)
	}
}

func links(t *testing.T) string {
	t.Helper()
	list, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, l := range list {
		names = append(names, l.Name)
	}
	return strings.Join(names, " ")
}

// kill kills the cluster's processes of these names as a crash would.
func kill(t *testing.T, names ...string) {
	t.Helper()
	l, err := cluster.DefaultLayout()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range cluster.Processes(l) {
		for _, n := range names {
			if p.Program == n {
				if err := syscall.Kill(p.PID, syscall.SIGKILL); err != nil && err != syscall.ESRCH {
					t.Fatal(err)
				}
			}
		}
	}
}

func traffic(t *clustertest.T) {
	t.Namespace("smoke")
	t.Apply(smoke)
	t.Rollout("smoke", "api")
	t.Kube("-n", "smoke", "wait", "--for=condition=Ready", "pod/client", "pod/fortio", "--timeout=60s")
	for _, p := range []struct{ proto, target string }{
		{"http", "http://api/"}, {"h2c", "http://api/api/v1/users"}, {"grpc", "api:9090"}, {"tcp", "api:9000"}, {"server-first", "api:9001"},
	} {
		t.Run(p.proto, func(t *clustertest.T) {
			out := t.Kube("-n", "smoke", "exec", "client", "--", "/app", "load", "-proto", p.proto, "-target", p.target, "-rate", "50", "-for", "1s", "-body", "hello", "-new-connections")
			var r struct {
				Sent, Failed int
				Backends     map[string]int
			}
			if err := json.Unmarshal([]byte(out), &r); err != nil {
				t.Fatal(err)
			}
			if r.Sent < 30 || r.Failed > 0 {
				t.Errorf("report: %s", out)
			}
			if p.proto == "http" && len(r.Backends) != 2 {
				t.Errorf("two replicas, but the answers came from %v", r.Backends)
			}
		})
	}
	t.Run("fortio", func(t *clustertest.T) {
		out := t.Kube("-n", "smoke", "exec", "fortio", "--", "/usr/bin/fortio", "load", "-json", "-", "-qps", "100", "-t", "1s", "http://api.smoke.svc.cluster.local/")
		if !strings.Contains(strings.Join(strings.Fields(out), ""), `"RetCodes":{"200":100}`) {
			t.Errorf("fortio says: %s", out)
		}
	})
	t.Run("dial", func(t *clustertest.T) {
		ip := t.Kube("-n", "smoke", "get", "service", "api", "-o", "jsonpath={.spec.clusterIP}")
		client := http.Client{Transport: &http.Transport{DialContext: t.Dial}, Timeout: 10 * time.Second}
		defer client.CloseIdleConnections()
		resp, err := client.Get("http://" + ip + "/hello")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err != nil || !strings.Contains(string(b), `"path":"/hello"`) {
			t.Errorf("answer: %s %v", b, err)
		}
	})
	t.Run("no way out", func(t *clustertest.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		// An address of documentation (RFC 5737) on another net than the node's.
		if c, err := t.Dial(ctx, "tcp", "198.51.100.1:443"); err == nil {
			c.Close()
			t.Error("a connection left the cluster")
		}
	})
}
