package accesslog

import (
	"net/netip"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/weftmesh/weft/internal/accessformat"
	"github.com/weftmesh/weft/proxy/http"
)

// Entry is what is known of one request, or of one connection without HTTP.
// It is got from Log.Entry, filled in, and given back by Write or Drop.
type Entry struct {
	// Start is when the request's first bytes came, Sent when it was sent to the
	// backend, Received when the client had sent all, Head when the answer began
	// and End when it was over; zero for not.
	Start, Sent, Received, Head, End time.Time
	// Protocol is HTTP/1.1 or the like; empty without HTTP.
	Protocol string
	// Status is that of the answer; 0 where there was none. GRPC is -1 for none.
	Status, GRPC int
	// BytesReceived are those of the request's body, BytesSent of the answer's.
	BytesReceived, BytesSent int64
	// Flags and Details are Envoy's response flags and code details, Termination
	// why the connection was ended, Failure why there was none to the backend.
	Flags, Details, Termination, Failure string
	Route                                string
	// Cluster is the backend's; InboundPort stands for it where the workload
	// itself is meant.
	Cluster     string
	InboundPort uint16
	// Attempts is how often the request was sent.
	Attempts int
	// Upstream is the endpoint's address and UpstreamLocal our own to it; Client
	// is where the request came from, and Local where it was sent to.
	Upstream, UpstreamLocal, Client, Local netip.AddrPort
	// ServerName is that of the ClientHello.
	ServerName string
	// PeerURI and PeerDNS name who the client proved to be.
	PeerURI string
	PeerDNS []byte

	log     *Log
	request []span // in kept, by Log.names
	reply   []span
	kept    []byte
	line    []byte
	scratch []byte
}

// span is a value in Entry.kept; with from < 0 there is none.
type span struct{ from, to int }

var entries = sync.Pool{New: func() any { return &Entry{} }}

// maxKept bounds the memory that an unused Entry keeps.
const maxKept = 16 << 10

// Request keeps what the lines need of a request's head, as the client sent it.
func (e *Entry) Request(r *http.Request) {
	e.Protocol = protocol(r)
	for i, name := range e.log.names.request {
		v, ok := requestValue(r, name)
		e.request[i] = e.keep(v, ok)
	}
}

// Rewritten keeps what the proxy has made of the path and the authority.
func (e *Entry) Rewritten(r *http.Request) {
	for i, name := range e.log.names.request {
		switch name {
		case ":path":
			old := e.request[i]
			if string(e.kept[old.from:old.to]) == string(r.Target) {
				continue
			}
			e.request[i] = e.keep(r.Target, true)
			if n := e.log.names.original; n >= 0 {
				e.request[n] = old
			}
		case ":authority", "host":
			v, ok := requestValue(r, name)
			e.request[i] = e.keep(v, ok)
		}
	}
}

// originalPath is where Envoy puts the path that it has rewritten, and
// serviceTime how long the backend took; neither is added to a message here.
const (
	originalPath = "x-envoy-original-path"
	serviceTime  = "x-envoy-upstream-service-time"
)

// Reply keeps what the lines need of a response's head.
func (e *Entry) Reply(fields []http.Field) {
	for i, name := range e.log.names.response {
		v, ok := http.Get(fields, name)
		e.reply[i] = e.keep(v, ok)
	}
}

func (e *Entry) keep(v []byte, ok bool) span {
	if !ok {
		return span{from: -1}
	}
	from := len(e.kept)
	e.kept = append(e.kept, v...)
	return span{from, len(e.kept)}
}

func requestValue(r *http.Request, name string) ([]byte, bool) {
	switch name {
	case ":method":
		return r.Method, true
	case ":path":
		return r.Target, true
	case ":scheme":
		return r.Scheme, len(r.Scheme) > 0
	case ":authority", "host":
		if len(r.Authority) > 0 {
			return r.Authority, true
		}
		name = "host"
	}
	return http.Get(r.Fields, name)
}

func protocol(r *http.Request) string {
	switch {
	case r.Major != 1:
		return "HTTP/2"
	case r.Minor == 0:
		return "HTTP/1.0"
	}
	return "HTTP/1.1"
}

// Write writes the lines and gives the entry back.
func (e *Entry) Write() {
	for i := range e.log.targets {
		t := &e.log.targets[i]
		e.line = t.format.append(e.line[:0], e)
		t.sink.write(e.line)
	}
	e.Drop()
}

// Drop gives the entry back unwritten.
func (e *Entry) Drop() {
	if cap(e.kept) > maxKept || cap(e.line) > maxKept || cap(e.scratch) > maxKept {
		return
	}
	*e = Entry{request: e.request[:0], reply: e.reply[:0], kept: e.kept[:0], line: e.line[:0], scratch: e.scratch[:0]}
	entries.Put(e)
}

