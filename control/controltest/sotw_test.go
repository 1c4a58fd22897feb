package controltest_test

import (
	"testing"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"

	"github.com/weftmesh/weft/control/controltest"
	"github.com/weftmesh/weft/control/push"
	"github.com/weftmesh/weft/control/xds"
)

func count(n int) func(*discoveryv3.DiscoveryResponse) bool {
	return func(r *discoveryv3.DiscoveryResponse) bool { return len(r.GetResources()) == n }
}

func TestWorldOfNamesAndOfAll(t *testing.T) {
	m := controltest.Start(t, files())
	w := m.World("envoy", "default", "web", "web-0")
	w.Ask(xds.ClusterType)
	w.Wait(xds.ClusterType, "every cluster", count(9))
	w.Ask(xds.EndpointType, apiCluster)
	w.Wait(xds.EndpointType, "the endpoints asked for", count(1))
	w.Ask(xds.ListenerType, "10.96.0.1_80", "10.96.0.99_80")
	w.Wait(xds.ListenerType, "the listener that exists", count(1))

	// What is missing in a full response is gone; what comes is added to it.
	m.Write("late.yaml", lateService)
	w.Wait(xds.ListenerType, "both listeners", count(2))
	w.Wait(xds.ClusterType, "one cluster more", count(10))
	m.Remove("late.yaml")
	w.Wait(xds.ListenerType, "one listener less", count(1))
	w.Wait(xds.ClusterType, "one cluster less", count(9))

	// Endpoints are sent as they change, not all of them.
	before := w.Responses(xds.ClusterType)
	w.Ask(xds.EndpointType, apiCluster, "outbound|80||api-stable.default.svc.cluster.local")
	w.Wait(xds.EndpointType, "the endpoints that are new", count(1))
	m.Write("stable.yaml", slice("api-stable", "http", "9001"))
	w.Wait(xds.EndpointType, "no endpoints left", func(r *discoveryv3.DiscoveryResponse) bool {
		return len(r.GetResources()) == 1 && len(r.GetResources()[0].GetValue()) < 80
	})
	// The identities behind api-stable have changed, so its cluster has too.
	m.Eventually("the cluster without identities", func() bool { return w.Responses(xds.ClusterType) == before+1 })
}

func TestWorldRefusalIsRecorded(t *testing.T) {
	m := controltest.Start(t, files())
	w := m.World("envoy", "default", "web", "web-0")
	w.Refuse("cannot")
	w.Ask(xds.ClusterType, apiCluster)
	m.Eventually("the refusal recorded", func() bool {
		p := m.Control.Proxies()
		return len(p) == 1 && p[0].Types["CDS"].State == push.Refused && p[0].Types["CDS"].Error == "cannot" && p[0].Protocol == "sotw"
	})
	if n := w.Responses(xds.ClusterType); n != 1 {
		t.Errorf("%d responses to one refused resource", n)
	}
}
