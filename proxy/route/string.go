package route

import "strings"

// String tells the condition in one line, for dumps.
func (s MatchSpec) String() string {
	var parts []string
	switch s.Path {
	case AnyPath:
		parts = append(parts, "any path")
	default:
		parts = append(parts, s.Path.String()+" "+s.PathValue)
	}
	for _, h := range s.Headers {
		parts = append(parts, "header "+h.String())
	}
	for _, q := range s.Query {
		parts = append(parts, "query "+q.String())
	}
	return strings.Join(parts, ", ")
}

func (v ValueMatch) String() string {
	if v.Regex {
		return v.Name + " ~ " + v.Value
	}
	return v.Name + " = " + v.Value
}
