package h1

// Kind says how the end of a body is known (RFC 9112 section 6.3).
type Kind uint8

const (
	// None says that the message has no body, whatever its fields say.
	None Kind = iota
	// Length is exactly Framing.Length bytes, which may be 0.
	Length
	// Chunked is the chunked transfer coding, perhaps with trailers.
	Chunked
	// UntilClose is everything until the peer closes (responses only).
	UntilClose
)

func (k Kind) String() string {
	switch k {
	case None:
		return "none"
	case Length:
		return "length"
	case Chunked:
		return "chunked"
	default:
		return "until-close"
	}
}

// Framing is what a head says about its body and about the connection.
type Framing struct {
	Kind   Kind
	Length int64
	// Close: the connection does not persist after this message.
	Close bool
	// Upgrade: a request asks for another protocol (101), or is a CONNECT; a
	// response grants it. What follows the head is then no longer HTTP/1.
	Upgrade bool
	// Expect100: the client waits for 100 (Continue) before it sends the body.
	Expect100 bool
}

// HasBody tells whether any byte belongs to the body's framing.
func (f Framing) HasBody() bool {
	return f.Kind == Chunked || f.Kind == UntilClose || f.Kind == Length && f.Length > 0
}

// Limits of a head. MaxHead is also what a conn.Conn buffers at most.
const (
	MaxHead   = 64 << 10
	MaxTarget = 32 << 10
	MaxFields = 256
)
