package mtls_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weftmesh/weft/identity"
	"github.com/weftmesh/weft/proxy/alpn"
	"github.com/weftmesh/weft/proxy/conn"
	"github.com/weftmesh/weft/proxy/mtls"
	"github.com/weftmesh/weft/proxy/proxytest"
)

// mesh is a server that stays at one address, and a client.
type meshPair struct {
	t      *testing.T
	ln     net.Listener
	server *mtls.Source
	client *mtls.Source
}

func newPair(t *testing.T, now func() time.Time, server, client mtls.Signer, b *identity.Bundle) *meshPair {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return &meshPair{t, ln, ready(t, source(t, mtls.Options{Identity: proxytest.ID("api"), Anchors: b, Signer: server, Now: now})),
		ready(t, source(t, mtls.Options{Identity: proxytest.ID("web"), Anchors: b, Signer: client, Now: now}))}
}

// connect says whether the session was resumed, as both sides see it.
func (p *meshPair) connect() (resumed bool, server, client error) {
	p.t.Helper()
	cfg, err := p.client.Client(proxytest.ID("api"), alpn.TCP)
	if err != nil {
		p.t.Fatal(err)
	}
	type side struct {
		resumed bool
		err     error
	}
	done := make(chan side, 1)
	go func() {
		nc, err := p.ln.Accept()
		if err != nil {
			done <- side{err: err}
			return
		}
		defer nc.Close()
		nc.SetDeadline(time.Now().Add(10 * time.Second))
		c, err := conn.Server(p.t.Context(), conn.New(nc), p.server.Server(alpn.TCP))
		if err != nil {
			done <- side{err: err}
			return
		}
		c.Write([]byte("x"))
		err = c.Flush()
		id, e := p.server.Peer(*c.TLS(), identity.Client)
		if e != nil || id != proxytest.ID("web") {
			p.t.Errorf("the server knows its peer as %s: %v", id, e)
		}
		done <- side{c.TLS().DidResume, err}
		c.Fill() // until the client closes
	}()
	nc, err := net.Dial("tcp", p.ln.Addr().String())
	if err != nil {
		p.t.Fatal(err)
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(10 * time.Second))
	c, err := conn.Client(p.t.Context(), conn.New(nc), cfg)
	if err == nil {
		if err = c.Fill(); err == nil {
			resumed = c.TLS().DidResume
			if id, e := p.client.Peer(*c.TLS(), identity.Server); e != nil || id != proxytest.ID("api") {
				p.t.Errorf("the client knows its peer as %s: %v", id, e)
			}
		}
		c.Close()
	}
	s := <-done
	if err == nil && s.err == nil && s.resumed != resumed {
		p.t.Errorf("the sides differ: %v, %v", s.resumed, resumed)
	}
	return resumed, s.err, err
}

func (p *meshPair) want(what string, resumed bool) {
	p.t.Helper()
	if got, a, b := p.connect(); a != nil || b != nil || got != resumed {
		p.t.Fatalf("%s: resumed %v, want %v; %v; %v", what, got, resumed, a, b)
	}
}

func issuer(ca *proxytest.CA, name string) *proxytest.Issuer {
	return &proxytest.Issuer{CA: ca, ID: proxytest.ID(name)}
}

func TestSessionsAreResumedUnderTheSameTrust(t *testing.T) {
	ca := proxytest.NewCA(t)
	p := newPair(t, nil, issuer(ca, "api"), issuer(ca, "web"), ca.Bundle())
	p.want("first", false)
	p.want("second", true)
	p.want("third", true)
	both, err := identity.NewBundle(append(ca.Bundle().Roots(), proxytest.NewCA(t).Bundle().Roots()...)...)
	if err != nil {
		t.Fatal(err)
	}
	// A change of the roots on either side ends all sessions, and only those.
	p.server.SetBundle(both)
	p.want("the server's bundle changed", false)
	p.want("and then", true)
	p.client.SetBundle(both)
	p.want("the client's bundle changed", false)
	p.want("and then", true)
}

// A peer whose roots are gone is refused, ticket or not, on either side.
func TestLostTrustIsNotResumed(t *testing.T) {
	ca, next := proxytest.NewCA(t), proxytest.NewCA(t)
	p := newPair(t, nil, rootless{issuer(ca, "api")}, rootless{issuer(ca, "web")}, ca.Bundle())
	p.want("first", false)
	p.want("second", true)
	p.server.SetBundle(next.Bundle())
	if _, err, _ := p.connect(); !errors.Is(err, identity.ErrUntrusted) {
		t.Errorf("the server lets an old client in: %v", err)
	}
	p.server.SetBundle(ca.Bundle())
	p.want("trusted again, by the roots of the session", true)
	p.client.SetBundle(next.Bundle())
	if _, _, err := p.connect(); !errors.Is(err, identity.ErrUntrusted) {
		t.Errorf("the client believes an old server: %v", err)
	}
}

