// Package policy decides what an inbound port does with a connection: whether
// plaintext is accepted at all, and which protocol is spoken to the
// application. It is a pure function of the port's policy and of what has been
// seen of the connection.
package policy

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/weftmesh/weft/proxy/alpn"
)

// Reasons of a refused connection; errors.Is finds them.
var (
	// ErrPlaintext means that the port demands mutual TLS.
	ErrPlaintext = errors.New("plaintext refused: the port demands mutual TLS")
	// ErrProtocol means that the port does not speak the protocol offered.
	ErrProtocol = errors.New("protocol refused")
	// ErrNoPolicy means that no configuration covers the port.
	ErrNoPolicy = errors.New("no policy for the port")
)

// Mode says which connections a port accepts. The zero value accepts none, so
// that a missing policy fails closed.
type Mode uint8

const (
	// Closed accepts nothing.
	Closed Mode = iota
	// Strict accepts mutual TLS of the mesh only.
	Strict
	// Permissive accepts plaintext as well.
	Permissive
)

func (m Mode) String() string {
	return [...]string{"CLOSED", "STRICT", "PERMISSIVE"}[m]
}

// Protocol is what is declared of a port.
type Protocol uint8

const (
	// Detect means that each connection's first bytes decide.
	Detect Protocol = iota
	// HTTP means HTTP/1 or HTTP/2, by the first bytes.
	HTTP
	// Opaque means bytes without meaning.
	Opaque
)

func (p Protocol) String() string { return [...]string{"detect", "http", "opaque"}[p] }

// Port is the policy of one inbound port.
type Port struct {
	Mode     Mode
	Protocol Protocol
}

// Inbound is the policy of all inbound ports. It is immutable.
type Inbound struct {
	Ports map[uint16]Port
	// Default holds for every port that Ports does not name.
	Default Port
	// Applications are where redirected connections to a port are handed to; an
	// unspecified address stands for the one that was dialled. Others are handed to
	// what was dialled.
	Applications map[uint16]netip.AddrPort
}

// Application is where a redirected connection is handed to.
func (in *Inbound) Application(dialled netip.AddrPort) netip.AddrPort {
	if in == nil {
		return dialled
	}
	switch a := in.Applications[dialled.Port()]; {
	case !a.IsValid():
		return dialled
	case a.Addr().IsUnspecified():
		return netip.AddrPortFrom(dialled.Addr(), a.Port())
	default:
		return a
	}
}

// Port returns the policy of one port. A nil Inbound accepts nothing.
func (in *Inbound) Port(n uint16) Port {
	if in == nil {
		return Port{}
	}
	if p, ok := in.Ports[n]; ok {
		return p
	}
	return in.Default
}

// Action is what is done with a connection.
type Action uint8

const (
	// Refuse closes it.
	Refuse Action = iota
	// Sniff looks at the first bytes, then serves HTTP or forwards bytes.
	Sniff
	// ServeHTTP looks at the first bytes to tell HTTP/1 from HTTP/2, and from the
	// application's own TLS, which is forwarded.
	ServeHTTP
	// ServeHTTP1 serves what is known to be HTTP/1.
	ServeHTTP1
	// ServeHTTP2 serves what is known to be HTTP/2.
	ServeHTTP2
	// ServeMux serves the multiplexed connection of a peer's proxy.
	ServeMux
	// ServeRequests does so without connections that carry no HTTP.
	ServeRequests
	// ServeBytes takes those alone.
	ServeBytes
	// Continue takes the connection of a peer's proxy for the bytes of one that
	// began multiplexed.
	Continue
	// Forward copies bytes.
	Forward
)

// Mutual decides over a connection that has completed mutual TLS with the
// given ALPN protocol.
func (p Port) Mutual(protocol string) (Action, error) {
	if p.Mode == Closed {
		return Refuse, ErrNoPolicy
	}
	switch {
	case protocol == alpn.TCP && p.Protocol == HTTP:
		// Requests that are called bytes would reach the application with whatever
		// identity they state.
		return ServeHTTP, nil
	case protocol == alpn.TCP:
		return Forward, nil
	case protocol == alpn.Flow && p.Protocol != HTTP:
		return Continue, nil
	case protocol == alpn.Mux && p.Protocol == Opaque:
		return ServeBytes, nil
	case p.Protocol == Opaque:
		return Refuse, fmt.Errorf("%w: %s on an opaque port", ErrProtocol, protocol)
	case protocol == alpn.Mux && p.Protocol == HTTP:
		return ServeRequests, nil
	case protocol == alpn.Mux:
		return ServeMux, nil
	case protocol == alpn.HTTP1:
		return ServeHTTP1, nil
	case protocol == alpn.HTTP2:
		return ServeHTTP2, nil
	}
	return Refuse, fmt.Errorf("%w: ALPN %q", ErrProtocol, protocol)
}

// Plain decides over a connection without mesh TLS. tls says that it begins
// with a ClientHello of the application's own TLS, which is forwarded unseen.
func (p Port) Plain(tls bool) (Action, error) {
	switch {
	case p.Mode == Closed:
		return Refuse, ErrNoPolicy
	case p.Mode != Permissive:
		return Refuse, ErrPlaintext
	case tls || p.Protocol == Opaque:
		return Forward, nil
	case p.Protocol == HTTP:
		return ServeHTTP, nil
	}
	return Sniff, nil
}
