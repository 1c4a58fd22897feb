package porttest

import (
	"errors"
	"net"
	"syscall"
	"testing"
)

func TestNobodyIsThere(t *testing.T) {
	a := Nobody(t).String()
	if c, err := net.Dial("tcp", a); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("connected to %v: %v", c, err)
	}
	if l, err := net.Listen("tcp", a); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("somebody else can listen there: %v, %v", l, err)
	}
}
