package filter

import (
	"github.com/weftmesh/weft/proxy/http"
)

// CORS lets pages of other origins read responses (the CORS protocol of the
// Fetch standard). It is immutable.
type CORS struct {
	// Origins says which origins are allowed; the function is compiled of the
	// configuration's matchers.
	Origins func(origin []byte) bool
	// Methods, Headers, Expose and MaxAge are the values of the preflight's and
	// the response's fields; empty ones are not sent. A "*" in Methods or Headers
	// echoes what was asked for where Credentials is set.
	Methods, Headers, Expose, MaxAge string
	Credentials, PrivateNetwork      bool
	// Forward passes preflights of origins that are not allowed on; otherwise
	// they are answered without any permission.
	Forward bool
}

// Origin returns the request's origin where it may read the response, else nil.
func (c *CORS) Origin(r *http.Request) []byte {
	o, ok := http.Get(r.Fields, "origin")
	if !ok || len(o) == 0 || !c.Origins(o) {
		return nil
	}
	return o
}

// Preflight says whether the request asks for permission only.
func Preflight(r *http.Request) bool {
	if string(r.Method) != "OPTIONS" {
		return false
	}
	if o, ok := http.Get(r.Fields, "origin"); !ok || len(o) == 0 {
		return false
	}
	m, ok := http.Get(r.Fields, "access-control-request-method")
	return ok && len(m) > 0
}

// Permit makes the fields of the answer to a preflight.
func (c *CORS) Permit(r *http.Request, origin []byte) []http.Field {
	f := c.Allow(nil, origin)
	f = text(f, "access-control-allow-methods", c.wild(c.Methods, r, "access-control-request-method"))
	f = text(f, "access-control-allow-headers", c.wild(c.Headers, r, "access-control-request-headers"))
	f = text(f, "access-control-max-age", c.MaxAge)
	if v, _ := http.Get(r.Fields, "access-control-request-private-network"); c.PrivateNetwork && string(v) == "true" {
		f = text(f, "access-control-allow-private-network", "true")
	}
	return f
}

// wild tells what is asked for in place of a "*", which means nothing to a
// request with credentials.
func (c *CORS) wild(value string, r *http.Request, asked string) string {
	if value != "*" || !c.Credentials {
		return value
	}
	v, _ := http.Get(r.Fields, asked)
	return string(v)
}

// Allow appends the fields of a response to an allowed origin, in place of what
// the application says.
func (c *CORS) Allow(f []http.Field, origin []byte) []http.Field {
	f = Remove(f, "access-control-allow-origin")
	f = append(f, http.Field{Name: allowOrigin, Value: origin})
	if c.Credentials {
		f = text(Remove(f, "access-control-allow-credentials"), "access-control-allow-credentials", "true")
	}
	if c.Expose != "" {
		f = text(Remove(f, "access-control-expose-headers"), "access-control-expose-headers", c.Expose)
	}
	return vary(f)
}

var (
	allowOrigin = []byte("access-control-allow-origin")
	varyName    = []byte("vary")
	varyOrigin  = []byte("origin")
)

// vary says that the response depends on the origin: caches must not give it to
// another.
func vary(f []http.Field) []http.Field {
	for i := range f {
		if http.EqualFold(f[i].Name, "vary") && (string(f[i].Value) == "*" || http.EqualFold(f[i].Value, "origin")) {
			return f
		}
	}
	return append(f, http.Field{Name: varyName, Value: varyOrigin})
}

func text(f []http.Field, name, value string) []http.Field {
	if value == "" {
		return f
	}
	return append(f, http.Field{Name: []byte(name), Value: []byte(value)})
}
