package identity

import (
	"crypto/x509"
	"errors"
	"fmt"
	"time"
)

// Errors of a refused peer.
var (
	// ErrNoCertificate means that the peer showed none.
	ErrNoCertificate = errors.New("peer showed no certificate")
	// ErrUntrusted means that the chain does not end in the bundle, or has expired.
	ErrUntrusted = errors.New("peer certificate is not trusted")
	// ErrNoIdentity means that the leaf carries no, or more than one, SPIFFE ID.
	ErrNoIdentity = errors.New("peer certificate carries no workload identity")
	// ErrRefused means that the identity is proven but not the wanted one.
	ErrRefused = errors.New("peer identity refused")
)

// Authorizer accepts an identity (nil) or says why not.
type Authorizer func(ID) error

// AuthorizeAny accepts every identity of the trust domain of the bundle.
func AuthorizeAny() Authorizer { return func(ID) error { return nil } }

// AuthorizeOneOf accepts just the given identities.
func AuthorizeOneOf(want ...ID) Authorizer {
	return func(got ID) error {
		for _, w := range want {
			if w == got {
				return nil
			}
		}
		return fmt.Errorf("%w: got %s, want one of %v", ErrRefused, got, want)
	}
}

// Usage is the side that the peer plays in a handshake.
type Usage int

const (
	// Server means that the peer answered the handshake.
	Server Usage = iota
	// Client means that the peer began the handshake.
	Client
)

// VerifyPeer checks a chain (leaf first) against the bundle at the given time
// and returns the identity that the leaf proves (SPIFFE X.509-SVID, section 5).
func VerifyPeer(chain []*x509.Certificate, bundle *Bundle, peer Usage, now time.Time) (ID, error) {
	if len(chain) == 0 {
		return ID{}, ErrNoCertificate
	}
	usage := x509.ExtKeyUsageServerAuth
	if peer == Client {
		usage = x509.ExtKeyUsageClientAuth
	}
	inter := x509.NewCertPool()
	for _, c := range chain[1:] {
		inter.AddCert(c)
	}
	leaf := chain[0]
	if leaf.IsCA {
		return ID{}, fmt.Errorf("%w: the leaf is a CA certificate", ErrUntrusted)
	}
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: bundle.Pool(), Intermediates: inter, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{usage}}); err != nil {
		return ID{}, fmt.Errorf("%w: %w", ErrUntrusted, err)
	}
	return IDFromCertificate(leaf)
}

// IDFromCertificate returns the one SPIFFE ID of a leaf, without verifying it.
func IDFromCertificate(leaf *x509.Certificate) (ID, error) {
	if len(leaf.URIs) != 1 {
		return ID{}, fmt.Errorf("%w: %d URI names", ErrNoIdentity, len(leaf.URIs))
	}
	id, err := ParseID(leaf.URIs[0].String())
	if err != nil {
		return ID{}, fmt.Errorf("%w: %w", ErrNoIdentity, err)
	}
	return id, nil
}
