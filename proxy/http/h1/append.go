package h1

import (
	"strconv"

	"github.com/weftmesh/weft/proxy/http"
)

// AppendRequest appends the head of r for an HTTP/1.1 peer. Framing fields and
// Connection are written from f; fields of r that belong to a connection alone
// are skipped. A request that came without a Host gets an empty one.
func AppendRequest(dst []byte, r *http.Request, f Framing) []byte {
	dst = append(dst, r.Method...)
	dst = append(dst, ' ')
	dst = append(dst, r.Target...)
	dst = append(dst, " HTTP/1.1\r\nHost: "...)
	dst = append(dst, r.Authority...)
	dst = append(dst, "\r\n"...)
	upgrade := f.Upgrade && string(r.Method) != "CONNECT"
	te := false
	for i := range r.Fields {
		fl := &r.Fields[i]
		switch own(fl.Name) {
		case fieldDrop, fieldLength:
			continue
		case fieldUpgrade:
			if !upgrade {
				continue
			}
		case fieldTE:
			if te || !acceptsTrailers(fl.Value) {
				continue
			}
			te = true
			dst = append(dst, "TE: trailers\r\n"...)
			continue
		case fieldHost:
			continue
		}
		dst = appendField(dst, fl)
	}
	dst = appendFraming(dst, f)
	return appendConnection(dst, f.Close, upgrade, te)
}

// AppendResponse appends the head of r, as HTTP/1.1 whatever r.Minor is. f.Kind
// None keeps a Content-Length of r.Fields (HEAD, 304) unless the status forbids
// it. f.Close writes "Connection: close".
func AppendResponse(dst []byte, r *http.Response, f Framing) []byte {
	dst = append(dst, "HTTP/1.1 "...)
	dst = strconv.AppendInt(dst, int64(r.Status), 10)
	dst = append(dst, ' ')
	dst = append(dst, r.Reason...)
	dst = append(dst, "\r\n"...)
	interim := r.Status < 200
	keepLength := f.Kind == None && !interim && r.Status != 204 && !f.Upgrade
	offers := r.Status == 101 || r.Status == 426 // 426 names what it wants
	for i := range r.Fields {
		fl := &r.Fields[i]
		switch own(fl.Name) {
		case fieldDrop, fieldTE:
			continue
		case fieldLength:
			if !keepLength {
				continue
			}
		case fieldUpgrade:
			if !offers {
				continue
			}
		}
		dst = appendField(dst, fl)
	}
	dst = appendFraming(dst, f)
	return appendConnection(dst, f.Close && !interim, offers, false)
}

func appendField(dst []byte, f *http.Field) []byte {
	dst = append(dst, f.Name...)
	dst = append(dst, ':', ' ')
	dst = append(dst, f.Value...)
	return append(dst, '\r', '\n')
}

func appendFraming(dst []byte, f Framing) []byte {
	switch f.Kind {
	case Length:
		dst = append(dst, "Content-Length: "...)
		dst = strconv.AppendInt(dst, f.Length, 10)
		dst = append(dst, '\r', '\n')
	case Chunked:
		dst = append(dst, "Transfer-Encoding: chunked\r\n"...)
	}
	return dst
}

func appendConnection(dst []byte, closing, upgrade, te bool) []byte {
	switch {
	case upgrade:
		dst = append(dst, "Connection: Upgrade"...)
		if closing {
			dst = append(dst, ", close"...)
		}
		if te {
			dst = append(dst, ", TE"...)
		}
		dst = append(dst, "\r\n"...)
	case closing && te:
		dst = append(dst, "Connection: close, TE\r\n"...)
	case closing:
		dst = append(dst, "Connection: close\r\n"...)
	case te:
		dst = append(dst, "Connection: TE\r\n"...)
	}
	return append(dst, '\r', '\n')
}

// What own knows of a field.
const (
	fieldKeep = iota
	fieldDrop
	fieldLength
	fieldUpgrade
	fieldTE
	fieldHost
)

// own tells fields that a head's writer must not take over as they are.
func own(name []byte) int {
	if len(name) == 0 {
		return fieldDrop
	}
	switch name[0] | 0x20 {
	case 'c':
		if http.EqualFold(name, "connection") {
			return fieldDrop
		}
		if http.EqualFold(name, "content-length") {
			return fieldLength
		}
	case 'h':
		if http.EqualFold(name, "host") {
			return fieldHost
		}
	case 'k':
		if http.EqualFold(name, "keep-alive") {
			return fieldDrop
		}
	case 'p':
		if http.EqualFold(name, "proxy-connection") {
			return fieldDrop
		}
	case 't':
		if http.EqualFold(name, "transfer-encoding") {
			return fieldDrop
		}
		if http.EqualFold(name, "te") {
			return fieldTE
		}
	case 'u':
		if http.EqualFold(name, "upgrade") {
			return fieldUpgrade
		}
	}
	return fieldKeep
}
