package meshtest

import (
	"fmt"
	"strings"
	"time"

	"github.com/weftmesh/weft/e2e/cluster/clustertest"
	"github.com/weftmesh/weft/e2e/traffic"
)

// Meshed makes a meshed namespace with a client and the given manifests, waits
// until all is ready and checks that every pod has its sidecar.
func Meshed(t *clustertest.T, namespace string, manifests ...string) traffic.Client {
	t.Helper()
	t.Namespace(namespace, Inject)
	t.Apply(strings.Join(append(manifests, Client("client", namespace)), "---\n"))
	Settled(t, namespace)
	pods, err := traffic.Pods(t.Context(), t.Cluster, namespace, "")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range pods {
		if len(p.Sidecars()) != 1 {
			t.Fatalf("pod %s has sidecars %v", p.Metadata.Name, p.Sidecars())
		}
	}
	return From(t.Cluster, namespace, "client")
}

// Settled waits until all pods of a namespace are ready.
func Settled(t *clustertest.T, namespace string) {
	t.Helper()
	t.Eventually(30*time.Second, func() error { // Deployments make their pods in a moment
		out, err := t.Kubectl(t.Context(), "-n", namespace, "get", "pods", "-o", "name")
		if err == nil && strings.TrimSpace(out) == "" {
			err = fmt.Errorf("no pods yet")
		}
		return err
	})
	for _, d := range strings.Fields(t.Kube("-n", namespace, "get", "deployments", "-o", "jsonpath={.items[*].metadata.name}")) {
		t.Rollout(namespace, d)
	}
	t.Kube("-n", namespace, "wait", "--for=condition=Ready", "pods", "--all", "--timeout=90s")
}
