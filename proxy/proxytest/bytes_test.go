package proxytest

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/weftmesh/weft/internal/waittest"
	"github.com/weftmesh/weft/proxy/config"
	"github.com/weftmesh/weft/proxy/listen"
	"github.com/weftmesh/weft/proxy/policy"
	"github.com/weftmesh/weft/proxy/upstream"
)

// carried is a destination of bytes whose server is behind a proxy.
type carried struct {
	t              testing.TB
	client, server *Workload
	cluster        *upstream.Cluster
	destination    *Destination
	out            netip.AddrPort
	hops           atomic.Int64 // connections between the proxies that came about
}

func newCarried(t testing.TB, serve func(*net.TCPConn)) *carried {
	ca := NewCA(t)
	c := &carried{t: t, server: New(t, ca, ID("db"), Options{}), client: New(t, ca, ID("web"), Options{})}
	c.server.Policy(policy.Port{Mode: policy.Strict, Protocol: policy.Opaque})
	serves := c.server.Inbound.Explicit(server(t, serve))
	in := c.server.Listen(func(ctx context.Context, a listen.Accepted) {
		c.hops.Add(1)
		serves(ctx, a)
	}).Addr()
	c.cluster = c.client.Cluster("db", Meshed(in, ID("db")))
	c.destination, c.out = c.client.Destination("db:5432", config.TCP, Share{c.cluster, 1})
	return c
}

func (c *carried) dial() *wire { return dial(c.t, c.out.String()) }

func (c *carried) quiet() {
	c.t.Helper()
	waittest.Until(c.t, "nothing is carried", func() bool { return c.client.Activity.Carried()+c.server.Activity.Carried() == 0 })
}

func (w *wire) reset() {
	w.Conn.(*net.TCPConn).SetLinger(0)
	w.Close()
}

// says has p answered by the same.
func (w *wire) says(p string) {
	w.t.Helper()
	io.WriteString(w, p)
	b := make([]byte, len(p))
	if _, err := io.ReadFull(w.in, b); err != nil || string(b) != p {
		w.t.Fatalf("%q is answered by %q, %v", p, b, err)
	}
}

func echo(c *net.TCPConn) { io.Copy(struct{ io.Writer }{c}, struct{ io.Reader }{c}) }

func TestManyConnectionsOfBytesShareOne(t *testing.T) {
	c := newCarried(t, echo)
	const n = 1000
	var all []*wire
	for i := range n {
		w := c.dial()
		w.says(fmt.Sprint("first ", i))
		all = append(all, w)
	}
	var wg sync.WaitGroup
	for i, w := range all {
		wg.Go(func() { w.says(fmt.Sprint("again ", i)) })
	}
	wg.Wait()
	if got := c.hops.Load(); got > 2 {
		t.Errorf("%d connections between the proxies", got)
	}
	if got := c.client.Activity.Carried(); got != n {
		t.Errorf("%d are carried", got)
	}
	if got := metric(t, c.server, "tcp_open_connections", `direction="inbound"`, `peer="dst"`); got != n {
		t.Errorf("%d are counted as open", got)
	}
	for i, w := range all {
		if i%2 == 0 {
			w.Close()
		} else {
			w.reset()
		}
	}
	c.quiet()
	waittest.Until(t, "all are counted as closed", func() bool {
		return metric(t, c.server, "tcp_open_connections", `direction="inbound"`, `peer="dst"`)+metric(t, c.client, "tcp_open_connections", `peer="src"`) == 0
	})
	if in, out := metric(t, c.client, "tcp_read_bytes_total", `peer="src"`), metric(t, c.client, "tcp_write_bytes_total", `peer="src"`); in != out || in < n*14 {
		t.Errorf("%d and %d bytes are counted", in, out)
	}
}

func TestEitherSideMayCloseFirst(t *testing.T) {
	for _, size := range []int{5, 12 << 20} {
		c := newCarried(t, func(c *net.TCPConn) {
			c.Write(bytes.Repeat([]byte("s"), size))
			c.CloseWrite()
			b, err := io.ReadAll(c)
			if err != nil || len(b) != 2*size {
				t.Errorf("the server reads %d bytes, %v", len(b), err)
			}
		})
		w := c.dial()
		if b, err := io.ReadAll(w.in); err != nil || len(b) != size {
			t.Fatalf("%d bytes, %v", len(b), err)
		}
		w.Write(bytes.Repeat([]byte("c"), 2*size))
		w.Conn.(*net.TCPConn).CloseWrite()
		c.quiet()
	}
}

