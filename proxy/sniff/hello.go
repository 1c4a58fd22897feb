package sniff

import (
	"errors"
	"strings"

	"github.com/weftmesh/weft/proxy/alpn"
)

// ErrHello is a handshake that is not a well-formed ClientHello.
var ErrHello = errors.New("sniff: malformed ClientHello")

// maxHello bounds a ClientHello; post-quantum key shares make some 2 KiB usual.
const maxHello = 32 << 10

// Hello is what a TLS ClientHello tells in the clear.
type Hello struct {
	// SNI is the server name, in lower case; empty when absent.
	SNI string
	// ALPN are the offered application protocols, in order.
	ALPN []string
}

// Mesh tells whether the client is a proxy of the mesh: an ALPN begins with "weft-".
func (h Hello) Mesh() bool {
	for _, p := range h.ALPN {
		if strings.HasPrefix(p, alpn.Prefix) {
			return true
		}
	}
	return false
}

// ClientHello parses the handshake message at the beginning of a connection
// (RFC 8446 section 4.1.2), which may be spread over several records. more
// means that it is not complete yet.
func ClientHello(prefix []byte) (h Hello, more bool, err error) {
	msg, more, err := handshake(prefix)
	if more || err != nil {
		return Hello{}, more, err
	}
	r := reader{b: msg}
	r.skip(2 + 32)  // legacy_version, random
	r.skip(r.u8())  // legacy_session_id
	r.skip(r.u16()) // cipher_suites
	r.skip(r.u8())  // legacy_compression_methods
	if !r.bad && len(r.b) == 0 {
		return Hello{}, false, nil // no extensions, as TLS 1.2 allows
	}
	ext := reader{b: r.take(r.u16())}
	if r.bad || len(r.b) != 0 {
		return Hello{}, false, ErrHello
	}
	for len(ext.b) > 0 && !ext.bad {
		kind := ext.u16()
		body := reader{b: ext.take(ext.u16())}
		switch kind {
		case 0: // server_name (RFC 6066 section 3)
			h.SNI, body.bad = serverName(body)
		case 16: // application_layer_protocol_negotiation (RFC 7301)
			h.ALPN, body.bad = protocols(body)
		}
		ext.bad = ext.bad || body.bad
	}
	if ext.bad {
		return Hello{}, false, ErrHello
	}
	return h, false, nil
}

// handshake joins the records of the first handshake message.
func handshake(p []byte) (msg []byte, more bool, err error) {
	for len(p) > 0 {
		if p[0] != 0x16 || len(p) > 1 && p[1] != 3 || len(p) > 2 && p[2] > 4 {
			return nil, false, ErrHello
		}
		if len(p) < 5 {
			return nil, true, nil
		}
		n := int(p[3])<<8 | int(p[4])
		if n == 0 || n > 16<<10 {
			return nil, false, ErrHello
		}
		have := min(n, len(p)-5)
		if msg == nil {
			msg = p[5 : 5+have : 5+have]
		} else {
			msg = append(msg, p[5:5+have]...)
		}
		p = p[5+have:]
		if len(msg) > 0 && msg[0] != 1 {
			return nil, false, ErrHello
		}
		if len(msg) >= 4 {
			want := 4 + (int(msg[1])<<16 | int(msg[2])<<8 | int(msg[3]))
			if want > maxHello {
				return nil, false, ErrHello
			}
			if len(msg) >= want {
				return msg[4:want], false, nil
			}
		}
	}
	return nil, true, nil
}

func serverName(r reader) (string, bool) {
	list := reader{b: r.take(r.u16())}
	name := ""
	for len(list.b) > 0 && !list.bad {
		kind := list.u8()
		host := list.take(list.u16())
		if kind == 0 && name == "" {
			name = strings.ToLower(string(host))
		}
	}
	return name, r.bad || list.bad
}

func protocols(r reader) (out []string, bad bool) {
	list := reader{b: r.take(r.u16())}
	for len(list.b) > 0 && !list.bad {
		p := list.take(list.u8())
		if len(p) == 0 {
			return nil, true
		}
		out = append(out, string(p))
	}
	return out, r.bad || list.bad
}

// reader cuts fields off b; bad is sticky.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) take(n int) []byte {
	if r.bad || n > len(r.b) {
		r.bad = true
		return nil
	}
	p := r.b[:n]
	r.b = r.b[n:]
	return p
}

func (r *reader) skip(n int) { r.take(n) }

func (r *reader) u8() int {
	if p := r.take(1); p != nil {
		return int(p[0])
	}
	return 0
}

func (r *reader) u16() int {
	if p := r.take(2); p != nil {
		return int(p[0])<<8 | int(p[1])
	}
	return 0
}
