package upstream_test

import (
	"context"
	"crypto/tls"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/weftmesh/weft/identity"
	"github.com/weftmesh/weft/proxy/alpn"
	"github.com/weftmesh/weft/proxy/conn"
	"github.com/weftmesh/weft/proxy/mtls"
	"github.com/weftmesh/weft/proxy/proxytest"
	"github.com/weftmesh/weft/proxy/upstream"
)

// trust is a Source that says when the trust in a connection ends.
type trust struct {
	*mtls.Source
	mu      sync.Mutex
	ends    []func()
	stopped int
}

func (s *trust) Follow(cs *tls.ConnectionState, role identity.Usage, end func()) func() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(cs.PeerCertificates) == 0 || role != identity.Server {
		panic("follows what has not proven anything")
	}
	s.ends = append(s.ends, end)
	return func() { s.mu.Lock(); defer s.mu.Unlock(); s.stopped++ }
}

func (s *trust) end(i int) {
	s.mu.Lock()
	f := s.ends[i]
	s.mu.Unlock()
	f()
}

// A connection for one request at a time that is not trusted any more ends: at
// once where it is idle, else with its request.
func TestUntrustedConnectionsAreNotReused(t *testing.T) {
	ca := proxytest.NewCA(t)
	sources := map[string]*mtls.Source{}
	for _, name := range []string{"api", "web"} {
		s, err := mtls.New(mtls.Options{Identity: proxytest.ID(name), Anchors: ca.Bundle(), Signer: &proxytest.Issuer{CA: ca, ID: proxytest.ID(name)}})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan struct{})
		go func() { defer close(done); s.Run(ctx) }()
		t.Cleanup(func() { cancel(); <-done })
		<-s.Ready()
		sources[name] = s
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ended := make(chan struct{}, 10)
	go func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				c, err := conn.Server(t.Context(), conn.New(nc), sources["api"].Server(alpn.HTTP1))
				if err == nil {
					_ = c.Fill()
					c.Close()
				}
				ended <- struct{}{}
			}()
		}
	}()
	s := &trust{Source: sources["web"]}
	r := registry(t, upstream.Options{TLS: s})
	c := r.Apply(upstream.Spec{Name: "api", Identity: proxytest.ID("api")})
	r.SetEndpoints("api", []upstream.EndpointSpec{spec(l.Addr().String())})
	e := c.Endpoints()[0]
	get := func() *upstream.HTTP1 {
		t.Helper()
		h, err := e.HTTP1(t.Context(), false)
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	wait := func() {
		t.Helper()
		select {
		case <-ended:
		case <-time.After(10 * time.Second):
			t.Fatal("the connection does not end")
		}
	}
	first := get()
	first.Put()
	if again := get(); again != first {
		t.Fatal("a trusted connection is not reused")
	}
	first.Put()
	s.end(0) // while it is idle
	wait()
	second := get()
	if second == first || second.Reused {
		t.Fatal("an untrusted connection is reused")
	}
	s.end(1) // while it carries a request
	if !second.Alive() {
		t.Error("a request is cut off")
	}
	second.Put()
	wait()
	if third := get(); third.Reused {
		t.Error("a connection is reused that ended with its request")
	} else {
		third.Close()
		wait()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.ends) != 3 || s.stopped != 3 {
		t.Errorf("%d connections were followed, %d not any more", len(s.ends), s.stopped)
	}
}
