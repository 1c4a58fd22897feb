package h2

import "github.com/weftmesh/weft/proxy/http"

// encoder is HPACK (RFC 7541) for heads that we send. Strings are not Huffman
// coded: within a cluster the bytes cost less than the work on either side. A
// field enters the dynamic table when it is seen for the second time, so that
// values that never return (dates, lengths, trace ids) neither fill it nor cost
// an insertion at both ends.
type encoder struct {
	t       dynTable
	byField [256]uint32 // entry's number + 1, by the hash of name and value; the last one wins
	byName  [64]uint32  // the same by name
	seen    [128]uint32 // hashes of fields that were sent as literals
	resized bool        // the peer is to be told of a new limit
	lower   []byte      // a name in lower case
}

func newEncoder() *encoder {
	e := &encoder{lower: make([]byte, 0, 64)}
	e.t.max = tableSize
	return e
}

// setMax follows the peer's SETTINGS_HEADER_TABLE_SIZE. A table that was made
// smaller stays so until that was told: of two updates in one block (RFC 7541,
// section 4.2) the second is refused by golang.org/x/net and what is built on it.
func (e *encoder) setMax(n uint32) {
	m := int(min(n, tableSize))
	if e.resized {
		m = min(m, e.t.max)
	}
	if m != e.t.max {
		e.resized = true
		e.t.setMax(m)
	}
}

// begin starts a block: with the table's new limit, where it has changed.
func (e *encoder) begin(dst []byte) []byte {
	if !e.resized {
		return dst
	}
	e.resized = false
	return appendInt(dst, 0x20, 5, uint64(e.t.max))
}

var (
	nameMethod    = []byte(":method")
	nameScheme    = []byte(":scheme")
	namePath      = []byte(":path")
	nameAuthority = []byte(":authority")
	nameProtocol  = []byte(":protocol")
	nameStatus    = []byte(":status")
	schemeHTTP    = []byte("http")
	rootPath      = []byte("/")
)

func (e *encoder) appendRequest(dst []byte, r *http.Request) []byte {
	dst = e.begin(dst)
	connect := false
	switch string(r.Method) {
	case "GET":
		dst = append(dst, 0x82)
	case "POST":
		dst = append(dst, 0x83)
	case "CONNECT":
		connect = true
		fallthrough
	default:
		dst = e.field(dst, nameMethod, r.Method, false)
	}
	if !connect || len(r.Protocol) > 0 {
		switch string(r.Scheme) {
		case "", "http":
			dst = append(dst, 0x86)
		case "https":
			dst = append(dst, 0x87)
		default:
			dst = e.field(dst, nameScheme, r.Scheme, false)
		}
		if path := r.Target; len(path) > 1 {
			dst = e.field(dst, namePath, path, false)
		} else if len(path) == 0 || path[0] == '/' {
			dst = append(dst, 0x84)
		} else {
			dst = e.field(dst, namePath, path, false)
		}
	}
	authority := r.Authority
	if connect && len(authority) == 0 {
		authority = r.Target
	}
	if len(authority) > 0 {
		dst = e.field(dst, nameAuthority, authority, false)
	}
	if len(r.Protocol) > 0 {
		dst = e.field(dst, nameProtocol, r.Protocol, false)
	}
	return e.fields(dst, r.Fields)
}

func (e *encoder) appendResponse(dst []byte, r *http.Response) []byte {
	dst = e.begin(dst)
	if s := r.Status; s == 200 {
		dst = append(dst, 0x88)
	} else {
		d := [3]byte{byte('0' + s/100%10), byte('0' + s/10%10), byte('0' + s%10)}
		e.lower = append(e.lower[:0], d[:]...) // on the heap already
		dst = e.field(dst, nameStatus, e.lower, false)
	}
	return e.fields(dst, r.Fields)
}

func (e *encoder) appendTrailers(dst []byte, fields []http.Field) []byte {
	return e.fields(e.begin(dst), fields)
}

// fields encodes fields without those that are not for HTTP/2 (RFC 9113,
// section 8.2.2) and with names in lower case.
func (e *encoder) fields(dst []byte, fields []http.Field) []byte {
	for i := range fields {
		name, value := fields[i].Name, fields[i].Value
		if hasUpper(name) {
			e.lower = appendLower(e.lower[:0], name)
			name = e.lower
		}
		secret := false
		switch nameClass(name) {
		case classDrop:
			continue
		case classTE:
			if !http.EqualFold(value, "trailers") {
				continue
			}
			value = trailersToken
		case classSecret:
			secret = true
		case classCookie:
			secret = len(value) < 20
		}
		dst = e.field(dst, name, value, secret)
	}
	return dst
}

var trailersToken = []byte("trailers")

// field encodes one field. Short secrets must not be guessable through the
// compression (RFC 7541, section 7.1.3).
func (e *encoder) field(dst, name, value []byte, secret bool) []byte {
	hn := hashOf(name)
	mix := hn*0x9e3779b97f4a7c15 + hashOf(value)
	h := uint32(mix) ^ uint32(mix>>32)
	if n := e.byField[h%256] - 1; !secret && e.t.has(n) {
		if x := e.t.entry(n); x.hash == h {
			if a, b := e.t.bytes(x); string(a) == string(name) && string(b) == string(value) {
				return appendInt(dst, 0x80, 7, uint64(len(staticTable))+uint64(e.t.next-1-n))
			}
		}
	}
	index := staticName(name, hn)
	if index > 0 && !secret {
		for i := index; i < len(staticTable) && string(staticTable[i].name) == string(name); i++ {
			if string(staticTable[i].value) == string(value) {
				return appendInt(dst, 0x80, 7, uint64(i))
			}
		}
	}
	if n := e.byName[hn%64] - 1; index == 0 && e.t.has(n) {
		if a, _ := e.t.bytes(e.t.entry(n)); string(a) == string(name) {
			index = len(staticTable) + int(e.t.next-1-n)
		}
	}
	switch {
	case secret:
		dst = appendInt(dst, 0x10, 4, uint64(index))
	case e.seen[h%128] == h && len(name)+len(value)+entryCost <= e.t.max/2:
		dst = appendInt(dst, 0x40, 6, uint64(index))
		if x := e.t.add(name, value); x != nil {
			x.hash = h
			e.byField[h%256], e.byName[hn%64] = e.t.next, e.t.next // the number of the new entry, plus 1
		}
	default:
		e.seen[h%128] = h
		dst = appendInt(dst, 0, 4, uint64(index))
	}
	if index == 0 {
		dst = append(appendInt(dst, 0, 7, uint64(len(name))), name...)
	}
	return append(appendInt(dst, 0, 7, uint64(len(value))), value...)
}

// appendInt appends an integer with a prefix of that many bits behind flags
// (RFC 7541, section 5.1).
func appendInt(dst []byte, flags byte, bits uint, n uint64) []byte {
	most := uint64(1)<<bits - 1
	if n < most {
		return append(dst, flags|byte(n))
	}
	dst = append(dst, flags|byte(most))
	for n -= most; n >= 0x80; n >>= 7 {
		dst = append(dst, byte(n)|0x80)
	}
	return append(dst, byte(n))
}
