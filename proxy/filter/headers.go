package filter

import (
	"strings"

	"github.com/weftmesh/weft/proxy/http"
)

// Header is one field to set or add.
type Header struct{ Name, Value string }

// Action is what becomes of a field that is there already. The numbers are
// those of envoy.config.core.v3.HeaderValueOption.HeaderAppendAction.
type Action uint8

const (
	// Append adds a field of the same name.
	Append Action = iota
	// AddIfAbsent leaves what is there.
	AddIfAbsent
	// Overwrite replaces it, and adds where there is none.
	Overwrite
	// OverwriteIfExists replaces it, and adds nothing.
	OverwriteIfExists
)

// Change is one field to write. Value may be a format (NewFormat).
type Change struct {
	Name, Value string
	Action      Action
}

// HeaderOps changes the fields of a message. The zero value changes nothing.
// It is immutable once compiled and may be shared.
type HeaderOps struct {
	ops    []op
	remove []string // lower case
}

type op struct {
	lower  string
	action Action
	field  http.Field
	format *Format // instead of the field's value; nil where that is constant
}

// NewHeaderOps compiles a change of constants: first the fields named in remove
// go, then those of set replace what is there, then those of add are appended.
func NewHeaderOps(set, add []Header, remove []string) HeaderOps {
	var o HeaderOps
	for _, h := range set {
		o.ops = append(o.ops, newOp(h.Name, h.Value, Overwrite))
	}
	for _, h := range add {
		o.ops = append(o.ops, newOp(h.Name, h.Value, Append))
	}
	o.drop(remove)
	return o
}

// CompileHeaderOps compiles a change: first the fields named in remove go, then
// the changes are made in their order. Its errors name the field.
func CompileHeaderOps(changes []Change, remove []string) (HeaderOps, error) {
	var o HeaderOps
	for _, c := range changes {
		f, err := NewFormat(c.Value)
		if err != nil {
			return o, err
		}
		text, constant := f.Constant()
		n := newOp(c.Name, text, c.Action)
		if !constant {
			n.format = f
		}
		o.ops = append(o.ops, n)
	}
	o.drop(remove)
	return o, nil
}

func (o *HeaderOps) drop(names []string) {
	for _, n := range names {
		o.remove = append(o.remove, strings.ToLower(n))
	}
}

func newOp(name, value string, a Action) op {
	return op{lower: strings.ToLower(name), action: a, field: http.Field{Name: []byte(name), Value: []byte(value)}}
}

// IsZero says whether nothing changes.
func (o *HeaderOps) IsZero() bool { return len(o.ops)+len(o.remove) == 0 }

// Count is how many changes there are.
func (o *HeaderOps) Count() int { return len(o.ops) + len(o.remove) }

func (o *HeaderOps) formats() bool {
	for i := range o.ops {
		if o.ops[i].format != nil {
			return true
		}
	}
	return false
}

// Request applies the change to a request. A field named host stands for the
// authority, which can be set but neither removed nor repeated. facts may be
// nil where no value is a format.
func (o *HeaderOps) Request(r *http.Request, facts *Facts) {
	if o.IsZero() {
		return
	}
	for i := range o.ops {
		if p := &o.ops[i]; host(p.lower) && p.action >= Overwrite {
			r.Authority = p.make(r, facts).Value
		}
	}
	r.Fields = o.apply(r.Fields, r, facts)
}

// Response applies the change to a response.
func (o *HeaderOps) Response(r *http.Response, facts *Facts) {
	if !o.IsZero() {
		r.Fields = o.apply(r.Fields, nil, facts)
	}
}

func (o *HeaderOps) apply(f []http.Field, r *http.Request, facts *Facts) []http.Field {
	for _, n := range o.remove {
		f = Remove(f, n)
	}
	for i := range o.ops {
		p := &o.ops[i]
		if host(p.lower) {
			continue
		}
		if r != nil {
			r.Fields = f // what a format reads
		}
		f = p.apply(f, r, facts)
	}
	return f
}

func (p *op) make(r *http.Request, facts *Facts) http.Field {
	if p.format == nil {
		return p.field
	}
	return http.Field{Name: p.field.Name, Value: p.format.Append(nil, r, facts)}
}

func (p *op) apply(f []http.Field, r *http.Request, facts *Facts) []http.Field {
	if p.action == Append {
		return append(f, p.make(r, facts))
	}
	for i := range f {
		if !http.EqualFold(f[i].Name, p.lower) {
			continue
		}
		if p.action == AddIfAbsent {
			return f
		}
		// The first is replaced, the others go.
		f[i] = p.make(r, facts)
		tail := Remove(f[i+1:], p.lower)
		return f[:i+1+len(tail)]
	}
	if p.action == OverwriteIfExists {
		return f
	}
	return append(f, p.make(r, facts))
}

func host(lower string) bool { return lower == "host" || lower == ":authority" }

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
