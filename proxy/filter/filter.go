// Package filter is what happens to the head of a message on its way, as one
// ordered list for each way through a proxy. The order is told
// here and nowhere else.
//
//	outbound request   1 drop what only proxies may say   2 route's changes   3 backend's changes   4 rewrite of path and host
//	outbound response  1 read, then drop, the peer proxy's verdict   2 backend's changes   3 route's changes
//	inbound request    1 drop what only proxies may say   2 state the peer's identity, or drop what a peer without one says of another's
//	trailers           1 drop what only proxies may say, and certificates of others
//	inbound response   1 drop what only proxies may say
//
// A response that the proxy made itself passes none of them: Failure states
// the verdict on it.
package filter

import (
	"github.com/weftmesh/weft/identity"
	"github.com/weftmesh/weft/proxy/http"
)

// Fields that proxies set, in lower case.
const (
	// ErrorField tells that a proxy made the response, and why.
	ErrorField = "weft-proxy-error"
	// UnprocessedField is "1" where the application certainly has not seen the
	// request.
	UnprocessedField = "weft-unprocessed"
	// ClientIDField tells the application who its peer is.
	ClientIDField = "l5d-client-id"
	// forwardedCert tells applications the certificate of a client of their peer. A
	// peer that has shown none itself (mutual TLS) is not believed.
	forwardedCert = "x-forwarded-client-cert"
	// ReasonReset is the value of ErrorField for an application that has ended
	// the connection instead of answering.
	ReasonReset = "reset"
)

// Verdict is what a peer's proxy says of a response.
type Verdict struct {
	// ProxyMade means that a proxy made the response, not the application.
	ProxyMade bool
	// Unprocessed means that the application has not seen the request.
	Unprocessed bool
	// Reset means that the application's connection ended before its response.
	Reset bool
}

// Step is one pair of changes of a route, or of one of its backends.
type Step struct{ Request, Response HeaderOps }

// Formats says whether a value is made of facts.
func (s *Step) Formats() bool { return s.Request.formats() || s.Response.formats() }

// OutboundRequest is the list for a request that the workload sends. The
// rewrite and either step may be nil; facts too, where no value is a format.
func OutboundRequest(r *http.Request, rewrite *Rewrite, route, backend *Step, facts *Facts) {
	r.Fields = dropOwn(r.Fields)
	if route != nil {
		route.Request.Request(r, facts)
	}
	if backend != nil {
		backend.Request.Request(r, facts)
	}
	if rewrite != nil {
		rewrite.Apply(r)
	}
}

// OutboundResponse is the list for a response that the workload receives.
// mutual says that it came over mutual TLS from a peer's proxy; only then is
// its verdict believed. The workload never sees the verdict.
func OutboundResponse(r *http.Response, mutual bool, route, backend *Step, facts *Facts) Verdict {
	v := ReadVerdict(r, mutual)
	r.Fields = dropOwn(r.Fields)
	if backend != nil {
		backend.Response.Response(r, facts)
	}
	if route != nil {
		route.Response.Response(r, facts)
	}
	return v
}

// ReadVerdict reads what a peer's proxy says of a response, without changing
// it; a response that came without mutual TLS has no verdict.
func ReadVerdict(r *http.Response, mutual bool) Verdict {
	var v Verdict
	if mutual {
		var why []byte
		why, v.ProxyMade = http.Get(r.Fields, ErrorField)
		v.Reset = string(why) == ReasonReset
		u, _ := http.Get(r.Fields, UnprocessedField)
		v.Unprocessed = v.ProxyMade && len(u) == 1 && u[0] == '1'
	}
	return v
}

// ClientID is the value of ClientIDField for a peer, to be made once for a
// connection; nil for no identity.
func ClientID(peer identity.ID, controlNamespace string) []byte {
	if peer.IsZero() {
		return nil
	}
	return []byte(peer.DNSName(controlNamespace))
}

// InboundRequest is the list for a request on its way to the application;
// clientID is of the connection's peer (ClientID).
func InboundRequest(r *http.Request, clientID []byte) {
	r.Fields = dropOwn(r.Fields)
	if len(clientID) == 0 {
		r.Fields = dropForwarded(r.Fields)
	} else {
		r.Fields = append(r.Fields, http.Field{Name: clientIDName, Value: clientID})
	}
}

// InboundResponse is the list for a response that the application made: it
// cannot speak for the proxy.
func InboundResponse(r *http.Response) { r.Fields = dropOwn(r.Fields) }

// Failure states on a response that the proxy made itself why it did, and
// whether the application has certainly not seen the request. It is for peers
// that are proxies (mutual TLS); reason must be a short constant phrase.
func Failure(r *http.Response, reason string, unprocessed bool) {
	r.Fields = append(r.Fields, http.Field{Name: errorName, Value: []byte(reason)})
	if unprocessed {
		r.Fields = append(r.Fields, http.Field{Name: unprocessedName, Value: one})
	}
}

var (
	errorName       = []byte(ErrorField)
	unprocessedName = []byte(UnprocessedField)
	clientIDName    = []byte(ClientIDField)
	one             = []byte("1")
)

// dropOwn removes the fields that only proxies may set. One pass over the
// first letters decides for nearly every message that there are none.
func dropOwn(f []http.Field) []http.Field {
	for i := range f {
		if own(f[i].Name) {
			return drop(f, i, own)
		}
	}
	return f
}

// drop removes the field i and all behind it of which is says so.
func drop(f []http.Field, i int, is func(name []byte) bool) []http.Field {
	n := i
	for _, x := range f[i+1:] {
		if !is(x.Name) {
			f[n] = x
			n++
		}
	}
	return f[:n]
}

func dropForwarded(f []http.Field) []http.Field {
	for i := range f {
		if forwarded(f[i].Name) {
			return drop(f, i, forwarded)
		}
	}
	return f
}

// Trailers is the list for the fields behind a body: what only proxies may say is
// as wrong there, since some applications take them for fields of the head. fields
// is not changed.
func Trailers(fields []http.Field) []http.Field {
	for i := range fields {
		if claims(fields[i].Name) {
			return drop(append([]http.Field(nil), fields...), i, claims)
		}
	}
	return fields
}

// claims tells what has no place in trailers.
func claims(name []byte) bool { return own(name) || forwarded(name) }

// forwarded tells the field in which a proxy says whose certificate it has seen.
func forwarded(name []byte) bool {
	return len(name) == len(forwardedCert) && like(name, forwardedCert)
}

// own tells the fields that only proxies may set. An underscore counts as the
// hyphen that gateways to applications (CGI, WSGI) take it for.
func own(name []byte) bool {
	switch len(name) {
	case len(ClientIDField):
		return like(name, ClientIDField)
	case len(ErrorField): // and UnprocessedField, of the same length
		return like(name, ErrorField) || like(name, UnprocessedField)
	}
	return false
}

// like compares with a lower-case name of the same length.
func like(name []byte, lower string) bool {
	for i, c := range name {
		switch {
		case c >= 'A' && c <= 'Z':
			c += 'a' - 'A'
		case c == '_':
			c = '-'
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}
