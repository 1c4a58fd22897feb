package ca

import (
	"crypto/tls"
	"crypto/x509"
	"testing"
	"time"

	"github.com/weftmesh/weft/identity"
)

// TestGeneratedIssuerLivesAsLongAsItsRoot: the root's key is forgotten, so that
// an issuer that ends before it is an outage with a date.
func TestGeneratedIssuerLivesAsLongAsItsRoot(t *testing.T) {
	now := time.Now()
	m, err := Generate("cluster.local", now)
	if err != nil {
		t.Fatal(err)
	}
	roots, err := identity.ParseBundlePEM(m.Roots)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(m.Cert, m.Key)
	if err != nil {
		t.Fatal(err)
	}
	issuer, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	root := roots.Roots()[0]
	if !issuer.NotAfter.Equal(root.NotAfter) || root.NotAfter.Before(now.AddDate(9, 11, 0)) {
		t.Errorf("the issuer ends on %s, the root on %s", issuer.NotAfter, root.NotAfter)
	}
	// Leaves are issued up to the last day.
	if _, err := NewIssuer(m, root.NotAfter.Add(-time.Minute)); err != nil {
		t.Error(err)
	}
}
