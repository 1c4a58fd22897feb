package xds

import (
	"math"
	"sort"
	"strings"

	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/weftmesh/weft/mesh"
)

// Labels that stand for where something runs.
const (
	regionLabel  = "topology.kubernetes.io/region"
	zoneLabel    = "topology.kubernetes.io/zone"
	subzoneLabel = "topology.istio.io/subzone"
)

func localityOf(e mesh.Endpoint) mesh.Locality {
	return mesh.Locality{Region: e.Region, Zone: e.Zone, Subzone: e.Subzone}
}

// priorities of the endpoints, 0 the first, without gaps.
func (n Near) priorities(list []mesh.Endpoint) []uint32 {
	out := make([]uint32, len(list))
	if !n.On || n.Preference != nil && (n.Preference.Disabled || len(n.Preference.Distribute) > 0) {
		return out
	}
	used := map[uint32]bool{}
	for i, e := range list {
		switch p := n.Preference; {
		case p != nil && p.ZoneAware != nil:
			// Zones of a region share one priority; labels come before regions.
			out[i] = n.byLabels(e)*regions + n.byRegion(localityOf(e).Region)
		case p != nil && len(p.FailoverPriority) > 0:
			out[i] = n.byLabels(e)
		default:
			out[i] = n.byDistance(localityOf(e))
		}
		used[out[i]] = true
	}
	var all []uint32
	for p := range used {
		all = append(all, p)
	}
	sort.Slice(all, func(i, j int) bool { return all[i] < all[j] })
	rank := map[uint32]uint32{}
	for i, p := range all {
		rank[p] = uint32(i)
	}
	for i := range out {
		out[i] = rank[out[i]]
	}
	return out
}

// byDistance: the same subzone, zone, region, the region that takes over for
// the client's, any other.
func (n Near) byDistance(l mesh.Locality) uint32 {
	switch c := n.Locality; {
	case l == c:
		return 0
	case l.Region == c.Region && l.Zone == c.Zone:
		return 1
	}
	return 2 + n.byRegion(l.Region)
}

// regions is how many values byRegion has.
const regions = 3

// byRegion: the client's, the one that takes over for it, any other.
func (n Near) byRegion(region string) uint32 {
	if region == n.Locality.Region {
		return 0
	}
	if n.Preference != nil {
		for _, f := range n.Preference.Failover {
			if f.From == n.Locality.Region {
				if f.To == region {
					return 1
				}
				return 2
			}
		}
	}
	return 1
}

// byLabels counts the labels, from the first, that an endpoint shares with the
// client; key=value stands for a value of the client's own.
func (n Near) byLabels(e mesh.Endpoint) uint32 {
	labels := n.Preference.FailoverPriority
	for i, l := range labels {
		key, want, given := strings.Cut(l, "=")
		if !given {
			want = labelOf(key, n.Labels, n.Locality)
		}
		if labelOf(key, e.Labels, localityOf(e)) != want {
			return uint32(len(labels) - i)
		}
	}
	return 0
}

func labelOf(key string, labels map[string]string, l mesh.Locality) string {
	switch key {
	case regionLabel:
		return l.Region
	case zoneLabel:
		return l.Zone
	case subzoneLabel:
		return l.Subzone
	}
	return labels[key]
}

// distribute gives localities the shares of the first rule that is for where
// the client is; a locality without a share gets nothing.
func (n Near) distribute(a *endpointv3.ClusterLoadAssignment) {
	if !n.On || n.Preference == nil || n.Preference.Disabled {
		return
	}
	for _, d := range n.Preference.Distribute {
		if !within(d.From, n.Locality) {
			continue
		}
		shares := make([]float64, len(a.Endpoints))
		for to, share := range d.To {
			total := uint32(0)
			for i, e := range a.Endpoints {
				if best(d.To, endpointLocality(e)) == to {
					total += e.LoadBalancingWeight.GetValue()
					shares[i] = float64(share)
				}
			}
			for i, e := range a.Endpoints {
				if total > 0 && best(d.To, endpointLocality(e)) == to {
					shares[i] = float64(share) * float64(e.LoadBalancingWeight.GetValue()) / float64(total)
				}
			}
		}
		kept := a.Endpoints[:0]
		for i, e := range a.Endpoints {
			if w := uint32(math.Ceil(shares[i])); w > 0 {
				e.LoadBalancingWeight = wrapperspb.UInt32(w)
				kept = append(kept, e)
			}
		}
		a.Endpoints = kept
		return
	}
}

func endpointLocality(e *endpointv3.LocalityLbEndpoints) mesh.Locality {
	return mesh.Locality{Region: e.GetLocality().GetRegion(), Zone: e.GetLocality().GetZone(), Subzone: e.GetLocality().GetSubZone()}
}

// best is the most specific pattern that covers a locality.
func best(patterns map[string]uint32, l mesh.Locality) string {
	out := ""
	for p := range patterns {
		if within(p, l) && (len(p) > len(out) || len(p) == len(out) && p < out) {
			out = p
		}
	}
	return out
}

// within says whether a pattern such as region/zone/* covers a locality.
func within(pattern string, l mesh.Locality) bool {
	have := []string{l.Region, l.Zone, l.Subzone}
	for i, p := range strings.Split(pattern, "/") {
		if p == "*" {
			return true
		}
		if i >= len(have) || have[i] != p {
			return false
		}
	}
	return true
}
