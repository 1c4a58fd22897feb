package mesh

import "net/netip"

// TCPRule sends the connections that one of its matches describes to its
// backends (VirtualService tcp and tls, TLSRoute, TCPRoute, TrafficSplit).
type TCPRule struct {
	// Matches are alternatives; none means every connection.
	Matches []TCPMatch `json:"matches,omitempty"`
	// Backends share the connections by weight; those of backends that cannot
	// be used are closed.
	Backends []Backend `json:"backends"`
	Origin   Origin    `json:"origin"`
}

// TCPMatch describes connections; every part given must hold.
type TCPMatch struct {
	// SNI are the names of the application's own TLS, of which one must hold; a
	// leading *. stands for any labels. Such a match holds for TLS only.
	SNI []string `json:"sni,omitempty"`
	// Subnets of the original destination, of which one must hold.
	Subnets []netip.Prefix `json:"subnets,omitempty"`
	// Source limits the match to some clients; package scope resolves it.
	Source ClientMatch `json:"source,omitzero"`
}

// AllConnections says whether every connection of the clients that it is for
// matches.
func (m *TCPMatch) AllConnections() bool { return len(m.SNI)+len(m.Subnets) == 0 }
