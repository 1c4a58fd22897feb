package controltest_test

import (
	"testing"

	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/weftmesh/weft/control/controltest"
	"github.com/weftmesh/weft/control/push"
	"github.com/weftmesh/weft/control/xds"
)

const lateService = `
apiVersion: v1
kind: Service
metadata: {name: late, namespace: default}
spec:
  clusterIP: 10.96.0.99
  ports: [{name: http, port: 80}]
`

func TestUnknownNamesAreAnsweredAndAppearLater(t *testing.T) {
	m := controltest.Start(t, files())
	d := m.Delta("weft-proxy", "default", "web", "web-0")
	d.Subscribe(xds.ListenerType, "10.96.0.99_80", "10.96.0.1_80")
	d.WaitRemoved(xds.ListenerType, "10.96.0.99_80", 1)
	if r := d.Responses(xds.ListenerType); len(r) != 1 || len(r[0].GetResources()) != 1 || len(r[0].GetRemovedResources()) != 1 {
		t.Fatalf("one answer for both was expected: %v", r)
	}
	var l listenerv3.Listener
	m.Write("late.yaml", lateService)
	d.Wait(xds.ListenerType, "10.96.0.99_80", &l, nil)
	m.Remove("late.yaml")
	d.WaitRemoved(xds.ListenerType, "10.96.0.99_80", 2)
}

func TestUnsubscribedNamesAreNotPushed(t *testing.T) {
	f := files()
	f["split.yaml"] = split("9", "1")
	m := controltest.Start(t, f)
	d, watcher := m.Delta("weft-proxy", "default", "web", "web-0"), m.Delta("weft-proxy", "default", "web", "web-1")
	var rc routev3.RouteConfiguration
	for _, c := range []*controltest.Delta{d, watcher} {
		c.Subscribe(xds.RouteType, apiName, "db.default.svc.cluster.local:5432")
		c.Wait(xds.RouteType, apiName, &rc, nil)
	}
	d.Unsubscribe(xds.RouteType, apiName)
	// Asking for something else shows that the unsubscription has been read.
	d.Subscribe(xds.RouteType, "api-stable.default.svc.cluster.local:80")
	d.Wait(xds.RouteType, "api-stable.default.svc.cluster.local:80", &rc, nil)
	m.Write("split.yaml", split("1", "1"))
	watcher.Wait(xds.RouteType, apiName, &rc, func() bool {
		c := rc.GetVirtualHosts()[0].GetRoutes()[0].GetRoute().GetWeightedClusters().GetClusters()
		return c[0].GetWeight().GetValue() == c[1].GetWeight().GetValue()
	})
	d.Subscribe(xds.RouteType, "api-canary.default.svc.cluster.local:80")
	d.Wait(xds.RouteType, "api-canary.default.svc.cluster.local:80", &rc, nil)
	for _, r := range d.Responses(xds.RouteType)[1:] {
		for _, res := range r.GetResources() {
			if res.GetName() == apiName {
				t.Errorf("%s was pushed after it was given up", apiName)
			}
		}
	}
	// Asked for again, it is sent again.
	d.Subscribe(xds.RouteType, apiName)
	d.Wait(xds.RouteType, apiName, &rc, nil)
}

func TestRefusalIsRecordedAndNotRepeated(t *testing.T) {
	f := files()
	f["split.yaml"] = split("9", "1")
	m := controltest.Start(t, f)
	d := m.Delta("weft-proxy", "default", "web", "web-0")
	d.Refuse(xds.RouteType, "no such thing")
	d.Subscribe(xds.RouteType, apiName)
	d.Subscribe(xds.ListenerType, "10.96.0.1_80")
	state := func(short string) push.TypeState {
		p := m.Control.Proxies()
		if len(p) != 1 {
			return push.TypeState{}
		}
		return p[0].Types[short]
	}
	m.Eventually("the refusal recorded", func() bool { return state("RDS").State == push.Refused && state("RDS").Error == "no such thing" })
	m.Eventually("the listener accepted", func() bool { return state("LDS").State == push.Synced && state("LDS").Error == "" })
	if n := len(d.Responses(xds.RouteType)); n != 1 {
		t.Errorf("%d responses to one refused resource", n)
	}
	d.Refuse(xds.RouteType, "")
	m.Write("split.yaml", split("1", "1"))
	m.Eventually("a later version accepted", func() bool { return state("RDS").State == push.Synced && state("RDS").Error == "" })
	if got := m.Control.Proxies()[0]; got.Identity != "spiffe://cluster.local/ns/default/sa/web" || got.Kind != xds.Weft || got.Workload != "web-0" {
		t.Errorf("recorded as %+v", got)
	}
}

