package controltest_test

import (
	"slices"
	"strings"
	"testing"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"

	"github.com/weftmesh/weft/control/controltest"
	"github.com/weftmesh/weft/control/xds"
)

const virtual = `
apiVersion: networking.istio.io/v1beta1
kind: VirtualService
metadata: {name: routing, namespace: default}
spec:
  hosts: [api]
  http:
  - match: [{sourceLabels: {app: web}, headers: {x-canary: {exact: "true"}}}]
    route: [{destination: {host: api, subset: canary}}]
  - route: [{destination: {host: api, subset: stable}, weight: 90}, {destination: {host: api, subset: canary}, weight: 10}]
---
apiVersion: networking.istio.io/v1beta1
kind: VirtualService
metadata: {name: timeout, namespace: default}
spec:
  hosts: [api]
  http: [{route: [{destination: {host: api}}], timeout: 30s, retries: {attempts: 3, perTryTimeout: 10s, retryOn: "5xx,reset"}}]
`

const rule = `
apiVersion: networking.istio.io/v1beta1
kind: DestinationRule
metadata: {name: api, namespace: default}
spec:
  host: api
  trafficPolicy:
    connectionPool: {tcp: {maxConnections: 100}, http: {http1MaxPendingRequests: 100, http2MaxRequests: 1000, h2UpgradePolicy: UPGRADE}}
    outlierDetection: {consecutive5xxErrors: 5, interval: 30s, baseEjectionTime: 30s}
    loadBalancer: {simple: LEAST_REQUEST}
  subsets: [{name: stable, labels: {version: stable}}, {name: canary, labels: {version: canary}}]
`

func pod(name, ip, labels string) string {
	return `
apiVersion: v1
kind: Pod
metadata: {name: ` + name + `, namespace: default, labels: {` + labels + `}, annotations: {weft.mesh/meshed: "true"}}
spec: {serviceAccountName: ` + name + `, containers: [{name: c, ports: [{name: http, containerPort: 9001}]}]}
status: {phase: Running, podIP: ` + ip + `}
---`
}

func istioFiles() map[string]string {
	f := files()
	f["pods.yaml"] = pod("stable-0", "10.244.0.7", "app: api, version: stable") + pod("canary-0", "10.244.0.8", "app: api, version: canary")
	f["web.yaml"] = pod("web-0", "10.244.0.9", "app: web")
	f["virtual.yaml"], f["rule.yaml"] = virtual, rule
	return f
}

