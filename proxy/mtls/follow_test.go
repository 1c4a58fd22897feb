package mtls_test

import (
	"crypto/tls"
	"crypto/x509"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weftmesh/weft/identity"
	"github.com/weftmesh/weft/internal/waittest"
	"github.com/weftmesh/weft/proxy/mtls"
	"github.com/weftmesh/weft/proxy/proxytest"
)

const look = 5 * time.Millisecond

// known is a connection to whoever the signer certifies.
func known(t *testing.T, ca *proxytest.CA, signer mtls.Signer) *tls.ConnectionState {
	t.Helper()
	s := ready(t, source(t, mtls.Options{Identity: proxytest.ID("web"), Anchors: ca.Bundle(), Signer: signer}))
	c, err := s.Certificate()
	if err != nil {
		t.Fatal(err)
	}
	return &tls.ConnectionState{PeerCertificates: []*x509.Certificate{c.Leaf}}
}

// follow counts how often the end of a connection was called for.
func follow(s *mtls.Source, cs *tls.ConnectionState, role identity.Usage) (ends *atomic.Int64, stop func()) {
	ends = &atomic.Int64{}
	return ends, s.Follow(cs, role, func() { ends.Add(1) })
}

// passes waits until connections that are to end must have been found out: one
// that was followed later has ended.
func passes(t *testing.T, s *mtls.Source, ca *proxytest.CA) {
	t.Helper()
	stranger := known(t, ca, issuer(ca, "web"))
	for range 3 {
		ends, _ := follow(s, stranger, identity.Client)
		waittest.Until(t, "the end of a stranger", func() bool { return ends.Load() == 1 })
	}
}

func TestConnectionsEndWithTheirRoot(t *testing.T) {
	old, next, foreign := proxytest.NewCA(t), proxytest.NewCA(t), proxytest.NewCA(t)
	s := ready(t, source(t, mtls.Options{Identity: proxytest.ID("api"), Anchors: old.Bundle(), Signer: rootless{issuer(old, "api")}, Look: look}))
	cs := known(t, old, issuer(old, "web"))
	client, _ := follow(s, cs, identity.Client)
	server, _ := follow(s, cs, identity.Server)
	closed, stop := follow(s, cs, identity.Server)
	both, err := identity.NewBundle(append(old.Bundle().Roots(), next.Bundle().Roots()...)...)
	if err != nil {
		t.Fatal(err)
	}
	s.SetBundle(both)
	passes(t, s, foreign)
	if client.Load()+server.Load() != 0 {
		t.Error("a connection under a root that is still trusted ends")
	}
	stop()
	s.SetBundle(next.Bundle())
	waittest.Until(t, "the end of both", func() bool { return client.Load() == 1 && server.Load() == 1 })
	passes(t, s, foreign)
	if client.Load() != 1 || server.Load() != 1 || closed.Load() != 0 {
		t.Errorf("called %d, %d and %d times", client.Load(), server.Load(), closed.Load())
	}
}

func TestConnectionsEndWithTheirCertificates(t *testing.T) {
	ca, foreign := proxytest.NewCA(t), proxytest.NewCA(t)
	for name, c := range map[string]struct{ peer, own time.Duration }{
		"the peer's": {time.Hour, 4 * time.Hour},
		"our own":    {4 * time.Hour, time.Hour},
	} {
		var ahead atomic.Int64
		now := func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
		own, peer := issuer(ca, "api"), issuer(ca, "web")
		own.For, peer.For = c.own, c.peer
		s := ready(t, source(t, mtls.Options{Identity: proxytest.ID("api"), Anchors: ca.Bundle(), Signer: own, Now: now, Look: look}))
		ends, _ := follow(s, known(t, ca, peer), identity.Client)
		ahead.Store(int64(50 * time.Minute))
		passes(t, s, foreign)
		if ends.Load() != 0 {
			t.Errorf("%s: a connection ends before its certificate", name)
		}
		ahead.Store(int64(61 * time.Minute))
		waittest.Until(t, "the end, "+name, func() bool { return ends.Load() == 1 })
	}
}
