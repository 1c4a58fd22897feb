package config

import (
	"reflect"
	"testing"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/weftmesh/weft/proxy/upstream"
)

// TestStrictDNS: every endpoint of a STRICT_DNS cluster is a name of its own.
func TestStrictDNS(t *testing.T) {
	lb := func(host string, port, weight uint32) *endpointv3.LbEndpoint {
		return &endpointv3.LbEndpoint{LoadBalancingWeight: wrapperspb.UInt32(weight),
			HostIdentifier: &endpointv3.LbEndpoint_Endpoint{Endpoint: &endpointv3.Endpoint{Address: address(host, port)}}}
	}
	m := &clusterv3.Cluster{Name: "e", ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_STRICT_DNS}, LoadAssignment: &endpointv3.ClusterLoadAssignment{
		ClusterName: "e", Endpoints: []*endpointv3.LocalityLbEndpoints{
			{Locality: &corev3.Locality{Region: "r1"}, LbEndpoints: []*endpointv3.LbEndpoint{lb("a.example.com", 80, 3), lb("192.0.2.1", 81, 1)}},
			{Locality: &corev3.Locality{Region: "r2"}, Priority: 1, LbEndpoints: []*endpointv3.LbEndpoint{lb("b.example.com", 82, 1)}},
		}}}
	got, err := readCluster("e", wire(t, m))
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, n := range got.spec.Names.List {
		list = append(list, n.Host+" "+itoa(int(n.Address.Port()))+" "+itoa(int(n.Weight))+" "+n.Region+" "+itoa(int(n.Priority)))
	}
	if want := []string{"a.example.com 80 3 r1 0", "b.example.com 82 1 r2 1", "192.0.2.1 81 1 r1 0"}; !reflect.DeepEqual(list, want) || got.spec.Kind != upstream.DNS || got.spec.Host != "" {
		t.Errorf("got %q, %+v", list, got.spec)
	}
	m.LoadAssignment.Endpoints = nil
	if _, err := readCluster("e", wire(t, m)); err == nil {
		t.Error("a cluster of no name is taken")
	}
}
