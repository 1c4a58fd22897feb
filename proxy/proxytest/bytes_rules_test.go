package proxytest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/weftmesh/weft/internal/porttest"
	"github.com/weftmesh/weft/internal/waittest"
	"github.com/weftmesh/weft/proxy/alpn"
	"github.com/weftmesh/weft/proxy/config"
	"github.com/weftmesh/weft/proxy/conn"
	"github.com/weftmesh/weft/proxy/listen"
	"github.com/weftmesh/weft/proxy/policy"
	"github.com/weftmesh/weft/proxy/tcp"
	"github.com/weftmesh/weft/proxy/upstream"
)

// Where connections are counted, each has its own.
func TestLimitsCountConnectionsOfBytes(t *testing.T) {
	c := newCarried(t, echo)
	s := c.cluster.Spec()
	limited := c.client.Registry.Apply(upstream.Spec{Name: "few", Kind: upstream.Pushed, ConnectTimeout: patient, Service: s.Service, Limits: upstream.Limits{MaxConnections: upstream.AtMost(2)}})
	c.client.Registry.SetEndpoints("few", []upstream.EndpointSpec{*c.cluster.Endpoints()[0].Spec()})
	c.destination.Route(t, Share{limited, 1})
	a, b := c.dial(), c.dial()
	a.says("a")
	b.says("b")
	if _, err := toldBy(c.out, "c"); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("one too many is told %v", err)
	}
	if got := c.hops.Load(); got != 2 {
		t.Errorf("%d connections between the proxies", got)
	}
	a.Close()
	waittest.Until(t, "there is room again", func() bool { return limited.Counters().Connections == 1 })
	c.dial().says("d")
}

// A peer of an older version gets a connection for each, as ever.
func TestOlderPeersOfBytes(t *testing.T) {
	ca := NewCA(t)
	old, client := New(t, ca, ID("db"), Options{}), New(t, ca, ID("web"), Options{})
	cfg := old.TLS.Server(alpn.TCP)
	var hops atomic.Int64
	at := old.Listen(func(ctx context.Context, a listen.Accepted) {
		s, err := conn.Server(ctx, a.Conn, cfg)
		if err != nil || s.TLS().NegotiatedProtocol != alpn.TCP {
			t.Errorf("handshake: %v", err)
			return
		}
		hops.Add(1)
		x, err := net.Dial("tcp", server(t, echo).String())
		if err != nil {
			t.Error(err)
			return
		}
		tcp.Pipe(ctx, s, conn.New(x), tcp.Options{})
	}).Addr()
	_, out := client.Destination("db:5432", config.TCP, Share{client.Cluster("db", Meshed(at, ID("db"))), 1})
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			w := dial(t, out.String())
			w.says("hello")
			w.Close()
		})
	}
	wg.Wait()
	if hops.Load() != 20 {
		t.Errorf("%d connections", hops.Load())
	}
	waittest.Until(t, "nothing is carried", func() bool { return client.Activity.Carried() == 0 })
}

// On a port of requests bytes are looked at, and never pass as a stream.
func TestNoBytesOnAPortOfRequests(t *testing.T) {
	c := newCarried(t, echo)
	for _, p := range []policy.Port{{Mode: policy.Strict, Protocol: policy.HTTP}, {Mode: policy.Closed}} {
		c.server.Policy(p)
		w, err := net.Dial("tcp", c.out.String())
		if err != nil {
			continue // refused already
		}
		w.SetDeadline(time.Now().Add(20 * time.Second))
		w.Write([]byte{0, 1, 2})
		w.(*net.TCPConn).CloseWrite()
		if b, err := io.ReadAll(w); bytes.IndexByte(b, 2) >= 0 || isTimeout(err) {
			t.Errorf("%v: bytes reach the application: %q, %v", p, b, err)
		}
		w.Close()
	}
	// What has changed holds for what comes next on a connection that is there.
	c.server.Policy(policy.Port{Mode: policy.Strict, Protocol: policy.Opaque})
	old := c.dial()
	old.says("bytes")
	c.server.Policy(policy.Port{Mode: policy.Closed})
	if w, err := net.Dial("tcp", c.out.String()); err == nil {
		w.SetDeadline(time.Now().Add(20 * time.Second))
		io.WriteString(w, "x")
		if n, err := w.Read(make([]byte, 1)); n > 0 || isTimeout(err) {
			t.Errorf("%d bytes come back, %v", n, err)
		}
		w.Close()
	}
	c.server.Policy(policy.Port{Mode: policy.Strict, Protocol: policy.Detect})
	c.dial().says("bytes again")
	old.says("as before")
}

func TestUnreachableApplicationBehindAPeer(t *testing.T) {
	ca := NewCA(t)
	s, client := New(t, ca, ID("db"), Options{}), New(t, ca, ID("web"), Options{})
	dead, live := s.Before(porttest.Nobody(t)), s.Before(server(t, echo))
	_, out := client.Destination("dead:1", config.TCP, Share{client.Cluster("dead", Meshed(dead, ID("db"))), 1})
	if _, err := toldBy(out, "x"); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the client is told %v", err)
	}
	// Another endpoint is asked before the client hears of it.
	_, out = client.Destination("both:1", config.TCP, Share{client.Cluster("both", Meshed(dead, ID("db")), Meshed(live, ID("db"))), 1})
	for range 20 {
		w := dial(t, out.String())
		w.says("hello")
		w.Close()
	}
}

func TestIdleBytesEnd(t *testing.T) {
	c := newCarried(t, echo)
	inTime(t, "a byte that is not idle", func(limit time.Duration) bool {
		own := *c.destination.TCP()
		own.Idle = limit
		c.destination.Split(&own)
		b, err := toldBy(c.out, "x")
		if !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("an idle one ends with %v", err)
		}
		return string(b) == "x"
	})
	c.quiet()
}

// A server that was asked in vain whether it speaks first is told of an end.
func TestAServerAskedInVainSeesAnEnd(t *testing.T) {
	seen := make(chan error, 8)
	at := server(t, func(c *net.TCPConn) {
		b := make([]byte, 1)
		_, err := c.Read(b)
		if err == nil {
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
			return
		}
		seen <- err
	})
	ca := NewCA(t)
	s, client := New(t, ca, ID("db"), Options{}), New(t, ca, ID("web"), Options{})
	db := client.Cluster("db", Meshed(s.Before(at), ID("db")))
	_, out := client.Destination("db:1", config.Detect, Share{db, 1})
	w := dial(t, out.String())
	// The client's proxy knows of its connection, too.
	waittest.Until(t, "the server is asked", func() bool { return s.Activity.Carried() == 1 && db.Endpoints()[0].Latency() > 0 })
	io.WriteString(w, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	if r := w.response("GET"); r.StatusCode != 200 {
		t.Error(r.Status)
	}
	if err := <-seen; err != io.EOF {
		t.Errorf("it is told %v", err)
	}
}

// A stranger's token, or somebody else's, continues nothing.
func TestAFlowIsNobodyElses(t *testing.T) {
	c := newCarried(t, echo)
	w := c.dial()
	w.says("x")
	in := c.cluster.Endpoints()[0].Address()
	p := peer(t, c.client, in, "db", alpn.Flow)
	p.Write(make([]byte, 16))
	if b, err := io.ReadAll(p.in); err != nil || len(b) != 1 || b[0] != 0 {
		t.Errorf("answered by %v, %v", b, err)
	}
	w.says("y")
	w.Close()
	c.quiet()
}
