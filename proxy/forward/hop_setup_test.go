package forward_test

import (
	"bufio"
	"fmt"
	"net"
	nethttp "net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/weftmesh/weft/proxy/proxytest"
)

// both is an application that speaks HTTP/1.1 and HTTP/2.
func both(t testing.TB, h nethttp.HandlerFunc) netip.AddrPort {
	t.Helper()
	l, addr := listenTCP(t)
	s := &nethttp.Server{Handler: h, Protocols: new(nethttp.Protocols)}
	s.Protocols.SetHTTP1(true)
	s.Protocols.SetUnencryptedHTTP2(true)
	go s.Serve(l)
	t.Cleanup(func() { s.Close() })
	return addr
}

// rawHTTP1 is an application that answers each connection by itself.
func rawHTTP1(t testing.TB, h func(net.Conn, *bufio.Reader)) netip.AddrPort {
	t.Helper()
	l, addr := listenTCP(t)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				h(c, bufio.NewReader(c))
			}()
		}
	}()
	return addr
}

func ask(t testing.TB, a netip.AddrPort) (net.Conn, *bufio.Reader) {
	t.Helper()
	c, err := net.Dial("tcp", a.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(2 * patience))
	return c, bufio.NewReader(c)
}

// head reads a head as it was sent.
func head(r *bufio.Reader) (string, error) {
	var b strings.Builder
	for {
		l, err := r.ReadString('\n')
		b.WriteString(l)
		if err != nil || l == "\r\n" {
			return b.String(), err
		}
	}
}

// opened is how many connections a proxy has dialled, from its telemetry.
func opened(t testing.TB, w *proxytest.Workload) (n int) {
	t.Helper()
	var b strings.Builder
	if err := w.Telemetry.WriteLinkerd(&b); err != nil {
		t.Fatal(err)
	}
	for _, l := range strings.Split(b.String(), "\n") {
		if strings.HasPrefix(l, "tcp_open_total{") && strings.Contains(l, `direction="outbound"`) && strings.Contains(l, `peer="dst"`) {
			var k int
			fmt.Sscan(l[strings.LastIndexByte(l, ' ')+1:], &k)
			n += k
		}
	}
	return n
}
