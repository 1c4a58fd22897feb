package controltest_test

import (
	"testing"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	tcpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/tcp_proxy/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/protobuf/proto"

	"github.com/weftmesh/weft/control/controltest"
	"github.com/weftmesh/weft/control/xds"
)

func tcpProxy(t *testing.T, c *listenerv3.FilterChain) *tcpv3.TcpProxy {
	t.Helper()
	var p tcpv3.TcpProxy
	if err := c.GetFilters()[0].GetTypedConfig().UnmarshalTo(&p); err != nil {
		t.Fatal(err)
	}
	return &p
}

func manager(t *testing.T, c *listenerv3.FilterChain) *hcmv3.HttpConnectionManager {
	t.Helper()
	var m hcmv3.HttpConnectionManager
	if err := c.GetFilters()[0].GetTypedConfig().UnmarshalTo(&m); err != nil {
		t.Fatal(err)
	}
	return &m
}

func TestDestinationsByAddressAndName(t *testing.T) {
	m := controltest.Start(t, files())
	d := m.Delta("weft-proxy", "default", "web", "web-0")
	d.Subscribe(xds.ListenerType, "10.96.0.1_80", "10.96.0.4_5432", "10.96.0.5_7000", apiName, "10.244.0.7_9001", "10.244.0.7_1234", "10.244.0.8_1234", "ext.default.svc.cluster.local:80")

	var http, tcp, detect, byName, pod, other, ext listenerv3.Listener
	d.Wait(xds.ListenerType, "10.96.0.1_80", &http, nil)
	if got := manager(t, http.GetDefaultFilterChain()); got.GetRds().GetRouteConfigName() != apiName || got.GetStatPrefix() != apiName {
		t.Errorf("HTTP port: %v", got)
	}
	d.Wait(xds.ListenerType, "10.96.0.4_5432", &tcp, nil)
	if got := tcpProxy(t, tcp.GetDefaultFilterChain()); got.GetCluster() != "outbound|5432||db.default.svc.cluster.local" {
		t.Errorf("opaque port: %v", got)
	}
	d.Wait(xds.ListenerType, "10.96.0.5_7000", &detect, nil)
	if len(detect.GetFilterChains()) != 1 || manager(t, detect.GetFilterChains()[0]) == nil || tcpProxy(t, detect.GetDefaultFilterChain()) == nil {
		t.Errorf("port to be detected: %v", &detect)
	}
	if got := detect.GetFilterChains()[0].GetFilterChainMatch().GetApplicationProtocols(); len(got) != 2 || got[0] != "http/1.1" || got[1] != "h2c" {
		t.Errorf("detected protocols: %v", got)
	}
	d.Wait(xds.ListenerType, apiName, &byName, nil)
	if byName.GetApiListener() == nil || byName.GetDefaultFilterChain() == nil {
		t.Errorf("by name: %v", &byName)
	}
	d.Wait(xds.ListenerType, "10.244.0.7_9001", &pod, nil)
	podName := "10-244-0-7.default.pod.cluster.local:9001"
	if got := manager(t, pod.GetDefaultFilterChain()).GetRds().GetRouteConfigName(); got != podName {
		t.Errorf("pod: %s", got)
	}
	// Any port of a meshed pod is known; of another one only what is declared.
	d.Wait(xds.ListenerType, "10.244.0.7_1234", &other, nil)
	d.WaitRemoved(xds.ListenerType, "10.244.0.8_1234", 1)
	d.Wait(xds.ListenerType, "ext.default.svc.cluster.local:80", &ext, nil)

	var route routev3.RouteConfiguration
	var cluster, external clusterv3.Cluster
	var ends endpointv3.ClusterLoadAssignment
	podCluster := "outbound|9001||10-244-0-7.default.pod.cluster.local"
	d.Subscribe(xds.RouteType, podName)
	d.Subscribe(xds.ClusterType, podCluster, "outbound|80||ext.default.svc.cluster.local")
	d.Subscribe(xds.EndpointType, podCluster)
	d.Wait(xds.RouteType, podName, &route, nil)
	if got := route.GetVirtualHosts()[0].GetRoutes()[0].GetRoute().GetCluster(); got != podCluster {
		t.Errorf("pod route: %s", got)
	}
	d.Wait(xds.ClusterType, podCluster, &cluster, nil)
	d.Wait(xds.EndpointType, podCluster, &ends, nil)
	e := ends.GetEndpoints()[0].GetLbEndpoints()
	if len(e) != 1 || e[0].GetEndpoint().GetAddress().GetSocketAddress().GetAddress() != "10.244.0.7" {
		t.Errorf("pod endpoint: %v", e)
	}
	if got := e[0].GetMetadata().GetFilterMetadata()["weft"].GetFields()["identity"].GetStringValue(); got != "spiffe://cluster.local/ns/default/sa/stable" {
		t.Errorf("pod identity: %q", got)
	}
	d.Wait(xds.ClusterType, "outbound|80||ext.default.svc.cluster.local", &external, nil)
	if external.GetType() != clusterv3.Cluster_LOGICAL_DNS || external.GetLoadAssignment().GetEndpoints()[0].GetLbEndpoints()[0].GetEndpoint().GetAddress().GetSocketAddress().GetAddress() != "example.com" {
		t.Errorf("external: %v", &external)
	}
}

