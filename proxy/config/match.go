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
			err := f.wrappedBool(&sensitive)
			m.IgnoreCase = !sensitive
			return err
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
		case 8:
			// grpc: the content-type's own words.
			m.Headers = append(m.Headers, route.ValueMatch{Name: "content-type", Kind: route.Regex, Value: `application/grpc([+;].*)?`})
			return nil
		case 9:
			return f.in("runtime_fraction", func(b []byte) error {
				s, err := decodeRuntimeFraction(b)
				m.Share = &s
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

// decodeRuntimeFraction reads a RuntimeFractionalPercent; its runtime key is of
// no meaning here.
func decodeRuntimeFraction(b []byte) (s route.Share, err error) {
	err = eachField(b, func(f field) error {
		if f.num == 1 {
			return f.in("default_value", func(b []byte) (err error) {
				s, err = decodeFraction(b)
				return err
			})
		}
		return nil
	})
	return s, err
}

// decodeFraction reads a FractionalPercent.
func decodeFraction(b []byte) (route.Share, error) {
	var numerator, denominator uint32
	err := eachField(b, func(f field) error {
		switch f.num {
		case 1:
			return f.uint32(&numerator)
		case 2:
			return f.uint32(&denominator)
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	of := [...]uint64{100, 10_000, route.Million}
	if int(denominator) >= len(of) {
		return 0, unsupported("denominator %d", denominator)
	}
	return route.Share(min(uint64(numerator)*route.Million/of[denominator], route.Million)), nil
}

func decodeHeaderMatch(b []byte) (v route.ValueMatch, err error) {
	conditions := 0
	absent := false
	err = eachField(b, func(f field) error {
		switch f.num {
		case 1:
			return f.str(&v.Name)
		case 4:
			return f.text(route.Exact, &v, &conditions)
		case 9:
			return f.text(route.HasPrefix, &v, &conditions)
		case 10:
			return f.text(route.HasSuffix, &v, &conditions)
		case 12:
			return f.text(route.Contains, &v, &conditions)
		case 6:
			conditions++
			v.Kind = route.Range
			return f.in("range_match", func(b []byte) error { return decodeRange(b, &v) })
		case 7:
			conditions++
			v.Kind = route.Present
			present := false
			err := f.bool(&present)
			absent = !present
			return err
		case 8:
			return f.bool(&v.Invert)
		case 11:
			conditions++
			v.Kind = route.Regex
			return f.in("safe_regex_match", func(b []byte) error { return decodeRegex(b, &v.Value) })
		case 13:
			conditions++
			return f.in("string_match", func(b []byte) error { return decodeString(b, &v) })
		case 14:
			return f.bool(&v.MissingIsEmpty)
		}
		return unsupported("condition (field %d) on header %q", f.num, v.Name)
	})
	switch {
	case err != nil:
	case conditions > 1:
		err = invalid("%d conditions on header %q, want one", conditions, v.Name)
	case conditions == 0:
		// Without any condition the header must be there (HeaderMatcher).
		v.Kind = route.Present
	}
	if absent {
		v.Invert = !v.Invert
	}
	return v, err
}

// decodeRange reads an Int64Range.
func decodeRange(b []byte, v *route.ValueMatch) error {
	return eachField(b, func(f field) error {
		switch f.num {
		case 1:
			v.Low = int64(f.u)
		case 2:
			v.High = int64(f.u)
		}
		return nil
	})
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
		case 6:
			conditions++
			v.Kind = route.Present
			present := false
			err := f.bool(&present)
			v.Invert = !present
			return err
		}
		return unsupported("condition (field %d) on query parameter %q", f.num, v.Name)
	})
	switch {
	case err != nil:
	case conditions > 1:
		err = invalid("%d conditions on query parameter %q, want one", conditions, v.Name)
	case conditions == 0:
		v.Kind = route.Present
	}
	return v, err
}

// text reads the text of one kind of condition, and counts it.
func (f field) text(k route.ValueKind, v *route.ValueMatch, n *int) error {
	*n++
	v.Kind = k
	return f.str(&v.Value)
}

// decodeString reads a StringMatcher.
func decodeString(b []byte, v *route.ValueMatch) error {
	patterns := 0
	err := eachField(b, func(f field) error {
		switch f.num {
		case 1:
			return f.text(route.Exact, v, &patterns)
		case 2:
			return f.text(route.HasPrefix, v, &patterns)
		case 3:
			return f.text(route.HasSuffix, v, &patterns)
		case 7:
			return f.text(route.Contains, v, &patterns)
		case 5:
			patterns++
			v.Kind = route.Regex
			return f.in("safe_regex", func(b []byte) error { return decodeRegex(b, &v.Value) })
		case 6:
			return f.bool(&v.IgnoreCase)
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
