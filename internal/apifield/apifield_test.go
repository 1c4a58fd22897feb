package apifield

import (
	"errors"
	"fmt"
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