func TestSplitMovesWithItsWeights(t *testing.T) {
	f := files()
	f["split.yaml"] = split("900m", "100m")
	m := controltest.Start(t, f)
	d := m.Delta("weft-proxy", "default", "web", "web-0")
	d.Subscribe(xds.RouteType, apiName)
	var rc routev3.RouteConfiguration
	get := func() []uint32 {
		var out []uint32
		for _, c := range rc.GetVirtualHosts()[0].GetRoutes()[0].GetRoute().GetWeightedClusters().GetClusters() {
			out = append(out, c.GetWeight().GetValue())
		}
		return out
	}
	d.Wait(xds.RouteType, apiName, &rc, func() bool { w := get(); return len(w) == 2 && w[0] == 9*w[1] })
	if got := rc.GetVirtualHosts()[0].GetRoutes()[0].GetMetadata().GetFilterMetadata()["weft"].GetFields()["origin"].GetStringValue(); got != "TrafficSplit default/api" {
		t.Errorf("origin: %q", got)
	}
	m.Write("split.yaml", split("500m", "500m"))
	d.Wait(xds.RouteType, apiName, &rc, func() bool { w := get(); return len(w) == 2 && w[0] == w[1] })
	// A half-written file keeps the last good state; then all goes to api itself.
	m.Write("split.yaml", "apiVersion: split.smi-spec.io/v1alpha2\nkind: TrafficSpl")
	m.Eventually("the broken file reported", func() bool { return len(m.Control.Problems()) > 0 })
	if w := get(); len(w) != 2 {
		t.Errorf("after a broken file: %v", w)
	}
	m.Remove("split.yaml")
	d.Wait(xds.RouteType, apiName, &rc, func() bool {
		return rc.GetVirtualHosts()[0].GetRoutes()[0].GetRoute().GetCluster() == apiCluster
	})
}

func TestConsumerRoutesBindTheirNamespace(t *testing.T) {
	f := files()
	f["route.yaml"] = `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: mine, namespace: other}
spec:
  parentRefs: [{group: "", kind: Service, name: api, namespace: default, port: 80}]
  rules:
  - matches: [{path: {type: PathPrefix, value: /v2}, headers: [{name: x-canary, value: "1"}]}]
    backendRefs: [{name: api-canary, namespace: default, port: 80}]
  - backendRefs: [{name: gone, namespace: other, port: 80}]
`
	m := controltest.Start(t, f)
	mine := m.Delta("weft-proxy", "other", "web", "web-0")
	theirs := m.Delta("weft-proxy", "default", "web", "web-0")
	var a, b routev3.RouteConfiguration
	mine.Subscribe(xds.RouteType, apiName)
	theirs.Subscribe(xds.RouteType, apiName)
	theirs.Wait(xds.RouteType, apiName, &b, func() bool {
		return b.GetVirtualHosts()[0].GetRoutes()[0].GetRoute().GetCluster() == apiCluster
	})
	mine.Wait(xds.RouteType, apiName, &a, func() bool { return len(a.GetVirtualHosts()[0].GetRoutes()) == 2 })
	first := a.GetVirtualHosts()[0].GetRoutes()[0]
	if first.GetMatch().GetPathSeparatedPrefix() != "/v2" || first.GetMatch().GetHeaders()[0].GetStringMatch().GetExact() != "1" {
		t.Errorf("match: %v", first.GetMatch())
	}
	// A backend that does not exist, and one that no ReferenceGrant allows, are 500.
	if got := a.GetVirtualHosts()[0].GetRoutes()[1].GetDirectResponse().GetStatus(); got != 500 {
		t.Errorf("missing backend: %v", a.GetVirtualHosts()[0].GetRoutes()[1])
	}
	// The bytes of what is equal for both are the same; what differs is not.
	m.Remove("route.yaml")
	mine.Wait(xds.RouteType, apiName, &a, func() bool { return proto.Equal(&a, &b) })
	if mine.Versions(xds.RouteType)[apiName] != theirs.Versions(xds.RouteType)[apiName] {
		t.Error("equal routes have different versions")
	}
}

