package route

import (
	"github.com/weftmesh/weft/proxy/http"
)

// matchHeader compares a field, or a pseudo-header. A field that occurs more
// than once counts as its values joined with commas (RFC 9110 section 5.3).
func (v *valueMatcher) matchHeader(r *http.Request) bool {
	switch v.name {
	case ":method":
		return v.accepts(r.Method)
	case ":authority", "host":
		return v.accepts(r.Authority)
	case ":path":
		return v.accepts(r.Target)
	case ":scheme":
		return v.accepts(r.Scheme)
	}
	first := -1
	for i := range r.Fields {
		if http.EqualFold(r.Fields[i].Name, v.name) {
			if first >= 0 {
				return v.accepts(joined(r.Fields[first:], v.name))
			}
			first = i
		}
	}
	return first >= 0 && v.accepts(r.Fields[first].Value)
}

func joined(f []http.Field, name string) []byte {
	var out []byte
	for i := range f {
		if http.EqualFold(f[i].Name, name) {
			if i > 0 { // the first field of the view has the name
				out = append(out, ',')
			}
			out = append(out, f[i].Value...)
		}
	}
	return out
}

// matchQuery compares the first parameter of that name (Gateway API
// HTTPQueryParamMatch); names and values are percent-decoded where needed.
func (v *valueMatcher) matchQuery(q []byte) bool {
	for len(q) > 0 {
		pair := q
		if i := indexByte(q, '&'); i >= 0 {
			pair, q = q[:i], q[i+1:]
		} else {
			q = nil
		}
		name, value := pair, []byte(nil)
		if i := indexByte(pair, '='); i >= 0 {
			name, value = pair[:i], pair[i+1:]
		}
		if string(unescape(name)) == v.name {
			return v.accepts(unescape(value))
		}
	}
	return false
}

func indexByte(b []byte, c byte) int {
	for i := range b {
		if b[i] == c {
			return i
		}
	}
	return -1
}

// unescape decodes %XX and '+' (WHATWG URL, application/x-www-form-urlencoded);
// a malformed escape stands for itself. It allocates only where there is one.
func unescape(b []byte) []byte {
	i := 0
	for i < len(b) && b[i] != '%' && b[i] != '+' {
		i++
	}
	if i == len(b) {
		return b
	}
	out := append(make([]byte, 0, len(b)), b[:i]...)
	for ; i < len(b); i++ {
		switch {
		case b[i] == '+':
			out = append(out, ' ')
		case b[i] == '%' && i+2 < len(b) && hex(b[i+1]) >= 0 && hex(b[i+2]) >= 0:
			out = append(out, byte(hex(b[i+1])<<4|hex(b[i+2])))
			i += 2
		default:
			out = append(out, b[i])
		}
	}
	return out
}

func hex(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}
