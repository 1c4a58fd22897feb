package h2

import (
	"encoding/binary"

	"github.com/weftmesh/weft/proxy/http"
)

// A plain block is what a head block is between two of our proxies: the fields
// one after the other, each with its lengths, and what HTTP/1 says beside them.
//
//	block    = kind version (request / response / trailers)
//	request  = method scheme authority target protocol *field   ; each a string
//	response = 3DIGIT reason *field
//	trailers = *field
//	string   = length *OCTET
//	field    = length length name value
//	length   = unsigned LEB128, at most 3 octets
//
// version is the major version times 16 plus the minor one: 0x10, 0x11, 0x20; and
// 0xf0 in a request that opens a connection without HTTP.
// With HTTP/1 names keep their case, and scheme and authority may be empty.
const (
	plainRequest  = 1
	plainResponse = 2
	plainTrailers = 3

	// plainBytes is the version of a request that opens a connection without HTTP.
	plainBytes = http.Bytes << 4
)

// headCodec turns heads into blocks and back; it belongs to one connection.
type headCodec interface {
	appendRequest(dst []byte, r *http.Request) []byte
	appendResponse(dst []byte, r *http.Response) []byte
	appendTrailers(dst []byte, fields []http.Field) []byte
	// decode reads a whole block into h. An error ends the connection.
	decode(h *headReader, block []byte) *ConnError
	// setMax follows the peer's SETTINGS_HEADER_TABLE_SIZE.
	setMax(n uint32)
	// trim gives back what an idle connection does not need.
	trim()
}

// hpackCodec is RFC 7541 in both directions.
type hpackCodec struct {
	*encoder
	*decoder
}

// plainCodec has no state.
type plainCodec struct{}

func (plainCodec) setMax(uint32) {}
func (plainCodec) trim()         {}

func plainVersion(major, minor uint8) byte {
	switch major {
	case 1:
		return 0x10 | minor&1
	case http.Bytes:
		return plainBytes
	}
	return 0x20
}

func (plainCodec) appendRequest(dst []byte, r *http.Request) []byte {
	dst = append(dst, plainRequest, plainVersion(r.Major, r.Minor))
	scheme, target, authority := r.Scheme, r.Target, r.Authority
	connect := string(r.Method) == "CONNECT"
	switch {
	case connect && len(r.Protocol) == 0:
		if len(authority) == 0 {
			authority = target
		}
		scheme, target = nil, nil
	default:
		if len(target) == 0 {
			target = rootPath
		}
		if len(scheme) == 0 && r.Major != 1 {
			scheme = schemeHTTP
		}
	}
	dst = appendString(dst, r.Method)
	dst = appendString(dst, scheme)
	dst = appendString(dst, authority)
	dst = appendString(dst, target)
	dst = appendString(dst, r.Protocol)
	return appendPlainFields(dst, r.Fields, r.Major, false)
}

func (plainCodec) appendResponse(dst []byte, r *http.Response) []byte {
	s := r.Status
	dst = append(dst, plainResponse, plainVersion(r.Major, r.Minor), byte('0'+s/100%10), byte('0'+s/10%10), byte('0'+s%10))
	reason := r.Reason
	if r.Major != 1 {
		reason = nil
	}
	dst = appendString(dst, reason)
	return appendPlainFields(dst, r.Fields, r.Major, s == 426)
}

// appendTrailers calls them HTTP/1's where a name has upper case, so that it
// keeps it: nothing else tells the two apart.
func (plainCodec) appendTrailers(dst []byte, fields []http.Field) []byte {
	major := uint8(2)
	for i := range fields {
		if hasUpper(fields[i].Name) {
			major = 1
			break
		}
	}
	return appendPlainFields(append(dst, plainTrailers, plainVersion(major, 1)), fields, major, false)
}

// appendPlainFields appends fields without those that are not for another
// connection. A response 426 of HTTP/1 keeps Upgrade, which is what it says.
func appendPlainFields(dst []byte, fields []http.Field, major uint8, upgrade bool) []byte {
	for i := range fields {
		name, value := fields[i].Name, fields[i].Value
		var class int
		upper := false
		if major == 1 {
			class = nameClassFold(name)
		} else if upper = hasUpper(name); upper {
			class = nameClassFold(name)
		} else {
			class = nameClass(name)
		}
		switch class {
		case classDrop:
			if !upgrade || major != 1 || !http.EqualFold(name, "upgrade") {
				continue
			}
		case classTE:
			if !http.EqualFold(value, "trailers") {
				continue
			}
			value = trailersToken
		}
		if len(name)|len(value) < 0x80 {
			dst = append(dst, byte(len(name)), byte(len(value)))
		} else {
			dst = appendLength(appendLength(dst, len(name)), len(value))
		}
		if upper {
			dst = appendLower(dst, name)
		} else {
			dst = append(dst, name...)
		}
		dst = append(dst, value...)
	}
	return dst
}

