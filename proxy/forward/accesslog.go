package forward

import (
	"errors"
	"net/netip"
	"time"

	"github.com/weftmesh/weft/proxy/accesslog"
	"github.com/weftmesh/weft/proxy/http"
	"github.com/weftmesh/weft/proxy/route"
	"github.com/weftmesh/weft/proxy/upstream"
)

// inboundRoute is the name that Istio gives the one route of an inbound port.
const inboundRoute = "default"

// table is the latest routes; nil for none.
func (d *Downstream) table() *route.Table {
	if d.Routes == nil {
		return nil
	}
	return d.Routes()
}

// requestLog is where the requests of the connection are logged; nil for
// nowhere.
func (d *Downstream) requestLog(t *route.Table) *accesslog.Log {
	if t != nil {
		return t.Log
	}
	return d.Logs.HTTP()
}

// connectionLog is where the connection is logged if it carries bytes without
// meaning; nil for nowhere.
func (d *Downstream) connectionLog() *accesslog.Log {
	if d.BytesLog != nil {
		return d.BytesLog
	}
	return d.Logs.TCP()
}

// entry begins a line with what the connection tells.
func (d *Downstream) entry(l *accesslog.Log, start time.Time) *accesslog.Entry {
	e := l.Entry()
	e.Start, e.Client, e.Local = start, d.Client, d.Destination
	e.ServerName, e.PeerURI, e.PeerDNS = d.ServerName, d.PeerURI, d.ClientID
	if d.Direction == Inbound {
		e.InboundPort = d.Destination.Port()
	}
	return e
}

// log begins the line of a request.
func (x *Exchange) log(l *accesslog.Log, r *http.Request) {
	x.entry = x.Downstream.entry(l, x.start)
	x.entry.Request(r)
	if x.Downstream.Direction == Inbound {
		x.entry.Route = inboundRoute
	}
}

// Via says which connection a try goes by; it comes before Sent.
func (x *Exchange) Via(c interface{ Local() netip.AddrPort }) {
	if x.entry != nil {
		x.entry.UpstreamLocal = c.Local()
	}
}

// logged takes what the line needs where a request is sent.
func (x *Exchange) logged(e *upstream.Endpoint) {
	x.entry.Attempts++
	x.entry.Upstream, x.entry.UpstreamLocal = e.Address(), netip.AddrPort{}
}

// logHead takes what the line needs of the final response's head.
func (x *Exchange) logHead(r *http.Response) {
	if x.entry != nil {
		x.entry.Sent, x.entry.Head = x.sent, x.head
		x.entry.Reply(r.Fields)
	}
}

// write ends the line of a request.
func (x *Exchange) write(o *Outcome, end time.Time) {
	e := x.entry
	x.entry = nil
	e.End, e.Status, e.GRPC = end, o.Status, o.GRPC
	e.BytesReceived, e.BytesSent = o.Sent, o.Received
	if x.Rule != nil {
		e.Route = x.Rule.Name
	}
	if x.cluster != nil && e.InboundPort == 0 {
		e.Cluster = x.cluster.Name()
	}
	e.Flags, e.Details = x.told(o)
	if f := o.Failure; f != nil {
		if o.GRPC < 0 {
			e.BytesSent = int64(f.size()) // a gRPC client is told in fields
		}
		if f.Reason == ReasonConnect {
			e.Failure = f.Detail
		}
	}
	if x.extra != nil {
		e.Flags = x.extra.flags(e.Flags)
	}
	e.Write()
}

// told are Envoy's response flags and details of how a request ended.
func (x *Exchange) told(o *Outcome) (flag, details string) {
	switch {
	case o.Failure != nil:
		return o.Failure.told()
	case o.Timeout || o.Broken && x.TimedOut():
		return "UT", "upstream_response_timeout"
	case o.Broken && (o.Gone || o.Status == 0):
		return "DC", "downstream_remote_disconnect"
	case o.Broken:
		return "UC", "upstream_reset_after_response_started{connection_termination}"
	}
	return "", "via_upstream"
}