// TestSubsetsLimitsAndPolicy: what the guide's objects say arrives at a proxy.
func TestSubsetsLimitsAndPolicy(t *testing.T) {
	m := controltest.Start(t, istioFiles())
	d := m.Delta("weft-proxy", "default", "web", "web-0")
	canary := "outbound|80|canary|api.default.svc.cluster.local"
	d.Subscribe(xds.RouteType, apiName)
	d.Subscribe(xds.ClusterType, canary, apiCluster, "outbound|80|none|api.default.svc.cluster.local")
	d.Subscribe(xds.EndpointType, canary)
	var rc routev3.RouteConfiguration
	d.Wait(xds.RouteType, apiName, &rc, nil)
	routes := rc.GetVirtualHosts()[0].GetRoutes()
	if len(routes) != 2 || routes[0].GetRoute().GetCluster() != canary || len(routes[1].GetRoute().GetWeightedClusters().GetClusters()) != 2 {
		t.Fatalf("routes: %v", routes)
	}
	for _, r := range routes {
		a := r.GetRoute()
		if a.GetTimeout().GetSeconds() != 30 || a.GetRetryPolicy().GetNumRetries().GetValue() != 3 || a.GetRetryPolicy().GetPerTryTimeout().GetSeconds() != 10 || a.GetRetryPolicy().GetRetryOn() != "5xx,reset" {
			t.Errorf("%s has not the policy of the other object: %v", r.GetName(), a)
		}
	}
	var c clusterv3.Cluster
	d.Wait(xds.ClusterType, canary, &c, nil)
	th := c.GetCircuitBreakers().GetThresholds()[0]
	if th.GetMaxConnections().GetValue() != 100 || th.GetMaxPendingRequests().GetValue() != 100 || th.GetMaxRequests().GetValue() != 1000 ||
		c.GetOutlierDetection().GetConsecutive_5Xx().GetValue() != 5 || c.GetLbPolicy() != clusterv3.Cluster_LEAST_REQUEST || c.GetMetadata().GetFilterMetadata()["weft"].GetFields()["balance"] != nil ||
		len(c.GetTypedExtensionProtocolOptions()) != 1 {
		t.Errorf("cluster: %v", &c)
	}
	d.WaitRemoved(xds.ClusterType, "outbound|80|none|api.default.svc.cluster.local", 1)
	var ends endpointv3.ClusterLoadAssignment
	d.Wait(xds.EndpointType, canary, &ends, func() bool { return len(addresses(&ends)) == 1 && addresses(&ends)[0] == "10.244.0.8" })

	// A pod that changes its version changes the subset, without any rule.
	m.Write("pods.yaml", pod("stable-0", "10.244.0.7", "app: api, version: canary")+pod("canary-0", "10.244.0.8", "app: api, version: canary"))
	d.Wait(xds.EndpointType, canary, &ends, func() bool { return len(addresses(&ends)) == 2 })
	// A rule that goes takes its subsets along; their share is answered 503, as for
	// any cluster that is named and does not exist.
	m.Remove("rule.yaml")
	d.WaitRemoved(xds.ClusterType, canary, 1)
	envoy := m.Delta("envoy", "default", "web", "web-0")
	envoy.Subscribe(xds.RouteType, apiName)
	envoy.Subscribe(xds.ClusterType, "*")
	envoy.Wait(xds.ClusterType, apiCluster, &c, nil)
	envoy.Wait(xds.RouteType, apiName, &rc, nil)
	a := rc.GetVirtualHosts()[0].GetRoutes()[1].GetRoute()
	if w := a.GetWeightedClusters().GetClusters(); len(w) != 2 || w[1].GetName() != canary || w[1].GetWeight().GetValue() != 10 || a.GetClusterNotFoundResponseCode() != routev3.RouteAction_SERVICE_UNAVAILABLE {
		t.Errorf("routes to what does not exist: %v", a)
	}
	if slices.Contains(envoy.Names(xds.ClusterType), canary) {
		t.Error("a cluster that does not exist is sent")
	}
}

func addresses(a *endpointv3.ClusterLoadAssignment) []string {
	var out []string
	for _, l := range a.GetEndpoints() {
		for _, e := range l.GetLbEndpoints() {
			out = append(out, e.GetEndpoint().GetAddress().GetSocketAddress().GetAddress())
		}
	}
	return out
}

// TestRulesForSomeClients: sourceLabels are resolved for each workload, also
// when its labels change while it is connected.
func TestRulesForSomeClients(t *testing.T) {
	m := controltest.Start(t, istioFiles())
	web, other := m.Delta("weft-proxy", "default", "web", "web-0"), m.Delta("weft-proxy", "default", "other", "other-0")
	var rc, rc2 routev3.RouteConfiguration
	count := func(rc *routev3.RouteConfiguration) int { return len(rc.GetVirtualHosts()[0].GetRoutes()) }
	web.Subscribe(xds.RouteType, apiName)
	other.Subscribe(xds.RouteType, apiName)
	web.Wait(xds.RouteType, apiName, &rc, func() bool { return count(&rc) == 2 })
	other.Wait(xds.RouteType, apiName, &rc2, func() bool { return count(&rc2) == 1 })
	m.Write("web.yaml", pod("web-0", "10.244.0.9", "app: plain"))
	web.Wait(xds.RouteType, apiName, &rc, func() bool { return count(&rc) == 1 })
	m.Write("web.yaml", pod("web-0", "10.244.0.9", "app: web"))
	web.Wait(xds.RouteType, apiName, &rc, func() bool { return count(&rc) == 2 })
}

