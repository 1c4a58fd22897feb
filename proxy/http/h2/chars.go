package h2

import (
	"encoding/binary"

	"github.com/weftmesh/weft/proxy/http"
)

// Classes of bytes.
const (
	isToken = 1 << iota // RFC 9110, section 5.6.2
	isUpper
	isValue // visible, space, tab, obs-text: what HTTP/1 allows in a value
)

var byteClass = func() (t [256]uint8) {
	within := func(set string, c int) bool {
		for i := range len(set) {
			if int(set[i]) == c {
				return true
			}
		}
		return false
	}
	for c := range 256 {
		upper := c >= 'A' && c <= 'Z'
		alnum := c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || upper
		if upper {
			t[c] |= isUpper
		}
		if alnum || within("!#$%&'*+-.^_`|~", c) {
			t[c] |= isToken
		}
		if c >= ' ' && c != 0x7f || c == '\t' {
			t[c] |= isValue
		}
	}
	return t
}()

// validToken is token of RFC 9110, section 5.6.2, in any case.
func validToken(b []byte) bool {
	for _, ch := range b {
		if byteClass[ch]&isToken == 0 {
			return false
		}
	}
	return len(b) > 0
}

// validName is a token without upper case.
func validName(b []byte) bool {
	for _, ch := range b {
		if byteClass[ch]&(isToken|isUpper) != isToken {
			return false
		}
	}
	return len(b) > 0
}

// validValue refuses NUL, CR and LF, and white space at either end (RFC 9113,
// section 8.2.1).
func validValue(b []byte) bool {
	if !http.Visible(b) {
		for _, ch := range b {
			if ch == 0 || ch == '\r' || ch == '\n' {
				return false
			}
		}
	}
	return trimmed(b)
}

// validValue1 is what HTTP/1 allows (RFC 9110, section 5.5).
func validValue1(b []byte) bool {
	if !http.Visible(b) {
		for _, ch := range b {
			if byteClass[ch]&isValue == 0 {
				return false
			}
		}
	}
	return trimmed(b)
}

// trimmed says that there is no white space at either end.
func trimmed(b []byte) bool {
	n := len(b)
	return n == 0 || b[0] != ' ' && b[0] != '\t' && b[n-1] != ' ' && b[n-1] != '\t'
}

func validPath(p, method []byte) bool {
	if len(p) == 0 || (p[0] != '/' && !(len(p) == 1 && p[0] == '*' && string(method) == "OPTIONS")) {
		return false
	}
	for _, ch := range p {
		if ch <= ' ' || ch == 0x7f || ch == '#' {
			return false
		}
	}
	return true
}

// What nameClass tells.
const (
	classField  = iota
	classDrop   // not for the wire: of a connection, a pseudo-header, Host, empty
	classTE     // only with the value trailers
	classSecret // not to be kept in a compression table
	classCookie // the same if it is short
)

// nameClass tells how a field is to be sent; name is in lower case.
func nameClass(name []byte) int {
	if !mayMatter(name) {
		return classField
	}
	switch len(name) {
	case 0:
		return classDrop
	case 2:
		if string(name) == "te" {
			return classTE
		}
	case 4:
		if string(name) == "host" {
			return classDrop
		}
	case 6:
		if string(name) == "cookie" {
			return classCookie
		}
	case 7:
		if string(name) == "upgrade" {
			return classDrop
		}
	case 10:
		if string(name) == "connection" || string(name) == "keep-alive" {
			return classDrop
		}
	case 13:
		if string(name) == "authorization" {
			return classSecret
		}
	case 16:
		if string(name) == "proxy-connection" {
			return classDrop
		}
	case 17:
		if string(name) == "transfer-encoding" {
			return classDrop
		}
	case 19:
		if string(name) == "proxy-authorization" {
			return classSecret
		}
	}
	if name[0] == ':' {
		return classDrop
	}
	return classField
}

// nameClassFold is nameClass for a name in any case.
func nameClassFold(name []byte) int {
	if !mayMatter(name) {
		return classField
	}
	var low [len("proxy-authorization")]byte
	n := copy(low[:], name)
	if n < len(name) {
		return nameClass(name) // no name that matters is so long
	}
	for i, ch := range low[:n] {
		if ch >= 'A' && ch <= 'Z' {
			low[i] = ch | 0x20
		}
	}
	return nameClass(low[:n])
}

// mayMatter says whether nameClass may have something to say of a name: its
// length and its first letter tell for nearly all that it has not.
func mayMatter(name []byte) bool {
	return len(name) == 0 || matters[name[0]]&(1<<min(len(name), 31)) != 0
}

// matters are the lengths, as bits, of the names that nameClass knows, by their
// first letter.
var matters = func() (t [256]uint32) {
	for _, n := range [...]string{"te", "host", "cookie", "upgrade", "connection", "keep-alive", "authorization", "proxy-connection",
		"transfer-encoding", "proxy-authorization"} {
		t[n[0]] |= 1 << len(n)
		t[n[0]&^0x20] |= 1 << len(n)
	}
	t[':'] = 1<<32 - 1
	return t
}()

// hasUpper says whether there is an upper-case letter.
func hasUpper(b []byte) bool {
	const ones = 0x0101010101010101
	for ; len(b) >= 8; b = b[8:] {
		// Bit 6 without bit 5: upper case, and little else.
		if x := binary.LittleEndian.Uint64(b); x&^(x<<1)&(0x40*ones) != 0 {
			break
		}
	}
	for _, ch := range b {
		if ch >= 'A' && ch <= 'Z' {
			return true
		}
	}
	return false
}

func appendLower(dst, b []byte) []byte {
	for _, ch := range b {
		if ch >= 'A' && ch <= 'Z' {
			ch |= 0x20
		}
		dst = append(dst, ch)
	}
	return dst
}

// contentLength reads content-length: -1 where there is none.
func contentLength(fields []http.Field) (n int64, ok bool) {
	n = -1
	for i := range fields {
		if len(fields[i].Name) != len("content-length") || !http.EqualFold(fields[i].Name, "content-length") {
			continue
		}
		v := fields[i].Value
		if len(v) == 0 || len(v) > 18 {
			return 0, false
		}
		var x int64
		for _, d := range v {
			if d < '0' || d > '9' {
				return 0, false
			}
			x = x*10 + int64(d-'0')
		}
		if n >= 0 && n != x {
			return 0, false
		}
		n = x
	}
	return n, true
}

// headSize is the size of a field section as SETTINGS_MAX_HEADER_LIST_SIZE
// counts it, in bytes.
func headSize(fields []http.Field) int {
	n := 0
	for i := range fields {
		n += len(fields[i].Name) + len(fields[i].Value) + 32
	}
	return n
}
