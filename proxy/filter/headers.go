package filter

import (
	"strings"

	"github.com/weftmesh/weft/proxy/http"
)

// Header is one field to set or add.
type Header struct{ Name, Value string }

// HeaderOps changes the fields of a message. The zero value changes nothing.
// It is immutable once compiled and may be shared.
type HeaderOps struct {
	set, add []op
	remove   []string // lower case
}

type op struct {
	lower string
	field http.Field
}

// NewHeaderOps compiles a change: first the fields named in remove go, then
// those of set replace what is there, then those of add are appended.
func NewHeaderOps(set, add []Header, remove []string) HeaderOps {
	var o HeaderOps
	for _, h := range set {
		o.set = append(o.set, newOp(h))
	}
	for _, h := range add {
		o.add = append(o.add, newOp(h))
	}
	for _, n := range remove {
		o.remove = append(o.remove, strings.ToLower(n))
	}
	return o
}

func newOp(h Header) op {
	return op{strings.ToLower(h.Name), http.Field{Name: []byte(h.Name), Value: []byte(h.Value)}}
}

// IsZero says whether nothing changes.
func (o *HeaderOps) IsZero() bool { return len(o.set)+len(o.add)+len(o.remove) == 0 }

// Request applies the change to a request. A field named host stands for the
// authority, which can be set but neither removed nor repeated.
func (o *HeaderOps) Request(r *http.Request) {
	if o.IsZero() {
		return
	}
	for i := range o.set {
		if o.set[i].lower == "host" {
			r.Authority = o.set[i].field.Value
		}
	}
	r.Fields = o.apply(r.Fields)
}

// Response applies the change to a response.
func (o *HeaderOps) Response(r *http.Response) {
	if !o.IsZero() {
		r.Fields = o.apply(r.Fields)
	}
}

func (o *HeaderOps) apply(f []http.Field) []http.Field {
	for _, n := range o.remove {
		f = Remove(f, n)
	}
	for i := range o.set {
		f = set(f, &o.set[i])
	}
	for i := range o.add {
		if o.add[i].lower != "host" {
			f = append(f, o.add[i].field)
		}
	}
	return f
}

// set replaces the first field of that name, drops the others, and appends
// where there was none.
func set(f []http.Field, s *op) []http.Field {
	if s.lower == "host" {
		return f
	}
	for i := range f {
		if http.EqualFold(f[i].Name, s.lower) {
			f[i] = s.field
			tail := Remove(f[i+1:], s.lower)
			return f[:i+1+len(tail)]
		}
	}
	return append(f, s.field)
}

// Remove drops every field of that lower-case name in place.
func Remove(f []http.Field, lower string) []http.Field {
	n := 0
	for i := range f {
		if !http.EqualFold(f[i].Name, lower) {
			if n != i {
				f[n] = f[i]
			}
			n++
		}
	}
	return f[:n]
}
