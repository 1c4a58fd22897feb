//go:build e2e

package traffic_test

import (
	"strings"
	"testing"

	"github.com/weftmesh/weft/e2e/capture"
	"github.com/weftmesh/weft/e2e/cluster/clustertest"
	"github.com/weftmesh/weft/e2e/meshtest"
	"github.com/weftmesh/weft/e2e/traffic"
)

// The marker is sent in headers and bodies and looked for on the wire.
const marker = "the-secret-that-nobody-may-read"

func TestWireShowsTLS13AndNothingElse(t *testing.T) {
	c := clustertest.On(t, shared)
	// From before the pods exist, so that every connection is seen from its start.
	seen, err := capture.Start(shared)
	if err != nil {
		t.Fatal(err)
	}
	defer seen.Stop()
	client := meshtest.Meshed(c, "wire", meshtest.App{Name: "api", Namespace: "wire"}.YAML())
	for _, p := range protocols {
		load(c, client, "-proto", p.proto, "-target", target(p.proto, "api", p.port), "-rate", "50", "-n", "25", "-body", marker, "-header", "x-marker="+marker)
	}
	for _, f := range seen.Contains(marker) {
		t.Errorf("the marker can be read in %v", f)
	}
	flows := seen.Between(address(c, "wire", "client"), address(c, "wire", "api"))
	servers := 0
	for f, data := range flows {
		tls, err := capture.ReadTLS(data)
		if err != nil {
			t.Errorf("%v: %v", f, err)
			continue
		}
		if tls.Version != 0 {
			servers++
			if tls.Version != 0x0304 || tls.Application == 0 {
				t.Errorf("%v: version %#x, %d encrypted records", f, tls.Version, tls.Application)
			}
		}
	}
	if servers == 0 {
		t.Errorf("no handshake was seen in %d flows", len(flows))
	}
}

// The capture itself has a way to fail: without the mesh the marker is there.
func TestWireShowsPlaintextWithoutTheMesh(t *testing.T) {
	c := clustertest.On(t, shared)
	c.Namespace("bare")
	c.Apply(meshtest.App{Name: "api", Namespace: "bare"}.YAML() + meshtest.Client("client", "bare"))
	meshtest.Settled(c, "bare")
	seen, err := capture.Start(shared)
	if err != nil {
		t.Fatal(err)
	}
	defer seen.Stop()
	load(c, meshtest.From(shared, "bare", "client"), "-target", "http://api/", "-rate", "20", "-n", "5", "-header", "x-marker="+marker)
	c.Eventually(limit, func() error {
		if len(seen.Contains(marker)) == 0 {
			return errNoMarker
		}
		return nil
	})
}

func address(t *clustertest.T, namespace, name string) string {
	t.Helper()
	pods, err := traffic.Pods(t.Context(), t.Cluster, namespace, "")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range pods {
		if strings.HasPrefix(p.Metadata.Name, name) {
			return p.Status.PodIP
		}
	}
	t.Fatalf("namespace %s has no pod %s", namespace, name)
	return ""
}
