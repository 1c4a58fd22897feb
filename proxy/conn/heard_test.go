package conn

import (
	"net"
	"testing"
	"time"

	"github.com/weftmesh/weft/internal/waittest"
	"github.com/weftmesh/weft/proxy/conntest"
)

// A system answers for a process that reads nothing, and is heard of then.
func TestHeardOfASilentPeer(t *testing.T) {
	a, b := conntest.TCP(t)
	c := New(a)
	defer c.Close()
	until := func(what string, is func(ago time.Duration) bool) {
		t.Helper()
		waittest.Until(t, what, func() bool {
			ago, ok := c.Heard()
			if !ok {
				t.Fatal("it is unknown when the peer was heard of")
			}
			return is(ago)
		})
	}
	const long = 100 * time.Millisecond
	until("in vain", func(ago time.Duration) bool { return ago >= long })
	if _, err := c.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if err := c.Flush(); err != nil {
		t.Fatal(err)
	}
	until("b's system has acknowledged", func(ago time.Duration) bool { return ago < long })
	until("in vain", func(ago time.Duration) bool { return ago >= long })
	if _, err := b.Write([]byte("y")); err != nil {
		t.Fatal(err)
	}
	until("b has spoken", func(ago time.Duration) bool { return ago < long })

	x, y := net.Pipe()
	defer y.Close()
	p := New(x)
	defer p.Close()
	if ago, ok := p.Heard(); ok {
		t.Errorf("a pipe is said to be heard of %v ago", ago)
	}
}
