package istio

import (
	"sort"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	networking "istio.io/api/networking/v1alpha3"

	"github.com/weftmesh/weft/control/problem"
	"github.com/weftmesh/weft/mesh"
)

// converter makes policies of the traffic policies of a merged rule.
type converter struct {
	t       *translator
	rules   []*rule
	service *mesh.Service
	// said are the policies, the most important first, by which a part is told
	// where it comes from.
	said []saying
}

// saying is a traffic policy and who wrote it.
type saying struct {
	parts  parts
	origin mesh.Origin
}

func (c *converter) origin() mesh.Origin { return c.rules[0].origin() }

// of is who says a part first, and where.
func (c *converter) of(part string, has func(parts) bool) mesh.Origin {
	for _, s := range c.said {
		if has(s.parts) {
			return s.origin.At(s.origin.Field + "." + part)
		}
	}
	return c.origin()
}

func (c *converter) problem(code problem.Code, field, message, remedy string) {
	o, where := saidBy(c.rules, field)
	c.t.problem(code, o, where, message, remedy)
}

// parts are the units that a subset or port may replace.
type parts struct {
	lb       *networking.LoadBalancerSettings
	pool     *networking.ConnectionPoolSettings
	outlier  *networking.OutlierDetection
	tls      *networking.ClientTLSSettings
	budget   *networking.TrafficPolicy_RetryBudget
	protocol *networking.TrafficPolicy_ProxyProtocol
}

func partsOf(p *networking.TrafficPolicy) parts {
	return parts{p.GetLoadBalancer(), p.GetConnectionPool(), p.GetOutlierDetection(), p.GetTls(), p.GetRetryBudget(), p.GetProxyProtocol()}
}

// atPort replaces what is said for all ports: what a port's own settings leave
// out falls to the defaults, not to what is said for all.
func (p parts) atPort(settings []*networking.TrafficPolicy_PortTrafficPolicy, port uint16) parts {
	for _, s := range settings {
		if s.Port.GetNumber() == uint32(port) {
			p.lb, p.pool, p.outlier, p.tls = s.LoadBalancer, s.ConnectionPool, s.OutlierDetection, s.Tls
			return p
		}
	}
	return p
}

// over puts what a subset says over what the rule says.
func (p parts) over(s *networking.TrafficPolicy) parts {
	o := partsOf(s)
	if o.lb != nil {
		p.lb = o.lb
	}
	if o.pool != nil {
		p.pool = o.pool
	}
	if o.outlier != nil {
		p.outlier = o.outlier
	}
	if o.tls != nil {
		p.tls = o.tls
	}
	if o.budget != nil {
		p.budget = o.budget
	}
	if o.protocol != nil {
		p.protocol = o.protocol
	}
	return p
}

func (c *converter) policy(p *networking.TrafficPolicy) mesh.Policy {
	if p.GetTunnel() != nil {
		c.problem(problem.IstioUnsupported, "spec.trafficPolicy.tunnel", "the mesh does not tunnel connections; they are sent straight", "remove the field")
	}
	return c.convert(partsOf(p), "spec.trafficPolicy")
}

func portsOf(lists ...[]*networking.TrafficPolicy_PortTrafficPolicy) []uint16 {
	seen := map[uint16]bool{}
	var out []uint16
	for _, list := range lists {
		for _, s := range list {
			if n := s.Port.GetNumber(); n > 0 && n <= 65535 && !seen[uint16(n)] {
				seen[uint16(n)] = true
				out = append(out, uint16(n))
			}
		}
	}
	sort.Slice(out, func(i, j int) bool { return out[i] < out[j] })
	return out
}

func (c *converter) ports(p *networking.TrafficPolicy) []mesh.PortPolicy {
	var out []mesh.PortPolicy
	for _, n := range portsOf(p.GetPortLevelSettings()) {
		out = append(out, mesh.PortPolicy{Port: n, Policy: c.convert(partsOf(p).atPort(p.PortLevelSettings, n), portPath("spec.trafficPolicy", uint32(n)))})
	}
	return out
}

func (c *converter) subset(s *networking.Subset, top *networking.TrafficPolicy, from *rule) mesh.Subset {
	own := *c
	own.rules = append([]*rule{from}, c.rules...)
	field := subsetPath(s.Name) + ".trafficPolicy"
	own.said = append([]saying{{partsOf(s.TrafficPolicy), from.subset(s.Name, ".trafficPolicy")}}, c.said...)
	out := mesh.Subset{Name: s.Name, Labels: s.Labels, Origin: from.subset(s.Name, ""), Policy: own.convert(partsOf(top).over(s.TrafficPolicy), field)}
	for _, n := range portsOf(top.GetPortLevelSettings(), s.TrafficPolicy.GetPortLevelSettings()) {
		p := partsOf(top).atPort(top.GetPortLevelSettings(), n).over(s.TrafficPolicy).atPort(s.TrafficPolicy.GetPortLevelSettings(), n)
		out.Ports = append(out.Ports, mesh.PortPolicy{Port: n, Policy: own.convert(p, field)})
	}
	return out
}

