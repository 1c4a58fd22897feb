package mtls_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weftmesh/weft/identity"
	"github.com/weftmesh/weft/internal/waittest"
	"github.com/weftmesh/weft/proxy/alpn"
	"github.com/weftmesh/weft/proxy/mtls"
	"github.com/weftmesh/weft/proxy/proxytest"
)

func source(t *testing.T, o mtls.Options) *mtls.Source {
	t.Helper()
	s, err := mtls.New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); s.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	return s
}

func ready(t *testing.T, s *mtls.Source) *mtls.Source {
	t.Helper()
	select {
	case <-s.Ready():
	case <-time.After(10 * time.Second):
		t.Fatal("no certificate")
	}
	return s
}

func TestRenewalKeepsTheOldToItsEnd(t *testing.T) {
	ca := proxytest.NewCA(t)
	var failing atomic.Bool
	var tries atomic.Int64
	id := proxytest.ID("api")
	s := ready(t, source(t, mtls.Options{Identity: id, Anchors: ca.Bundle(), Signer: &proxytest.Issuer{CA: ca, ID: id, For: 2 * time.Second, Fail: func() error {
		tries.Add(1)
		if failing.Load() {
			return errors.New("the authority is away")
		}
		return nil
	}}}))
	first, err := s.Certificate()
	if err != nil {
		t.Fatal(err)
	}
	waittest.Until(t, "a second certificate", func() bool { c, _ := s.Certificate(); return c != first && c != nil })
	failing.Store(true)
	last, _ := s.Certificate()
	at := tries.Load()
	waittest.Until(t, "a renewal that fails", func() bool { return tries.Load() > at })
	if c, err := s.Certificate(); c != last || err != nil {
		t.Errorf("the old one is not kept: %v", err)
	}
	waittest.Until(t, "its end", func() bool { _, err := s.Certificate(); return errors.Is(err, mtls.ErrNoCertificate) })
	if _, err := s.Client(id, alpn.HTTP1); !errors.Is(err, mtls.ErrNoCertificate) {
		t.Errorf("an expired proxy dials: %v", err)
	}
	failing.Store(false)
	waittest.Until(t, "a new one", func() bool { _, err := s.Certificate(); return err == nil })
}

func TestUnusableCertificates(t *testing.T) {
	ca, other := proxytest.NewCA(t), proxytest.NewCA(t)
	id := proxytest.ID("api")
	for name, signer := range map[string]mtls.Signer{
		"another identity":  &proxytest.Issuer{CA: ca, ID: proxytest.ID("web")},
		"expired":           &proxytest.Issuer{CA: ca, ID: id, From: -2 * time.Hour, For: time.Hour},
		"no identity":       &proxytest.Issuer{CA: ca},
		"another key":       swapped{&proxytest.Issuer{CA: ca, ID: id}, t},
		"no chain":          nothing{},
		"foreign authority": rootless{&proxytest.Issuer{CA: other, ID: id}},
	} {
		s, err := mtls.New(mtls.Options{Identity: id, Anchors: ca.Bundle(), Signer: signer})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
		s.Run(ctx)
		cancel()
		if _, err := s.Certificate(); !errors.Is(err, mtls.ErrNoCertificate) {
			t.Errorf("%s is accepted", name)
		}
	}
}

// rootless tells no roots, so that the anchors judge.
type rootless struct{ *proxytest.Issuer }

func (r rootless) Sign(ctx context.Context, csr []byte) ([][]byte, [][]byte, error) {
	c, _, err := r.Issuer.Sign(ctx, csr)
	return c, nil, err
}

type nothing struct{}

func (nothing) Sign(context.Context, []byte) ([][]byte, [][]byte, error) { return nil, nil, nil }

// swapped answers with the certificate of the request before.
type swapped struct {
	*proxytest.Issuer
	t *testing.T
}

func (s swapped) Sign(ctx context.Context, _ []byte) ([][]byte, [][]byte, error) {
	other, err := mtls.New(mtls.Options{Identity: s.ID, Anchors: s.CA.Bundle(), Signer: s.Issuer})
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go other.Run(ctx)
	<-other.Ready()
	c, err := other.Certificate()
	if err != nil {
		return nil, nil, err
	}
	return c.Certificate, nil, nil
}

// shake makes a handshake over loopback and returns both sides' errors.
func shake(t *testing.T, server, client *tls.Config) (s, c error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	done := make(chan error, 1)
	go func() {
		nc, err := l.Accept()
		if err != nil {
			done <- err
			return
		}
		defer nc.Close()
		nc.SetDeadline(time.Now().Add(10 * time.Second))
		tc := tls.Server(nc, server)
		err = tc.Handshake()
		if err == nil {
			tc.Write([]byte("x"))
		}
		done <- err
	}()
	nc, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(10 * time.Second))
	tc := tls.Client(nc, client)
	if c = tc.Handshake(); c == nil {
		_, c = tc.Read(make([]byte, 1))
	}
	return <-done, c
}

