package xds

import (
	"sort"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/weftmesh/weft/mesh"
)

// LoadAssignment lists the endpoints of a cluster, one locality a zone. It is
// the same for every kind of client. Of two endpoints with one address the
// first counts: a standard client refuses the list otherwise.
func LoadAssignment(name string, endpoints []mesh.Endpoint) *endpointv3.ClusterLoadAssignment {
	out := &endpointv3.ClusterLoadAssignment{ClusterName: name}
	zones := map[string]*endpointv3.LocalityLbEndpoints{}
	sorted := append([]mesh.Endpoint(nil), endpoints...)
	sort.SliceStable(sorted, func(i, j int) bool {
		if sorted[i].Zone != sorted[j].Zone {
			return sorted[i].Zone < sorted[j].Zone
		}
		return sorted[i].Address.Compare(sorted[j].Address) < 0
	})
	seen := map[string]bool{}
	for _, e := range sorted {
		if !e.Address.IsValid() || seen[e.Address.String()] {
			continue
		}
		seen[e.Address.String()] = true
		z := zones[e.Zone]
		if z == nil {
			z = &endpointv3.LocalityLbEndpoints{Locality: &corev3.Locality{Zone: e.Zone}, LoadBalancingWeight: wrapperspb.UInt32(0)}
			zones[e.Zone] = z
			out.Endpoints = append(out.Endpoints, z)
		}
		weight := max(e.Weight, 1)
		z.LoadBalancingWeight.Value += weight
		z.LbEndpoints = append(z.LbEndpoints, lbEndpoint(e, weight))
	}
	return out
}

func lbEndpoint(e mesh.Endpoint, weight uint32) *endpointv3.LbEndpoint {
	health := corev3.HealthStatus_HEALTHY
	if e.Health == mesh.Draining {
		health = corev3.HealthStatus_DRAINING
	}
	m := metadata(weftMetadata, stringStruct("identity", e.Identity.String(), "workload", e.Workload.Name, "namespace", e.Workload.Namespace, "owner", e.Owner))
	if e.Meshed() {
		m.FilterMetadata[socketMetadata] = stringStruct(mutualKey, mutualValue)
	}
	return &endpointv3.LbEndpoint{
		HostIdentifier: &endpointv3.LbEndpoint_Endpoint{Endpoint: &endpointv3.Endpoint{
			Address: socketAddress(e.Address.Addr().Unmap(), e.Address.Port()),
		}},
		HealthStatus:        health,
		LoadBalancingWeight: wrapperspb.UInt32(weight),
		Metadata:            m,
	}
}
