package accesslog

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/weftmesh/weft/internal/accessformat"
	"github.com/weftmesh/weft/proxy/http"
)

// ErrSpec means that a log cannot be made of its description.
var ErrSpec = errors.New("invalid access log")

// Default is Envoy's format of old, for loggers that bring none.
const Default = `[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% %RESPONSE_FLAGS% %BYTES_RECEIVED% %BYTES_SENT% %DURATION% ` +
	`%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" "%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%"` + "\n"

// Spec is what one logger is made of.
type Spec struct {
	// Path is that of the file; /dev/stdout and /dev/stderr are the process's.
	Path string
	// Text is the format, or JSON where that is not nil.
	Text string
	JSON *Value
	// OmitEmpty writes nothing for what is not known, where it would be a hyphen
	// in text, and leaves out the key in JSON.
	OmitEmpty bool
}

// Value is a value of a JSON format. Exactly one of Text, Raw, Fields and List
// counts, by Kind.
type Value struct {
	Kind   ValueKind
	Text   string // with commands
	Raw    string // JSON, as it is
	Fields []Field
	List   []Value
}

// Field is one of an object.
type Field struct {
	Key   string
	Value Value
}

// ValueKind is what a Value is.
type ValueKind uint8

// Kinds of a Value.
const (
	Text ValueKind = iota
	Raw
	Object
	List
)

// maxDepth bounds how deep a JSON format is nested.
const maxDepth = 16

// op is a command with the places of the values that it needs.
type op struct {
	accessformat.Op
	at   []int // in Entry.values, for each of Names
	text []byte
}

// format is one compiled logger's.
type format struct {
	ops  []op
	json *node
	omit bool
}

// node is a value of a JSON format.
type node struct {
	kind     ValueKind
	key      []byte // quoted, with the colon; empty in lists
	raw      []byte
	ops      []op
	children []node
}

// names are the header fields that the formats of one log need.
type names struct {
	request, response []string
	// original is where the path before it was rewritten belongs; -1 for nowhere.
	original int
}

func newNames() names { return names{original: -1} }

func place(list *[]string, name string) int {
	i := slices.Index(*list, name)
	if i < 0 {
		i = len(*list)
		*list = append(*list, name)
	}
	return i
}

func (n *names) ops(text string) ([]op, error) {
	parsed, err := accessformat.Parse(text)
	if err != nil {
		return nil, err
	}
	host := ""
	out := make([]op, 0, len(parsed))
	for _, p := range parsed {
		o := op{Op: p, text: []byte(p.Text)}
		for _, name := range p.Names {
			switch p.Command {
			case accessformat.Request:
				o.at = append(o.at, place(&n.request, name))
				if name == originalPath {
					n.original = place(&n.request, name)
					place(&n.request, ":path") // it is known by what becomes of that
				}
			case accessformat.Response:
				o.at = append(o.at, place(&n.response, name))
			}
		}
		if p.Command == accessformat.Host {
			if host == "" {
				host, _ = os.Hostname()
			}
			o.text = []byte(host)
		}
		out = append(out, o)
	}
	return out, nil
}

func (n *names) compile(s *Spec) (f format, err error) {
	f.omit = s.OmitEmpty
	if s.JSON == nil {
		text := s.Text
		if text == "" {
			text = Default
		}
		f.ops, err = n.ops(text)
		return f, err
	}
	if s.JSON.Kind != Object {
		return f, fmt.Errorf("%w: the JSON format is not an object", ErrSpec)
	}
	f.json, err = n.node(s.JSON, 0)
	return f, err
}

func (n *names) node(v *Value, depth int) (*node, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("%w: the JSON format is nested deeper than %d", ErrSpec, maxDepth)
	}
	out := &node{kind: v.Kind, raw: []byte(v.Raw)}
	var err error
	if out.ops, err = n.ops(v.Text); err != nil {
		return nil, err
	}
	for i := range v.List {
		c, err := n.node(&v.List[i], depth+1)
		if err != nil {
			return nil, err
		}
		out.children = append(out.children, *c)
	}
	// In the order of their names, as Envoy writes them.
	fields := slices.Clone(v.Fields)
	slices.SortStableFunc(fields, func(a, b Field) int { return strings.Compare(a.Key, b.Key) })
	for i := range fields {
		c, err := n.node(&fields[i].Value, depth+1)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", fields[i].Key, err)
		}
		c.key = append(appendQuoted(nil, []byte(fields[i].Key)), ':')
		out.children = append(out.children, *c)
	}
	return out, nil
}