func appendString(dst, s []byte) []byte { return append(appendLength(dst, len(s)), s...) }

func appendLength(dst []byte, n int) []byte {
	if n < 0x80 {
		return append(dst, byte(n))
	}
	return binary.AppendUvarint(dst, uint64(n))
}

// plainPseudo are the names of what a request begins with, in this order.
var plainPseudo = [...][]byte{nameMethod, nameScheme, nameAuthority, namePath, nameProtocol}

var errPlain = connErr(CodeCompression, "invalid plain block")

// decode implements headCodec. A block that cannot be taken apart ends the
// connection, as broken HPACK does: the peer is not what it says.
func (plainCodec) decode(h *headReader, block []byte) *ConnError {
	if len(block) < 2 {
		return errPlain
	}
	h.kind = block[0]
	switch block[1] {
	case 0x10, 0x11:
		h.major, h.minor = 1, block[1]&1
	case 0x20:
	case plainBytes:
		if h.major = http.Bytes; h.kind != plainRequest {
			return errPlain
		}
	default:
		return errPlain
	}
	// One copy for all; everything else is a view.
	b := h.keep(block[2:])
	var ok bool
	upgrade := false
	switch h.kind {
	case plainRequest:
		for i, to := range [...]*[]byte{&h.method, &h.scheme, &h.authority, &h.path, &h.protocol} {
			var s []byte
			if s, b, ok = cutString(b); !ok {
				return errPlain
			}
			if len(s) == 0 {
				continue
			}
			h.pseudo++
			if h.count(plainPseudo[i], s) {
				if *to = s; !validValue1(s) {
					h.bad = "invalid pseudo-header"
				}
			}
		}
	case plainResponse:
		if len(b) < 3 {
			return errPlain
		}
		h.status, b = b[:3], b[3:]
		h.pseudo++
		upgrade = string(h.status) == "426"
		if h.reason, b, ok = cutString(b); !ok || h.major != 1 && len(h.reason) > 0 {
			return errPlain
		}
		if h.count(nameStatus, h.reason); len(h.reason) == 0 {
			h.reason = nil
		} else if !validValue1(h.reason) && h.bad == "" {
			h.bad = "invalid reason phrase"
		}
	case plainTrailers:
	default:
		return errPlain
	}
	for len(b) > 0 {
		var n, v int
		if len(b) >= 2 && b[0]|b[1] < 0x80 {
			n, v, b = int(b[0]), int(b[1]), b[2:]
		} else if n, b, ok = cutLength(b); !ok {
			return errPlain
		} else if v, b, ok = cutLength(b); !ok {
			return errPlain
		}
		if n+v > len(b) {
			return errPlain
		}
		name, value := b[:n:n], b[n:n+v:n+v]
		b = b[n+v:]
		if h.count(name, value) {
			h.plainField(name, value, upgrade)
		}
	}
	if h.large {
		h.rewind()
	}
	return nil
}

// plainField checks one field and takes it.
func (h *headReader) plainField(name, value []byte, upgrade bool) {
	var class int
	if h.major == 1 {
		if !validToken(name) {
			h.bad = "invalid field name"
			return
		}
		if !validValue1(value) {
			h.bad = "invalid field value"
			return
		}
		class = nameClassFold(name)
	} else {
		if !validName(name) {
			h.bad = "invalid field name"
			return
		}
		if !validValue(value) {
			h.bad = "invalid field value"
			return
		}
		class = nameClass(name)
	}
	switch class {
	case classTE:
		if string(value) != "trailers" {
			h.bad = "te other than trailers"
			return
		}
	case classDrop:
		if !upgrade || h.major != 1 || !http.EqualFold(name, "upgrade") {
			h.bad = "connection-specific field"
			return
		}
	}
	h.append(name, value)
}

func cutLength(b []byte) (n int, rest []byte, ok bool) {
	if len(b) > 0 && b[0] < 0x80 {
		return int(b[0]), b[1:], true
	}
	v, k := binary.Uvarint(b[:min(len(b), 3)])
	if k <= 0 {
		return 0, nil, false
	}
	return int(v), b[k:], true
}

func cutString(b []byte) (s, rest []byte, ok bool) {
	n, b, ok := cutLength(b)
	if !ok || n > len(b) {
		return nil, nil, false
	}
	return b[:n:n], b[n:], true
}
