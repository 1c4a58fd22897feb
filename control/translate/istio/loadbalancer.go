package istio

import (
	"math"
	"math/big"
	"strings"

	"google.golang.org/protobuf/types/known/wrapperspb"
	networking "istio.io/api/networking/v1alpha3"

	"github.com/weftmesh/weft/control/problem"
	"github.com/weftmesh/weft/internal/apifield"
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
	if z := in.ZoneAwareLbSetting; z != nil && (z.Enabled == nil || z.Enabled.Value) {
		if out.Locality != nil {
			c.problem(problem.SchemaWarning, field+".localityLbSetting", "zoneAwareLbSetting is in effect, and this is not", "keep one of the two")
		}
		out.Locality = c.zoneAware(z, field+".zoneAwareLbSetting")
	}
	return out
}

func (c *converter) hash(in *networking.LoadBalancerSettings_ConsistentHashLB, field string) *mesh.Hash {
	out := &mesh.Hash{MinRing: in.MinimumRingSize} //nolint:staticcheck // deprecated, and still used
	switch k := in.HashKey.(type) {
	case *networking.LoadBalancerSettings_ConsistentHashLB_HttpHeaderName:
		if !apifield.Token(k.HttpHeaderName) {
			c.problem(problem.SchemaInvalid, field+".httpHeaderName", at("%q is no header name; requests are spread as if there were no such block", k.HttpHeaderName), "use letters, digits and dashes")
			return nil
		}
		out.Header = k.HttpHeaderName
	case *networking.LoadBalancerSettings_ConsistentHashLB_UseSourceIp:
		out.SourceIP = k.UseSourceIp
	case *networking.LoadBalancerSettings_ConsistentHashLB_HttpQueryParameterName:
		out.Query = k.HttpQueryParameterName
	case *networking.LoadBalancerSettings_ConsistentHashLB_HttpCookie:
		if out.Cookie = c.cookie(k.HttpCookie, field+".httpCookie"); out.Cookie == nil {
			return nil
		}
	}
	if out.Header == "" && out.Query == "" && out.Cookie == nil && !out.SourceIP {
		c.problem(problem.SchemaInvalid, field, "no key is given; requests are spread as if there were no such block", "give httpHeaderName, httpCookie, useSourceIp or httpQueryParameterName")
		return nil
	}
	where := field + ".minimumRingSize"
	switch a := in.HashAlgorithm.(type) {
	case *networking.LoadBalancerSettings_ConsistentHashLB_RingHash_:
		if a.RingHash.GetMinimumRingSize() > 0 {
			where = field + ".ringHash.minimumRingSize"
			out.MinRing = a.RingHash.MinimumRingSize
		}
	case *networking.LoadBalancerSettings_ConsistentHashLB_Maglev:
		out.Maglev, out.TableSize, out.MinRing = true, a.Maglev.GetTableSize(), 0
	}
	if out.MinRing > maxRing {
		c.problem(problem.SchemaInvalid, where, at("%d is more than %d; the default is in effect", out.MinRing, maxRing), "give less")
		out.MinRing = 0
	}
	if n := out.TableSize; n > maxTable || n > 0 && !new(big.Int).SetUint64(n).ProbablyPrime(0) {
		c.problem(problem.SchemaInvalid, field+".maglev.tableSize", at("%d is no prime of at most %d; the default is in effect", n, maxTable), "give a prime")
		out.TableSize = 0
	}
	return out
}

// What a proxy takes, as Envoy.
const (
	maxRing  = 8 << 20
	maxTable = 5_000_011
)

// cookie reads the cookie of a hash; nil where a client could not send it back.
func (c *converter) cookie(in *networking.LoadBalancerSettings_ConsistentHashLB_HTTPCookie, field string) *mesh.HashCookie {
	good := func(text string) bool { return apifield.Text(text) && !strings.Contains(text, ";") }
	ok := apifield.Token(in.GetName()) && good(in.GetPath())
	out := &mesh.HashCookie{Name: in.GetName(), Path: in.GetPath(), TTL: c.duration(in.GetTtl(), field+".ttl")}
	for _, a := range in.GetAttributes() {
		ok = ok && good(a.Name) && good(a.Value)
		out.Attributes = append(out.Attributes, mesh.Header{Name: a.Name, Value: a.Value})
	}
	if !ok {
		c.problem(problem.SchemaInvalid, field, "the name, the path or an attribute cannot stand in a cookie; requests are spread as if there were no such block", "use letters, digits and dashes")
		return nil
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
	within := func(v *wrapperspb.DoubleValue, name string, least, most float64) float64 {
		if v != nil && !(v.Value >= least && v.Value <= most) {
			c.problem(problem.SchemaInvalid, field+".warmup."+name, at("%g is not between %g and %g; the default is in effect", v.Value, least, most), "correct the value")
			return 0
		}
		return v.GetValue()
	}
	return &mesh.WarmUp{Duration: *d, MinimumPercent: within(w.MinimumPercent, "minimumPercent", 0, 100), Aggression: within(w.Aggression, "aggression", 1, math.MaxFloat32)}
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
	out.Failover = failover(c, in.Failover, field)
	return out
}

// failover reads what region takes over for another.
func failover[F interface {
	GetFrom() string
	GetTo() string
}](c *converter, list []F, field string) (out []mesh.LocalityFailover) {
	for i, f := range list {
		from, to := f.GetFrom(), f.GetTo()
		if from == "" || to == "" || from == to || strings.ContainsAny(from+to, "/*") {
			code := problem.SchemaInvalid
			if from != to && !strings.ContainsAny(from+to, "/*") {
				code = problem.SchemaWarning // Istio takes it
			}
			c.problem(code, at("%s.failover[%d]", field, i), at("from %q to %q does not lead from one region to another; it is not in effect", from, to), "name two regions, without zones")
			continue
		}
		out = append(out, mesh.LocalityFailover{From: from, To: to})
	}
	return out
}

// zoneAware reads how requests are kept in the region and, as far as its size
// allows, in the zone.
func (c *converter) zoneAware(in *networking.ZoneAwareLoadBalancerSetting, field string) *mesh.LocalityPreference {
	out := &mesh.LocalityPreference{Failover: failover(c, in.Failover, field), ZoneAware: &mesh.ZoneAware{MinSize: in.MinClusterSize.GetValue()}}
	for i, l := range in.FailoverPriority {
		switch key, _, valued := strings.Cut(l, "="); key {
		case "topology.kubernetes.io/region", "topology.kubernetes.io/zone", "topology.istio.io/subzone":
			code := problem.SchemaInvalid
			if valued {
				code = problem.SchemaWarning // Istio takes it
			}
			c.problem(code, at("%s.failoverPriority[%d]", field, i), at("%s is looked at in any case; it is left out", key), "remove it")
		default:
			out.FailoverPriority = append(out.FailoverPriority, l)
		}
	}
	return out
}