func TestReconnectWithVersionsSendsWhatDiffers(t *testing.T) {
	f := files()
	f["split.yaml"], f["late.yaml"] = split("9", "1"), lateService
	m := controltest.Start(t, f)
	d := m.Delta("weft-proxy", "default", "web", "web-0")
	names := []string{apiName, "api-stable.default.svc.cluster.local:80", "late.default.svc.cluster.local:80"}
	d.Subscribe(xds.RouteType, names...)
	var rc routev3.RouteConfiguration
	for _, n := range names {
		d.Wait(xds.RouteType, n, &rc, nil)
	}
	versions := d.Versions(xds.RouteType)
	address := m.Control.Address().String()
	d.Close()
	m.Stop()
	m.Write("split.yaml", split("1", "1"))
	m.Remove("late.yaml")
	m.Run(address)

	again := m.Delta("weft-proxy", "default", "web", "web-0")
	again.Send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: string(xds.RouteType), ResourceNamesSubscribe: names, InitialResourceVersions: versions})
	again.Wait(xds.RouteType, apiName, &rc, nil)
	again.WaitRemoved(xds.RouteType, "late.default.svc.cluster.local:80", 1)
	if got := again.Names(xds.RouteType); len(got) != 1 {
		t.Errorf("sent %v, of which only %s had changed", got, apiName)
	}
}

func TestWildcardGetsEveryDestination(t *testing.T) {
	m := controltest.Start(t, files())
	d := m.Delta("envoy", "default", "web", "web-0")
	d.Subscribe(xds.ListenerType)
	d.Subscribe(xds.ClusterType, "*")
	var l listenerv3.Listener
	d.Wait(xds.ListenerType, "10.96.0.1_80", &l, nil)
	if l.GetAddress().GetSocketAddress().GetAddress() != "10.96.0.1" || l.GetBindToPort().GetValue() {
		t.Errorf("listener for Envoy: %v", &l)
	}
	m.Eventually("every cluster", func() bool { return len(d.Names(xds.ClusterType)) == 9 })
	if got := d.Names(xds.ListenerType); len(got) != 9 {
		t.Errorf("listeners: %v", got)
	}
	m.Write("late.yaml", lateService)
	d.Wait(xds.ListenerType, "10.96.0.99_80", &l, nil)
	m.Remove("late.yaml")
	d.WaitRemoved(xds.ListenerType, "10.96.0.99_80", 1)
	d.WaitRemoved(xds.ClusterType, "outbound|80||late.default.svc.cluster.local", 1)
	if n := len(d.Responses(xds.ListenerType)); n != 3 {
		t.Errorf("%d responses for one addition and one removal", n)
	}
}

func TestStrangersAreRefused(t *testing.T) {
	m := controltest.Start(t, files())
	web := m.Certificate("default", "web")
	foreign := controltest.Start(t, nil).Certificate("default", "web")
	cases := []struct {
		name string
		d    *controltest.Delta
		want codes.Code
	}{
		{"no certificate", m.DeltaAs(nil, controltest.Node("weft-proxy", "default", "web", "web-0")), codes.Unauthenticated},
		{"another namespace", m.DeltaAs(web, controltest.Node("weft-proxy", "other", "web", "web-0")), codes.PermissionDenied},
		{"another account", m.DeltaAs(web, controltest.Node("weft-proxy", "default", "admin", "web-0")), codes.PermissionDenied},
		{"no node", m.DeltaAs(web, nil), codes.PermissionDenied},
		{"foreign authority", m.DeltaAs(foreign, controltest.Node("weft-proxy", "default", "web", "web-0")), codes.Unavailable},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			c.d.Subscribe(xds.RouteType, apiName)
			if got := status.Code(c.d.WaitError()); got != c.want {
				t.Errorf("%s, want %s: %v", got, c.want, c.d.WaitError())
			}
		})
	}
	d := m.Delta("weft-proxy", "default", "web", "web-0")
	d.Send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: "type.googleapis.com/no.such.Type", ResourceNamesSubscribe: []string{"x"}})
	if got := status.Code(d.WaitError()); got != codes.InvalidArgument {
		t.Errorf("unknown type: %s", got)
	}
}
