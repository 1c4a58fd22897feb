package identity_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"math/big"
	"net/url"
	"testing"
	"time"

	"github.com/weftmesh/weft/identity"
)

// FuzzParseID: what is taken for an identity is written as one, and names nothing
// else.
func FuzzParseID(f *testing.F) {
	for _, s := range []string{"spiffe://cluster.local/ns/default/sa/web", "spiffe://a/ns/b/sa/c/d", "spiffe://a:1/ns/b/sa/c", "spiffe://u@a/ns/b/sa/c", "spiffe://a/ns//sa/c",
		"spiffe://a/ns/../sa/c", "spiffe://a/ns/b/sa/c?x", "spiffe://A/ns/b/sa/c", "spiffe://a/ns/%62/sa/c", "SPIFFE://a/ns/b/sa/c", "http://a/ns/b/sa/c", "spiffe:a", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		id, err := identity.ParseID(s)
		if err != nil {
			if !id.IsZero() {
				t.Fatalf("%q is %v and %v", s, id, err)
			}
			return
		}
		if again, err := identity.ParseID(id.String()); err != nil || again != id || id.URL().String() != id.String() {
			t.Fatalf("%q is %v, which is %v, %v", s, id, again, err)
		}
	})
}

// FuzzCertificate reads the identity of whatever a peer shows.
func FuzzCertificate(f *testing.F) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	now := time.Now()
	for _, uris := range [][]string{{"spiffe://cluster.local/ns/default/sa/web"}, {}, {"http://a"}, {"spiffe://a/ns/b/sa/c", "spiffe://a/ns/b/sa/d"}} {
		c := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
		for _, u := range uris {
			p, err := url.Parse(u)
			if err != nil {
				f.Fatal(err)
			}
			c.URIs = append(c.URIs, p)
		}
		der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(der)
	}
	trusted := &x509.Certificate{SerialNumber: big.NewInt(2), NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, trusted, trusted, &key.PublicKey, key)
	if err != nil {
		f.Fatal(err)
	}
	root, err := x509.ParseCertificate(der)
	if err != nil {
		f.Fatal(err)
	}
	bundle, err := identity.NewBundle(root)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, der []byte) {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return
		}
		id, err := identity.IDFromCertificate(c)
		if err == nil && (id.IsZero() || len(c.URIs) != 1) {
			t.Fatalf("%v of %v", id, c.URIs)
		}
		if got, err := identity.VerifyPeer([]*x509.Certificate{c}, bundle, identity.Client, time.Now()); err == nil && got != id {
			t.Fatalf("judged %v, which is %v", got, id)
		}
	})
}
