package sniff

import "bytes"

// Kind is what a connection carries.
type Kind uint8

const (
	// Opaque is everything that is none of the others.
	Opaque Kind = iota
	// HTTP1 is HTTP/1.0 or HTTP/1.1.
	HTTP1
	// HTTP2 is HTTP/2 with prior knowledge.
	HTTP2
	// TLS is a TLS handshake.
	TLS
)

func (k Kind) String() string {
	switch k {
	case HTTP1:
		return "http/1"
	case HTTP2:
		return "http/2"
	case TLS:
		return "tls"
	default:
		return "opaque"
	}
}

// preface begins every HTTP/2 connection (RFC 9113 section 3.4).
const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

const (
	maxMethod = 24      // longer first words are not methods
	maxLine   = 4 << 10 // a first line that goes on is judged by its method
)

// Protocol judges by the bytes seen so far. more means that they fit several
// answers: call again with more of them. It never wants more than 4 KiB.
func Protocol(prefix []byte) (k Kind, more bool) {
	if len(prefix) == 0 {
		return Opaque, true
	}
	if prefix[0] == 0x16 {
		return isTLS(prefix)
	}
	if len(prefix) >= len(preface) {
		if string(prefix[:len(preface)]) == preface {
			return HTTP2, false
		}
	} else if preface[:len(prefix)] == string(prefix) {
		return Opaque, true
	}
	return isHTTP1(prefix)
}

// isTLS looks for a handshake record that begins with a ClientHello.
func isTLS(p []byte) (Kind, bool) {
	if len(p) > 1 && p[1] != 3 || len(p) > 2 && p[2] > 4 {
		return Opaque, false
	}
	if len(p) < 6 {
		return Opaque, true
	}
	if n := int(p[3])<<8 | int(p[4]); n == 0 || n > 16<<10 || p[5] != 1 {
		return Opaque, false
	}
	return TLS, false
}

// isHTTP1 looks for "method SP target SP HTTP/1.x" in the first line. One empty
// line in front is forgiven, as the codec does.
func isHTTP1(p []byte) (Kind, bool) {
	if p[0] == '\r' {
		if len(p) > 1 && p[1] != '\n' {
			return Opaque, false
		}
		if len(p) <= 2 {
			return Opaque, true
		}
		p = p[2:]
	}
	i := 0
	for ; i < len(p) && p[i] != ' '; i++ {
		c := p[i]
		if !(c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c == '-' || c == '_') || i >= maxMethod {
			return Opaque, false
		}
	}
	if i == len(p) {
		return Opaque, true
	}
	if i == 0 {
		return Opaque, false
	}
	rest := p[i+1:]
	eol := bytes.IndexByte(rest, '\n')
	line := rest
	if eol >= 0 {
		line = bytes.TrimSuffix(rest[:eol], []byte("\r"))
	} else if n := len(rest); n > 0 && rest[n-1] == '\r' {
		line = rest[:n-1]
	}
	for _, c := range line {
		if c < ' ' || c == 0x7f {
			return Opaque, false
		}
	}
	if eol < 0 {
		if len(p) < maxLine {
			return Opaque, true
		}
		if known(p[:i]) && rest[0] == '/' {
			return HTTP1, false
		}
		return Opaque, false
	}
	v := bytes.LastIndexByte(line, ' ')
	if v > 0 && len(line)-v == len(" HTTP/1.1") && string(line[v:v+8]) == " HTTP/1." {
		return HTTP1, false
	}
	return Opaque, false
}

func known(method []byte) bool {
	switch string(method) {
	case "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE":
		return true
	}
	return false
}
