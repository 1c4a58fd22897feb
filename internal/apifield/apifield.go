// Package apifield is what the readers of API objects share: faults that name
// the field, and the syntax of values that several APIs have.
package apifield

import (
	"errors"
	"strings"
)

// Error says which field is wrong.
type Error struct {
	// Field is a path such as spec.backends[1].weight; empty for the whole.
	Field string
	Err   error
}

func (e *Error) Error() string {
	if e.Field == "" {
		return e.Err.Error()
	}
	return e.Field + ": " + e.Err.Error()
}

// Unwrap returns what is wrong with the field.
func (e *Error) Unwrap() error { return e.Err }

// FieldPath returns the field.
func (e *Error) FieldPath() string { return e.Field }

// SetFieldPath replaces the field.
func (e *Error) SetFieldPath(path string) { e.Field = path }

// All unfolds what errors.Join has joined; what is no Error has no field.
func All(err error) []*Error {
	list := []error{err}
	// Only the outermost error is a list of faults.
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		list = many.Unwrap()
	}
	out := make([]*Error, 0, len(list))
	for _, err := range list {
		var e *Error
		if !errors.As(err, &e) {
			e = &Error{"", err}
		}
		out = append(out, e)
	}
	return out
}

// Token says whether s is a token of RFC 9110, section 5.6.2, such as a method
// or the name of a header.
func Token(s string) bool {
	for _, r := range s {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', strings.ContainsRune("!#$%&'*+-.^_`|~", r):
		default:
			return false
		}
	}
	return s != ""
}
