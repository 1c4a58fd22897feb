// Package apifield is what the readers of API objects share: faults that name
// the field, and the syntax of values that several APIs have.
package apifield

import (
	"errors"
	"fmt"
	"regexp"
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

// DNSName says whether s is a name that can be resolved: labels of RFC 1123,
// underscores allowed, with or without the dot at the end.
func DNSName(s string) bool {
	s = strings.TrimSuffix(s, ".")
	if s == "" || len(s) > 253 {
		return false
	}
	for _, label := range strings.Split(s, ".") {
		if label == "" || len(label) > 63 {
			return false
		}
		for _, r := range label {
			switch {
			case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '-', r == '_':
			default:
				return false
			}
		}
	}
	return true
}

// ServerName says whether s is a name that a client can ask for in TLS, or *,
// or stands for many by *. before a name.
func ServerName(s string) bool {
	return s == "*" || DNSName(strings.TrimPrefix(s, "*."))
}

// Text says whether s can be the value of a header field: no control characters
// but tabs.
func Text(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < 0x20 && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

// Authority says whether s can be the authority of a request, a host with or
// without a port: nothing that could end it.
func Authority(s string) bool { return s != "" && visible(s, "/?#@\\\"<>^{|}`") }

// Target says whether s can stand in the target of a request, as it is on the wire.
func Target(s string) bool { return visible(s, "#") }

func visible(s, but string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || strings.IndexByte(but, c) >= 0 {
			return false
		}
	}
	return true
}

// MaxExpression is the length of regular expressions that proxies take, in bytes,
// with what a translator may put around them.
const MaxExpression = 4096 - 64

// Expression says what is wrong with a regular expression.
func Expression(s string) error {
	if len(s) > MaxExpression {
		return fmt.Errorf("%d bytes are more than the limit of %d", len(s), MaxExpression)
	}
	_, err := regexp.Compile(s)
	return err
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
