package xds

import (
	"sort"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/weftmesh/weft/mesh"
)

// Near is where the asking client is, for a service whose endpoints it is to
// prefer by that; the zero value prefers none.
type Near struct {
	Locality mesh.Locality
	Labels   map[string]string
	// Preference is nil for the default, which is to fail over from near to far.
	Preference *mesh.LocalityPreference
	// On says that localities count at all: they do with fixed shares, and
	// where failing endpoints are found, so that others can take over.
	On bool
}

// LoadAssignment lists the endpoints of a cluster, one locality a zone and
// priority. It is the same for every kind of client. Of two endpoints with one
// address the first counts: a standard client refuses the list otherwise.
func LoadAssignment(name string, endpoints []mesh.Endpoint, near Near) *endpointv3.ClusterLoadAssignment {
	out := &endpointv3.ClusterLoadAssignment{ClusterName: name}
	type group struct {
		locality mesh.Locality
		priority uint32
	}
	groups := map[group]*endpointv3.LocalityLbEndpoints{}
	sorted := append([]mesh.Endpoint(nil), endpoints...)
	sort.SliceStable(sorted, func(i, j int) bool {
		if a, b := localityOf(sorted[i]), localityOf(sorted[j]); a != b {
			return a.String() < b.String()
		}
		return sorted[i].Address.Compare(sorted[j].Address) < 0
	})
	priority := near.priorities(sorted)
	seen := map[string]bool{}
	for i, e := range sorted {
		if !e.Address.IsValid() || seen[e.Address.String()] {
			continue
		}
		seen[e.Address.String()] = true
		k := group{localityOf(e), priority[i]}
		z := groups[k]
		if z == nil {
			z = &endpointv3.LocalityLbEndpoints{Locality: &corev3.Locality{Region: e.Region, Zone: e.Zone, SubZone: e.Subzone}, LoadBalancingWeight: wrapperspb.UInt32(0), Priority: k.priority}
			groups[k] = z
			out.Endpoints = append(out.Endpoints, z)
		}
		weight := max(e.Weight, 1)
		z.LoadBalancingWeight.Value += weight
		z.LbEndpoints = append(z.LbEndpoints, lbEndpoint(e, weight))
	}
	near.distribute(out)
	sort.SliceStable(out.Endpoints, func(i, j int) bool { return out.Endpoints[i].Priority < out.Endpoints[j].Priority })
	return out
}

func lbEndpoint(e mesh.Endpoint, weight uint32) *endpointv3.LbEndpoint {
	health := corev3.HealthStatus_HEALTHY
	if e.Health == mesh.Draining {
		health = corev3.HealthStatus_DRAINING
	}
	m := metadata(stringStruct("identity", e.Identity.String(), "workload", e.Workload.Name, "namespace", e.Workload.Namespace, "owner", e.Owner))
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