func TestEndpointsBypassTheRebuild(t *testing.T) {
	m := controltest.Start(t, files())
	d := m.Delta("weft-proxy", "default", "web", "web-0")
	var ends endpointv3.ClusterLoadAssignment
	var cluster clusterv3.Cluster
	d.Subscribe(xds.ClusterType, apiCluster)
	d.Subscribe(xds.EndpointType, apiCluster)
	d.Wait(xds.EndpointType, apiCluster, &ends, func() bool { return len(ends.GetEndpoints()) == 2 })
	for _, l := range ends.GetEndpoints() {
		e := l.GetLbEndpoints()[0]
		mutual := e.GetMetadata().GetFilterMetadata()["envoy.transport_socket_match"].GetFields()["tlsMode"].GetStringValue() == "istio"
		if meshed := l.GetLocality().GetZone() == "a"; mutual != meshed {
			t.Errorf("zone %s: mutual TLS %t", l.GetLocality().GetZone(), mutual)
		}
	}
	d.Wait(xds.ClusterType, apiCluster, &cluster, nil)
	var up tlsv3.UpstreamTlsContext
	if err := cluster.GetTransportSocketMatches()[0].GetTransportSocket().GetTypedConfig().UnmarshalTo(&up); err != nil {
		t.Fatal(err)
	}
	sans := up.GetCommonTlsContext().GetCombinedValidationContext().GetDefaultValidationContext().GetMatchTypedSubjectAltNames()
	if len(sans) != 1 || sans[0].GetMatcher().GetExact() != "spiffe://cluster.local/ns/default/sa/stable" {
		t.Errorf("identities: %v", sans)
	}
	revision := m.Control.Revision()
	m.Write("api.yaml", slice("api", "http", "9001",
		stable0, `{addresses: [10.244.0.8], zone: b, conditions: {ready: false, serving: true, terminating: true}, targetRef: {kind: Pod, name: canary-0, namespace: default}}`))
	d.Wait(xds.EndpointType, apiCluster, &ends, func() bool {
		return len(ends.GetEndpoints()) == 2 && ends.GetEndpoints()[1].GetLbEndpoints()[0].GetHealthStatus() == corev3.HealthStatus_DRAINING
	})
	if m.Control.Revision() != revision {
		t.Errorf("a changed endpoint built a new mesh: revision %d, was %d", m.Control.Revision(), revision)
	}
	if n := len(d.Responses(xds.ClusterType)); n != 1 {
		t.Errorf("a changed endpoint pushed clusters: %d responses", n)
	}
}

func TestVirtualListenersAndTrustBundle(t *testing.T) {
	m := controltest.Start(t, files())
	d := m.Delta("weft-proxy", "default", "stable", "stable-0")
	d.Subscribe(xds.ListenerType, xds.VirtualOutbound, xds.VirtualInbound)
	d.Subscribe(xds.SecretType, xds.RootCA)
	var out, in listenerv3.Listener
	var secret tlsv3.Secret
	d.Wait(xds.ListenerType, xds.VirtualOutbound, &out, nil)
	if got := tcpProxy(t, out.GetDefaultFilterChain()).GetCluster(); got != xds.PassthroughCluster {
		t.Errorf("outbound: %s", got)
	}
	d.Wait(xds.SecretType, xds.RootCA, &secret, nil)
	if got := string(secret.GetValidationContext().GetTrustedCa().GetInlineBytes()); got != string(m.Roots().PEM()) {
		t.Errorf("bundle: %s", got)
	}
	d.Wait(xds.ListenerType, xds.VirtualInbound, &in, nil)
	var names []string
	for _, c := range in.GetFilterChains() {
		names = append(names, c.GetName())
	}
	want := []string{"9001-mtls-http", "9001-mtls-tcp", "9001-plain-http", "9001-plain-tcp", "0-mtls-http", "0-mtls-tcp", "0-plain-http", "0-plain-tcp"}
	if len(names) != len(want) {
		t.Fatalf("inbound chains: %v", names)
	}
	for i := range want {
		if names[i] != want[i] {
			t.Fatalf("inbound chains: %v, want %v", names, want)
		}
	}
	if c := in.GetFilterChains()[0]; c.GetTransportSocket() == nil || c.GetFilterChainMatch().GetDestinationPort().GetValue() != 9001 {
		t.Errorf("mutual chain: %v", c)
	}

	// Of a workload that is not known yet nothing is known: it is strict.
	late := m.Delta("weft-proxy", "default", "late", "late-0")
	late.Subscribe(xds.ListenerType, xds.VirtualInbound)
	var strict listenerv3.Listener
	late.Wait(xds.ListenerType, xds.VirtualInbound, &strict, func() bool { return len(strict.GetFilterChains()) == 2 })
	m.Write("late.yaml", `
apiVersion: v1
kind: Pod
metadata: {name: late-0, namespace: default, annotations: {weft.mesh/meshed: "true"}}
spec: {serviceAccountName: late, containers: [{name: c}]}
status: {phase: Running, podIP: 10.244.0.9}
`)
	late.Wait(xds.ListenerType, xds.VirtualInbound, &strict, func() bool { return len(strict.GetFilterChains()) == 4 })
}
