package ca

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"sync"
	"time"
)

// renewAt is the share of its life after which a serving certificate is renewed.
const renewAt = 0.7

// Serving gives the control plane's own servers a certificate of the authority,
// and a new one before it ends or when the issuer has changed.
type Serving struct {
	authority *Authority
	names     []string
	addresses []net.IP

	mu     sync.Mutex
	cert   *tls.Certificate
	issuer *Issuer
	renew  time.Time
}

// NewServing makes a source of certificates with these DNS names and addresses.
func NewServing(a *Authority, names []string, addresses ...net.IP) *Serving {
	return &Serving{authority: a, names: names, addresses: addresses}
}

// Certificate returns a valid certificate. It fits tls.Config.GetCertificate.
func (s *Serving) Certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	issuer, err := s.authority.Issuer()
	if err != nil {
		return nil, err
	}
	now := s.authority.now()
	if s.cert != nil && s.issuer == issuer && now.Before(s.renew) {
		return s.cert, nil
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("serving certificate: %w", err)
	}
	der, err := s.authority.issue(issuer, &x509.Certificate{DNSNames: s.names, IPAddresses: s.addresses}, &key.PublicKey)
	if err != nil {
		return nil, fmt.Errorf("serving certificate: %w", err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("serving certificate: %w", err)
	}
	s.cert = &tls.Certificate{Certificate: append([][]byte{der}, issuer.chain...), PrivateKey: key, Leaf: leaf}
	s.issuer = issuer
	s.renew = now.Add(time.Duration(renewAt * float64(leaf.NotAfter.Sub(now))))
	return s.cert, nil
}

// TLS is the configuration of the discovery port: TLS 1.3, client certificates
// verified against the current bundle if one is given.
func (s *Serving) TLS() *tls.Config {
	base := &tls.Config{MinVersion: tls.VersionTLS13, NextProtos: []string{"h2"}, GetCertificate: s.Certificate}
	base.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
		bundle, err := s.authority.Bundle()
		if err != nil {
			return nil, err
		}
		c := base.Clone()
		c.GetConfigForClient = nil
		c.ClientAuth, c.ClientCAs = tls.VerifyClientCertIfGiven, bundle.Pool()
		// A resumed session would carry a verdict of the bundle of its time.
		c.SessionTicketsDisabled = true
		return c, nil
	}
	return base
}

// WebhookTLS is the configuration of the webhooks' port, for the API server.
func (s *Serving) WebhookTLS() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}, GetCertificate: s.Certificate}
}
