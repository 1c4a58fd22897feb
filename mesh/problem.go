package mesh

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Origin is where something was said: the object and, for files, the place.
type Origin struct {
	Kind      string `json:"kind,omitempty"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name,omitempty"`
	File      string `json:"file,omitempty"`
	// Line counts from 1; 0 means unknown.
	Line int `json:"line,omitempty"`
	// Field is the path within the object, such as spec.http[0].retries, where
	// it is known. Dumps leave it out.
	Field string `json:"-"`
}

// At returns the place of a field of the same object.
func (o Origin) At(field string) Origin {
	o.Field = field
	return o
}

// String returns for instance "TrafficSplit production/api-canary (split.yaml:12)".
func (o Origin) String() string {
	var b strings.Builder
	if o.Kind != "" {
		b.WriteString(o.Kind + " ")
	}
	if o.Namespace != "" {
		b.WriteString(o.Namespace + "/")
	}
	b.WriteString(o.Name)
	if o.File != "" {
		sep, end := " (", ")"
		if b.Len() == 0 {
			sep, end = "", ""
		}
		b.WriteString(sep + o.File)
		if o.Line > 0 {
			fmt.Fprintf(&b, ":%d", o.Line)
		}
		b.WriteString(end)
	}
	return b.String()
}

// Severity of a Problem.
type Severity string

const (
	// Error means that something asked for is not in effect.
	Error Severity = "Error"
	// Warning means that it is in effect, but probably not as meant.
	Warning Severity = "Warning"
	// Info is worth knowing.
	Info Severity = "Info"
)

// Problem is something wrong with the input, told to whoever can mend it.
type Problem struct {
	Severity Severity `json:"severity"`
	// Code is stable, such as WEFT0101 or Istio's own where one exists.
	Code   string `json:"code"`
	Origin Origin `json:"origin"`
	// Field is a path within the object, such as spec.backends[1].weight.
	Field string `json:"field,omitempty"`
	// Message says what is wrong and what happens instead.
	Message string `json:"message"`
	// Remedy says what to do about it.
	Remedy string `json:"remedy,omitempty"`
}

// String is the one-line form of logs and the CLI.
func (p Problem) String() string {
	s := fmt.Sprintf("%s [%s] %s", p.Severity, p.Code, p.Origin)
	if p.Field != "" {
		s += ": " + p.Field
	}
	s += ": " + p.Message
	if p.Remedy != "" {
		s += "; " + p.Remedy
	}
	return s
}

// SortProblems orders by origin, field, code and message.
func SortProblems(ps []Problem) {
	slices.SortStableFunc(ps, func(a, b Problem) int {
		return cmp.Or(strings.Compare(a.Origin.File, b.Origin.File), cmp.Compare(a.Origin.Line, b.Origin.Line), strings.Compare(a.Origin.Namespace, b.Origin.Namespace),
			strings.Compare(a.Origin.Name, b.Origin.Name), strings.Compare(a.Origin.Kind, b.Origin.Kind), strings.Compare(a.Field, b.Field), strings.Compare(a.Code, b.Code), strings.Compare(a.Message, b.Message))
	})
}