func TestBundleHoldsFromTheNextHandshake(t *testing.T) {
	old, next := proxytest.NewCA(t), proxytest.NewCA(t)
	api, web := proxytest.ID("api"), proxytest.ID("web")
	issuer := &proxytest.Issuer{CA: old, ID: api}
	s := ready(t, source(t, mtls.Options{Identity: api, Anchors: old.Bundle(), Signer: issuer}))
	c := ready(t, source(t, mtls.Options{Identity: web, Anchors: old.Bundle(), Signer: rootless{&proxytest.Issuer{CA: old, ID: web}}}))
	cfg := func() *tls.Config {
		cfg, err := c.Client(api, alpn.HTTP1)
		if err != nil {
			t.Fatal(err)
		}
		return cfg
	}
	server, client := s.Server(alpn.HTTP2, alpn.HTTP1), cfg()
	for range 2 { // the second resumes the session
		if a, b := shake(t, server, client); a != nil || b != nil {
			t.Fatal(a, b)
		}
	}
	c.SetBundle(next.Bundle())
	if _, err := shake(t, server, client); !errors.Is(err, identity.ErrUntrusted) {
		t.Errorf("the old roots still hold: %v", err)
	}
	c.SetBundle(old.Bundle())
	if a, b := shake(t, server, client); a != nil || b != nil {
		t.Error(a, b)
	}
	if _, err := shake(t, server, func() *tls.Config {
		cfg, _ := c.Client(proxytest.ID("other"), alpn.HTTP1)
		return cfg
	}()); !errors.Is(err, identity.ErrRefused) {
		t.Errorf("another identity is accepted: %v", err)
	}
	plain := client.Clone()
	plain.GetClientCertificate, plain.ClientSessionCache = nil, nil // a session would carry the certificate
	if err, _ := shake(t, server, plain); err == nil {
		t.Error("a client without a certificate is accepted")
	}
	foreign := client.Clone()
	foreign.NextProtos = []string{"weft-tcp"}
	if err, _ := shake(t, server, foreign); err == nil {
		t.Error("a protocol that is not offered is accepted")
	}
}

func TestLostTrustIsRenewedAtOnce(t *testing.T) {
	old, next := proxytest.NewCA(t), proxytest.NewCA(t)
	id := proxytest.ID("api")
	issuer := &switching{a: &proxytest.Issuer{CA: old, ID: id}, b: &proxytest.Issuer{CA: next, ID: id}}
	s := ready(t, source(t, mtls.Options{Identity: id, Anchors: old.Bundle(), Signer: issuer}))
	issuer.second.Store(true)
	s.SetBundle(next.Bundle())
	waittest.Until(t, "a certificate of the new authority", func() bool { return next.Signed() == 1 })
}

type switching struct {
	a, b   *proxytest.Issuer
	second atomic.Bool
}

func (s *switching) Sign(ctx context.Context, csr []byte) ([][]byte, [][]byte, error) {
	if s.second.Load() {
		return s.b.Sign(ctx, csr)
	}
	return s.a.Sign(ctx, csr)
}

func TestRenewAfter(t *testing.T) {
	for range 1000 {
		if d := mtls.RenewAfter(100 * time.Hour); d < 63*time.Hour || d > 77*time.Hour {
			t.Fatalf("a life of 100 h is renewed after %s", d)
		}
	}
}

func TestControlPlaneIsKnownByName(t *testing.T) {
	ca := proxytest.NewCA(t)
	api, control := proxytest.ID("api"), proxytest.ID("control")
	s := ready(t, source(t, mtls.Options{Identity: control, Anchors: ca.Bundle(), Signer: &proxytest.Issuer{CA: ca, ID: control, DNS: []string{"weft-control.weft-system.svc"}}}))
	c, err := mtls.New(mtls.Options{Identity: api, Anchors: ca.Bundle()})
	if err != nil {
		t.Fatal(err)
	}
	server := s.Server("h2")
	server.ClientAuth, server.VerifyConnection = tls.NoClientCert, nil
	if _, err := shake(t, server, c.Control("weft-control.weft-system.svc")); err != nil {
		t.Error(err)
	}
	if _, err := shake(t, server, c.Control("other.weft-system.svc")); err == nil {
		t.Error("another name is accepted")
	}
	c.SetBundle(proxytest.NewCA(t).Bundle())
	if _, err := shake(t, server, c.Control("weft-control.weft-system.svc")); err != nil {
		t.Error("the installation's anchors no longer hold: ", err)
	}
}
