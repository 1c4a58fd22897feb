package route

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/weftmesh/weft/proxy/http"
)

// ErrRegex means that a regular expression is not RE2, or too large.
var ErrRegex = errors.New("invalid regular expression")

// ErrMatch means that a condition contradicts itself or is incomplete.
var ErrMatch = errors.New("invalid match")

// maxRegex bounds the text of an expression, in bytes.
const maxRegex = 4096

// PathKind says how a path is compared.
type PathKind uint8

const (
	// AnyPath accepts every path.
	AnyPath PathKind = iota
	// ExactPath is the whole path.
	ExactPath
	// SegmentPrefix is the path, or the path and a slash and more.
	SegmentPrefix
	// Prefix is any beginning.
	Prefix
	// RegexPath is an RE2 expression for the whole path.
	RegexPath
)

func (k PathKind) String() string {
	return [...]string{"any", "exact", "segmentPrefix", "prefix", "regex"}[k]
}

// MatchSpec is a condition: all of its parts must hold.
type MatchSpec struct {
	Path      PathKind
	PathValue string
	Headers   []ValueMatch
	Query     []ValueMatch
}

// ValueMatch is a condition on one header field or query parameter. The field
// names :method, :authority, :path and :scheme stand for those parts of the
// head.
type ValueMatch struct {
	Name string
	// Value is the whole value, or an RE2 expression for it when Regex is true.
	Value string
	Regex bool
}

type matcher struct {
	kind   PathKind
	path   string
	re     *regexp.Regexp
	header []valueMatcher
	query  []valueMatcher
}

type valueMatcher struct {
	name  string // header: lower case
	value string
	re    *regexp.Regexp
}

func compile(s MatchSpec) (matcher, error) {
	m := matcher{kind: s.Path, path: s.PathValue}
	var err error
	switch s.Path {
	case AnyPath:
	case RegexPath:
		if m.re, err = whole(s.PathValue); err != nil {
			return m, fmt.Errorf("path: %w", err)
		}
	case ExactPath, SegmentPrefix, Prefix:
		if !strings.HasPrefix(s.PathValue, "/") {
			return m, fmt.Errorf("%w: path %q does not begin with a slash", ErrMatch, s.PathValue)
		}
		if s.Path == SegmentPrefix {
			m.path = strings.TrimSuffix(s.PathValue, "/")
		}
		if s.Path != ExactPath && m.path == "" || s.Path == Prefix && m.path == "/" {
			m.kind = AnyPath
		}
	default:
		return m, fmt.Errorf("%w: path kind %d", ErrMatch, s.Path)
	}
	for _, h := range s.Headers {
		v, err := newValue(h)
		if err != nil {
			return m, fmt.Errorf("header %q: %w", h.Name, err)
		}
		v.name = strings.ToLower(h.Name)
		if strings.HasPrefix(v.name, ":") && !pseudo[v.name] {
			return m, fmt.Errorf("%w: header %q is not one of :method, :authority, :path, :scheme", ErrMatch, h.Name)
		}
		m.header = append(m.header, v)
	}
	for _, q := range s.Query {
		v, err := newValue(q)
		if err != nil {
			return m, fmt.Errorf("query parameter %q: %w", q.Name, err)
		}
		m.query = append(m.query, v)
	}
	return m, nil
}

var pseudo = map[string]bool{":method": true, ":authority": true, ":path": true, ":scheme": true}

func newValue(s ValueMatch) (valueMatcher, error) {
	if s.Name == "" {
		return valueMatcher{}, fmt.Errorf("%w: the name is empty", ErrMatch)
	}
	v := valueMatcher{name: s.Name, value: s.Value}
	var err error
	if s.Regex {
		v.re, err = whole(s.Value)
	}
	return v, err
}

// whole compiles an expression that must match the whole text.
func whole(expr string) (*regexp.Regexp, error) {
	if len(expr) > maxRegex {
		return nil, fmt.Errorf("%w: %d bytes, the limit is %d", ErrRegex, len(expr), maxRegex)
	}
	// Compiled alone first: an expression such as "a)|(b" must not close our group.
	if _, err := regexp.Compile(expr); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRegex, err)
	}
	re, err := regexp.Compile(`\A(?:` + expr + `)\z`)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRegex, err)
	}
	return re, nil
}

// Match says whether the condition holds for a request.
func (m *matcher) Match(r *http.Request) bool {
	switch m.kind {
	case ExactPath:
		if string(r.Path()) != m.path {
			return false
		}
	case SegmentPrefix:
		p := r.Path()
		if len(p) < len(m.path) || string(p[:len(m.path)]) != m.path || len(p) > len(m.path) && p[len(m.path)] != '/' {
			return false
		}
	case Prefix:
		p := r.Path()
		if len(p) < len(m.path) || string(p[:len(m.path)]) != m.path {
			return false
		}
	case RegexPath:
		if !m.re.Match(r.Path()) {
			return false
		}
	}
	for i := range m.header {
		if !m.header[i].matchHeader(r) {
			return false
		}
	}
	for i := range m.query {
		if !m.query[i].matchQuery(r.Query()) {
			return false
		}
	}
	return true
}

func (v *valueMatcher) accepts(b []byte) bool {
	if v.re != nil {
		return v.re.Match(b)
	}
	return string(b) == v.value
}
