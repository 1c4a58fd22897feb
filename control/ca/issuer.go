package ca

import (
	"bytes"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/weftmesh/weft/identity"
)

// Errors of NewIssuer; errors.Is finds them under the detail.
var (
	// ErrNotCA means that the issuer's certificate may not sign others.
	ErrNotCA = errors.New("issuer certificate is not a CA certificate")
	// ErrKey means that certificate and key do not belong together.
	ErrKey = errors.New("issuer certificate and key do not belong together")
	// ErrChain means that the issuer does not lead to any root of the bundle.
	ErrChain = errors.New("issuer is not signed by any root of the trust bundle")
	// ErrExpired means that the issuer's time is over, or has not come.
	ErrExpired = errors.New("issuer certificate is not valid at this time")
)

// Material is what an authority is made of, in PEM.
type Material struct {
	// Cert is the issuer's certificate, followed by intermediates if there are any.
	Cert []byte
	// Key is the issuer's private key.
	Key []byte
	// Roots is the trust bundle; it may hold several roots while one replaces
	// another. Empty means that the issuer is itself the root.
	Roots []byte
}

// Equal says whether nothing differs.
func (m Material) Equal(o Material) bool {
	return bytes.Equal(m.Cert, o.Cert) && bytes.Equal(m.Key, o.Key) && bytes.Equal(m.Roots, o.Roots)
}

// Issuer is a checked Material. It is immutable.
type Issuer struct {
	cert   *x509.Certificate
	key    crypto.Signer
	chain  [][]byte // issuer first, roots left out
	bundle *identity.Bundle
}

// NewIssuer checks that the material can issue certificates that the holders
// of its bundle accept.
func NewIssuer(m Material, now time.Time) (*Issuer, error) {
	pair, err := tls.X509KeyPair(m.Cert, m.Key)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	key, ok := pair.PrivateKey.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("%w: a key of type %T cannot sign", ErrKey, pair.PrivateKey)
	}
	roots := m.Roots
	if len(bytes.TrimSpace(roots)) == 0 {
		roots = m.Cert
	}
	i := &Issuer{key: key}
	if i.bundle, err = identity.ParseBundlePEM(roots); err != nil {
		return nil, fmt.Errorf("trust bundle: %w", err)
	}
	certs := make([]*x509.Certificate, len(pair.Certificate))
	inter := x509.NewCertPool()
	for n, der := range pair.Certificate {
		if certs[n], err = x509.ParseCertificate(der); err != nil {
			return nil, fmt.Errorf("issuer certificate %d: %w", n+1, err)
		}
		if n > 0 {
			inter.AddCert(certs[n])
		}
	}
	i.cert = certs[0]
	if err := i.check(inter, now); err != nil {
		return nil, err
	}
	for _, c := range certs {
		if !i.isRoot(c) {
			i.chain = append(i.chain, c.Raw)
		}
	}
	return i, nil
}

func (i *Issuer) check(inter *x509.CertPool, now time.Time) error {
	c := i.cert
	if !c.IsCA || !c.BasicConstraintsValid || c.KeyUsage != 0 && c.KeyUsage&x509.KeyUsageCertSign == 0 {
		return fmt.Errorf("%w: %s (CA %t, key usage %#x)", ErrNotCA, c.Subject, c.IsCA, int(c.KeyUsage))
	}
	if now.Before(c.NotBefore) || !now.Before(c.NotAfter) {
		return fmt.Errorf("%w: %s is valid from %s to %s", ErrExpired, c.Subject, c.NotBefore.UTC().Format(time.RFC3339), c.NotAfter.UTC().Format(time.RFC3339))
	}
	if _, err := c.Verify(x509.VerifyOptions{Roots: i.bundle.Pool(), Intermediates: inter, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}); err != nil {
		return fmt.Errorf("%w: %w", ErrChain, err)
	}
	return nil
}

func (i *Issuer) isRoot(c *x509.Certificate) bool {
	for _, r := range i.bundle.Roots() {
		if r.Equal(c) {
			return true
		}
	}
	return false
}

// Certificate is the issuer's own; it must not be changed.
func (i *Issuer) Certificate() *x509.Certificate { return i.cert }
