package proxytest

import (
	"bytes"
	"context"
	"crypto/rand"
	"io"
	"net"
	"testing"

	"github.com/weftmesh/weft/proxy/alpn"
	"github.com/weftmesh/weft/proxy/config"
	"github.com/weftmesh/weft/proxy/conn"
	"github.com/weftmesh/weft/proxy/listen"
	"github.com/weftmesh/weft/proxy/policy"
)

// newHesitant is newCarried with a peer that has other say to connections by which
// flows are to go on.
func newHesitant(t *testing.T, serve func(*net.TCPConn), other func(*conn.Conn)) *carried {
	ca := NewCA(t)
	c := &carried{t: t, server: New(t, ca, ID("db"), Options{}), client: New(t, ca, ID("web"), Options{})}
	c.server.Policy(policy.Port{Mode: policy.Strict, Protocol: policy.Opaque})
	serves := c.server.Inbound.Explicit(server(t, serve))
	cfg := c.server.TLS.Server(alpn.Flow)
	in := c.server.Listen(func(ctx context.Context, a listen.Accepted) {
		if c.hops.Add(1) == 1 {
			serves(ctx, a)
			return
		}
		s, err := conn.Server(ctx, a.Conn, cfg)
		if err != nil {
			return // it was given up
		}
		for len(s.Buffered()) < 16 {
			if s.Fill() != nil {
				return
			}
		}
		other(s)
	}).Addr()
	c.cluster = c.client.Cluster("db", Meshed(in, ID("db")))
	c.destination, c.out = c.client.Destination("db:5432", config.TCP, Share{c.cluster, 1})
	return c
}

// A flow that ends while it is about to move has ended in order.
func TestAFlowThatEndsBeforeItHasMoved(t *testing.T) {
	data := make([]byte, 3<<20)
	rand.Read(data)
	asked, over := make(chan struct{}), make(chan struct{})
	c := newHesitant(t, func(c *net.TCPConn) {
		if b, err := io.ReadAll(c); len(b) != 1 || err != nil {
			t.Errorf("the server reads %q, %v", b, err)
		}
		c.Write(data[:2<<20])
		<-asked
		c.Write(data[2<<20:])
	}, func(s *conn.Conn) {
		close(asked)
		s.Discard(16)
		s.Fill() // until the client's proxy gives it up
		s.Abort()
		close(over)
	})
	w := c.dial()
	io.WriteString(w, "x")
	w.Conn.(*net.TCPConn).CloseWrite()
	b := make([]byte, 2<<20)
	if _, err := io.ReadFull(w.in, b); err != nil {
		t.Fatal(err)
	}
	<-over
	rest, err := io.ReadAll(w.in)
	if err != nil || !bytes.Equal(b, data[:len(b)]) || !bytes.Equal(rest, data[len(b):]) {
		t.Errorf("%d of %d bytes come, %v", len(b)+len(rest), len(data), err)
	}
	c.quiet()
}

// A peer that does not let a flow go on elsewhere, whatever its reasons, does not
// end it.
func TestAFlowThatMayNotMoveStays(t *testing.T) {
	for name, other := range map[string]func(*conn.Conn){
		"reset":  func(s *conn.Conn) { s.Abort() },
		"closed": func(s *conn.Conn) { s.Close() },
		"no":     func(s *conn.Conn) { s.Write([]byte{0}); s.Flush(); s.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			c := newHesitant(t, echo, other)
			w := c.dial()
			data := make([]byte, 6<<20)
			rand.Read(data)
			for range 2 {
				go w.Write(data)
				b := make([]byte, len(data))
				if n, err := io.ReadFull(w.in, b); err != nil || !bytes.Equal(b, data) {
					t.Fatalf("%d bytes come back, %v", n, err)
				}
			}
			if c.hops.Load() != 2 {
				t.Errorf("%d connections between the proxies", c.hops.Load())
			}
			w.Close()
			c.quiet()
		})
	}
}
