package istio

import (
	"google.golang.org/protobuf/types/known/wrapperspb"
	networking "istio.io/api/networking/v1alpha3"

	"github.com/weftmesh/weft/control/problem"
	"github.com/weftmesh/weft/mesh"
)

func (c *converter) balancing(in *networking.LoadBalancerSettings, field string) *mesh.Balancing {
	if in == nil {
		return nil
	}
	out := &mesh.Balancing{Origin: c.of("loadBalancer", func(p parts) bool { return p.lb != nil }), Locality: c.locality(in.LocalityLbSetting, field+".localityLbSetting"), WarmUp: c.warmUp(in, field)}
	switch in.GetSimple() {
	case networking.LoadBalancerSettings_LEAST_REQUEST, networking.LoadBalancerSettings_LEAST_CONN: //nolint:staticcheck // deprecated, and still used
		out.Algorithm = mesh.LeastRequest
	case networking.LoadBalancerSettings_ROUND_ROBIN:
		out.Algorithm = mesh.RoundRobin
	case networking.LoadBalancerSettings_RANDOM:
		out.Algorithm = mesh.Random
	case networking.LoadBalancerSettings_PASSTHROUGH:
		out.Algorithm = mesh.Passthrough
	}
	if h := in.GetConsistentHash(); h != nil {
		out.Hash = c.hash(h, field+".consistentHash")
	}
	if out.WarmUp != nil && (out.Hash != nil || out.Algorithm == mesh.Random || out.Algorithm == mesh.Passthrough) {
		c.problem(problem.SchemaWarning, field+".warmup", "new endpoints are warmed up with LEAST_REQUEST and ROUND_ROBIN only; they get their full share at once", "use one of these, or remove the field")
	}
	if in.ZoneAwareLbSetting != nil {
		c.problem(problem.IstioUnsupported, field+".zoneAwareLbSetting", "requests are not kept in a zone by its size", "use localityLbSetting")
	}
	return out
}

func (c *converter) hash(in *networking.LoadBalancerSettings_ConsistentHashLB, field string) *mesh.Hash {
	out := &mesh.Hash{MinRing: in.MinimumRingSize} //nolint:staticcheck // deprecated, and still used
	switch k := in.HashKey.(type) {
	case *networking.LoadBalancerSettings_ConsistentHashLB_HttpHeaderName:
		out.Header = k.HttpHeaderName
	case *networking.LoadBalancerSettings_ConsistentHashLB_UseSourceIp:
		out.SourceIP = k.UseSourceIp
	case *networking.LoadBalancerSettings_ConsistentHashLB_HttpQueryParameterName:
		out.Query = k.HttpQueryParameterName
	case *networking.LoadBalancerSettings_ConsistentHashLB_HttpCookie:
		out.Cookie = &mesh.HashCookie{Name: k.HttpCookie.Name, Path: k.HttpCookie.Path, TTL: c.duration(k.HttpCookie.Ttl, field+".httpCookie.ttl")}
		for _, a := range k.HttpCookie.Attributes {
			out.Cookie.Attributes = append(out.Cookie.Attributes, mesh.Header{Name: a.Name, Value: a.Value})
		}
	}
	if out.Header == "" && out.Query == "" && out.Cookie == nil && !out.SourceIP {
		c.problem(problem.SchemaInvalid, field, "no key is given; requests are spread as if there were no such block", "give httpHeaderName, httpCookie, useSourceIp or httpQueryParameterName")
		return nil
	}
	switch a := in.HashAlgorithm.(type) {
	case *networking.LoadBalancerSettings_ConsistentHashLB_RingHash_:
		if a.RingHash.GetMinimumRingSize() > 0 {
			out.MinRing = a.RingHash.MinimumRingSize
		}
	case *networking.LoadBalancerSettings_ConsistentHashLB_Maglev:
		out.Maglev, out.TableSize, out.MinRing = true, a.Maglev.GetTableSize(), 0
	}
	return out
}

func (c *converter) warmUp(in *networking.LoadBalancerSettings, field string) *mesh.WarmUp {
	w := in.Warmup
	if w == nil {
		if d := c.duration(in.WarmupDurationSecs, field+".warmupDurationSecs"); d != nil && *d > 0 { //nolint:staticcheck // deprecated, and still used
			return &mesh.WarmUp{Duration: *d}
		}
		return nil
	}
	d := c.duration(w.Duration, field+".warmup.duration")
	if d == nil || *d == 0 {
		return nil
	}
	value := func(v *wrapperspb.DoubleValue) float64 { return v.GetValue() }
	return &mesh.WarmUp{Duration: *d, MinimumPercent: value(w.MinimumPercent), Aggression: value(w.Aggression)}
}

func (c *converter) locality(in *networking.LocalityLoadBalancerSetting, field string) *mesh.LocalityPreference {
	if in == nil {
		return nil
	}
	out := &mesh.LocalityPreference{Disabled: in.Enabled != nil && !in.Enabled.Value, FailoverPriority: in.FailoverPriority}
	kinds := 0
	for _, n := range []int{len(in.Distribute), len(in.Failover), len(in.FailoverPriority)} {
		if n > 0 {
			kinds++
		}
	}
	if kinds > 1 && (len(in.Distribute) > 0 || len(in.Failover) == 0) {
		c.problem(problem.SchemaInvalid, field, "distribute, failover and failoverPriority exclude each other; distribute is in effect, then failoverPriority", "keep one of them")
	}
	for i, d := range in.Distribute {
		var sum uint32
		for _, w := range d.To {
			sum += w
		}
		if sum != 100 {
			c.problem(problem.SchemaInvalid, at("%s.distribute[%d].to", field, i), at("the shares sum to %d, not to 100; they are not in effect", sum), "let them sum to 100")
			continue
		}
		out.Distribute = append(out.Distribute, mesh.LocalityShares{From: d.From, To: d.To})
	}
	for _, f := range in.Failover {
		out.Failover = append(out.Failover, mesh.LocalityFailover{From: f.From, To: f.To})
	}
	return out
}