// TestSidecarLimitsWhatIsSeen: what a Sidecar leaves out is unknown, and comes
// back with it; the fate of the unknown is the Sidecar's.
func TestSidecarLimitsWhatIsSeen(t *testing.T) {
	f := istioFiles()
	f["sidecar.yaml"] = `
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: web, namespace: default}
spec:
  workloadSelector: {labels: {app: web}}
  egress: [{hosts: ["./db.default.svc.cluster.local"]}]
  outboundTrafficPolicy: {mode: REGISTRY_ONLY}
`
	m := controltest.Start(t, f)
	web, other := m.Delta("weft-proxy", "default", "web", "web-0"), m.Delta("weft-proxy", "default", "stable-0", "stable-0")
	var l, all listenerv3.Listener
	for _, d := range []*controltest.Delta{web, other} {
		d.Subscribe(xds.ListenerType, "10.96.0.1_80", "10.96.0.4_5432", xds.VirtualOutbound)
		d.Wait(xds.ListenerType, "10.96.0.4_5432", &l, nil)
	}
	web.WaitRemoved(xds.ListenerType, "10.96.0.1_80", 1)
	other.Wait(xds.ListenerType, "10.96.0.1_80", &all, nil)
	web.Wait(xds.ListenerType, xds.VirtualOutbound, &l, func() bool { return strings.Contains(l.String(), xds.BlackHoleCluster) })
	other.Wait(xds.ListenerType, xds.VirtualOutbound, &l, func() bool { return strings.Contains(l.String(), xds.PassthroughCluster) })

	envoy := m.Delta("envoy", "default", "web", "web-0")
	envoy.Subscribe(xds.ClusterType, "*")
	var c clusterv3.Cluster
	envoy.Wait(xds.ClusterType, "outbound|5432||db.default.svc.cluster.local", &c, nil)
	m.Remove("sidecar.yaml")
	web.Wait(xds.ListenerType, "10.96.0.1_80", &l, nil)
	envoy.Wait(xds.ClusterType, "outbound|80|canary|api.default.svc.cluster.local", &c, nil)
}

// TestEntriesAreDestinations: a ServiceEntry's hosts are dialled by address and
// have the endpoints that were written down, or are resolved by the proxy.
func TestEntriesAreDestinations(t *testing.T) {
	f := files()
	f["entries.yaml"] = `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: static, namespace: default}
spec: {hosts: [static.example.com], addresses: [240.0.0.1], resolution: STATIC, endpoints: [{address: 10.9.9.9, ports: {http: 8080}, locality: r1/z1, weight: 2}], ports: [{number: 80, name: http, protocol: HTTP}]}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: dns, namespace: default}
spec: {hosts: [dns.example.com], resolution: DNS, ports: [{number: 443, name: https, protocol: HTTPS}]}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: vm, namespace: default}
spec: {address: 10.2.2.2, labels: {app: api}, ports: {http: 9090}}
`
	m := controltest.Start(t, f)
	d := m.Delta("weft-proxy", "default", "web", "web-0")
	static, dns := "outbound|80||static.example.com", "outbound|443||dns.example.com"
	d.Subscribe(xds.ListenerType, "240.0.0.1_80")
	d.Subscribe(xds.ClusterType, static, dns)
	d.Subscribe(xds.EndpointType, static, apiCluster)
	var l listenerv3.Listener
	var c clusterv3.Cluster
	var ends endpointv3.ClusterLoadAssignment
	d.Wait(xds.ListenerType, "240.0.0.1_80", &l, nil)
	d.Wait(xds.EndpointType, static, &ends, func() bool {
		e := ends.GetEndpoints()
		return len(e) == 1 && e[0].GetLocality().GetZone() == "z1" && e[0].GetLbEndpoints()[0].GetEndpoint().GetAddress().GetSocketAddress().GetPortValue() == 8080
	})
	d.Wait(xds.ClusterType, dns, &c, nil)
	if c.GetType() != clusterv3.Cluster_LOGICAL_DNS || len(c.GetTransportSocketMatches()) != 0 {
		t.Errorf("resolved by the proxy, outside of the mesh: %v", &c)
	}
	// A WorkloadEntry joins the pods of the Service that selects it.
	d.Wait(xds.EndpointType, apiCluster, &ends, func() bool { return len(addresses(&ends)) == 3 })
}
