package route

import (
	"strconv"
	"strings"
)

// String tells the condition in one line, for dumps.
func (s MatchSpec) String() string {
	var parts []string
	switch s.Path {
	case AnyPath:
		parts = append(parts, "any path")
	default:
		parts = append(parts, s.Path.String()+" "+s.PathValue)
	}
	if s.IgnoreCase {
		parts = append(parts, "in any case")
	}
	for _, h := range s.Headers {
		parts = append(parts, "header "+h.String())
	}
	for _, q := range s.Query {
		parts = append(parts, "query "+q.String())
	}
	if s.Share != nil {
		parts = append(parts, "share "+strconv.FormatFloat(float64(*s.Share)*100/Million, 'f', -1, 64)+" %")
	}
	return strings.Join(parts, ", ")
}

func (v ValueMatch) String() string {
	out := v.Name + " " + v.Kind.String()
	switch v.Kind {
	case Present:
	case Range:
		out += " " + strconv.FormatInt(v.Low, 10) + " to " + strconv.FormatInt(v.High, 10)
	default:
		out += " " + v.Value
	}
	if v.Invert {
		return "not " + out
	}
	return out
}
