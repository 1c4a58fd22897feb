package apifield

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestAll(t *testing.T) {
	bad := errors.New("bad")
	got := All(errors.Join(fmt.Errorf("read: %w", &Error{"spec.a", bad}), bad))
	if len(got) != 2 || got[0].Field != "spec.a" || got[0].Err != bad || got[1].Field != "" || got[1].Error() != "bad" {
		t.Errorf("%+v", got)
	}
	if one := All(&Error{"spec.b", bad}); len(one) != 1 || one[0].Error() != "spec.b: bad" || !errors.Is(one[0], bad) {
		t.Errorf("%+v", one)
	}
}

func TestToken(t *testing.T) {
	for s, want := range map[string]bool{"GET": true, "x-a_b": true, "": false, "a b": false, "é": false, "a:b": false} {
		if Token(s) != want {
			t.Errorf("%q", s)
		}
	}
}

func TestSyntax(t *testing.T) {
	for name, c := range map[string]struct {
		is        func(string) bool
		yes, none []string
	}{
		"DNSName":    {DNSName, []string{"a", "a-b.example.com", "a_b.c.", "192.0.2.1"}, []string{"", ".", "*.a", "a..b", ".a", "a b", "::1", "a/b", "%", strings.Repeat("a", 64), strings.Repeat("a.", 127) + "a"}},
		"ServerName": {ServerName, []string{"*", "*.a.b", "a.b"}, []string{"", "*.", "**", "a.*", "*a", "a:443", "/.."}},
		"Text":       {Text, []string{"", "a b", "a\tb", "é"}, []string{"a\r\nb", "\x00", "\x01", "\x7f"}},
		"Authority":  {Authority, []string{"a", "a:80", "[::1]:80"}, []string{"", "a b", "a/b", "a?b", "a@b", `a"b`, "a<b", "é", "a\nb"}},
		"Target":     {Target, []string{"", "/a?b=%20"}, []string{"/a b", "/a#b", "/é", "/\x00"}},
		"Expression": {func(s string) bool { return Expression(s) == nil }, []string{"", "a|b"}, []string{"(", strings.Repeat("a", MaxExpression+1)}},
	} {
		for _, s := range c.yes {
			if !c.is(s) {
				t.Errorf("%s(%q) is false", name, s)
			}
		}
		for _, s := range c.none {
			if c.is(s) {
				t.Errorf("%s(%q) is true", name, s)
			}
		}
	}
}
