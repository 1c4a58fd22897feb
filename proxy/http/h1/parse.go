package h1

import (
	"bytes"

	"github.com/weftmesh/weft/proxy/http"
)

var crlf2 = []byte("\r\n\r\n")

// ParseRequest parses the head at the beginning of buf into r, whose views
// point into buf. n is the length of the head, 0 when it is not complete yet.
// What belongs to this connection alone is left out of r.Fields: Host (it is
// r.Authority), Connection and every field that it names, Keep-Alive,
// Proxy-Connection, Transfer-Encoding, TE other than trailers, and Upgrade
// unless framing.Upgrade. Content-Length stays. err is an *Error.
func ParseRequest(buf []byte, r *http.Request) (n int, framing Framing, err error) {
	r.Reset()
	start, end, e := headEnd(buf)
	if e != nil {
		return 0, Framing{Close: true}, e
	}
	if end == 0 {
		return 0, Framing{}, nil
	}
	eol := bytes.IndexByte(buf[start:end], '\r') + start
	if buf[eol+1] != '\n' {
		return 0, Framing{Close: true}, ErrBareCR
	}
	if e := requestLine(buf[start:eol], r); e != nil {
		return 0, Framing{Close: true}, e
	}
	s := scan{fields: r.Fields}
	if e := s.lines(buf[eol+2 : end-2]); e != nil {
		return 0, Framing{Close: true}, e
	}
	f, e := s.request(r)
	r.Fields = s.fields
	if e != nil {
		return 0, Framing{Close: true}, e
	}
	return end, f, nil
}

// ParseResponse parses the head of a response to a request with that method.
// The same fields as for ParseRequest are left out. Responses below 200 other
// than 101 are interim: another head follows.
func ParseResponse(buf, method []byte, r *http.Response) (n int, framing Framing, err error) {
	r.Reset()
	start, end, e := headEnd(buf)
	if e != nil {
		return 0, Framing{Close: true}, inResponse(e)
	}
	if end == 0 {
		if !status(buf[start:]) {
			return 0, Framing{Close: true}, ErrStatusLine
		}
		return 0, Framing{}, nil
	}
	eol := bytes.IndexByte(buf[start:end], '\r') + start
	if buf[eol+1] != '\n' {
		return 0, Framing{Close: true}, inResponse(ErrBareCR)
	}
	if e := statusLine(buf[start:eol], r); e != nil {
		return 0, Framing{Close: true}, e
	}
	s := scan{fields: r.Fields}
	if e := s.lines(buf[eol+2 : end-2]); e != nil {
		return 0, Framing{Close: true}, inResponse(e)
	}
	f, e := s.response(method, r)
	r.Fields = s.fields
	if e != nil {
		return 0, Framing{Close: true}, inResponse(e)
	}
	return end, f, nil
}

// headEnd finds the head: buf[start:end] with its empty line; end is 0 while it
// is incomplete. One empty line in front is forgiven (RFC 9112 section 2.2).
func headEnd(buf []byte) (start, end int, err *Error) {
	if len(buf) >= 2 && buf[0] == '\r' && buf[1] == '\n' {
		start = 2
	}
	i := bytes.Index(buf[start:], crlf2)
	if i >= 0 && i+4 <= MaxHead {
		return start, start + i + 4, nil
	}
	// Incomplete. What can never become right is refused now, lest the peer
	// wait for an answer that would not come.
	for p := start; ; {
		j := bytes.IndexByte(buf[p:], '\n')
		if j < 0 {
			break
		}
		if j+p == 0 || buf[p+j-1] != '\r' {
			return 0, 0, ErrBareLF
		}
		p += j + 1
	}
	if i >= 0 || len(buf)-start >= MaxHead {
		if bytes.IndexByte(buf[start:], '\n') < 0 {
			return 0, 0, ErrTargetLong
		}
		return 0, 0, ErrHeadLong
	}
	return start, 0, nil
}

