package forward

import (
	"time"

	"github.com/weftmesh/weft/proxy/telemetry"
	"github.com/weftmesh/weft/proxy/upstream"
)

// flags are Istio's response_flags for the reasons of our own failures.
func flags(reason string) string {
	switch reason {
	case ReasonConnect:
		return "UF"
	case ReasonReset:
		return "UC"
	case ReasonNoEndpoint:
		return "UH"
	case ReasonOverflow:
		return "UO"
	case ReasonFault:
		return "FI"
	case ReasonOverload:
		return "OM"
	case ReasonNoRoute:
		return "NR"
	case ReasonNoBackend, ReasonNoConfiguration:
		return "NC"
	case ReasonTimeout:
		return "UT"
	case ReasonBadRequest, ReasonBadResponse:
		return "DPE"
	}
	return ""
}

// flags adds what the rule's policies did.
func (e *extra) flags(f string) string {
	add := func(flag string) {
		if f != "" {
			f += ","
		}
		f += flag
	}
	if e.delayed {
		if f == "FI" {
			f = "DI,FI"
		} else {
			add("DI")
		}
	}
	if e.exhausted {
		add("URX")
	}
	return f
}

// inboundSeries is the same for all requests of an inbound connection.
func (d *Downstream) inboundSeries() *telemetry.HTTP {
	d.once.Do(func() {
		k := telemetry.HTTPKey{Direction: telemetry.Inbound, TLS: telemetry.NotFromRemote, Target: d.Destination,
			Peer: telemetry.Peer{Identity: d.Peer, Namespace: d.Peer.Namespace}}
		if d.Mutual {
			k.TLS = telemetry.Mutual
		}
		d.series = d.Telemetry.HTTP(k)
	})
	return d.series
}

// series finds where the exchange is counted: with the endpoint of the current
// try, if there is one.
func (x *Exchange) series() *telemetry.HTTP {
	d := x.Downstream
	if d.Direction == Inbound {
		return d.inboundSeries()
	}
	if x.Endpoint != nil {
		if h := x.Endpoint.Series(d.Name, x.origin()); h != nil {
			return h
		}
	}
	return x.newSeries()
}

// origin is the route as it is counted.
func (x *Exchange) origin() string {
	if x.Rule == nil {
		return ""
	}
	return x.Rule.Stat
}

// newSeries is series for the first request. What it has on its stack would
// make every other one reach for memory that is not in the cache.
//
//go:noinline
func (x *Exchange) newSeries() *telemetry.HTTP {
	d, origin := x.Downstream, x.origin()
	if x.Endpoint == nil {
		k := telemetry.HTTPKey{Direction: telemetry.Outbound, Authority: d.Name, Route: origin}
		if x.cluster != nil {
			s := x.cluster.Spec()
			k.Service, k.Namespace, k.Port = s.Service, s.Namespace, s.ServicePort
		}
		return d.Telemetry.HTTP(k)
	}
	h := d.Telemetry.HTTP(outboundKey(d.Name, origin, x.Endpoint))
	x.Endpoint.AddSeries(d.Name, origin, h)
	return h
}

func outboundKey(authority, origin string, e *upstream.Endpoint) telemetry.HTTPKey {
	c, s := e.Cluster().Spec(), e.Spec()
	k := telemetry.HTTPKey{Direction: telemetry.Outbound, Authority: authority, Route: origin, Target: s.Address,
		Peer:    telemetry.Peer{Identity: e.Identity(), Workload: s.Workload, Namespace: s.Namespace, Owner: s.Owner},
		Service: c.Service, Namespace: c.Namespace, Port: c.ServicePort}
	if e.Mutual() {
		k.TLS = telemetry.Mutual
	}
	return k
}

// End closes the accounts of the request and returns the time. It is called
// exactly once for each Begin.
func (x *Exchange) End(o Outcome) time.Time {
	now := x.now()
	x.ended(&o, now)
	if x.entry != nil {
		x.write(&o, now)
	}
	if x.span != nil {
		x.trace(&o, now)
	}
	if h := x.series(); h != nil {
		if !x.counted {
			h.Request()
		}
		r := telemetry.Response{Status: o.Status, GRPC: o.GRPC, Total: now.Sub(x.start), FirstByte: now.Sub(x.start),
			RequestBytes: uint64(o.Sent), ResponseBytes: uint64(o.Received)}
		if !x.head.IsZero() {
			r.FirstByte = x.head.Sub(x.start)
		}
		switch {
		case o.Failure != nil:
			r.Error, r.Flags = o.Failure.Reason, flags(o.Failure.Reason)
		case o.Timeout || o.Broken && x.TimedOut():
			r.Error, r.Flags = ReasonTimeout, flags(ReasonTimeout)
		case o.Broken && (o.Gone || o.Status == 0):
			r.Error, r.Flags = "client gone", "DC"
		case o.Broken:
			r.Error, r.Flags = "cut off", "UC"
		}
		if x.extra != nil {
			r.Flags = x.extra.flags(r.Flags)
			if r.Error == "" {
				r.Judged = telemetry.Judgement(x.judge(o.Status))
			}
		}
		h.Response(&r)
	}
	x.abandon()
	return now
}
