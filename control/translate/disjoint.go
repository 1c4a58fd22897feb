package translate

import (
	"regexp/syntax"
	"slices"
	"strings"

	"github.com/weftmesh/weft/mesh"
)

// literal is what every path begins with that fits a match; whole says that
// nothing follows.
type literal struct {
	text  string
	whole bool
}

// literals remembers those of matches: expressions are costly to read.
type literals map[mesh.PathMatch]literal

func (l literals) of(p mesh.PathMatch) literal {
	out, known := l[p]
	if known {
		return out
	}
	switch p.Kind {
	case mesh.Exact:
		out = literal{p.Value, true}
	case mesh.StringPrefix:
		out.text = p.Value
	case mesh.PathPrefix:
		out.text = strings.TrimRight(p.Value, "/")
	case mesh.Regex:
		if re, err := syntax.Parse(p.Value, syntax.Perl); err == nil {
			out.whole = out.begin(re.Simplify())
		}
	}
	l[p] = out
	return out
}

// begin adds what everything begins with that fits an expression, as a whole;
// false where more may follow.
func (l *literal) begin(re *syntax.Regexp) bool {
	switch re.Op {
	case syntax.OpEmptyMatch, syntax.OpEndText:
		return true
	case syntax.OpBeginText:
		return l.text == ""
	case syntax.OpLiteral:
		if re.Flags&syntax.FoldCase != 0 {
			return false
		}
		l.text += string(re.Rune)
		return true
	case syntax.OpCapture:
		return l.begin(re.Sub[0])
	case syntax.OpPlus:
		l.begin(re.Sub[0])
		return false
	case syntax.OpConcat:
		for _, sub := range re.Sub {
			if !l.begin(sub) {
				return false
			}
		}
		return true
	}
	return false
}

// otherMethod says that one match asks for a method that the other excludes.
func otherMethod(x, y *mesh.Match) bool {
	return x.Method != "" && slices.ContainsFunc(y.Headers, func(h mesh.ValueMatch) bool {
		return h.Name == ":method" && h.Kind == mesh.Exact && h.Invert && h.Value == x.Method
	})
}

// disjoint says that no path fits both; false where that is not plain.
func (l literals) disjoint(x, y mesh.PathMatch) bool {
	a, b := l.of(x), l.of(y)
	if x.IgnoreCase || y.IgnoreCase {
		a.text, b.text = strings.ToLower(a.text), strings.ToLower(b.text)
	}
	if len(a.text) > len(b.text) {
		a, b = b, a
	}
	// The longer one begins with the shorter, or nothing fits; after one that is
	// whole nothing may follow.
	return !strings.HasPrefix(b.text, a.text) || a.whole && len(b.text) > len(a.text)
}
