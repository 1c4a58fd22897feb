package filter

import (
	"bytes"
	"regexp"
	"strconv"

	"github.com/weftmesh/weft/proxy/http"
)

// Path is a new path for a request, or for where it is redirected to. The zero
// value leaves it. At most one of Full, Prefix and Regex is set. It is immutable.
type Path struct {
	// Full replaces the whole path, and with a question mark in it the query.
	Full string
	// Prefix replaces the first Matched bytes of the path, where HasPrefix is
	// set; Matched is what the rule has matched: -1 for all of it.
	HasPrefix bool
	Prefix    string
	Matched   int
	// Regex replaces all its matches by Template (regexp.Expand).
	Regex    *regexp.Regexp
	Template []byte
}

// IsZero says whether the path stays.
func (p *Path) IsZero() bool { return p.Full == "" && !p.HasPrefix && p.Regex == nil }

// Append writes the new path for a request, with its query.
func (p *Path) Append(b []byte, r *http.Request) []byte {
	path := r.Path()
	rest := r.Target[len(path):]
	from := len(b)
	switch {
	case p.Full != "":
		b = append(b, p.Full...)
		if bytes.IndexByte(b[from:], '?') >= 0 {
			return b
		}
	case p.HasPrefix:
		b = append(b, p.Prefix...)
		if n := p.Matched; n >= 0 && n <= len(path) {
			b = append(b, path[n:]...)
		}
	case p.Regex != nil:
		b = append(b, p.Regex.ReplaceAll(path, p.Template)...)
	default:
		b = append(b, path...)
	}
	if len(b) == from || b[from] != '/' {
		b = append(b, 0)
		copy(b[from+1:], b[from:])
		b[from] = '/'
	}
	return append(b, rest...)
}

// Rewrite changes where a request goes once it has been routed. It is immutable.
type Rewrite struct {
	Path Path
	// Host replaces the authority; HostField names a field of the request that
	// does, if it is there; HostRegex makes it out of the path. What the client says
	// there is taken if it is a host.
	Host         string
	HostField    string // lower case
	HostRegex    *regexp.Regexp
	HostTemplate []byte
	// Forwarded keeps the former authority in x-forwarded-host.
	Forwarded bool
}

// Apply rewrites a request whose path is "/…"; "*" and an authority stay.
func (w *Rewrite) Apply(r *http.Request) {
	before := r.Authority
	switch {
	case w.Host != "":
		r.Authority = []byte(w.Host)
	case w.HostField != "":
		if v, ok := http.Get(r.Fields, w.HostField); ok && len(v) > 0 && http.ValidHost(v) {
			r.Authority = v
		}
	case w.HostRegex != nil:
		if v := w.HostRegex.ReplaceAll(r.Path(), w.HostTemplate); len(v) > 0 && http.ValidHost(v) {
			r.Authority = v
		}
	}
	if w.Forwarded && !bytes.Equal(before, r.Authority) {
		r.Fields = append(r.Fields, http.Field{Name: forwardedHost, Value: before})
	}
	if !w.Path.IsZero() && len(r.Target) > 0 && r.Target[0] == '/' {
		r.Target = w.Path.Append(make([]byte, 0, len(r.Target)+len(w.Path.Prefix)+len(w.Path.Full)+1), r)
	}
}

var forwardedHost = []byte("x-forwarded-host")

// Redirect answers a request with another address. It is immutable.
type Redirect struct {
	// Status is 301, 302, 303, 307 or 308.
	Status int
	// Scheme, Host and Port replace those of the request; empty and 0 keep them.
	Scheme, Host string
	Port         uint32
	Path         Path
	StripQuery   bool
}

// Location is where the client is sent. scheme is that of the request where it
// does not tell it itself.
func (d *Redirect) Location(r *http.Request, scheme string) []byte {
	if len(r.Scheme) > 0 {
		scheme = string(r.Scheme)
	}
	from := scheme
	if d.Scheme != "" {
		scheme = d.Scheme
	}
	host, port := splitPort(string(r.Authority))
	if d.Host != "" {
		var p string
		if host, p = splitPort(d.Host); p != "" {
			port = p
		}
	}
	if d.Port != 0 {
		port = strconv.Itoa(int(d.Port))
	} else if d.Scheme != "" && d.Scheme != from && (from == "http" && port == "80" || from == "https" && port == "443") {
		port = ""
	}
	if scheme == "http" && port == "80" || scheme == "https" && port == "443" {
		port = ""
	}
	b := make([]byte, 0, len(scheme)+len(host)+len(r.Target)+len(d.Path.Full)+len(d.Path.Prefix)+16)
	b = append(append(append(b, scheme...), "://"...), host...)
	if port != "" {
		b = append(append(b, ':'), port...)
	}
	target := *r
	if d.StripQuery {
		target.Target = r.Path()
	}
	if d.Path.IsZero() {
		return append(b, target.Target...)
	}
	return d.Path.Append(b, &target)
}

// splitPort divides an authority; the port is empty where there is none.
func splitPort(a string) (host, port string) {
	for i := len(a) - 1; i > 0; i-- {
		switch c := a[i]; {
		case c == ':':
			// A colon within an address that is not in brackets is none of a port.
			if bytes.IndexByte([]byte(a[:i]), ':') >= 0 && a[i-1] != ']' {
				return a, ""
			}
			return a[:i], a[i+1:]
		case c < '0' || c > '9':
			return a, ""
		}
	}
	return a, ""
}
