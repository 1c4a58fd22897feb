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

// MaxRegex bounds the text of an expression, in bytes.
const MaxRegex = 4096

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
	// IgnoreCase compares the letters of the path without their case; not for
	// RegexPath.
	IgnoreCase bool
	Headers    []ValueMatch
	Query      []ValueMatch
	// Share, where it is set, is the part of the requests that the rule takes.
	Share *Share
}

// Plain says whether every request matches.
func (s *MatchSpec) Plain() bool {
	anyPath := s.Path == AnyPath || s.Path == Prefix && (s.PathValue == "/" || s.PathValue == "")
	return anyPath && len(s.Headers)+len(s.Query) == 0 && s.Share == nil
}

type matcher struct {
	kind   PathKind
	fold   bool
	path   string // lower case with fold
	re     *regexp.Regexp
	header []valueMatcher
	query  []valueMatcher
	share  *Share
}

func compile(s MatchSpec) (matcher, error) {
	m := matcher{kind: s.Path, path: s.PathValue, fold: s.IgnoreCase && s.Path != RegexPath, share: s.Share}
	var err error
	switch s.Path {
	case AnyPath:
	case RegexPath:
		if m.re, err = whole(s.PathValue); err != nil {
			return m, fmt.Errorf("path: %w", err)
		}
	case ExactPath, SegmentPrefix, Prefix:
		// A path without a slash before it is one that requests do not have, but
		// for "*" of OPTIONS: the rule stands and takes nothing.
		if s.PathValue == "" {
			return m, fmt.Errorf("%w: the path is empty", ErrMatch)
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
	if m.fold {
		m.path = strings.ToLower(m.path)
	}
	for _, h := range s.Headers {
		v, err := newHeader(h)
		if err != nil {
			return m, fmt.Errorf("header %q: %w", h.Name, err)
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

// matched is how much of a path the condition covers (Path.Matched of filter).
func (m *matcher) matched() int {
	switch m.kind {
	case Prefix, SegmentPrefix:
		return len(m.path)
	case AnyPath:
		return min(1, len(m.path)) // prefix "/"
	}
	return -1
}

// whole compiles an expression that must match the whole text.
func whole(expr string) (*regexp.Regexp, error) {
	if len(expr) > MaxRegex {
		return nil, fmt.Errorf("%w: %d bytes, the limit is %d", ErrRegex, len(expr), MaxRegex)
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
	return m.matchPath(r.Path()) && m.matchRest(r)
}

func (m *matcher) matchPath(p []byte) bool {
	switch m.kind {
	case ExactPath:
		return len(p) == len(m.path) && m.begins(p)
	case SegmentPrefix:
		return m.begins(p) && (len(p) == len(m.path) || p[len(m.path)] == '/')
	case Prefix:
		return m.begins(p)
	case RegexPath:
		return m.re.Match(p)
	}
	return true
}

func (m *matcher) begins(p []byte) bool {
	if len(p) < len(m.path) {
		return false
	}
	if m.fold {
		return http.EqualFold(p[:len(m.path)], m.path)
	}
	return string(p[:len(m.path)]) == m.path
}

// matchRest is all conditions but that on the path.
func (m *matcher) matchRest(r *http.Request) bool {
	for i := range m.header {
		if !m.header[i].matchHeader(r) {
			return false
		}
	}
	return m.matchQueryShare(r)
}

func (m *matcher) matchQueryShare(r *http.Request) bool {
	if len(m.query) > 0 {
		q := r.Query()
		for i := range m.query {
			if !m.query[i].matchQuery(q) {
				return false
			}
		}
	}
	return m.share == nil || m.share.Draws(random())
}
