package h2

import (
	"bytes"

	"github.com/weftmesh/weft/proxy/http"
)

// headMem is where heads are kept as long as their stream: views into it stay
// valid when it grows.
type headMem struct {
	arena  []byte
	fields []http.Field
}

// What a recycled stream keeps of its headMem at most.
const (
	keepArena  = 4 << 10
	keepFields = 64
)

// clear empties the memory for the next stream.
func (m *headMem) clear() {
	if cap(m.arena) > keepArena {
		m.arena = nil
	}
	if cap(m.fields) > keepFields {
		m.fields = nil
	}
	clear(m.fields) // views of memory that is gone would keep it
	m.arena, m.fields = m.arena[:0], m.fields[:0]
}

// headReader gathers the fields of one header block. What is wrong with it is
// remembered rather than returned, because the block must be decoded to its
// end to keep HPACK's state.
type headReader struct {
	mem   *headMem
	start int // of this head in mem.arena
	from  int // of this head in mem.fields
	limit int // of size
	size  int
	bad   string // why the head is malformed
	large bool   // it exceeds limit
	full  bool   // no stream is to be opened
	plain bool   // a field that is no pseudo-header came

	kind         uint8 // of a plain block; 0 with HPACK, which does not say
	major, minor uint8

	method, scheme, authority, path, protocol, status, host, reason []byte
	pseudo                                                          int
}

func (h *headReader) reset(mem *headMem, limit int) {
	*h = headReader{} // in place
	h.mem, h.start, h.from, h.limit, h.major = mem, len(mem.arena), len(mem.fields), limit, 2
}

// fields are those that are no pseudo-headers.
func (h *headReader) fields() []http.Field {
	n := len(h.mem.fields)
	return h.mem.fields[h.from:n:n]
}

// keep copies b; the result is never nil.
func (h *headReader) keep(b []byte) []byte {
	a := h.mem.arena
	if cap(a)-len(a) < len(b) || a == nil {
		a = make([]byte, 0, max(512, min(2*cap(a), keepArena), len(b)))
		h.start = 0
	}
	n := len(a)
	h.mem.arena = append(a, b...)
	return h.mem.arena[n : n+len(b) : n+len(b)]
}

// rewind takes the memory back of a head that is too large to be kept.
func (h *headReader) rewind() {
	if h.large {
		h.mem.arena = h.mem.arena[:h.start]
	}
}

// drop takes the memory back of a head that nobody will see.
func (h *headReader) drop() {
	h.mem.arena, h.mem.fields = h.mem.arena[:h.start], h.mem.fields[:h.from]
}

// count adds a field's size (RFC 9113, section 6.5.2). It is false when the head
// is not to be kept.
func (h *headReader) count(name, value []byte) bool {
	if h.size += len(name) + len(value) + 32; h.size > h.limit {
		h.large = true
	}
	return !h.large && h.bad == ""
}

func (h *headReader) append(name, value []byte) {
	h.mem.fields = append(h.mem.fields, http.Field{Name: name, Value: value})
}

// known takes a field that field has called ordinary before.
func (h *headReader) known(name, value []byte) {
	if h.count(name, value) {
		h.plain = true
		h.append(name, value)
	}
}

// field takes a field that HPACK has decoded. It is ordinary when neither its
// place nor the rest of the head matters for it.
func (h *headReader) field(name, value []byte) (ordinary bool) {
	keep := h.count(name, value)
	if len(name) > 0 && name[0] == ':' {
		if keep {
			h.pseudoField(name, value)
		}
		return false
	}
	h.plain = true
	why := ""
	switch {
	case !validName(name):
		why = "invalid field name"
	case !validValue(value):
		why = "invalid field value"
	default:
		switch nameClass(name) {
		case classTE:
			if string(value) != "trailers" {
				why = "te other than trailers"
			}
		case classDrop:
			if len(name) != len("host") {
				why = "connection-specific field"
				break
			}
			if keep {
				if h.host != nil && !bytes.Equal(h.host, value) {
					h.bad = "two hosts"
				}
				h.host = value
			}
			return false
		}
	}
	if why == "" {
		if keep {
			h.append(name, value)
		}
		return true
	}
	if h.bad == "" {
		h.bad = why
	}
	return false
}

func (h *headReader) pseudoField(name, value []byte) {
	if h.plain {
		h.bad = "pseudo-header after a field"
		return
	}
	var p *[]byte
	switch string(name) {
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

// request checks the gathered head as a request (RFC 9113, section 8.3.1) and
// fills r. The result is why it is malformed, or empty.
func (h *headReader) request(r *http.Request) string {
	switch {
	case h.bad != "":
		return h.bad
	case h.kind != 0 && h.kind != plainRequest:
		return "head of another kind"
	case h.status != nil:
		return ":status in a request"
	case !validToken(h.method):
		return "no valid :method"
	}
	connect := string(h.method) == "CONNECT"
	switch {
	case h.major == http.Bytes && (!connect || h.protocol != nil):
		return "bytes without CONNECT"
	case connect && h.protocol == nil:
		if h.scheme != nil || h.path != nil || len(h.authority) == 0 {
			return "CONNECT takes :authority alone"
		}
		if h.path = h.authority; h.major != http.Bytes && !http.ValidHostPort(h.authority) {
			return "CONNECT without a port"
		}
	case h.protocol != nil && (!connect || len(h.protocol) == 0):
		return ":protocol without CONNECT"
	case len(h.scheme) == 0 && h.major != 1:
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
	// Where there is one, it is not empty (RFC 9113, section 8.3.1).
	if !http.ValidHost(h.authority) || h.authority != nil && len(h.authority) == 0 {
		return "invalid :authority"
	}
	*r = http.Request{}
	r.Method, r.Scheme, r.Authority, r.Target, r.Protocol = h.method, h.scheme, h.authority, h.path, h.protocol
	r.Fields, r.Major, r.Minor = h.fields(), h.major, h.minor
	return ""
}

// response checks the gathered head as a response and fills r.
func (h *headReader) response(r *http.Response) string {
	if h.bad != "" {
		return h.bad
	}
	if h.kind != 0 && h.kind != plainResponse {
		return "head of another kind"
	}
	s := h.status
	if h.pseudo != 1 || len(s) != 3 || s[0] < '1' || s[0] > '9' || s[1] < '0' || s[1] > '9' || s[2] < '0' || s[2] > '9' {
		return "no valid :status"
	}
	*r = http.Response{Status: int(s[0]-'0')*100 + int(s[1]-'0')*10 + int(s[2]-'0'), Reason: h.reason,
		Fields: h.fields(), Major: h.major, Minor: h.minor}
	if r.Status == 101 {
		return "101 does not exist in HTTP/2"
	}
	return ""
}

// trailers checks the gathered fields as trailers.
func (h *headReader) trailers() string {
	switch {
	case h.bad != "":
		return h.bad
	case h.pseudo > 0:
		return "pseudo-header in trailers"
	case h.kind != 0 && h.kind != plainTrailers:
		return "head of another kind"
	case h.host != nil:
		return "host in trailers"
	}
	// What frames or directs a message has no place behind it (RFC 9110, section
	// 6.5.1): HTTP/1 refuses the same.
	for _, f := range h.fields() {
		if len(f.Name) == len("content-length") && http.EqualFold(f.Name, "content-length") || len(f.Name) == len("te") && http.EqualFold(f.Name, "te") {
			return "forbidden field in trailers"
		}
	}
	return ""
}
