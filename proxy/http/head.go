// Package http is the model that both codecs (h1, h2) and everything above
// them share: the head of a request or a response as views into the buffer it
// was read from. There is no header map and nothing is copied; a view is valid
// until its connection is read again.
package http

import "encoding/binary"

// Field is one header field, as received.
type Field struct{ Name, Value []byte }

// Bytes is the Major of what is no HTTP: a connection between two proxies whose
// bytes are carried as they are.
const Bytes = 0xf

// Request is the head of a request.
type Request struct {
	Method []byte
	// Scheme is empty where HTTP/1.1 does not tell it.
	Scheme []byte
	// Authority is the Host field or the :authority pseudo-header.
	Authority []byte
	// Target is the request target as received: path and query, or "*", or the
	// authority of a CONNECT.
	Target []byte
	// Fields are in the order received, with names in the case received; Host
	// and pseudo-headers are not among them.
	Fields []Field
	// Major is the version that the message was sent in: 1 or 2; 0 where nobody
	// said. Bytes is a CONNECT that stands for a connection without HTTP.
	Major uint8
	// Minor is the minor version of HTTP/1 (0 or 1); 0 for HTTP/2.
	Minor uint8
	// Protocol is the :protocol pseudo-header of an extended CONNECT (RFC 8441).
	Protocol []byte
}

// Response is the head of a response.
type Response struct {
	Status int
	// Reason is the phrase of HTTP/1; empty in HTTP/2.
	Reason []byte
	Fields []Field
	// Major and Minor are as in Request.
	Major, Minor uint8
}

// Reset empties the request and keeps its memory.
func (r *Request) Reset() {
	fields := r.Fields[:0]
	*r = Request{}
	r.Fields = fields
}

// Reset empties the response and keeps its memory.
func (r *Response) Reset() {
	fields := r.Fields[:0]
	*r = Response{}
	r.Fields = fields
}

// Path returns the target's path without its query.
func (r *Request) Path() []byte {
	for i, c := range r.Target {
		if c == '?' || c == '#' {
			return r.Target[:i]
		}
	}
	return r.Target
}

// Query returns the target's query without the question mark.
func (r *Request) Query() []byte {
	p := len(r.Path())
	if p < len(r.Target) && r.Target[p] == '?' {
		return r.Target[p+1:]
	}
	return nil
}

// Get returns the first value of a field; name must be in lower case.
func Get(fields []Field, name string) ([]byte, bool) {
	for i := range fields {
		if EqualFold(fields[i].Name, name) {
			return fields[i].Value, true
		}
	}
	return nil, false
}

// EqualFold compares a field's name with a lower-case name, ignoring ASCII case.
func EqualFold(b []byte, lower string) bool {
	if len(b) != len(lower) {
		return false
	}
	for i := 0; i < len(lower); i++ {
		c := b[i]
		if c >= 'A' && c <= 'Z' {
			c |= 0x20
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

// Visible says whether no byte is a control character; it may be false for
// others too, and looks at eight bytes at a time.
func Visible(b []byte) bool {
	const ones = 0x0101010101010101
	for ; len(b) >= 8; b = b[8:] {
		x := binary.LittleEndian.Uint64(b)
		del := x ^ 0x7f*ones
		if ((x-0x20*ones)&^x|(del-ones)&^del)&(0x80*ones) != 0 {
			return false
		}
	}
	for _, ch := range b {
		if ch < ' ' || ch == 0x7f {
			return false
		}
	}
	return true
}
