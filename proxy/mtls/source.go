package mtls

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	mrand "math/rand/v2"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weftmesh/weft/identity"
)

// Errors of a Source; errors.Is finds them under the detail.
var (
	// ErrNoCertificate means that none has been issued yet, or that the last one
	// has expired and could not be renewed.
	ErrNoCertificate = errors.New("the proxy has no valid certificate")
	// ErrIssued means that what the authority issued cannot be used.
	ErrIssued = errors.New("issued certificate is unusable")
)

// Backoff of failed signings. Before the first certificate the workload waits,
// so the first pauses are short.
const (
	minBackoff = 200 * time.Millisecond
	maxBackoff = 30 * time.Second
	// renewAt is the share of its life after which a certificate is renewed, and
	// renewJitter the spread around that, as shares.
	renewAt     = 0.7
	renewJitter = 0.1
)

// Signer has a certificate signing request (PKCS #10, DER) signed. It returns
// the chain, leaf first, and the roots of the trust bundle, all DER.
type Signer interface {
	Sign(ctx context.Context, csr []byte) (chain, roots [][]byte, err error)
}

// Options of a Source.
type Options struct {
	// Identity is whom the certificate is to prove.
	Identity identity.ID
	// ControlNamespace completes the DNS form of identities (identity.ID.DNSName).
	ControlNamespace string
	Signer           Signer
	// Anchors are the roots that the installation gave; the bundle begins as
	// these.
	Anchors *identity.Bundle
	Log     *slog.Logger
	// PostQuantum makes handshakes agree on keys by X25519MLKEM768 where the peer
	// knows it, which costs each side some 0.2 ms more.
	PostQuantum bool
	// Look is how often connections are looked through (Follow); 0 means
	// DefaultLook.
	Look time.Duration
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// Source holds the proxy's certificate and the trust bundle. It is safe for
// concurrent use.
type Source struct {
	opts   Options
	cert   atomic.Pointer[tls.Certificate]
	bundle atomic.Pointer[identity.Bundle]
	told   atomic.Bool // of the bundle, by SetBundle
	ready  chan struct{}
	once   sync.Once
	renew  chan struct{} // asks Run for a new certificate now

	mu      sync.Mutex
	clients map[clientKey]*tls.Config

	verdicts map[verdictKey]verdict // guarded by mu
	tickets  tickets
	sessions *sessions

	following following
}

// New makes a source that has no certificate yet; Run obtains it.
func New(o Options) (*Source, error) {
	if o.Anchors == nil {
		return nil, identity.ErrNoRoots
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Look <= 0 {
		o.Look = DefaultLook
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	s := &Source{opts: o, ready: make(chan struct{}), renew: make(chan struct{}, 1), clients: map[clientKey]*tls.Config{}, verdicts: map[verdictKey]verdict{}}
	s.tickets = tickets{source: s, keys: &tls.Config{Time: o.Now}}
	s.sessions = &sessions{source: s, kept: tls.NewLRUClientSessionCache(maxSessions)}
	s.following.all = map[*followed]struct{}{}
	s.bundle.Store(o.Anchors)
	return s, nil
}

// Ready is closed once there is a certificate.
func (s *Source) Ready() <-chan struct{} { return s.ready }

// Identity is whom the certificate proves.
func (s *Source) Identity() identity.ID { return s.opts.Identity }

// Bundle returns the roots that peers are judged by now.
func (s *Source) Bundle() *identity.Bundle { return s.bundle.Load() }

// SetBundle changes the roots from the next handshake on. Where the proxy's own
// certificate does not end in them a new one is asked for at once.
func (s *Source) SetBundle(b *identity.Bundle) {
	s.told.Store(true)
	s.setBundle(b)
}

func (s *Source) setBundle(b *identity.Bundle) {
	old := s.bundle.Swap(b)
	if old.Equal(b) {
		return
	}
	s.opts.Log.Info("trust bundle changed", "roots", len(b.Roots()), "fingerprint", b.Fingerprint())
	if c := s.cert.Load(); c != nil {
		if _, err := s.check(c.Certificate); err != nil {
			select {
			case s.renew <- struct{}{}:
			default:
			}
		}
	}
}

// Certificate returns the proxy's certificate, or ErrNoCertificate.
func (s *Source) Certificate() (*tls.Certificate, error) {
	c := s.cert.Load()
	if c == nil {
		return nil, ErrNoCertificate
	}
	if s.opts.Now().After(c.Leaf.NotAfter) {
		return nil, fmt.Errorf("%w: the last one expired at %s", ErrNoCertificate, c.Leaf.NotAfter.Format(time.RFC3339))
	}
	return c, nil
}

// Run obtains the certificate and renews it until ctx ends. The one in use is
// kept to its end while renewing fails. Connections are followed meanwhile.
func (s *Source) Run(ctx context.Context) {
	var follow sync.WaitGroup
	follow.Go(func() { s.follow(ctx) })
	defer follow.Wait()
	backoff := minBackoff
	for ctx.Err() == nil {
		var wait time.Duration
		if err := s.obtain(ctx); err != nil {
			if ctx.Err() != nil {
				return
			}
			wait = jittered(backoff, 0.2)
			backoff = min(2*backoff, maxBackoff)
			s.opts.Log.Warn("certificate could not be obtained", "identity", s.opts.Identity.String(), "again_in", wait.Round(time.Millisecond), "error", err)
		} else {
			backoff = minBackoff
			leaf := s.cert.Load().Leaf
			wait = RenewAfter(leaf.NotAfter.Sub(s.opts.Now()))
			s.opts.Log.Info("certificate issued", "identity", s.opts.Identity.String(), "not_after", leaf.NotAfter, "renewal_in", wait.Round(time.Second))
		}
		t := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-t.C:
		case <-s.renew:
		}
		t.Stop()
	}
}

// RenewAfter says when to renew a certificate that has so long to live.
func RenewAfter(life time.Duration) time.Duration {
	return jittered(time.Duration(float64(life)*renewAt), renewJitter)
}

func jittered(d time.Duration, share float64) time.Duration {
	return time.Duration(float64(d) * (1 + share*(2*mrand.Float64()-1)))
}

// obtain makes a new key and has it certified.
func (s *Source) obtain(ctx context.Context) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("key: %w", err)
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{URIs: []*url.URL{s.opts.Identity.URL()}}, key)
	if err != nil {
		return fmt.Errorf("certificate request: %w", err)
	}
	chain, roots, err := s.opts.Signer.Sign(ctx, csr)
	if err != nil {
		return err
	}
	var parsed []*x509.Certificate
	for _, der := range roots {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return fmt.Errorf("%w: root: %w", ErrIssued, err)
		}
		parsed = append(parsed, c)
	}
	// What discovery told of the bundle holds, unless the new certificate ends in
	// other roots: after a long absence this is how the proxy hears of them.
	b := s.bundle.Load()
	leaf, err := verify(chain, b, s.opts.Now())
	if (err != nil || !s.told.Load()) && len(parsed) > 0 {
		if b, err = identity.NewBundle(parsed...); err == nil {
			leaf, err = verify(chain, b, s.opts.Now())
		}
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrIssued, err)
	}
	if id, err := identity.IDFromCertificate(leaf); err != nil || id != s.opts.Identity {
		return fmt.Errorf("%w: it is for %q, not for %s", ErrIssued, id, s.opts.Identity)
	}
	if !key.PublicKey.Equal(leaf.PublicKey) {
		return fmt.Errorf("%w: it is for another key", ErrIssued)
	}
	s.cert.Store(&tls.Certificate{Certificate: chain, PrivateKey: key, Leaf: leaf})
	s.setBundle(b)
	s.once.Do(func() { close(s.ready) })
	return nil
}

// check says whether a chain of ours ends in the current bundle.
func (s *Source) check(chain [][]byte) (*x509.Certificate, error) {
	return verify(chain, s.bundle.Load(), s.opts.Now())
}

func verify(chain [][]byte, b *identity.Bundle, now time.Time) (*x509.Certificate, error) {
	var certs []*x509.Certificate
	for _, der := range chain {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, err
		}
		certs = append(certs, c)
	}
	if _, err := identity.VerifyPeer(certs, b, identity.Server, now); err != nil {
		return nil, err
	}
	return certs[0], nil
}
