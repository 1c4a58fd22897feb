package xds

import (
	"strconv"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/weftmesh/weft/mesh"
)

// enforced is the share of the ejections that a detector really does, in percent.
const enforced = 100

// setDetection finds endpoints that fail. Success rates never eject. Linkerd's
// failure accrual is a detector of consecutive failures to a standard client;
// the metadata that is returned tells our own proxy the rest.
func setDetection(c *clusterv3.Cluster, p *mesh.Policy) []string {
	switch o, a := p.Outlier, p.Accrual; {
	case o != nil:
		c.OutlierDetection = outlier(o)
	case a != nil:
		c.OutlierDetection = &clusterv3.OutlierDetection{
			Consecutive_5Xx: wrapperspb.UInt32(a.MaxFailures), EnforcingConsecutive_5Xx: wrapperspb.UInt32(enforced), EnforcingSuccessRate: wrapperspb.UInt32(0),
			BaseEjectionTime: duration(&a.MinPenalty), MaxEjectionTime: duration(&a.MaxPenalty), MaxEjectionPercent: wrapperspb.UInt32(100),
		}
		return []string{"accrual", "consecutive", "accrual_max_failures", strconv.FormatUint(uint64(a.MaxFailures), 10),
			"accrual_min_penalty", spanText(a.MinPenalty), "accrual_max_penalty", spanText(a.MaxPenalty),
			"accrual_jitter", strconv.FormatFloat(a.Jitter, 'g', -1, 64)}
	}
	return nil
}

func outlier(o *mesh.Outlier) *clusterv3.OutlierDetection {
	out := &clusterv3.OutlierDetection{EnforcingSuccessRate: wrapperspb.UInt32(0), Interval: duration(o.Interval), BaseEjectionTime: duration(o.BaseEjection)}
	set := func(n *uint32, to, enforce **wrapperspb.UInt32Value) {
		if n == nil {
			return
		}
		*to, *enforce = wrapperspb.UInt32(*n), wrapperspb.UInt32(0)
		if *n > 0 {
			(*enforce).Value = enforced
		}
	}
	set(o.Consecutive5xx, &out.Consecutive_5Xx, &out.EnforcingConsecutive_5Xx)
	set(o.ConsecutiveGateway, &out.ConsecutiveGatewayFailure, &out.EnforcingConsecutiveGatewayFailure)
	if o.MaxEjectionPercent != nil {
		out.MaxEjectionPercent = wrapperspb.UInt32(*o.MaxEjectionPercent)
	}
	if o.SplitLocal {
		out.SplitExternalLocalOriginErrors = true
		out.EnforcingLocalOriginSuccessRate = wrapperspb.UInt32(0)
		if n := o.ConsecutiveLocal; n != nil && *n > 0 {
			set(n, &out.ConsecutiveLocalOriginFailure, &out.EnforcingConsecutiveLocalOriginFailure)
		}
	}
	return out
}
