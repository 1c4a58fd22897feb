package ca

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/weftmesh/weft/identity"
)

func generate(t *testing.T, at time.Time) Material {
	t.Helper()
	m, err := Generate("cluster.local", at)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestIssuerIsChecked(t *testing.T) {
	now := time.Now()
	good, other := generate(t, now), generate(t, now)
	authority := NewAuthority("weft-system", slog.New(slog.DiscardHandler), nil)
	if err := authority.Update(good); err != nil {
		t.Fatal(err)
	}
	// A leaf is no issuer, though it is signed well.
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		t.Fatal(err)
	}
	chain, _, err := authority.Sign(csr, identity.ID{TrustDomain: "cluster.local", Namespace: "a", ServiceAccount: "b"})
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	leafPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: chain[0]})
	leaf := Material{Cert: append(leafPEM, good.Cert...), Key: pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}), Roots: good.Roots}
	for _, c := range []struct {
		name string
		m    Material
		want error
	}{
		{"key of another", Material{Cert: good.Cert, Key: other.Key, Roots: good.Roots}, ErrKey},
		{"no key", Material{Cert: good.Cert, Roots: good.Roots}, ErrKey},
		{"garbage", Material{Cert: []byte("x"), Key: []byte("y"), Roots: good.Roots}, ErrKey},
		{"foreign root", Material{Cert: good.Cert, Key: good.Key, Roots: other.Roots}, ErrChain},
		{"garbage bundle", Material{Cert: good.Cert, Key: good.Key, Roots: []byte("x")}, identity.ErrNoRoots},
		{"leaf", leaf, ErrNotCA},
		{"expired", generate(t, now.Add(-2*generatedLife)), ErrExpired},
		{"not yet valid", generate(t, now.Add(time.Hour)), ErrExpired},
	} {
		before, _ := authority.Issuer()
		if err := authority.Update(c.m); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
		if after, err := authority.Issuer(); err != nil || after != before || authority.Refused() == nil {
			t.Errorf("%s: the last good issuer does not serve on: %v", c.name, err)
		}
	}
	if err := authority.Update(good); err != nil || authority.Refused() != nil {
		t.Errorf("the good one again: %v, %v", err, authority.Refused())
	}
	// One that is its own root needs no bundle.
	root, err := authorityAlone(now)
	if err != nil {
		t.Fatal(err)
	}
	if i, err := NewIssuer(root, now); err != nil || len(i.chain) != 0 {
		t.Errorf("self-signed issuer: %v", err)
	}
}

// authorityAlone is a root that signs leaves itself, as the chart makes it.
func authorityAlone(now time.Time) (Material, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Material{}, err
	}
	c, err := authority("root", now, time.Hour, 0, &key.PublicKey, nil, key)
	if err != nil {
		return Material{}, err
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return Material{}, err
	}
	return Material{Cert: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}), Key: pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der})}, nil
}

func TestServingCertificateRenewsItself(t *testing.T) {
	now := time.Now()
	a := NewAuthority("weft-system", slog.New(slog.DiscardHandler), func() time.Time { return now })
	s := NewServing(a, []string{"weft-control.weft-system.svc"})
	if _, err := s.Certificate(nil); !errors.Is(err, ErrNotReady) {
		t.Errorf("without an issuer: %v", err)
	}
	if err := a.Update(generate(t, now)); err != nil {
		t.Fatal(err)
	}
	get := func() *tls.Certificate {
		t.Helper()
		c, err := s.Certificate(nil)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	first := get()
	now = now.Add(16 * time.Hour)
	if get() != first {
		t.Error("renewed before its time")
	}
	now = now.Add(time.Hour)
	second := get()
	if second == first || !second.Leaf.NotAfter.After(first.Leaf.NotAfter) {
		t.Error("not renewed at 70 % of its life")
	}
	if err := a.Update(generate(t, now)); err != nil {
		t.Fatal(err)
	}
	if get() == second {
		t.Error("not renewed with the new issuer")
	}
	// An issuer near its end gives no leaf that outlives it; an expired one none.
	now = now.Add(generatedLife - 2*time.Hour)
	if c := get(); c.Leaf.NotAfter.Sub(now) > 3*time.Hour {
		t.Errorf("leaf until %s, issuer until %s", c.Leaf.NotAfter, now.Add(2*time.Hour))
	}
	now = now.Add(3 * time.Hour)
	if _, err := s.Certificate(nil); !errors.Is(err, ErrNotReady) {
		t.Errorf("with an expired issuer: %v", err)
	}
}

func TestFilesAreGeneratedOnceAndWhole(t *testing.T) {
	dir := t.TempDir()
	f := Files{Cert: filepath.Join(dir, "s", "c.pem"), Key: filepath.Join(dir, "s", "k.pem"), Roots: filepath.Join(dir, "s", "r.pem")}
	m, err := f.LoadOrGenerate("cluster.local", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if again, err := f.LoadOrGenerate("cluster.local", time.Now()); err != nil || !again.Equal(m) {
		t.Errorf("another authority the second time: %v", err)
	}
	if info, err := os.Stat(f.Key); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("key: %v, %v", info.Mode(), err)
	}
	if err := os.Remove(f.Key); err != nil {
		t.Fatal(err)
	}
	if _, err := f.LoadOrGenerate("cluster.local", time.Now()); err == nil {
		t.Error("half an authority was replaced without a word")
	}
}
