package h1

import (
	"bytes"

	"github.com/weftmesh/weft/proxy/http"
)

// scan is one pass over the field lines of a head.
type scan struct {
	fields []http.Field // kept

	hosts    int
	host     []byte
	lengths  int
	length   int64
	lengthAt []byte // the first Content-Length
	coding   uint8
	close    bool
	keep     bool // Connection: keep-alive
	upgrade  bool // Connection: upgrade
	proto    bool // an Upgrade field that may be honoured
	protos   int  // Upgrade fields kept so far
	expect   bool

	named  [8][]byte // Connection fields that name other fields
	nnamed int
}

const (
	codingNone = iota
	codingChunked
	codingMalformed
	codingOther
)

// lines parses "name: value CRLF"... (RFC 9112 section 5).
func (s *scan) lines(b []byte) *Error {
	for count := 0; len(b) > 0; count++ {
		if count >= MaxFields {
			return ErrManyFields
		}
		if b[0] == ' ' || b[0] == '\t' {
			return ErrFold
		}
		lf := bytes.IndexByte(b, '\n')
		if lf < 1 || b[lf-1] != '\r' {
			if bytes.IndexByte(b[:max(lf, 0)], '\r') >= 0 {
				return ErrBareCR
			}
			return ErrBareLF
		}
		name, value, e := splitLine(b[:lf-1])
		if e != nil {
			// A CR is in no name and in no value: only now is it looked for.
			if bytes.IndexByte(b[:lf-1], '\r') >= 0 {
				return ErrBareCR
			}
			return e
		}
		b = b[lf+1:]
		drop := false
		// The first letter decides whether the field can matter here.
		switch name[0] | 0x20 {
		case 'c':
			if http.EqualFold(name, "connection") {
				if !s.connection(value) {
					return ErrManyFields
				}
				drop = true
			} else if http.EqualFold(name, "content-length") {
				if s.length, e = contentLength(value); e != nil {
					return e
				}
				if drop = s.lengths > 0; drop && !bytes.Equal(s.lengthAt, value) {
					return ErrLengths
				}
				s.lengthAt = value
				s.lengths++
			}
		case 'e':
			if http.EqualFold(name, "expect") {
				s.expect = http.EqualFold(value, "100-continue")
			}
		case 'h':
			if http.EqualFold(name, "host") {
				s.hosts++
				s.host = value
				drop = true
			}
		case 'k':
			drop = http.EqualFold(name, "keep-alive")
		case 'p':
			drop = http.EqualFold(name, "proxy-connection")
		case 't':
			if http.EqualFold(name, "transfer-encoding") {
				s.transferCoding(value)
				drop = true
			} else if http.EqualFold(name, "te") {
				if drop = !acceptsTrailers(value); !drop {
					value = trailersToken
				}
			}
		case 'u':
			if http.EqualFold(name, "upgrade") {
				s.protos++
				s.proto = len(value) > 0 && (s.protos == 1 || s.proto) && !hasToken(value, "h2c")
			}
		}
		if !drop {
			s.fields = append(s.fields, http.Field{Name: name, Value: value})
		}
	}
	return nil
}

var trailersToken = []byte("trailers")

func splitLine(line []byte) (name, value []byte, err *Error) {
	i := 0
	for i < len(line) && class[line[i]]&isToken != 0 {
		i++
	}
	if i == 0 || i == len(line) || line[i] != ':' {
		return nil, nil, ErrFieldName
	}
	value = trim(line[i+1:])
	if !http.Visible(value) && !all(value, isValue) {
		return nil, nil, ErrFieldValue
	}
	return line[:i:i], value, nil
}

// connection reads the options of a Connection field (RFC 9110 section 7.6.1).
// It is false when there are too many fields of it to remember.
func (s *scan) connection(value []byte) bool {
	named := false
	for list := value; len(list) > 0; {
		var o []byte
		o, list = next(list)
		switch {
		case len(o) == 0:
		case http.EqualFold(o, "close"):
			s.close = true
		case http.EqualFold(o, "keep-alive"):
			s.keep = true
		case http.EqualFold(o, "upgrade"):
			s.upgrade = true
		case http.EqualFold(o, "te"): // judged by its value
		default:
			named = true
		}
	}
	if named {
		if s.nnamed == len(s.named) {
			return false
		}
		s.named[s.nnamed] = value
		s.nnamed++
	}
	return true
}

