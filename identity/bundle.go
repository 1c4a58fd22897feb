package identity

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"sort"
)

// ErrNoRoots means that a bundle holds no certificate.
var ErrNoRoots = errors.New("trust bundle holds no certificate")

// Bundle is a set of root certificates of one trust domain. It is immutable;
// a change of trust is a new Bundle.
type Bundle struct {
	roots []*x509.Certificate
	pool  *x509.CertPool
	sum   [sha256.Size]byte
}

// NewBundle makes a bundle of the given roots, without duplicates and in a
// stable order.
func NewBundle(roots ...*x509.Certificate) (*Bundle, error) {
	if len(roots) == 0 {
		return nil, ErrNoRoots
	}
	b := &Bundle{pool: x509.NewCertPool()}
	seen := map[string]bool{}
	for _, r := range roots {
		if !seen[string(r.Raw)] {
			seen[string(r.Raw)] = true
			b.roots = append(b.roots, r)
			b.pool.AddCert(r)
		}
	}
	sort.Slice(b.roots, func(i, j int) bool { return bytes.Compare(b.roots[i].Raw, b.roots[j].Raw) < 0 })
	b.sum = sha256.Sum256(b.PEM())
	return b, nil
}

// ParseBundlePEM reads every CERTIFICATE block of p.
func ParseBundlePEM(p []byte) (*Bundle, error) {
	var roots []*x509.Certificate
	for {
		var block *pem.Block
		if block, p = pem.Decode(p); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate %d of the trust bundle: %w", len(roots)+1, err)
		}
		roots = append(roots, c)
	}
	return NewBundle(roots...)
}

// Roots returns the certificates; the caller must not change the slice.
func (b *Bundle) Roots() []*x509.Certificate { return b.roots }

// Pool returns the roots for a verifier; the caller must not change it.
func (b *Bundle) Pool() *x509.CertPool { return b.pool }

// PEM encodes the bundle.
func (b *Bundle) PEM() []byte {
	var out bytes.Buffer
	for _, r := range b.roots {
		// Writing to a bytes.Buffer cannot fail.
		_ = pem.Encode(&out, &pem.Block{Type: "CERTIFICATE", Bytes: r.Raw})
	}
	return out.Bytes()
}

// Sum is the SHA-256 of the bundle's PEM form.
func (b *Bundle) Sum() [sha256.Size]byte { return b.sum }

// Fingerprint is Sum in hexadecimal.
func (b *Bundle) Fingerprint() string { return hex.EncodeToString(b.sum[:]) }

// Equal says whether both hold the same roots.
func (b *Bundle) Equal(o *Bundle) bool {
	return b == o || (b != nil && o != nil && b.sum == o.sum)
}
