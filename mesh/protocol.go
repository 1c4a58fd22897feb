package mesh

// Protocol is what is spoken on a port.
type Protocol string

const (
	// Detect finds out from the first bytes of either side.
	Detect Protocol = ""
	// HTTP is HTTP/1.1 or HTTP/2 with prior knowledge, told apart by the preface.
	HTTP Protocol = "http"
	// HTTP2 is HTTP/2 over cleartext with prior knowledge.
	HTTP2 Protocol = "http2"
	// GRPC is HTTP2 with gRPC's conventions for status and trailers.
	GRPC Protocol = "grpc"
	// TLS is the application's own TLS, passed through unread.
	TLS Protocol = "tls"
	// TCP is opaque bytes.
	TCP Protocol = "tcp"
)

// IsHTTP says whether requests can be told apart on the port for certain.
func (p Protocol) IsHTTP() bool { return p == HTTP || p == HTTP2 || p == GRPC }

// MayBeHTTP says whether routes by request can ever apply.
func (p Protocol) MayBeHTTP() bool { return p == Detect || p.IsHTTP() }
