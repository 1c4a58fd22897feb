// Package alpn names the protocols that are spoken inside mesh TLS
// (docs/xds.md, between two proxies).
package alpn

const (
	// Mux is HTTP/2's framing with plain heads, for requests of HTTP/1 and HTTP/2
	// alike, and for connections without HTTP.
	Mux = "weft-mux"
	// HTTP2 is HTTP/2.
	HTTP2 = "weft-h2"
	// HTTP1 is HTTP/1.1.
	HTTP1 = "weft-http/1.1"
	// TCP is bytes without meaning.
	TCP = "weft-tcp"
	// Flow is a connection on which bytes go on that began on a multiplexed one.
	Flow = "weft-flow"
	// Prefix is what every name of the mesh begins with; other TLS is the
	// application's own.
	Prefix = "weft-"
)
