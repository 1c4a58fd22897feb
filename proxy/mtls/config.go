package mtls

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"

	"github.com/weftmesh/weft/identity"
)

// maxClients bounds the remembered client configurations.
const maxClients = 4096

type clientKey struct {
	want      identity.ID
	protocols string
}

// Client returns the configuration for a connection to a peer that must prove
// want, offering the protocols, best first. It implements upstream.TLS.
func (s *Source) Client(want identity.ID, protocols ...string) (*tls.Config, error) {
	if _, err := s.Certificate(); err != nil {
		return nil, err
	}
	k := clientKey{want, strings.Join(protocols, ",")}
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.clients[k]; c != nil {
		return c, nil
	}
	c := s.base()
	c.SessionTicketsDisabled = false
	c.ClientSessionCache = s.sessions
	c.ServerName = want.DNSName(s.opts.ControlNamespace)
	c.NextProtos = slices.Clone(protocols)
	c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return s.Certificate() }
	authorize := identity.AuthorizeOneOf(want)
	c.VerifyConnection = func(cs tls.ConnectionState) error {
		id, err := s.Peer(cs, identity.Server)
		if err != nil {
			return err
		}
		return authorize(id)
	}
	if len(s.clients) >= maxClients {
		clear(s.clients)
	}
	s.clients[k] = c
	return c, nil
}

// Server returns the configuration for connections from peers, who must prove
// an identity of the trust domain, in the given protocols, best first.
func (s *Source) Server(protocols ...string) *tls.Config {
	c := s.base()
	c.SessionTicketsDisabled = false
	c.WrapSession, c.UnwrapSession = s.tickets.wrap, s.tickets.unwrap
	c.NextProtos = protocols
	c.ClientAuth = tls.RequireAnyClientCert
	c.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return s.Certificate() }
	c.VerifyConnection = func(cs tls.ConnectionState) error {
		id, err := s.Peer(cs, identity.Client)
		if err == nil && id.TrustDomain != s.opts.Identity.TrustDomain {
			return fmt.Errorf("%w: %s is not of the trust domain %s", identity.ErrRefused, id, s.opts.Identity.TrustDomain)
		}
		return err
	}
	return c
}

// Control returns the configuration for connections to the control plane, whose
// certificate must carry name and end in the trust bundle. The proxy shows its
// own certificate if it has one.
func (s *Source) Control(name string) *tls.Config {
	c := s.base()
	c.ServerName = name
	c.NextProtos = []string{"h2"}
	c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		if c, err := s.Certificate(); err == nil {
			return c, nil
		}
		return &tls.Certificate{}, nil
	}
	c.VerifyConnection = func(cs tls.ConnectionState) error {
		return s.verifyControl(cs, name)
	}
	return c
}

// verifyControl accepts the roots of the moment and those of the installation:
// a proxy that missed a change of the bundle must still reach who tells it.
func (s *Source) verifyControl(cs tls.ConnectionState, name string) error {
	if len(cs.PeerCertificates) == 0 {
		return identity.ErrNoCertificate
	}
	inter := x509.NewCertPool()
	for _, c := range cs.PeerCertificates[1:] {
		inter.AddCert(c)
	}
	o := x509.VerifyOptions{Roots: s.bundle.Load().Pool(), Intermediates: inter, DNSName: name, CurrentTime: s.opts.Now()}
	_, err := cs.PeerCertificates[0].Verify(o)
	if err == nil {
		return nil
	}
	o.Roots = s.opts.Anchors.Pool()
	if _, e := cs.PeerCertificates[0].Verify(o); e == nil {
		return nil
	}
	return fmt.Errorf("control plane's certificate: %w", err)
}

// Peer returns the identity that the other side of a connection has proven.
func (s *Source) Peer(cs tls.ConnectionState, role identity.Usage) (identity.ID, error) {
	v, err := s.judge(cs.PeerCertificates, role)
	return v.id, err
}

// base is what all configurations share. Peers are verified by VerifyConnection
// alone, which crypto/tls calls for every handshake, resumed ones included.
func (s *Source) base() *tls.Config {
	c := &tls.Config{
		MinVersion:                  tls.VersionTLS13,
		InsecureSkipVerify:          true,
		SessionTicketsDisabled:      true,
		DynamicRecordSizingDisabled: true,
		Time:                        s.opts.Now,
	}
	if !s.opts.PostQuantum {
		c.CurvePreferences = []tls.CurveID{tls.X25519, tls.CurveP256}
	}
	return c
}