// value writes what a command is worth, and says whether that is a number, and
// whether there is anything.
func (e *Entry) value(b []byte, o *op) (out []byte, number, ok bool) {
	switch o.Command {
	case accessformat.Text:
		return append(b, o.text...), false, true
	case accessformat.Host:
		return append(b, o.text...), false, len(o.text) > 0
	case accessformat.Request:
		return e.field(b, e.request, o.at)
	case accessformat.Response:
		if out, _, ok = e.field(b, e.reply, o.at); ok || !timed(o.Names) || e.Head.IsZero() {
			return out, false, ok
		}
		return appendInt(b, max(0, int64(e.Head.Sub(e.Sent)/time.Millisecond))), false, true
	case accessformat.StartTime:
		return accessformat.AppendTime(b, o.Time, e.Start), false, true
	case accessformat.BytesReceived:
		return appendInt(b, e.BytesReceived), true, true
	case accessformat.BytesSent:
		return appendInt(b, e.BytesSent), true, true
	case accessformat.ResponseCode:
		return appendInt(b, int64(e.Status)), true, true
	case accessformat.Duration:
		return e.duration(b, o)
	case accessformat.GRPCStatus:
		if e.GRPC >= 0 && e.GRPC < len(grpcNames) {
			return append(b, grpcNames[e.GRPC]...), false, true
		}
		return appendNumber(b, e.GRPC)
	case accessformat.GRPCNumber:
		return appendNumber(b, e.GRPC)
	case accessformat.Attempts:
		return appendInt(b, int64(e.Attempts)), true, true
	case accessformat.UpstreamHost:
		return appendAddress(b, e.Upstream, o.Part)
	case accessformat.UpstreamLocal:
		return appendAddress(b, e.UpstreamLocal, o.Part)
	case accessformat.Client:
		return appendAddress(b, e.Client, o.Part)
	case accessformat.Local:
		return appendAddress(b, e.Local, o.Part)
	case accessformat.UpstreamCluster:
		if e.InboundPort > 0 {
			b = append(b, "inbound|"...)
			return append(appendInt(b, int64(e.InboundPort)), "||"...), false, true
		}
		return append(b, e.Cluster...), false, e.Cluster != ""
	case accessformat.PeerDNS:
		return append(b, e.PeerDNS...), false, len(e.PeerDNS) > 0
	}
	v := e.text(o.Command)
	return append(b, v...), false, v != ""
}

func (e *Entry) text(c accessformat.Command) string {
	switch c {
	case accessformat.Protocol:
		return e.Protocol
	case accessformat.Flags:
		return e.Flags
	case accessformat.ResponseCodeDetails:
		return e.Details
	case accessformat.TerminationDetails:
		return e.Termination
	case accessformat.UpstreamFailure:
		return e.Failure
	case accessformat.RouteName:
		return e.Route
	case accessformat.ServerName:
		return e.ServerName
	case accessformat.PeerURI:
		return e.PeerURI
	}
	return ""
}

func (e *Entry) field(b []byte, values []span, at []int) (out []byte, number, ok bool) {
	for _, i := range at {
		if i < len(values) && values[i].from >= 0 {
			return append(b, e.kept[values[i].from:values[i].to]...), false, true
		}
	}
	return b, false, false
}

func timed(names []string) bool {
	for _, n := range names {
		if n == serviceTime {
			return true
		}
	}
	return false
}

func (e *Entry) duration(b []byte, o *op) (out []byte, number, ok bool) {
	from, to := e.moment(o.From), e.moment(o.To)
	if from.IsZero() || to.IsZero() {
		return b, true, false
	}
	return appendInt(b, max(0, int64(to.Sub(from)/o.Unit))), true, true
}

func (e *Entry) moment(p accessformat.Point) time.Time {
	return [...]time.Time{e.Start, e.Received, e.Sent, e.Head, e.End}[p]
}

func appendNumber(b []byte, n int) (out []byte, number, ok bool) {
	if n < 0 {
		return b, true, false
	}
	return appendInt(b, int64(n)), true, true
}

func appendAddress(b []byte, a netip.AddrPort, p accessformat.Part) (out []byte, number, ok bool) {
	switch {
	case !a.IsValid():
		return b, false, false
	case p == accessformat.WithoutPort:
		return a.Addr().AppendTo(b), false, true
	case p == accessformat.PortOnly:
		return appendInt(b, int64(a.Port())), true, true
	}
	return a.AppendTo(b), false, true
}

// grpcNames are those of the statuses, as Envoy writes them.
var grpcNames = [...]string{"OK", "Canceled", "Unknown", "InvalidArgument", "DeadlineExceeded", "NotFound", "AlreadyExists", "PermissionDenied",
	"ResourceExhausted", "FailedPrecondition", "Aborted", "OutOfRange", "Unimplemented", "Internal", "Unavailable", "DataLoss", "Unauthenticated"}

// runeLen is the length of the character at the beginning of v; 0 where that
// is none.
func runeLen(v []byte) int {
	r, n := utf8.DecodeRune(v)
	if r == utf8.RuneError && n <= 1 {
		return 0
	}
	return n
}
