package config

import (
	"github.com/weftmesh/weft/proxy/route"
)

// decodeMatch reads a RouteMatch. A condition that is not known is refused:
// without it the rule would take requests that are not its own.
func decodeMatch(b []byte) (m route.MatchSpec, err error) {
	paths := 0
	path := func(k route.PathKind, f field) error {
		paths++
		m.Path = k
		return f.str(&m.PathValue)
	}
	err = eachField(b, func(f field) error {
		switch f.num {
		case 1:
			return path(route.Prefix, f)
		case 2:
			return path(route.ExactPath, f)
		case 14:
			return path(route.SegmentPrefix, f)
		case 10:
			paths++
			m.Path = route.RegexPath
			return f.in("safe_regex", func(b []byte) error { return decodeRegex(b, &m.PathValue) })
		case 4:
			sensitive := true
			if err := f.wrappedBool(&sensitive); err != nil || sensitive {
				return err
			}
			return unsupported("case_sensitive: false")
		case 6:
			return f.in("headers", func(b []byte) error {
				v, err := decodeHeaderMatch(b)
				m.Headers = append(m.Headers, v)
				return err
			})
		case 7:
			return f.in("query_parameters", func(b []byte) error {
				v, err := decodeQueryMatch(b)
				m.Query = append(m.Query, v)
				return err
			})
		}
		return unsupported("condition (field %d)", f.num)
	})
	if err == nil && paths != 1 {
		err = invalid("%d path conditions, want one", paths)
	}
	// An empty prefix is every path.
	if m.Path == route.Prefix && m.PathValue == "" {
		m.Path = route.AnyPath
	}
	return m, err
}

func decodeHeaderMatch(b []byte) (v route.ValueMatch, err error) {
	conditions := 0
	err = eachField(b, func(f field) error {
		switch f.num {
		case 1:
			return f.str(&v.Name)
		case 4:
			conditions++
			return f.str(&v.Value)
		case 11:
			conditions++
			v.Regex = true
			return f.in("safe_regex_match", func(b []byte) error { return decodeRegex(b, &v.Value) })
		case 13:
			conditions++
			return f.in("string_match", func(b []byte) error { return decodeString(b, &v) })
		}
		return unsupported("condition (field %d) on header %q", f.num, v.Name)
	})
	if err == nil && conditions != 1 {
		err = unsupported("%d conditions on header %q, want one", conditions, v.Name)
	}
	return v, err
}

func decodeQueryMatch(b []byte) (v route.ValueMatch, err error) {
	conditions := 0
	err = eachField(b, func(f field) error {
		switch f.num {
		case 1:
			return f.str(&v.Name)
		case 5:
			conditions++
			return f.in("string_match", func(b []byte) error { return decodeString(b, &v) })
		}
		return unsupported("condition (field %d) on query parameter %q", f.num, v.Name)
	})
	if err == nil && conditions != 1 {
		err = unsupported("%d conditions on query parameter %q, want one", conditions, v.Name)
	}
	return v, err
}

// decodeString reads a StringMatcher: exact or safe_regex.
func decodeString(b []byte, v *route.ValueMatch) error {
	patterns := 0
	err := eachField(b, func(f field) error {
		switch f.num {
		case 1:
			patterns++
			return f.str(&v.Value)
		case 5:
			patterns++
			v.Regex = true
			return f.in("safe_regex", func(b []byte) error { return decodeRegex(b, &v.Value) })
		case 6:
			if f.u == 0 {
				return nil
			}
		}
		return unsupported("pattern (field %d)", f.num)
	})
	if err == nil && patterns != 1 {
		err = invalid("%d patterns, want one", patterns)
	}
	return err
}

// decodeRegex reads a RegexMatcher.
func decodeRegex(b []byte, to *string) error {
	return eachField(b, func(f field) error {
		if f.num == 2 {
			return f.str(to)
		}
		return nil
	})
}
