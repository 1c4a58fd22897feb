package route

import (
	"bytes"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/weftmesh/weft/proxy/http"
)

// ValueKind says how a value is compared.
type ValueKind uint8

const (
	// Exact is the whole value.
	Exact ValueKind = iota
	// HasPrefix is its beginning.
	HasPrefix
	// HasSuffix is its end.
	HasSuffix
	// Contains is any part of it.
	Contains
	// Regex is an RE2 expression for the whole value.
	Regex
	// Present is any value.
	Present
	// Range is a decimal number from Low up to, but not including, High.
	Range
)

func (k ValueKind) String() string {
	return [...]string{"=", "prefix", "suffix", "contains", "~", "present", "range"}[k]
}

// ValueMatch is a condition on one header field or query parameter. The field
// names :method, :authority, :path and :scheme stand for those parts of the
// head.
type ValueMatch struct {
	Name  string
	Value string
	Kind  ValueKind
	// Low and High bound a Range.
	Low, High int64
	// IgnoreCase compares ASCII letters without their case; not for Regex.
	IgnoreCase bool
	// Invert demands that the condition does not hold for a value that is there,
	// or for Present, that there is none. An absent value is compared as an empty
	// one where MissingIsEmpty is set, and matches nothing else (Envoy's
	// invert_match and treat_missing_header_as_empty).
	Invert         bool
	MissingIsEmpty bool
}

type valueMatcher struct {
	name   string // header: lower case
	value  []byte // lower case with fold
	kind   ValueKind
	fold   bool
	invert bool
	empty  bool
	re     *regexp.Regexp
	low    int64
	high   int64
}

func newValue(s ValueMatch) (valueMatcher, error) {
	v := valueMatcher{name: s.Name, value: []byte(s.Value), kind: s.Kind, fold: s.IgnoreCase, invert: s.Invert, empty: s.MissingIsEmpty, low: s.Low, high: s.High}
	if s.Name == "" {
		return v, fmt.Errorf("%w: the name is empty", ErrMatch)
	}
	var err error
	switch s.Kind {
	case Regex:
		v.re, err = whole(s.Value)
	case HasPrefix, HasSuffix, Contains:
		if s.Value == "" {
			err = fmt.Errorf("%w: the %s is empty", ErrMatch, s.Kind)
		}
	case Exact, Present, Range:
	default:
		err = fmt.Errorf("%w: value kind %d", ErrMatch, s.Kind)
	}
	if v.fold && s.Kind != Regex {
		v.value = []byte(strings.ToLower(s.Value))
	}
	return v, err
}

// NewText compiles a condition on a text by itself, such as an origin; the name
// is of no meaning.
func NewText(s ValueMatch) (func([]byte) bool, error) {
	s.Name = "value"
	v, err := newValue(s)
	return func(b []byte) bool { return v.accepts(b) != v.invert }, err
}

var pseudo = map[string]bool{":method": true, ":authority": true, ":path": true, ":scheme": true}

func newHeader(s ValueMatch) (valueMatcher, error) {
	v, err := newValue(s)
	v.name = strings.ToLower(s.Name)
	if err == nil && strings.HasPrefix(v.name, ":") && !pseudo[v.name] {
		err = fmt.Errorf("%w: it is not one of :method, :authority, :path, :scheme", ErrMatch)
	}
	return v, err
}

// accepts compares a value that is there.
func (v *valueMatcher) accepts(b []byte) bool {
	switch v.kind {
	case Regex:
		return v.re.Match(b)
	case Present:
		return true
	case Range:
		n, err := strconv.ParseInt(string(b), 10, 64)
		return err == nil && n >= v.low && n < v.high
	}
	n := len(v.value)
	if len(b) < n {
		return false
	}
	switch v.kind {
	case HasPrefix:
		b = b[:n]
	case HasSuffix:
		b = b[len(b)-n:]
	case Contains:
		if !v.fold {
			return bytes.Contains(b, v.value)
		}
		for i := 0; i+n <= len(b); i++ {
			if equalFold(b[i:i+n], v.value) {
				return true
			}
		}
		return false
	}
	if len(b) != n {
		return false
	}
	if v.fold {
		return equalFold(b, v.value)
	}
	return bytes.Equal(b, v.value)
}

// equalFold compares with lower-case text of the same length.
func equalFold(b, lower []byte) bool {
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

// matchHeader compares a field, or a pseudo-header. A field that occurs more
// than once counts as its values joined with commas (RFC 9110 section 5.3).
func (v *valueMatcher) matchHeader(r *http.Request) bool {
	b, found := v.header(r)
	if !found {
		return v.absent()
	}
	return v.accepts(b) != v.invert
}

// absent says whether the condition holds for a field that is not there: only
// "not present" does, where it does not count as empty.
func (v *valueMatcher) absent() bool {
	if v.empty {
		return v.accepts(nil) != v.invert
	}
	return v.kind == Present && v.invert
}

func (v *valueMatcher) header(r *http.Request) (value []byte, found bool) {
	if v.name[0] == ':' || v.name == "host" {
		switch v.name {
		case ":method":
			return r.Method, true
		case ":authority", "host":
			return r.Authority, true
		case ":path":
			return r.Target, true
		case ":scheme":
			return r.Scheme, true
		}
	}
	first := -1
	for i := range r.Fields {
		if http.EqualFold(r.Fields[i].Name, v.name) {
			if first >= 0 {
				return joined(r.Fields[first:], v.name), true
			}
			first = i
		}
	}
	if first < 0 {
		return nil, false
	}
	return r.Fields[first].Value, true
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
// HTTPQueryParamMatch).
func (v *valueMatcher) matchQuery(q []byte) bool {
	b, found := v.findQuery(q)
	return found && v.accepts(b)
}

// findQuery finds the first parameter of that name; names and values are
// percent-decoded where needed.
func (v *valueMatcher) findQuery(q []byte) (value []byte, found bool) {
	for len(q) > 0 {
		pair := q
		if i := bytes.IndexByte(q, '&'); i >= 0 {
			pair, q = q[:i], q[i+1:]
		} else {
			q = nil
		}
		name, value := pair, []byte(nil)
		if i := bytes.IndexByte(pair, '='); i >= 0 {
			name, value = pair[:i], pair[i+1:]
		}
		if string(unescape(name)) == v.name {
			return unescape(value), true
		}
	}
	return nil, false
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