// append writes a line.
func (f *format) append(b []byte, e *Entry) []byte {
	if f.json != nil {
		b, _ = f.json.append(b, e, f.omit)
		return append(b, '\n')
	}
	for i := range f.ops {
		from := len(b)
		o := &f.ops[i]
		v, _, ok := e.value(b, o)
		if b = o.limit(v, from); !ok && !f.omit {
			b = append(b, '-')
		}
		if o.Command != accessformat.Text && !http.Visible(b[from:]) {
			oneLine(b[from:])
		}
	}
	return b
}

// oneLine takes line breaks out of a value: what others have chosen, as the name
// in a ClientHello or in a certificate that is refused, must not look like a line
// of its own.
func oneLine(v []byte) {
	for i, c := range v {
		if c == '\n' || c == '\r' {
			v[i] = '_'
		}
	}
}

func (o *op) limit(b []byte, from int) []byte {
	if o.Max > 0 && len(b)-from > o.Max {
		b = b[:from+o.Max]
	}
	return b
}

// append writes the value, and says whether there is one.
func (n *node) append(b []byte, e *Entry, omit bool) ([]byte, bool) {
	switch n.kind {
	case Raw:
		return append(b, n.raw...), true
	case Object, List:
		open, end := byte('{'), byte('}')
		if n.kind == List {
			open, end = '[', ']'
		}
		b = append(b, open)
		first := true
		for i := range n.children {
			c := &n.children[i]
			from := len(b)
			if !first {
				b = append(b, ',')
			}
			b = append(b, c.key...)
			v, ok := c.append(b, e, omit)
			if b = v; !ok && omit && n.kind == Object {
				b = b[:from]
				continue
			}
			first = false
		}
		return append(b, end), true
	}
	return n.appendText(b, e, omit)
}

// appendText writes a value with commands: a single one keeps its type.
func (n *node) appendText(b []byte, e *Entry, omit bool) ([]byte, bool) {
	if len(n.ops) == 1 && n.ops[0].Command != accessformat.Text {
		o := &n.ops[0]
		v, number, ok := e.value(e.scratch[:0], o)
		e.scratch = v
		switch {
		case !ok && o.Command == accessformat.Flags:
			return append(b, `"-"`...), true
		case !ok:
			return append(b, "null"...), false
		case number:
			return append(b, v...), true
		}
		return appendQuoted(b, o.limit(v, 0)), true
	}
	text := e.scratch[:0]
	for i := range n.ops {
		from := len(text)
		o := &n.ops[i]
		v, _, ok := e.value(text, o)
		if text = o.limit(v, from); !ok && !omit {
			text = append(text, '-')
		}
	}
	e.scratch = text
	return appendQuoted(b, text), true
}

// appendQuoted writes a JSON string; bytes that are not UTF-8 become U+FFFD.
func appendQuoted(b, v []byte) []byte {
	b = append(b, '"')
	from := 0
	for i := 0; i < len(v); {
		c := v[i]
		if c >= 0x20 && c < 0x7f && c != '"' && c != '\\' {
			i++
			continue
		}
		n := 1
		if c >= 0x80 {
			if n = runeLen(v[i:]); n > 0 {
				i += n
				continue
			}
			n = 1
		}
		b = append(b, v[from:i]...)
		switch {
		case c >= 0x80:
			b = append(b, "\ufffd"...)
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c == '\t':
			b = append(b, `\t`...)
		case c == '\n':
			b = append(b, `\n`...)
		case c == '\r':
			b = append(b, `\r`...)
		default:
			const hex = "0123456789abcdef"
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
		i += n
		from = i
	}
	return append(append(b, v[from:]...), '"')
}

func appendInt(b []byte, n int64) []byte { return strconv.AppendInt(b, n, 10) }
