package h1

import (
	"bytes"
	"testing"

	"github.com/weftmesh/weft/proxy/http"
)

// plainly is what lines does of a single line, a byte at a time.
func plainly(b []byte) *Error {
	if b[0] == ' ' || b[0] == '\t' {
		return ErrFold
	}
	cr, lf := bytes.IndexByte(b, '\r'), bytes.IndexByte(b, '\n')
	switch {
	case cr < 0 || lf < cr:
		return ErrBareLF
	case lf != cr+1:
		return ErrBareCR
	}
	name, value, found := bytes.Cut(b[:cr], []byte(":"))
	if !found || len(name) == 0 || !all(name, isToken) {
		return ErrFieldName
	}
	if !all(bytes.Trim(value, " \t"), isValue) {
		return ErrFieldValue
	}
	return nil
}

// Every line of few bytes is taken or refused for the reason that a look at each
// byte gives, long values included.
func TestEveryShortLine(t *testing.T) {
	const letters = "x: \t\r\n\x00\x7f\xe4"
	var line []byte
	var try func(left int)
	check := func(b []byte) {
		b = append(append([]byte(nil), b...), "\r\n"...)
		end := bytes.IndexByte(b, '\n') + 1
		want := plainly(b)
		var s scan
		// Behind a line that is whole there may be others.
		if got := s.lines(b[:end]); got != want {
			t.Fatalf("%q: %v, want %v", b[:end], got, want)
		}
	}
	try = func(left int) {
		check(line)
		if left == 0 {
			return
		}
		for i := range len(letters) {
			line = append(line, letters[i])
			try(left - 1)
			line = line[:len(line)-1]
		}
	}
	try(5)
	for i := range 40 {
		for c := range 256 {
			value := bytes.Repeat([]byte("v"), 40)
			value[i] = byte(c)
			check(append([]byte("name:"), value...))
		}
	}
}

// Visible never takes what is not a value.
func TestVisible(t *testing.T) {
	for n := range 20 {
		for at := range n {
			for c := range 256 {
				b := bytes.Repeat([]byte("v"), n)
				b[at] = byte(c)
				if want := c >= ' ' && c != 0x7f; c < 0x80 && http.Visible(b) != want || http.Visible(b) && !want {
					t.Fatalf("%q: %v", b, http.Visible(b))
				}
			}
		}
	}
}