func (c *converter) convert(p parts, field string) mesh.Policy {
	out := mesh.Policy{Balancing: c.balancing(p.lb, field+".loadBalancer"), Pool: c.pool(p.pool, field+".connectionPool"),
		Outlier: c.outlier(p.outlier, field+".outlierDetection"), TLS: c.tls(p.tls, field+".tls")}
	if b := p.budget; b != nil {
		out.RetryBudget = &mesh.ConcurrencyBudget{Percent: 20, MinConcurrency: 3, Origin: c.of("retryBudget", func(p parts) bool { return p.budget != nil })}
		if b.Percent != nil {
			if v := b.Percent.Value; v >= 0 && v <= 100 {
				out.RetryBudget.Percent = v
			} else {
				c.problem(problem.SchemaInvalid, field+".retryBudget.percent", at("%g is not between 0 and 100; it is ignored", v), "give a percentage")
			}
		}
		if b.MinRetryConcurrency > 0 {
			out.RetryBudget.MinConcurrency = b.MinRetryConcurrency
		}
		if b.BudgetInterval.AsDuration() > 0 {
			c.problem(problem.IstioUnsupported, field+".retryBudget.budgetInterval", "the budget counts what is under way now; the interval is ignored", "remove the field")
		}
	}
	if p.protocol != nil {
		out.ProxyProtocol = int(p.protocol.Version) + 1
		c.problem(problem.IstioUnsupported, field+".proxyProtocol", "connections do not begin with a PROXY header", "remove the field")
	}
	return out
}

func (c *converter) duration(d *durationpb.Duration, field string) *mesh.Duration {
	if d == nil {
		return nil
	}
	o, where := saidBy(c.rules, field)
	v, _ := c.t.duration(d, o, where)
	return v
}

// above reads a duration that must be above zero.
func (c *converter) above(d *durationpb.Duration, field string) *mesh.Duration {
	v := c.duration(d, field)
	if v != nil && *v < mesh.Duration(time.Millisecond) {
		c.problem(problem.SchemaInvalid, field, at("the duration %s is below 1ms; it is ignored", time.Duration(*v)), "give 1ms or more")
		return nil
	}
	return v
}

// positive takes 0 for nothing said, as the API does, and reports what is below.
func (c *converter) positive(v int32, field string) *uint32 {
	if v < 0 {
		c.problem(problem.SchemaInvalid, field, at("%d is negative; it is ignored", v), "give 1 or more")
	}
	if v <= 0 {
		return nil
	}
	u := uint32(v)
	return &u
}

func (c *converter) pool(in *networking.ConnectionPoolSettings, field string) *mesh.Pool {
	if in == nil {
		return nil
	}
	out := &mesh.Pool{Origin: c.of("connectionPool", func(p parts) bool { return p.pool != nil })}
	if p := in.Tcp; p != nil {
		out.MaxConnections = c.positive(p.MaxConnections, field+".tcp.maxConnections")
		out.ConnectTimeout = c.above(p.ConnectTimeout, field+".tcp.connectTimeout")
		out.MaxConnectionDuration = c.above(p.MaxConnectionDuration, field+".tcp.maxConnectionDuration")
		out.TCPIdle = c.duration(p.IdleTimeout, field+".tcp.idleTimeout")
		if k := p.TcpKeepalive; k != nil {
			out.Keepalive = &mesh.Keepalive{Probes: k.Probes}
			if d := c.above(k.Time, field+".tcp.tcpKeepalive.time"); d != nil {
				out.Keepalive.Time = *d
			}
			if d := c.above(k.Interval, field+".tcp.tcpKeepalive.interval"); d != nil {
				out.Keepalive.Interval = *d
			}
		}
	}
	if p := in.Http; p != nil {
		out.MaxPending = c.positive(p.Http1MaxPendingRequests, field+".http.http1MaxPendingRequests")
		out.MaxRequests = c.positive(p.Http2MaxRequests, field+".http.http2MaxRequests")
		out.MaxRequestsPerConnection = c.positive(p.MaxRequestsPerConnection, field+".http.maxRequestsPerConnection")
		out.MaxRetries = c.positive(p.MaxRetries, field+".http.maxRetries")
		out.HTTPIdle = c.duration(p.IdleTimeout, field+".http.idleTimeout")
		out.MaxStreams = c.positive(p.MaxConcurrentStreams, field+".http.maxConcurrentStreams")
		out.ClientProtocol = p.UseClientProtocol
		switch p.H2UpgradePolicy {
		case networking.ConnectionPoolSettings_HTTPSettings_UPGRADE:
			out.Upgrade = mesh.DoUpgrade
		case networking.ConnectionPoolSettings_HTTPSettings_DO_NOT_UPGRADE:
			out.Upgrade = mesh.DoNotUpgrade
		}
		if k := p.Http2KeepAlive; k != nil {
			if every := c.above(k.Interval, field+".http.http2KeepAlive.interval"); every != nil {
				out.HTTP2Keepalive = &mesh.HTTP2Keepalive{Interval: *every}
				if d := c.above(k.Timeout, field+".http.http2KeepAlive.timeout"); d != nil {
					out.HTTP2Keepalive.Timeout = *d
				}
			} else if k.Interval == nil {
				c.problem(problem.SchemaWarning, field+".http.http2KeepAlive", "no interval is given, so that nothing is sent", "give interval")
			}
		}
	}
	return out
}

