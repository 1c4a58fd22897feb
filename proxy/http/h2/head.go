package h2

import (
	"bytes"

	"github.com/weftmesh/weft/proxy/http"
	"golang.org/x/net/http2/hpack"
)

// headReader gathers the fields of one header block. What is wrong with it is
// remembered rather than returned, because the block must be decoded to its
// end to keep HPACK's state.
type headReader struct {
	arena  []byte // what the views point into; never shared between heads
	fields []http.Field
	limit  int // of size
	size   int
	bad    string // why the head is malformed
	large  bool   // it exceeds limit
	plain  bool   // a field that is no pseudo-header came

	method, scheme, authority, path, protocol, status, host []byte
	pseudo                                                  int
}

func (h *headReader) reset(limit int) { *h = headReader{limit: limit} }

// field is called by the HPACK decoder.
func (h *headReader) field(f hpack.HeaderField) {
	if h.size += int(f.Size()); h.size > h.limit {
		h.large = true
		return
	}
	if h.bad != "" {
		return
	}
	name, value := h.copy(f.Name), h.copy(f.Value)
	if len(name) > 0 && name[0] == ':' {
		h.pseudoField(string(name), value)
		return
	}
	h.plain = true
	if !validName(name) {
		h.bad = "invalid field name"
		return
	}
	if !validValue(value) {
		h.bad = "invalid field value"
		return
	}
	switch string(name) {
	case "connection", "proxy-connection", "keep-alive", "transfer-encoding", "upgrade":
		h.bad = "connection-specific field"
	case "te":
		if string(value) != "trailers" {
			h.bad = "te other than trailers"
			return
		}
		h.fields = append(h.fields, http.Field{Name: name, Value: value})
	case "host":
		if h.host != nil && !bytes.Equal(h.host, value) {
			h.bad = "two hosts"
		}
		h.host = value
	default:
		h.fields = append(h.fields, http.Field{Name: name, Value: value})
	}
}

func (h *headReader) pseudoField(name string, value []byte) {
	if h.plain {
		h.bad = "pseudo-header after a field"
		return
	}
	var p *[]byte
	switch name {
	case ":method":
		p = &h.method
	case ":scheme":
		p = &h.scheme
	case ":authority":
		p = &h.authority
	case ":path":
		p = &h.path
	case ":protocol":
		p = &h.protocol
	case ":status":
		p = &h.status
	default:
		h.bad = "unknown pseudo-header"
		return
	}
	if *p != nil {
		h.bad = "pseudo-header twice"
		return
	}
	if !validValue(value) {
		h.bad = "invalid pseudo-header"
		return
	}
	h.pseudo++
	*p = value
}

// copy keeps s; the result is never nil.
func (h *headReader) copy(s string) []byte {
	if cap(h.arena)-len(h.arena) < len(s) || h.arena == nil {
		h.arena = make([]byte, 0, max(512, len(s)))
	}
	n := len(h.arena)
	h.arena = append(h.arena, s...)
	return h.arena[n:len(h.arena):len(h.arena)]
}

// request checks the gathered head as a request (RFC 9113, section 8.3.1) and
// fills r. The result is why it is malformed, or empty.
func (h *headReader) request(r *http.Request) string {
	if h.bad != "" {
		return h.bad
	}
	if h.status != nil {
		return ":status in a request"
	}
	if len(h.method) == 0 || !validToken(h.method) {
		return "no valid :method"
	}
	connect := string(h.method) == "CONNECT"
	switch {
	case connect && h.protocol == nil:
		if h.scheme != nil || h.path != nil || len(h.authority) == 0 {
			return "CONNECT takes :authority alone"
		}
		h.path = h.authority
	case h.protocol != nil && (!connect || len(h.protocol) == 0):
		return ":protocol without CONNECT"
	case len(h.scheme) == 0:
		return "no :scheme"
	case !validPath(h.path, h.method):
		return "no valid :path"
	}
	if h.authority != nil && h.host != nil && !bytes.EqualFold(h.authority, h.host) {
		return ":authority and host differ"
	}
	if h.authority == nil {
		h.authority = h.host
	}
	if bytes.IndexByte(h.authority, '@') >= 0 {
		return "userinfo in :authority"
	}
	*r = http.Request{Method: h.method, Scheme: h.scheme, Authority: h.authority, Target: h.path,
		Fields: h.fields, Protocol: h.protocol}
	return ""
}

// response checks the gathered head as a response and fills r.
func (h *headReader) response(r *http.Response) string {
	if h.bad != "" {
		return h.bad
	}
	s := h.status
	if h.pseudo != 1 || len(s) != 3 || s[0] < '1' || s[0] > '9' || s[1] < '0' || s[1] > '9' || s[2] < '0' || s[2] > '9' {
		return "no valid :status"
	}
	*r = http.Response{Status: int(s[0]-'0')*100 + int(s[1]-'0')*10 + int(s[2]-'0'), Fields: h.fields}
	if r.Status == 101 {
		return "101 does not exist in HTTP/2"
	}
	return ""
}

// trailers checks the gathered fields as trailers.
func (h *headReader) trailers() string {
	if h.bad == "" && h.pseudo > 0 {
		return "pseudo-header in trailers"
	}
	return h.bad
}

// contentLength reads content-length: -1 where there is none.
func contentLength(fields []http.Field) (n int64, ok bool) {
	n = -1
	for i := range fields {
		if string(fields[i].Name) != "content-length" {
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

func validName(b []byte) bool {
	for _, ch := range b {
		if ch >= 'A' && ch <= 'Z' {
			return false
		}
	}
	return validToken(b)
}

// validToken is token of RFC 9110, section 5.6.2.
func validToken(b []byte) bool {
	for _, ch := range b {
		if ch <= ' ' || ch >= 0x7f || tokenStop[ch] {
			return false
		}
	}
	return len(b) > 0
}

var tokenStop = [128]bool{'"': true, '(': true, ')': true, ',': true, '/': true, ':': true, ';': true, '<': true,
	'=': true, '>': true, '?': true, '@': true, '[': true, '\\': true, ']': true, '{': true, '}': true}

// validValue refuses NUL, CR and LF, and white space at either end (RFC 9113,
// section 8.2.1).
func validValue(b []byte) bool {
	for _, ch := range b {
		if ch == 0 || ch == '\r' || ch == '\n' {
			return false
		}
	}
	if n := len(b); n > 0 {
		return b[0] != ' ' && b[0] != '\t' && b[n-1] != ' ' && b[n-1] != '\t'
	}
	return true
}