func TestResetsTravelBothWays(t *testing.T) {
	seen := make(chan error, 1)
	c := newCarried(t, func(c *net.TCPConn) {
		b := make([]byte, 1)
		if _, err := io.ReadFull(c, b); err != nil || b[0] == 'r' {
			c.SetLinger(0)
			return
		}
		c.Write(b)
		_, err := c.Read(b)
		seen <- err
	})
	other := c.dial()
	other.says("x")
	w := c.dial()
	w.says("x")
	w.reset()
	if err := <-seen; !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the server is told %v", err)
	}
	w = c.dial()
	io.WriteString(w, "r")
	if _, err := w.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the client is told %v", err)
	}
	if got := c.hops.Load(); got != 1 {
		t.Errorf("%d connections between the proxies", got)
	}
	other.Conn.(*net.TCPConn).CloseWrite()
	if err := <-seen; err != io.EOF {
		t.Errorf("the connection beside them ends with %v", err)
	}
	waittest.Until(t, "both resets are counted", func() bool { return metric(t, c.client, "tcp_close_total", `peer="src"`, `errno="ECONNRESET"`) == 2 })
	c.quiet()
}

// What is large goes on over a connection of its own, and nothing of it is lost
// or out of order.
func TestLargeFlowsMove(t *testing.T) {
	c := newCarried(t, echo)
	data := make([]byte, 24<<20)
	rand.Read(data)
	small := c.dial()
	small.says("before")
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			w := c.dial()
			go func() {
				w.Write(data)
				w.Conn.(*net.TCPConn).CloseWrite()
			}()
			if b, err := io.ReadAll(w.in); err != nil || !bytes.Equal(b, data) {
				t.Errorf("%d bytes come back, %v", len(b), err)
			}
		})
	}
	wg.Wait()
	small.says("after")
	if got := c.hops.Load(); got != 4 {
		t.Errorf("%d connections between the proxies", got)
	}
	small.Close()
	c.quiet()
	if n := metric(t, c.server, "tcp_write_bytes_total", `direction="inbound"`, `peer="dst"`); n != 3*len(data)+11 {
		t.Errorf("%d bytes are counted", n)
	}
}

func TestResetOfALargeFlow(t *testing.T) {
	for _, byServer := range []bool{true, false} {
		seen := make(chan error, 1)
		c := newCarried(t, func(c *net.TCPConn) {
			if n, err := io.CopyN(c, zeros{}, 8<<20); err != nil {
				t.Error(n, err)
			}
			if byServer {
				io.ReadFull(c, make([]byte, 1))
				c.SetLinger(0)
				return
			}
			_, err := c.Read(make([]byte, 1))
			seen <- err
		})
		w := c.dial()
		if _, err := io.CopyN(io.Discard, w.in, 8<<20); err != nil {
			t.Fatal(err)
		}
		if c.hops.Load() != 2 {
			t.Error("it has not moved")
		}
		if byServer {
			io.WriteString(w, "x")
			if _, err := w.in.ReadByte(); !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("the client is told %v", err)
			}
		} else {
			w.reset()
			if err := <-seen; !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("the server is told %v", err)
			}
		}
		c.quiet()
	}
}

// Who does not read holds up nobody else.
func TestSlowReadersBesideAQuickOne(t *testing.T) {
	c := newCarried(t, func(c *net.TCPConn) {
		b := make([]byte, 1)
		io.ReadFull(c, b)
		if b[0] == 'q' {
			c.Write(b)
			echo(c)
			return
		}
		io.CopyN(c, zeros{}, 64<<20)
	})
	var slow []*wire
	for range 12 {
		w := c.dial()
		io.WriteString(w, "s")
		slow = append(slow, w)
	}
	quick := c.dial()
	quick.says("q")
	for range 500 {
		quick.says("a word")
	}
	for _, w := range slow[:2] {
		if n, err := io.Copy(io.Discard, w.in); n != 64<<20 || err != nil {
			t.Errorf("a slow one gets %d bytes, %v", n, err)
		}
	}
	quick.says("the end")
	for _, w := range slow {
		w.Close()
	}
	quick.Close()
	c.quiet()
}

// Neither side's drain cuts what is under way, and what is new is served.
func TestBytesOutliveADrain(t *testing.T) {
	for _, side := range []string{"client", "server", "registry"} {
		c := newCarried(t, echo)
		w := c.dial()
		w.says("before")
		switch side {
		case "client":
			c.client.Activity.Drain()
		case "server":
			c.server.Activity.Drain()
		default:
			// The endpoint goes: its connection takes no more.
			e := c.cluster.Endpoints()[0].Spec()
			c.client.Registry.SetEndpoints("db", nil)
			c.client.Registry.SetEndpoints("db", []upstream.EndpointSpec{*e})
		}
		n := c.dial()
		n.says("new")
		if side != "client" {
			waittest.Until(t, side+": what is new has a new connection", func() bool {
				x := c.dial()
				defer x.Close()
				x.says("new")
				return c.hops.Load() == 2
			})
		}
		w.says("under way")
		late := c.dial()
		late.says("late")
		if got := c.hops.Load(); side != "client" && got != 2 {
			t.Errorf("%s: %d connections between the proxies", side, got)
		}
		big := make([]byte, 6<<20)
		rand.Read(big)
		go w.Write(big)
		b := make([]byte, len(big))
		if _, err := io.ReadFull(w.in, b); err != nil || !bytes.Equal(b, big) {
			t.Errorf("%s: what is large comes back wrong, %v", side, err)
		}
		for _, w := range []*wire{w, n, late} {
			w.Close()
		}
		c.quiet()
	}
}
