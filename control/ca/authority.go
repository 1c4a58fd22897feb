package ca

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weftmesh/weft/identity"
)

// Errors of Sign; errors.Is finds them under the detail.
var (
	// ErrNotReady means that there is no issuer yet, or that it has expired.
	ErrNotReady = errors.New("certificate authority has no valid issuer")
	// ErrRequest means that the certificate request is malformed or badly signed.
	ErrRequest = errors.New("invalid certificate request")
	// ErrWeakKey means that the request's key is too weak or of an unknown kind.
	ErrWeakKey = errors.New("weak key")
	// ErrForeign means that the request names another identity than the caller's.
	ErrForeign = errors.New("certificate request names another identity")
)

const (
	// leafLife is how long certificates live.
	leafLife = 24 * time.Hour
	// skew is how far clocks may differ: certificates are valid from so long ago.
	skew = 20 * time.Second
	// minRSA is the smallest RSA key accepted, in bits.
	minRSA = 2048
)

// Authority signs certificates with its current issuer. Its methods may be
// called from any goroutine.
type Authority struct {
	controlNamespace string
	log              *slog.Logger
	now              func() time.Time
	current          atomic.Pointer[Issuer]

	mu       sync.Mutex // guards what follows, and orders updates
	material Material
	refused  error
	onBundle []func(*identity.Bundle)
}

// NewAuthority makes an authority without an issuer; Update gives it one. The
// clock is time.Now where it is nil. The namespace is the control plane's, which
// is part of the DNS form of identities.
func NewAuthority(controlNamespace string, log *slog.Logger, clock func() time.Time) *Authority {
	if clock == nil {
		clock = time.Now
	}
	return &Authority{controlNamespace: controlNamespace, log: log, now: clock}
}

// OnBundle adds a function that is told the trust bundle now, if there is one,
// and each change of it. It must return at once.
func (a *Authority) OnBundle(f func(*identity.Bundle)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.onBundle = append(a.onBundle, f)
	if i := a.current.Load(); i != nil {
		f(i.bundle)
	}
}

// Update replaces issuer and bundle. Material that does not fit is refused with
// the reason, and what served before serves on.
func (a *Authority) Update(m Material) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.current.Load() != nil && a.refused == nil && a.material.Equal(m) {
		return nil
	}
	next, err := NewIssuer(m, a.now())
	a.refused = err
	if err != nil {
		a.log.Error("new issuer refused", "error", err, "keeps serving", a.current.Load() != nil)
		return err
	}
	old := a.current.Load()
	a.material = m
	a.current.Store(next)
	a.log.Info("issuer in use", "subject", next.cert.Subject.String(), "expires", next.cert.NotAfter.UTC().Format(time.RFC3339), "roots", len(next.bundle.Roots()))
	if old == nil || !old.bundle.Equal(next.bundle) {
		for _, f := range a.onBundle {
			f(next.bundle)
		}
	}
	return nil
}

// Refused is the reason why the newest material is not in use, or nil.
func (a *Authority) Refused() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.refused
}

// Issuer returns the issuer in use, or ErrNotReady.
func (a *Authority) Issuer() (*Issuer, error) {
	i := a.current.Load()
	if i == nil {
		return nil, ErrNotReady
	}
	if now := a.now(); !now.Before(i.cert.NotAfter) {
		return nil, fmt.Errorf("%w: it expired at %s", ErrNotReady, i.cert.NotAfter.UTC().Format(time.RFC3339))
	}
	return i, nil
}

// Bundle returns the trust bundle, or ErrNotReady.
func (a *Authority) Bundle() (*identity.Bundle, error) {
	i := a.current.Load()
	if i == nil {
		return nil, ErrNotReady
	}
	return i.bundle, nil
}

// Sign issues a certificate for an identity that is proven already. The request
// (PKCS #10, DER) gives the key; of its names it may have that identity as URI
// alone, and everything else in it is ignored. The chain is leaf first, without
// a root, DER.
func (a *Authority) Sign(csr []byte, id identity.ID) ([][]byte, *identity.Bundle, error) {
	issuer, err := a.Issuer()
	if err != nil {
		return nil, nil, err
	}
	req, err := x509.ParseCertificateRequest(csr)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrRequest, err)
	}
	if err := req.CheckSignature(); err != nil {
		return nil, nil, fmt.Errorf("%w: signature: %w", ErrRequest, err)
	}
	if err := checkKey(req.PublicKey); err != nil {
		return nil, nil, err
	}
	for _, u := range req.URIs {
		if u.String() != id.String() {
			return nil, nil, fmt.Errorf("%w: %q, the caller is %s", ErrForeign, u, id)
		}
	}
	leaf, err := a.issue(issuer, &x509.Certificate{
		URIs:     []*url.URL{id.URL()},
		DNSNames: []string{id.DNSName(a.controlNamespace)},
	}, req.PublicKey)
	if err != nil {
		return nil, nil, err
	}
	return append([][]byte{leaf}, issuer.chain...), issuer.bundle, nil
}

// issue fills in what all leaves share, and signs.
func (a *Authority) issue(i *Issuer, t *x509.Certificate, pub any) ([]byte, error) {
	sn, err := serial()
	if err != nil {
		return nil, fmt.Errorf("issue certificate: %w", err)
	}
	now := a.now()
	t.SerialNumber = sn
	t.NotBefore = now.Add(-skew)
	t.NotAfter = now.Add(leafLife)
	// A leaf that outlives its issuer would fail before its own end.
	if t.NotAfter.After(i.cert.NotAfter) {
		t.NotAfter = i.cert.NotAfter
	}
	t.BasicConstraintsValid = true
	t.KeyUsage = x509.KeyUsageDigitalSignature
	t.ExtKeyUsage = append(t.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
	if len(t.URIs) > 0 {
		t.ExtKeyUsage = append(t.ExtKeyUsage, x509.ExtKeyUsageClientAuth)
	}
	der, err := x509.CreateCertificate(rand.Reader, t, i.cert, pub, i.key)
	if err != nil {
		return nil, fmt.Errorf("issue certificate: %w", err)
	}
	return der, nil
}

func checkKey(pub any) error {
	switch k := pub.(type) {
	case *ecdsa.PublicKey:
		if bits := k.Curve.Params().BitSize; bits < 256 {
			return fmt.Errorf("%w: ECDSA of %d bits, want 256 or more", ErrWeakKey, bits)
		}
	case ed25519.PublicKey:
	case *rsa.PublicKey:
		if bits := k.N.BitLen(); bits < minRSA {
			return fmt.Errorf("%w: RSA of %d bits, want %d or more", ErrWeakKey, bits, minRSA)
		}
	default:
		return fmt.Errorf("%w: keys of type %T are not accepted, use ECDSA P-256", ErrWeakKey, pub)
	}
	return nil
}
