package config

import (
	"regexp"

	"github.com/weftmesh/weft/proxy/filter"
	"github.com/weftmesh/weft/proxy/route"
)

// path reads a path, or the beginning of one.
func (f field) path(to *string) error {
	if err := f.str(to); err != nil {
		return err
	}
	return checkPath(*to)
}

// constant is a format without commands.
func constant(v string) (string, error) {
	f, err := filter.NewFormat(v)
	if err != nil {
		return "", invalid("%v", err)
	}
	text, ok := f.Constant()
	if !ok {
		return "", unsupported("commands in %q", v)
	}
	return text, nil
}

// substitute reads a RegexMatchAndSubstitute: \1 to \9 are groups, \0 is the
// whole match.
func (f field) substitute(re **regexp.Regexp, template *[]byte) error {
	b, err := f.msg()
	if err != nil {
		return err
	}
	var pattern, by string
	err = eachField(b, func(f field) error {
		switch f.num {
		case 1:
			return f.in("pattern", func(b []byte) error { return decodeRegex(b, &pattern) })
		case 2:
			return f.str(&by)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if len(pattern) > route.MaxRegex {
		return invalid("an expression of %d bytes, the limit is %d", len(pattern), route.MaxRegex)
	}
	if *re, err = regexp.Compile(pattern); err != nil {
		return invalid("%v", err)
	}
	var out []byte
	for i := 0; i < len(by); i++ {
		switch c := by[i]; {
		case c == '$':
			out = append(out, "$$"...)
		case c != '\\':
			out = append(out, c)
		case i+1 == len(by):
			return invalid("substitution %q ends with a backslash", by)
		default:
			i++
			switch d := by[i]; {
			case d >= '0' && d <= '9':
				if int(d-'0') > (*re).NumSubexp() {
					return invalid("substitution %q names a group that %q does not have", by, pattern)
				}
				out = append(out, '$', '{', d, '}')
			case d == '\\':
				out = append(out, '\\')
			default:
				return invalid("substitution %q", by)
			}
		}
	}
	*template = out
	return checkPath(by)
}
