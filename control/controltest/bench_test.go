package controltest_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"google.golang.org/protobuf/proto"

	"github.com/weftmesh/weft/control/controltest"
	"github.com/weftmesh/weft/control/xds"
)

const (
	benchServices     = 2000
	benchEndpoints    = 5
	benchClients      = 50
	benchDestinations = 50
)

// benchMesh writes services in 40 namespaces, each file one namespace.
func benchMesh() map[string]string {
	files := map[string]string{}
	for ns := range 40 {
		var b strings.Builder
		for i := ns; i < benchServices; i += 40 {
			fmt.Fprintf(&b, `---
apiVersion: v1
kind: Service
metadata: {name: svc-%[1]d, namespace: ns-%[2]d}
spec: {clusterIP: 10.%[3]d.%[4]d.1, ports: [{name: http, port: 80}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: svc-%[1]d-x, namespace: ns-%[2]d, labels: {kubernetes.io/service-name: svc-%[1]d}}
addressType: IPv4
ports: [{name: http, port: 8080}]
endpoints:
`, i, ns, 100+i/250, i%250)
			for e := range benchEndpoints {
				fmt.Fprintf(&b, "- {addresses: [10.%d.%d.%d], conditions: {ready: true}}\n", 200+i/250, i%250, e+1)
			}
		}
		files[fmt.Sprintf("ns-%d.yaml", ns)] = b.String()
	}
	return files
}

func benchSplit(n int) string {
	return fmt.Sprintf(`
apiVersion: split.smi-spec.io/v1alpha2
kind: TrafficSplit
metadata: {name: split, namespace: ns-0}
spec:
  service: svc-0
  backends: [{service: svc-40, weight: %d}, {service: svc-80, weight: 100}]
`, n)
}

// benchClient subscribes to svc-0 and 49 other destinations.
func benchClient(m *controltest.Mesh, i int) *controltest.Delta {
	d := m.Delta("weft-proxy", fmt.Sprintf("ns-%d", i%40), "web", fmt.Sprintf("web-%d", i))
	var names, clusters []string
	for n := range benchDestinations {
		s := 0
		if n > 0 {
			s = (i*37 + n*41) % benchServices
		}
		host := fmt.Sprintf("svc-%d.ns-%d.svc.cluster.local", s, s%40)
		names = append(names, host+":80")
		clusters = append(clusters, "outbound|80||"+host)
	}
	d.Subscribe(xds.ListenerType, names...)
	d.Subscribe(xds.RouteType, names...)
	d.Subscribe(xds.ClusterType, clusters...)
	d.Subscribe(xds.EndpointType, clusters...)
	return d
}

func pushed(clients []*controltest.Delta) (bytes, responses int) {
	for _, d := range clients {
		for _, t := range xds.Types() {
			for _, r := range d.Responses(t) {
				bytes += proto.Size(r)
				responses++
			}
		}
	}
	return bytes, responses
}

// BenchmarkWeightChange changes one weight that 50 clients hold, among 2,000
// services, and waits until the last has it.
func BenchmarkWeightChange(b *testing.B) {
	files := benchMesh()
	files["split.yaml"] = benchSplit(1000)
	m := controltest.Start(b, files)
	start := time.Now()
	var clients []*controltest.Delta
	for i := range benchClients {
		clients = append(clients, benchClient(m, i))
	}
	name := "svc-0.ns-0.svc.cluster.local:80"
	for _, d := range clients {
		for _, t := range []xds.Type{xds.ListenerType, xds.RouteType, xds.ClusterType, xds.EndpointType} {
			m.Eventually("every resource of a client", func() bool { return len(d.Names(t)) >= benchDestinations-1 })
		}
	}
	b.Logf("%d clients had everything after %s; %d distinct resources, %d bytes", benchClients, time.Since(start), m.Control.Work().Held, m.Control.Work().Bytes)
	generated := m.Control.Work().Generated
	bytes, responses := pushed(clients)
	weight := 1000
	for b.Loop() {
		weight++
		m.Write("split.yaml", benchSplit(weight))
		var rc routev3.RouteConfiguration
		for _, d := range clients {
			d.Wait(xds.RouteType, name, &rc, func() bool {
				return rc.GetVirtualHosts()[0].GetRoutes()[0].GetRoute().GetWeightedClusters().GetClusters()[0].GetWeight().GetValue() == uint32(weight)
			})
		}
	}
	moreBytes, moreResponses := pushed(clients)
	n := float64(b.N)
	b.ReportMetric(float64(moreBytes-bytes)/n, "pushed-B/op")
	b.ReportMetric(float64(moreResponses-responses)/n, "responses/op")
	b.ReportMetric(float64(m.Control.Work().Generated-generated)/n, "made/op")
	// One resource has to go to each client: what more is sent is waste.
	b.ReportMetric(float64(moreResponses-responses)/n/benchClients, "sent/needed")
}
