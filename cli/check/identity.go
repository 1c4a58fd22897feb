package check

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/weftmesh/weft/identity"
	"github.com/weftmesh/weft/manifests"
)

// soon is when the end of a certificate is worth a warning.
const soon = 60 * 24 * time.Hour

func identities(e *env) Category {
	var bundle *identity.Bundle
	var issuer tls.Certificate
	roots := func(test func(*x509.Certificate) error) func(context.Context) error {
		return func(context.Context) error {
			var faults []error
			for _, c := range bundle.Roots() {
				faults = append(faults, test(c))
			}
			return errors.Join(faults...)
		}
	}
	leaf := func(test func(*x509.Certificate) error) func(context.Context) error {
		return func(context.Context) error { return test(issuer.Leaf) }
	}
	valid := func(c *x509.Certificate) error { return within(c, e.now()) }
	lasting := func(c *x509.Certificate) error {
		if left := c.NotAfter.Sub(e.now()); left < soon {
			return fmt.Errorf("%q ends on %s, in less than 60 days", c.Subject.CommonName, c.NotAfter.UTC().Format(time.RFC3339))
		}
		return nil
	}
	return Category{e.tool + "-identity", []Check{
		{Description: "certificate config is valid", Fatal: true, Hint: "identity-config", Run: func(ctx context.Context) error {
			var err error
			bundle, issuer, err = e.readIdentity(ctx)
			return err
		}},
		{Description: "trust anchors are using supported crypto algorithm", Fatal: true, Hint: "identity-anchors", Run: roots(supportedRoot)},
		{Description: "trust anchors are within their validity period", Fatal: true, Hint: "identity-anchors", Run: roots(valid)},
		{Description: "trust anchors are valid for at least 60 days", Warning: true, Hint: "identity-anchors", Run: roots(lasting)},
		{Description: "issuer cert is using supported crypto algorithm", Fatal: true, Hint: "identity-issuer", Run: leaf(supportedIssuer)},
		{Description: "issuer cert is within its validity period", Fatal: true, Hint: "identity-issuer", Run: leaf(valid)},
		{Description: "issuer cert is valid for at least 60 days", Warning: true, Hint: "identity-issuer", Run: leaf(lasting)},
		{Description: "issuer cert is issued by the trust anchor", Hint: "identity-issuer", Run: func(context.Context) error {
			inter := x509.NewCertPool()
			for _, der := range issuer.Certificate[1:] {
				if c, err := x509.ParseCertificate(der); err == nil {
					inter.AddCert(c)
				}
			}
			_, err := issuer.Leaf.Verify(x509.VerifyOptions{Roots: bundle.Pool(), Intermediates: inter, CurrentTime: e.now(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
			return err
		}},
	}}
}

func (e *env) readIdentity(ctx context.Context) (*identity.Bundle, tls.Certificate, error) {
	cm, err := e.cluster.Kube.CoreV1().ConfigMaps(e.control()).Get(ctx, manifests.TrustRoots, metav1.GetOptions{})
	if err != nil {
		return nil, tls.Certificate{}, exists("ConfigMap", manifests.TrustRoots, err)
	}
	bundle, err := identity.ParseBundlePEM([]byte(cm.Data[manifests.RootsKey]))
	if err != nil {
		return nil, tls.Certificate{}, fmt.Errorf("ConfigMap %s, key %s: %w", manifests.TrustRoots, manifests.RootsKey, err)
	}
	s, err := e.cluster.Kube.CoreV1().Secrets(e.control()).Get(ctx, manifests.Issuer, metav1.GetOptions{})
	if err != nil {
		return nil, tls.Certificate{}, exists("Secret", manifests.Issuer, err)
	}
	crt, key := s.Data[manifests.IssuerCert], s.Data[manifests.IssuerKey]
	if len(crt) == 0 {
		crt, key = s.Data["tls.crt"], s.Data["tls.key"]
	}
	pair, err := tls.X509KeyPair(crt, key)
	if err != nil {
		return nil, tls.Certificate{}, fmt.Errorf("Secret %s: %w", manifests.Issuer, err) //nolint:staticcheck // a kind's name
	}
	if !pair.Leaf.IsCA {
		return nil, tls.Certificate{}, fmt.Errorf("Secret %s: %q is not a CA certificate", manifests.Issuer, pair.Leaf.Subject.CommonName) //nolint:staticcheck // a kind's name
	}
	return bundle, pair, nil
}

func within(c *x509.Certificate, now time.Time) error {
	switch {
	case now.Before(c.NotBefore):
		return fmt.Errorf("%q is not valid before %s", c.Subject.CommonName, c.NotBefore.UTC().Format(time.RFC3339))
	case now.After(c.NotAfter):
		return fmt.Errorf("%q ended on %s", c.Subject.CommonName, c.NotAfter.UTC().Format(time.RFC3339))
	}
	return nil
}

func supportedRoot(c *x509.Certificate) error {
	switch k := c.PublicKey.(type) {
	case *ecdsa.PublicKey:
		return nil
	case *rsa.PublicKey:
		if k.Size() >= 256 {
			return nil
		}
		return fmt.Errorf("%q has an RSA key of %d bits; use 2048 or more", c.Subject.CommonName, k.Size()*8)
	}
	return fmt.Errorf("%q has a key of an unsupported kind; use ECDSA or RSA", c.Subject.CommonName)
}

func supportedIssuer(c *x509.Certificate) error {
	if k, ok := c.PublicKey.(*ecdsa.PublicKey); !ok || k.Curve == elliptic.P224() {
		return fmt.Errorf("%q must have an ECDSA key, on the curve P-256 or larger", c.Subject.CommonName)
	}
	return nil
}
