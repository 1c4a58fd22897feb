package forward

import (
	"context"
	"errors"
	"io"
	"net/netip"
	"syscall"
	"time"

	"github.com/weftmesh/weft/proxy/conn"
	"github.com/weftmesh/weft/proxy/telemetry"
	"github.com/weftmesh/weft/proxy/upstream"
)

// src names where an accepted connection is counted. kind is how it is
// protected; outbound ones come from the workload itself.
func (d *Downstream) src(kind telemetry.TLS) telemetry.TCPKey {
	k := telemetry.TCPKey{Direction: telemetry.Inbound, Side: telemetry.Src, TLS: kind, Authority: d.Name, Target: d.Destination,
		Peer: telemetry.Peer{Identity: d.Peer, Namespace: d.Peer.Namespace}}
	if d.Direction == Outbound {
		k.Direction, k.TLS = telemetry.Outbound, telemetry.Loopback
	}
	return k
}

// dst names where a connection to an endpoint is counted. The workload itself
// is dialled in plaintext and has no name.
func dst(direction telemetry.Direction, authority string, e *upstream.Endpoint) telemetry.TCPKey {
	s := e.Spec()
	k := telemetry.TCPKey{Direction: direction, Side: telemetry.Dst, TLS: telemetry.Loopback, Authority: authority, Target: s.Address}
	if direction == telemetry.Inbound {
		return k
	}
	c := e.Cluster().Spec()
	k.TLS, k.Service, k.Namespace, k.Port = telemetry.NotProvided, c.Service, c.Namespace, c.ServicePort
	k.Peer = telemetry.Peer{Identity: e.Identity(), Workload: s.Workload, Namespace: s.Namespace, Owner: s.Owner}
	if e.Mutual() {
		k.TLS = telemetry.Mutual
	}
	return k
}

// accepted counts the accepted connection of HTTP requests, until it is closed.
func (d *Downstream) accepted(c *conn.Conn) { c.SetMeter(d.meter()) }

// meter begins to count the accepted connection.
func (d *Downstream) meter() conn.Meter {
	kind := telemetry.NotFromRemote
	if d.Mutual {
		kind = telemetry.Mutual
	}
	return meter(d.Telemetry.TCP(d.src(kind)))
}

// Turned counts an accepted connection that was refused because of err. Its
// destination is not told: anybody can dial any.
func (d *Downstream) Turned(kind telemetry.TLS, err error) {
	k := d.src(kind)
	k.Target = netip.AddrPort{}
	d.Telemetry.TCP(k).Open().Close(errno(err), 0)
	d.logTurned(err)
}

// DialledMeter makes an upstream.Options.Meter. application is the name of the
// cluster that stands for the workload itself.
func DialledMeter(r *telemetry.Registry, application string) func(*upstream.Endpoint) conn.Meter {
	return func(e *upstream.Endpoint) conn.Meter {
		direction := telemetry.Outbound
		if e.Cluster().Name() == application {
			direction = telemetry.Inbound
		}
		return meter(r.TCP(dst(direction, "", e)))
	}
}

// meter counts a connection from now to its end.
func meter(t *telemetry.TCP) conn.Meter {
	t = t.Open()
	start := time.Now()
	read, written := t.Bytes()
	return conn.Meter{Read: read, Written: written, Closed: func(e syscall.Errno) {
		var err error
		if e != 0 {
			err = e
		}
		t.Close(errno(err), time.Since(start))
	}}
}

// flowSeries are the counters of one opaque flow: the accepted connection and
// the one to the endpoint.
type flowSeries struct {
	src, dst *telemetry.TCP
	start    time.Time
}

// open begins to count a flow. tls is that of the accepted connection.
func (f *Flow) open(kind telemetry.TLS) flowSeries {
	direction := telemetry.Inbound
	if f.d.Direction == Outbound {
		direction = telemetry.Outbound
	}
	src, dst := f.d.src(kind), dst(direction, f.d.Name, f.e)
	if direction == telemetry.Inbound {
		dst.Target = f.d.Destination
	}
	src.Opaque, dst.Opaque = true, true
	r := f.d.Telemetry
	return flowSeries{r.TCP(src).Open(), r.TCP(dst).Open(), time.Now()}
}

// pass counts bytes of both directions.
func (s flowSeries) pass(out, back int) {
	if out > 0 {
		s.src.Read(uint64(out))
		s.dst.Write(uint64(out))
	}
	if back > 0 {
		s.dst.Read(uint64(back))
		s.src.Write(uint64(back))
	}
}

// close counts the end of both connections.
func (s flowSeries) close(why string) {
	life := time.Since(s.start)
	s.src.Close(why, life)
	s.dst.Close(why, life)
}

// errno names the reason of a connection's end by one of few constants.
func errno(err error) string {
	var no syscall.Errno
	switch {
	case err == nil || errors.Is(err, io.EOF):
		return ""
	case errors.As(err, &no):
		switch no {
		case syscall.ECONNRESET:
			return "ECONNRESET"
		case syscall.EPIPE:
			return "EPIPE"
		case syscall.ETIMEDOUT:
			return "ETIMEDOUT"
		}
	case errors.Is(err, context.Canceled):
		return "shutdown"
	case errors.Is(err, io.ErrUnexpectedEOF):
		return "unexpected end"
	}
	return "other"
}
