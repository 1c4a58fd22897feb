package forward

import (
	"log/slog"
	"net/netip"
	"runtime/debug"
	"sync"
	"time"

	"github.com/weftmesh/weft/identity"
	"github.com/weftmesh/weft/proxy/accesslog"
	"github.com/weftmesh/weft/proxy/http"
	"github.com/weftmesh/weft/proxy/route"
	"github.com/weftmesh/weft/proxy/telemetry"
	"github.com/weftmesh/weft/proxy/trace"
	"github.com/weftmesh/weft/proxy/upstream"
)

// Direction is the side of the workload that a connection is on.
type Direction uint8

const (
	// Outbound connections come from the workload.
	Outbound Direction = iota
	// Inbound connections go to it.
	Inbound
)

func (d Direction) String() string { return [...]string{"outbound", "inbound"}[d] }

// Limits of a downstream HTTP connection; the zero value of each field means
// its default.
type Limits struct {
	// Head is how long a client may take for a request's head once it has begun;
	// default 60 s.
	Head time.Duration
	// Idle is how long a connection may lie between two requests; default 1 h.
	Idle time.Duration
	// HeadBytes bounds a head; default 64 KiB.
	HeadBytes int
}

// WithDefaults fills in what is zero.
func (l Limits) WithDefaults() Limits {
	if l.Head <= 0 {
		l.Head = time.Minute
	}
	if l.Idle <= 0 {
		l.Idle = time.Hour
	}
	if l.HeadBytes <= 0 {
		l.HeadBytes = 64 << 10
	}
	return l
}

// Downstream is what the requests of one downstream connection share. It is
// made when the connection's protocol is known, and neither copied nor changed
// afterwards.
type Downstream struct {
	Direction Direction
	// Name is <host>:<port> of an outbound destination as configured; empty
	// where it is unknown.
	Name string
	// Routes gives the latest routes of the destination, for each request anew.
	// It is set on outbound connections.
	Routes func() *route.Table
	// ByHost finds what takes the place of the Downstream for a request, or why
	// the request is refused, where its host decides and not the address that was
	// dialled; nil where it does not.
	ByHost func(*http.Request) (*Downstream, *Failure)
	// Application is where inbound requests go.
	Application *upstream.Cluster
	// Destination is the address that the client dialled, or the application's
	// own address behind an explicit inbound listener.
	Destination netip.AddrPort
	// Port is the one of the workload that an inbound connection is configured
	// by: that of Destination, or of the explicit listener.
	Port uint16
	// Client is where the connection comes from; zero where nobody needs it.
	Client netip.AddrPort
	// BySource chooses the endpoints of bytes by the address of Client.
	BySource bool
	// Peer is the identity that the client proved; zero without mutual TLS.
	Peer identity.ID
	// Mutual says that the client is a peer's proxy on mutual TLS: it may hear
	// why a proxy failed, and is believed.
	Mutual bool
	// ClientID is filter.ClientID of Peer.
	ClientID []byte
	// PeerURI is Peer as text, and ServerName what the client's TLS asked for.
	PeerURI, ServerName string
	// Logs are the access logs; those of routes come before them. BytesLog is
	// that of a destination's connections without HTTP.
	Logs     *accesslog.Slot
	BytesLog *accesslog.Log
	// Traces makes the spans of inbound requests; nil for none.
	Traces *trace.Slot
	// Draining is closed when the connection should end as soon as it can:
	// HTTP/1 responses then ask the client to close, HTTP/2 sends GOAWAY. Nil
	// never asks.
	Draining <-chan struct{}
	// Ended is the same for this connection alone; nil never asks.
	Ended <-chan struct{}
	// Activity counts the requests under way.
	Activity *Activity
	Limits   Limits
	// Watch keeps the limits; it is shared by the connections of a proxy.
	Watch *Watch
	// Admit says whether another connection may be accepted that comes multiplexed
	// on this one; set where Mutual is.
	Admit func() bool
	// Flows are those of the proxy that may go on elsewhere; set where Mutual is.
	Flows     *Flows
	Telemetry *telemetry.Registry
	Log       *slog.Logger

	once   sync.Once
	series *telemetry.HTTP // inbound
}

// crashed counts and logs an error in the proxy itself that has ended the
// connection.
func (d *Downstream) crashed(reason any, stack []byte) { d.Activity.Crashed(d.Log, reason, stack) }

// guard is deferred by goroutines of the connection besides its own: one that
// panics ends the connection, and not the process.
func (d *Downstream) guard(end func()) {
	if p := recover(); p != nil {
		d.crashed(p, debug.Stack())
		end()
	}
}

func (d *Downstream) draining() bool {
	select {
	case <-d.Draining:
		return true
	case <-d.Ended:
		return true
	default:
		return false
	}
}
