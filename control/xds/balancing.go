package xds

import (
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/weftmesh/weft/mesh"
)

const (
	minimumRing = 1024
	// minimumWeight is the share of a new endpoint where nothing is said.
	minimumWeight = 10
)

// setBalancing chooses the algorithm. The metadata that it returns tells our
// own proxy what the standard cannot say.
func setBalancing(c *clusterv3.Cluster, in ClusterInput, kind Kind) []string {
	b := in.Policy.Balancing
	if b == nil {
		b = &mesh.Balancing{}
	}
	if c.LbPolicy == clusterv3.Cluster_CLUSTER_PROVIDED {
		return nil
	}
	var meta []string
	slow := slowStart(b.WarmUp)
	switch {
	case b.Hash != nil && b.Hash.Maglev:
		c.LbPolicy = clusterv3.Cluster_MAGLEV
		if b.Hash.TableSize > 0 {
			c.LbConfig = &clusterv3.Cluster_MaglevLbConfig_{MaglevLbConfig: &clusterv3.Cluster_MaglevLbConfig{TableSize: wrapperspb.UInt64(b.Hash.TableSize)}}
		}
	case b.Hash != nil:
		c.LbPolicy = clusterv3.Cluster_RING_HASH
		size := b.Hash.MinRing
		if size == 0 {
			size = minimumRing
		}
		c.LbConfig = &clusterv3.Cluster_RingHashLbConfig_{RingHashLbConfig: &clusterv3.Cluster_RingHashLbConfig{MinimumRingSize: wrapperspb.UInt64(size)}}
	case b.Algorithm == mesh.Random:
		c.LbPolicy = clusterv3.Cluster_RANDOM
	case b.Algorithm == mesh.RoundRobin:
		c.LbPolicy = clusterv3.Cluster_ROUND_ROBIN
		if slow != nil {
			c.LbConfig = &clusterv3.Cluster_RoundRobinLbConfig_{RoundRobinLbConfig: &clusterv3.Cluster_RoundRobinLbConfig{SlowStartConfig: slow}}
		}
	default:
		if b.Algorithm != mesh.LeastRequest {
			meta = append(meta, "balance", string(mesh.PeakEWMA))
		}
		if slow != nil {
			c.LbConfig = &clusterv3.Cluster_LeastRequestLbConfig_{LeastRequestLbConfig: &clusterv3.Cluster_LeastRequestLbConfig{SlowStartConfig: slow}}
		}
	}
	if l := b.Locality; l != nil && !l.Disabled && kind != GRPC {
		switch {
		case len(l.Distribute) > 0:
			common(c).LocalityConfigSpecifier = &clusterv3.Cluster_CommonLbConfig_LocalityWeightedLbConfig_{LocalityWeightedLbConfig: &clusterv3.Cluster_CommonLbConfig_LocalityWeightedLbConfig{}}
		case l.ZoneAware != nil:
			z := &clusterv3.Cluster_CommonLbConfig_ZoneAwareLbConfig{}
			if n := l.ZoneAware.MinSize; n > 0 {
				z.MinClusterSize = wrapperspb.UInt64(uint64(n))
			}
			common(c).LocalityConfigSpecifier = &clusterv3.Cluster_CommonLbConfig_ZoneAwareLbConfig_{ZoneAwareLbConfig: z}
		}
	}
	if o := in.Policy.Outlier; o != nil {
		// 0 is no panic at all.
		percent := uint32(0)
		if o.MinHealthPercent != nil {
			percent = *o.MinHealthPercent
		}
		common(c).HealthyPanicThreshold = &typev3.Percent{Value: float64(percent)}
	}
	return append(meta, "locality", in.Locality)
}

func common(c *clusterv3.Cluster) *clusterv3.Cluster_CommonLbConfig {
	if c.CommonLbConfig == nil {
		c.CommonLbConfig = &clusterv3.Cluster_CommonLbConfig{}
	}
	return c.CommonLbConfig
}

func slowStart(w *mesh.WarmUp) *clusterv3.Cluster_SlowStartConfig {
	if w == nil {
		return nil
	}
	out := &clusterv3.Cluster_SlowStartConfig{SlowStartWindow: span(w.Duration), MinWeightPercent: &typev3.Percent{Value: minimumWeight}}
	if w.MinimumPercent > 0 {
		out.MinWeightPercent.Value = w.MinimumPercent
	}
	if w.Aggression > 0 {
		out.Aggression = &corev3.RuntimeDouble{DefaultValue: w.Aggression, RuntimeKey: "aggression"}
	}
	return out
}
