package forward

import (
	"time"

	"github.com/weftmesh/weft/proxy/route"
	"github.com/weftmesh/weft/proxy/trace"
)

// tracer makes the spans of the connection's requests; nil for none.
func (d *Downstream) tracer(t *route.Table) *trace.Tracer {
	if t != nil {
		return t.Trace
	}
	return d.Traces.Get()
}

// trace ends the span of a request.
func (x *Exchange) trace(o *Outcome, end time.Time) {
	s, d := x.span, x.Downstream
	x.span = nil
	if !s.Sampled() {
		s.Release()
		return
	}
	e := trace.End{Start: x.start, End: end, Status: o.Status, GRPC: o.GRPC, Broken: o.Broken || o.Timeout, Sent: o.Sent, Received: o.Received, Client: d.Client}
	if f := o.Failure; f != nil && o.GRPC < 0 {
		e.Received = int64(f.size())
	}
	e.Flags, _ = x.told(o)
	if x.extra != nil {
		e.Flags = x.extra.flags(e.Flags)
	}
	if d.Direction == Inbound {
		e.Port, e.Source = d.Port, d.PeerURI
	} else {
		e.Host = d.Name
		if x.Rule != nil {
			e.Path = operation(x.Rule)
		}
		if x.cluster != nil {
			e.Cluster = x.cluster.Name()
		}
	}
	if x.Endpoint != nil {
		e.Upstream = x.Endpoint.Address()
		if d.Direction == Outbound && x.Endpoint.Mutual() {
			e.Destination = x.Endpoint.Identity()
		}
	}
	s.Finish(&e)
}

// operation is the pattern of a rule's paths, as Istio names operations by it.
func operation(u *route.Rule) string {
	m := u.Matches()
	switch m.Path {
	case route.Prefix, route.SegmentPrefix:
		if m.PathValue != "/" {
			return m.PathValue + "*"
		}
	case route.ExactPath:
		return m.PathValue
	}
	return ""
}
