package conn

import (
	"net"
	"testing"
)

// BenchmarkAlive is the look at an idle connection before it is used again.
func BenchmarkAlive(b *testing.B) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	nc, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	c := New(nc)
	defer c.Close()
	b.ReportAllocs()
	for b.Loop() {
		if !c.Alive() {
			b.Fatal("idle connection is taken for dead")
		}
	}
}