// A session ends with the certificate of its peer.
func TestExpiredPeersAreNotResumed(t *testing.T) {
	ca := proxytest.NewCA(t)
	var ahead atomic.Int64
	now := func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	short := issuer(ca, "web")
	short.For = time.Hour
	p := newPair(t, now, issuer(ca, "api"), short, ca.Bundle())
	p.want("first", false)
	p.want("second", true)
	cfg, err := p.client.Client(proxytest.ID("api"), alpn.TCP)
	if err != nil {
		t.Fatal(err)
	}
	ahead.Store(int64(2 * time.Hour))
	// The configuration outlives the certificate; the session does not.
	if _, err := p.client.Client(proxytest.ID("api"), alpn.TCP); !errors.Is(err, mtls.ErrNoCertificate) {
		t.Error(err)
	}
	if s, _ := shake(t, p.server.Server(alpn.TCP), cfg); s == nil {
		t.Error("a client whose certificate has ended is let in")
	}
}

// A ticket ends with the proof that it was issued for, also where what its holder
// can prove goes on: the peer is judged anew, and let in for what it shows then.
func TestTicketsEndWithTheirProof(t *testing.T) {
	ca := proxytest.NewCA(t)
	var ahead atomic.Int64
	now := func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	life := func(name string, d time.Duration) *mtls.Source {
		i := issuer(ca, name)
		i.For = d
		return ready(t, source(t, mtls.Options{Identity: proxytest.ID(name), Anchors: ca.Bundle(), Signer: i, Now: now}))
	}
	server := life("api", 24*time.Hour)
	// What was proven may rest on a root that ends before the certificate.
	both, err := identity.NewBundle(append(ca.Bundle().Roots(), shortRoot(t, time.Hour))...)
	if err != nil {
		t.Fatal(err)
	}
	server.SetBundle(both)
	config := func(s *mtls.Source) *tls.Config {
		c, err := s.Client(proxytest.ID("api"), alpn.TCP)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	// A client that keeps its tickets for longer than ours do.
	tickets := tls.NewLRUClientSessionCache(8)
	connect := func(what string, c *tls.Config, want bool) {
		t.Helper()
		c = c.Clone()
		c.ClientSessionCache = tickets
		resumed := false
		verify := c.VerifyConnection
		c.VerifyConnection = func(cs tls.ConnectionState) error { resumed = cs.DidResume; return verify(cs) }
		if a, b := shake(t, server.Server(alpn.TCP), c); a != nil || b != nil || resumed != want {
			t.Errorf("%s: resumed %v, want %v; %v; %v", what, resumed, want, a, b)
		}
	}
	client := config(life("web", 24*time.Hour))
	connect("first", client, false)
	connect("second", client, true)
	ahead.Store(int64(59 * time.Minute))
	connect("before the end", client, true)
	ahead.Store(int64(61 * time.Minute))
	connect("behind the end", client, false)
	connect("and then", client, true)
	// The certificate of the client ends, and it has another one by now.
	tickets = tls.NewLRUClientSessionCache(8)
	connect("with a short certificate", config(life("web", 2*time.Hour)), false)
	connect("with another one", client, true)
	ahead.Store(int64(4 * time.Hour))
	connect("behind the end of the first", client, false)
}

// shortRoot is a root of so long a life that has signed nothing.
func shortRoot(t *testing.T, life time.Duration) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "short"}, NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(life),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err == nil {
		c, err = x509.ParseCertificate(der)
	}
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestKeyExchange(t *testing.T) {
	ca := proxytest.NewCA(t)
	for _, quantum := range []bool{false, true} {
		want := tls.X25519
		if quantum {
			want = tls.X25519MLKEM768
		}
		s := ready(t, source(t, mtls.Options{Identity: proxytest.ID("api"), Anchors: ca.Bundle(), Signer: issuer(ca, "api"), PostQuantum: quantum}))
		server := s.Server(alpn.TCP)
		var got tls.CurveID
		verify := server.VerifyConnection
		server.VerifyConnection = func(cs tls.ConnectionState) error { got = cs.CurveID; return verify(cs) }
		client, err := s.Client(proxytest.ID("api"), alpn.TCP)
		if err != nil {
			t.Fatal(err)
		}
		if a, b := shake(t, server, client); a != nil || b != nil || got != want {
			t.Errorf("post-quantum %v: %v; %v %v", quantum, got, a, b)
		}
	}
}

// Judging a known peer again costs a look.
func BenchmarkPeer(b *testing.B) {
	ca := proxytest.NewCA(b)
	s, err := mtls.New(mtls.Options{Identity: proxytest.ID("api"), Anchors: ca.Bundle(), Signer: issuer(ca, "api")})
	if err != nil {
		b.Fatal(err)
	}
	go s.Run(b.Context())
	<-s.Ready()
	c, err := s.Certificate()
	if err != nil {
		b.Fatal(err)
	}
	cs := tls.ConnectionState{}
	cs.PeerCertificates = append(cs.PeerCertificates, c.Leaf)
	for b.Loop() {
		if _, err := s.Peer(cs, identity.Client); err != nil {
			b.Fatal(err)
		}
	}
}
