package proxytest

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"sync"
	"testing"
	"time"

	"github.com/weftmesh/weft/identity"
)

// TrustDomain of every identity in tests.
const TrustDomain = "cluster.local"

// ID makes an identity in the namespace default.
func ID(serviceAccount string) identity.ID {
	return identity.ID{TrustDomain: TrustDomain, Namespace: "default", ServiceAccount: serviceAccount}
}

// CA is a certificate authority of one test.
type CA struct {
	key  *ecdsa.PrivateKey
	root *x509.Certificate

	mu     sync.Mutex
	serial int64
	signed int
}

// NewCA makes an authority with a root of its own.
func NewCA(t testing.TB) *CA {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test root"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	root, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &CA{key: key, root: root, serial: 1}
}

// Bundle returns the trust bundle of the authority.
func (ca *CA) Bundle() *identity.Bundle {
	b, err := identity.NewBundle(ca.root)
	if err != nil {
		panic(err)
	}
	return b
}

// Issuer signs what one workload asks for. It implements mtls.Signer.
type Issuer struct {
	CA *CA
	ID identity.ID
	// From and For are the start of the certificate, relative to now, and its
	// life; For 0 means an hour.
	From, For time.Duration
	// Fail, when it returns an error, is what Sign answers.
	Fail func() error
	// DNS are further names of the certificate.
	DNS []string
}

// Sign implements mtls.Signer.
func (i *Issuer) Sign(_ context.Context, csr []byte) (chain, roots [][]byte, err error) {
	if i.Fail != nil {
		if err := i.Fail(); err != nil {
			return nil, nil, err
		}
	}
	req, err := x509.ParseCertificateRequest(csr)
	if err != nil {
		return nil, nil, err
	}
	if err := req.CheckSignature(); err != nil {
		return nil, nil, err
	}
	life := i.For
	if life == 0 {
		life = time.Hour
	}
	i.CA.mu.Lock()
	i.CA.serial++
	i.CA.signed++
	serial := i.CA.serial
	i.CA.mu.Unlock()
	start := time.Now().Add(i.From)
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(serial), NotBefore: start.Add(-time.Minute), NotAfter: start.Add(life),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}, DNSNames: i.DNS}
	if !i.ID.IsZero() {
		tmpl.URIs = append(tmpl.URIs, i.ID.URL())
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, i.CA.root, req.PublicKey, i.CA.key)
	if err != nil {
		return nil, nil, err
	}
	return [][]byte{der}, [][]byte{i.CA.root.Raw}, nil
}

// Signed is how many certificates were issued.
func (ca *CA) Signed() int {
	ca.mu.Lock()
	defer ca.mu.Unlock()
	return ca.signed
}
