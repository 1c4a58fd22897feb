package controltest_test

import (
	"fmt"
	"strings"
	"testing"

	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"

	"google.golang.org/grpc"

	"github.com/weftmesh/weft/control/controltest"
	"github.com/weftmesh/weft/control/xds"
)

// TestSlowClientHoldsUpNobody lets one client stop reading while 40 changes are
// made: another one gets every change at once, and the slow one, when it reads
// again, gets the newest state and not the 40 steps to it.
func TestSlowClientHoldsUpNobody(t *testing.T) {
	f := files()
	f["split.yaml"] = split("1000", "1")
	var many strings.Builder
	for i := range 400 {
		fmt.Fprintf(&many, "---\napiVersion: v1\nkind: Service\nmetadata: {name: many-%d, namespace: default}\nspec: {clusterIP: 10.97.%d.%d, ports: [{name: http, port: 80}]}\n", i, i/250, i%250)
	}
	f["many.yaml"] = many.String()
	m := controltest.Start(t, f)
	// Small windows, so that little is on the way before flow control bites.
	slow := m.DeltaAs(m.Certificate("default", "web"), controltest.Node("envoy", "default", "web", "web-0"), grpc.WithStaticStreamWindowSize(64<<10), grpc.WithStaticConnWindowSize(64<<10))
	fast := m.Delta("weft-proxy", "default", "web", "web-1")
	var rc routev3.RouteConfiguration
	for _, d := range []*controltest.Delta{slow, fast} {
		d.Subscribe(xds.RouteType, apiName)
		d.Wait(xds.RouteType, apiName, &rc, nil)
	}
	slow.Pause()
	// More than the windows of the stream hold.
	slow.Subscribe(xds.ClusterType, "*")
	slow.Subscribe(xds.ListenerType, "*")
	weight := func(want uint32) func() bool {
		return func() bool {
			return rc.GetVirtualHosts()[0].GetRoutes()[0].GetRoute().GetWeightedClusters().GetClusters()[0].GetWeight().GetValue() == want
		}
	}
	const changes = 40
	for i := uint32(1); i <= changes; i++ {
		m.Write("split.yaml", split(fmt.Sprint(1000+i), "1"))
		fast.Wait(xds.RouteType, apiName, &rc, weight(1000+i))
	}
	slow.Resume()
	slow.Wait(xds.RouteType, apiName, &rc, weight(1000+changes))
	var l listenerv3.Listener
	slow.Wait(xds.ListenerType, "10.96.0.1_80", &l, nil)
	if n := len(slow.Responses(xds.RouteType)); n > changes/2 {
		t.Errorf("%d responses were kept for a client that did not read", n)
	}
	if n := len(fast.Responses(xds.RouteType)); n != changes+1 {
		t.Errorf("the other client got %d responses for %d changes", n, changes)
	}
}