// requestLine parses "method SP target SP version" (RFC 9112 section 3).
func requestLine(line []byte, r *http.Request) *Error {
	if bytes.IndexByte(line, '\n') >= 0 {
		return ErrBareLF
	}
	a := bytes.IndexByte(line, ' ')
	b := bytes.LastIndexByte(line, ' ')
	if a <= 0 || b <= a+1 {
		return ErrRequestLine
	}
	r.Method = line[:a:a]
	target := line[a+1 : b : b]
	if !all(r.Method, isToken) {
		return ErrMethod
	}
	if len(target) > MaxTarget {
		return ErrTargetLong
	}
	if !all(target, isTarget) {
		return ErrTarget
	}
	minor, e := version(line[b+1:])
	if e != nil {
		return e
	}
	r.Major, r.Minor = 1, minor
	return splitTarget(target, r)
}

// version parses HTTP/1.x; a higher minor version is the highest known one
// (RFC 9110 section 2.5).
func version(v []byte) (uint8, *Error) {
	if len(v) != 8 || string(v[:5]) != "HTTP/" || v[6] != '.' || v[5] < '0' || v[5] > '9' || v[7] < '0' || v[7] > '9' {
		return 0, ErrRequestLine
	}
	if v[5] != '1' {
		return 0, ErrVersion
	}
	return min(v[7]-'0', 1), nil
}

var slash = []byte("/")
var star = []byte("*")

// splitTarget tells the four forms of a target apart (RFC 9112 section 3.2).
func splitTarget(t []byte, r *http.Request) *Error {
	connect := string(r.Method) == "CONNECT"
	switch {
	case connect:
		if !http.ValidHostPort(t) {
			return ErrTarget
		}
		r.Target, r.Authority = t, t
	case t[0] == '/':
		r.Target = t
	case len(t) == 1 && t[0] == '*':
		if string(r.Method) != "OPTIONS" {
			return ErrTarget
		}
		r.Target = t
	default:
		return absolute(t, r)
	}
	return nil
}

func absolute(t []byte, r *http.Request) *Error {
	i := bytes.IndexByte(t, ':')
	if i < 0 || len(t) < i+4 || t[i+1] != '/' || t[i+2] != '/' {
		return ErrTarget
	}
	r.Scheme = t[:i:i]
	if !http.EqualFold(r.Scheme, "http") && !http.EqualFold(r.Scheme, "https") {
		return ErrTarget
	}
	rest := t[i+3:]
	end := bytes.IndexAny(rest, "/?")
	switch {
	case end < 0:
		r.Authority, r.Target = rest, slash
		if string(r.Method) == "OPTIONS" {
			r.Target = star
		}
	case rest[end] == '/':
		r.Authority, r.Target = rest[:end:end], rest[end:]
	default:
		// The path is empty, which is "/" (RFC 9110 section 4.2.3). It has no
		// place in front of the query.
		r.Authority, r.Target = rest[:end:end], append(append(make([]byte, 0, 1+len(rest)-end), '/'), rest[end:]...)
	}
	if len(r.Authority) == 0 || !http.ValidHost(r.Authority) {
		return ErrTarget
	}
	return nil
}

// status says whether b may be how a status line begins.
func status(b []byte) bool {
	if len(b) == 1 && b[0] == '\r' {
		return true // of an empty line in front
	}
	const form = "HTTP/1.0 000"
	for i := range min(len(b), len(form)) {
		if c := form[i]; b[i] != c && (c != '0' || b[i] < '0' || b[i] > '9') {
			return false
		}
	}
	return len(b) <= len(form) || b[len(form)] == ' ' || b[len(form)] == '\r'
}

// statusLine parses "version SP code SP [reason]" (RFC 9112 section 4). The
// last space may be missing, as many servers leave it out.
func statusLine(line []byte, r *http.Response) *Error {
	if len(line) < 12 || line[8] != ' ' || len(line) > 12 && line[12] != ' ' {
		return ErrStatusLine
	}
	minor, e := version(line[:8])
	if e != nil {
		return ErrStatusLine
	}
	for _, c := range line[9:12] {
		if c < '0' || c > '9' {
			return ErrStatusLine
		}
		r.Status = r.Status*10 + int(c-'0')
	}
	if r.Status < 100 {
		return ErrStatusLine
	}
	r.Major, r.Minor = 1, minor
	if len(line) > 13 {
		r.Reason = line[13:]
		if !all(r.Reason, isValue) {
			return ErrStatusLine
		}
	}
	return nil
}
