package freeport

import (
	"net"
	"testing"
)

func TestPorts(t *testing.T) {
	var p Ports
	seen := map[int]bool{}
	for range 50 {
		n, err := p.Next()
		if err != nil {
			t.Fatal(err)
		}
		if seen[n] || n < first || n >= last {
			t.Fatalf("port %d twice or out of range", n)
		}
		seen[n] = true
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	taken := l.Addr().(*net.TCPAddr).Port
	if got := p.Prefer(taken); got == taken {
		t.Errorf("a port somebody listens on, %d, is free", taken)
	}
}