// transferCoding accepts exactly one "chunked". Anything else in front of it
// would be lost, because the body is framed anew.
func (s *scan) transferCoding(list []byte) {
	if len(list) == 0 {
		s.coding = codingMalformed
	}
	for len(list) > 0 {
		var c []byte
		comma := bytes.IndexByte(list, ',')
		c, list = next(list)
		switch {
		case s.coding == codingMalformed:
		case len(c) == 0 || comma >= 0 && len(list) == 0 || s.coding == codingChunked:
			s.coding = codingMalformed // empty element, or something behind chunked
		case http.EqualFold(c, "chunked"):
			if s.coding == codingNone {
				s.coding = codingChunked
			}
		case all(c, isToken):
			s.coding = codingOther
		default:
			s.coding = codingMalformed
		}
	}
}

// contentLength takes digits only, at most 18 of them so that sums cannot overflow.
func contentLength(v []byte) (int64, *Error) {
	if len(v) == 0 || len(v) > 18 {
		return 0, ErrLength
	}
	n := int64(0)
	for _, c := range v {
		if c < '0' || c > '9' {
			return 0, ErrLength
		}
		n = n*10 + int64(c-'0')
	}
	return n, nil
}

func hasToken(list []byte, lower string) bool {
	for len(list) > 0 {
		var t []byte
		if t, list = next(list); http.EqualFold(t, lower) {
			return true
		}
	}
	return false
}

// acceptsTrailers looks for the member "trailers" of a TE field.
func acceptsTrailers(te []byte) bool { return hasToken(te, "trailers") }

// strip takes the fields out that Connection names, and Upgrade unless it is
// honoured. Content-Length stays: it is not the connection's to remove.
func (s *scan) strip(upgrade bool) {
	if s.nnamed == 0 && (upgrade || s.protos == 0) {
		return
	}
	kept := s.fields[:0]
	for _, f := range s.fields {
		if http.EqualFold(f.Name, "upgrade") {
			if !upgrade {
				continue
			}
		} else if s.names(f.Name) && !http.EqualFold(f.Name, "content-length") {
			continue
		}
		kept = append(kept, f)
	}
	s.fields = kept
}

func (s *scan) names(name []byte) bool {
	for _, list := range s.named[:s.nnamed] {
		for len(list) > 0 {
			var o []byte
			if o, list = next(list); len(o) == len(name) && bytes.EqualFold(o, name) && !http.EqualFold(name, "te") {
				return true
			}
		}
	}
	return false
}

// request derives the framing of a request (RFC 9112 section 6.3).
func (s *scan) request(r *http.Request) (f Framing, err *Error) {
	switch {
	case s.hosts > 1:
		return f, ErrHostTwice
	case s.hosts == 0 && r.Minor == 1:
		return f, ErrHostMissing
	case !http.ValidHost(s.host):
		return f, ErrHost
	}
	connect := string(r.Method) == "CONNECT"
	if r.Scheme == nil && !connect {
		r.Authority = s.host
	}
	f.Close = s.close || r.Minor == 0 && !s.keep
	if f.Kind, f.Length, err = s.body(r.Minor, None); err != nil {
		return f, err
	}
	if connect {
		if f.HasBody() {
			return f, ErrConnectBody
		}
		f.Kind = None
	}
	f.Upgrade = connect || s.upgrade && s.proto && r.Minor == 1
	f.Expect100 = s.expect && r.Minor == 1 && f.HasBody()
	s.strip(f.Upgrade && !connect)
	return f, nil
}

// body derives how a body is delimited (RFC 9112, section 6.3); without is what
// holds where the head says nothing.
func (s *scan) body(minor uint8, without Kind) (Kind, int64, *Error) {
	switch {
	case s.coding == codingMalformed:
		return without, 0, ErrCoding
	case s.coding == codingOther:
		return without, 0, ErrCodingOther
	case s.coding == codingChunked && s.lengths > 0:
		return without, 0, ErrLengthCoding
	case s.coding == codingChunked && minor == 0:
		return without, 0, ErrCoding10
	case s.coding == codingChunked:
		return Chunked, 0, nil
	case s.lengths > 0:
		return Length, s.length, nil
	}
	return without, 0, nil
}

// response derives the framing of a response to a method.
func (s *scan) response(method []byte, r *http.Response) (f Framing, err *Error) {
	f.Close = s.close || r.Minor == 0 && !s.keep
	if f.Kind, f.Length, err = s.body(r.Minor, UntilClose); err != nil {
		return f, err
	}
	ok := r.Status >= 200 && r.Status < 300
	switch {
	case r.Status == 101 || ok && string(method) == "CONNECT":
		f.Kind, f.Length, f.Upgrade = None, 0, true
	case r.Status < 200 || r.Status == 204 || r.Status == 304 || string(method) == "HEAD":
		f.Kind, f.Length = None, 0
	}
	if f.Kind == UntilClose {
		f.Close = true
	}
	s.strip(r.Status == 101 || r.Status == 426)
	return f, nil
}