func (f *Failure) told() (flag, details string) {
	flag = flags(f.Reason)
	switch f.Reason {
	case "":
		details = "direct_response"
	case ReasonConnect:
		details = "upstream_reset_before_response_started{connection_failure}"
	case ReasonReset:
		details = "upstream_reset_before_response_started{connection_termination}"
	case ReasonRefused:
		flag, details = "UR", "upstream_reset_before_response_started{remote_reset}"
	case ReasonNoEndpoint:
		details = "no_healthy_upstream"
	case ReasonOverflow:
		details = "upstream_reset_before_response_started{overflow}"
	case ReasonFault:
		details = "fault_filter_abort"
	case ReasonOverload:
		details = "overload"
	case ReasonNoRoute:
		details = "route_not_found"
	case ReasonNoBackend, ReasonNoConfiguration:
		details = "cluster_not_found"
	case ReasonUnknown:
		details = "direct_response"
	case ReasonTimeout:
		details = "upstream_response_timeout"
	case ReasonBadRequest:
		details = "http1.codec_error"
	case ReasonBadResponse:
		flag, details = "UPE", "upstream_reset_before_response_started{protocol_error}"
	}
	return flag, details
}

// size is how long the body of the answer is.
func (f *Failure) size() int {
	if f.Body != nil {
		return len(f.Body)
	}
	return len(f.Detail) + 1
}

// unread logs what came instead of a request, and was answered with f; nil
// where the client has gone.
func (d *Downstream) unread(f *Failure, start time.Time) {
	l := d.requestLog(d.table())
	if l == nil {
		return
	}
	e := d.entry(l, start)
	e.End, e.Protocol = time.Now(), "HTTP/1.1"
	if f == nil {
		e.Flags, e.Details = "DC", "downstream_remote_disconnect"
	} else {
		e.Status, e.BytesSent = f.Status, int64(f.size())
		if e.Flags, e.Details = f.told(); f.Status == 408 {
			e.Flags, e.Details = "", "request_header_timeout"
		}
	}
	e.Write()
}

// turnedAway logs a request that is answered without an exchange.
func (d *Downstream) turnedAway(r *http.Request, f *Failure, start time.Time) {
	l := d.requestLog(d.table())
	if l == nil {
		return
	}
	e := d.entry(l, start)
	e.Request(r)
	e.End, e.Status, e.BytesSent = time.Now(), f.Status, int64(f.size())
	e.Flags, e.Details = f.told()
	e.Cluster = upstream.BlackHoleCluster
	e.Write()
}

// log writes the line of a connection without HTTP.
func (f *Flow) log(start time.Time, local netip.AddrPort, out, back int64, err error) {
	l := f.d.connectionLog()
	if l == nil {
		return
	}
	e := f.d.entry(l, start)
	e.End, e.BytesReceived, e.BytesSent = time.Now(), out, back
	e.Upstream, e.UpstreamLocal, e.Attempts = f.e.Address(), local, 1
	e.Cluster = f.e.Cluster().Name()
	if err != nil {
		e.Termination = errno(err)
	}
	e.Write()
}

// NotConnectedError is why a connection without HTTP has no endpoint.
type NotConnectedError struct {
	// Cluster is where it should have gone.
	Cluster string
	Err     error
}

func (e *NotConnectedError) Error() string { return e.Err.Error() }

func (e *NotConnectedError) Unwrap() error { return e.Err }

// logTurned logs an accepted connection that came to nothing because of err.
// One that never said anything is not logged, as with Envoy.
func (d *Downstream) logTurned(err error) {
	l := d.connectionLog()
	if l == nil {
		return
	}
	var no *NotConnectedError
	var refused *RefusedError
	var flag, details, failure, cluster string
	switch {
	case errors.As(err, &no):
		cluster = no.Cluster
		switch {
		case errors.Is(err, upstream.ErrOverflow):
			flag = "UO"
		case errors.Is(err, upstream.ErrNoEndpoint):
			flag = "UH"
		default:
			flag, failure = "UF,URX", err.Error()
		}
	case errors.As(err, &refused):
		flag, details = refused.Flag, refused.Details
	default:
		return
	}
	e := d.entry(l, time.Now())
	e.End, e.Cluster, e.Flags, e.Details, e.Failure = e.Start, cluster, flag, details, failure
	if cluster == "" {
		e.InboundPort = 0
	}
	e.Write()
}

// RefusedError is why a connection is refused by what the configuration says of
// it, with Envoy's flag and details for that.
type RefusedError struct {
	Flag, Details string
	Err           error
}

func (e *RefusedError) Error() string { return e.Err.Error() }

func (e *RefusedError) Unwrap() error { return e.Err }