func (c *converter) outlier(in *networking.OutlierDetection, field string) *mesh.Outlier {
	if in == nil {
		return nil
	}
	out := &mesh.Outlier{SplitLocal: in.SplitExternalLocalOriginErrors, Interval: c.above(in.Interval, field+".interval"), BaseEjection: c.above(in.BaseEjectionTime, field+".baseEjectionTime"),
		Origin: c.of("outlierDetection", func(p parts) bool { return p.outlier != nil })}
	if v := in.Consecutive_5XxErrors; v != nil {
		out.Consecutive5xx = &v.Value
	}
	if v := in.ConsecutiveGatewayErrors; v != nil {
		out.ConsecutiveGateway = &v.Value
	}
	if v := in.ConsecutiveErrors; v > 0 && out.ConsecutiveGateway == nil && out.Consecutive5xx == nil { //nolint:staticcheck // deprecated, and still used
		out.ConsecutiveGateway = c.positive(v, field)
	}
	if v := in.ConsecutiveLocalOriginFailures; v != nil {
		if out.ConsecutiveLocal = &v.Value; !in.SplitExternalLocalOriginErrors {
			c.problem(problem.SchemaWarning, field+".consecutiveLocalOriginFailures", "it has no effect without splitExternalLocalOriginErrors", "set splitExternalLocalOriginErrors too")
		}
	}
	percent := func(v int32, name string) *uint32 {
		if v < 0 || v > 100 {
			c.problem(problem.SchemaInvalid, field+"."+name, at("%d is not between 0 and 100; it is ignored", v), "give a percentage")
			return nil
		}
		return c.positive(v, field+"."+name)
	}
	out.MaxEjectionPercent = percent(in.MaxEjectionPercent, "maxEjectionPercent")
	out.MinHealthPercent = percent(in.MinHealthPercent, "minHealthPercent")
	if len(in.OutlierDetectionHttpErrorCodes) > 0 {
		c.problem(problem.IstioUnsupported, field+".outlierDetectionHttpErrorCodes", "statuses from 500 count as errors, whatever is listed", "remove the field")
	}
	return out
}

func (c *converter) tls(in *networking.ClientTLSSettings, field string) *mesh.ClientTLS {
	if in == nil {
		return nil
	}
	out := &mesh.ClientTLS{Mode: mesh.TLSMode(in.Mode.String()), Certificate: in.ClientCertificate, Key: in.PrivateKey, Roots: in.CaCertificates,
		Credential: in.CredentialName, Names: in.SubjectAltNames, SNI: in.Sni, Insecure: in.InsecureSkipVerify.GetValue(),
		Origin: c.of("tls", func(p parts) bool { return p.tls != nil })}
	if (out.Mode == mesh.TLSSimple || out.Mode == mesh.TLSMutual) && out.Roots == "" && out.Credential == "" && !out.Insecure {
		c.problem(problem.NoServerVerification, field, at("mode %s names no certificate authority for %s", out.Mode, c.service.Host), "set caCertificates")
	}
	if out.Credential != "" {
		c.problem(problem.IstioUnsupported, field+".credentialName", "Secrets are not handed to sidecars", "mount the files and name them")
	}
	if in.CaCrl != "" {
		c.problem(problem.IstioUnsupported, field+".caCrl", "lists of revoked certificates are not read", "remove the field")
	}
	return out
}
