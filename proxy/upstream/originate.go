package upstream

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"reflect"
	"slices"
	"strings"

	"github.com/weftmesh/weft/proxy/alpn"
	"github.com/weftmesh/weft/proxy/conn"
)

// Origination is TLS that a user asks for, towards servers that are no part of
// the mesh (envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext;
// DestinationRule SIMPLE and MUTUAL). It must not be changed.
type Origination struct {
	// ServerName is sent as SNI; empty sends none.
	ServerName string
	// Roots are the authorities that are trusted, in PEM; the zero value means
	// those of the system.
	Roots Material
	// Insecure accepts every chain of certificates.
	Insecure bool
	// Names of which the server's certificate must hold one; none means that any
	// name will do, which is for Insecure only.
	Names []Name
	// Certificate and Key are the client's, in PEM; zero values show none.
	Certificate, Key Material
	// MinVersion and MaxVersion of TLS; 0 means 1.2 and the latest.
	MinVersion, MaxVersion uint16
	// Protocols are offered by ALPN where bytes are carried that are not HTTP.
	Protocols []string
}

// Material is text that lies in a file of the proxy, or is given.
type Material struct{ File, Inline string }

// systemBundle is where most systems keep the authorities that they trust.
const systemBundle = "/etc/ssl/certs/ca-certificates.crt"

// NameKind is the kind of a name in a certificate.
type NameKind uint8

const (
	// AnyName is a name of any of the other kinds.
	AnyName NameKind = iota
	// DNSName may be matched by a certificate for *.
	DNSName
	// URIName is compared as text.
	URIName
	// IPName is an IP address.
	IPName
	// UnderDomain is *.domain, which holds for any name below.
	UnderDomain
)

// Name is one that a certificate may hold.
type Name struct {
	Kind  NameKind
	Value string
}

func (n Name) heldBy(c *x509.Certificate) bool {
	switch n.Kind {
	case DNSName:
		return c.VerifyHostname(n.Value) == nil && net.ParseIP(n.Value) == nil
	case IPName:
		ip := net.ParseIP(n.Value)
		return ip != nil && slices.ContainsFunc(c.IPAddresses, ip.Equal)
	case URIName:
		for _, u := range c.URIs {
			if u.String() == n.Value {
				return true
			}
		}
		return false
	case UnderDomain:
		domain := strings.ToLower(strings.TrimPrefix(n.Value, "*"))
		for _, d := range c.DNSNames {
			if d = strings.ToLower(d); len(d) > len(domain) && strings.HasSuffix(d, domain) {
				return true
			}
		}
		return false
	}
	return Name{DNSName, n.Value}.heldBy(c) || Name{IPName, n.Value}.heldBy(c) || Name{URIName, n.Value}.heldBy(c)
}

func (o *Origination) equal(p *Origination) bool {
	return o == p || o != nil && p != nil && reflect.DeepEqual(o, p)
}

// originator makes the TLS connections of one cluster.
type originator struct {
	Origination
	cluster  string
	log      *slog.Logger
	sessions tls.ClientSessionCache
	roots    material[*x509.CertPool]
	own      material[*ownPair]
}

func newOriginator(cluster string, o *Origination, log *slog.Logger) *originator {
	if o == nil {
		return nil
	}
	return &originator{Origination: *o, cluster: cluster, log: log, sessions: tls.NewLRUClientSessionCache(maxSessions)}
}

// maxSessions bounds the remembered sessions of a cluster.
const maxSessions = 64

// errNames means that a certificate is of somebody else.
var errNames = errors.New("the server's certificate holds none of the names that are accepted")

// secure takes a connection to TLS. protocols are those of the mesh that
// would be spoken to a proxy: they tell what the application is about to speak.
func (o *originator) secure(ctx context.Context, c *conn.Conn, protocols []string) (*conn.Conn, error) {
	s, err := o.handshake(ctx, c, protocols)
	if err != nil {
		return nil, fmt.Errorf("TLS that cluster %s originates: %w", o.cluster, err)
	}
	return s, nil
}

func (o *originator) handshake(ctx context.Context, c *conn.Conn, protocols []string) (*conn.Conn, error) {
	cfg := &tls.Config{
		ServerName: o.ServerName, NextProtos: o.protocols(protocols), ClientSessionCache: o.sessions,
		MinVersion: cmp.Or(o.MinVersion, tls.VersionTLS12), MaxVersion: o.MaxVersion, DynamicRecordSizingDisabled: true,
		// VerifyConnection does it, for resumed sessions too.
		InsecureSkipVerify: true,
	}
	var roots *x509.CertPool
	if !o.Insecure {
		var err error
		if roots, err = o.trusted(); err != nil {
			return nil, err
		}
	}
	if o.Certificate != (Material{}) {
		own, err := o.own.get(o.notice, parsePair, o.Certificate, o.Key)
		if err != nil {
			return nil, fmt.Errorf("the client's certificate: %w", err)
		}
		cfg.ClientSessionCache = own.sessions
		cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &own.certificate, nil }
	}
	var refused error
	cfg.VerifyConnection = func(cs tls.ConnectionState) error {
		refused = o.verify(cs, roots)
		return refused
	}
	s, err := conn.Client(ctx, c, cfg)
	if refused != nil {
		return nil, fmt.Errorf("%w: %w", ErrIdentity, refused)
	}
	return s, err
}

func (o *originator) verify(cs tls.ConnectionState, roots *x509.CertPool) error {
	if len(cs.PeerCertificates) == 0 {
		return errors.New("the server has no certificate")
	}
	leaf := cs.PeerCertificates[0]
	if !o.Insecure {
		inter := x509.NewCertPool()
		for _, c := range cs.PeerCertificates[1:] {
			inter.AddCert(c)
		}
		if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: inter}); err != nil {
			return err
		}
	}
	if len(o.Names) == 0 && o.Insecure {
		return nil
	}
	var want []string
	for _, n := range o.Names {
		if n.heldBy(leaf) {
			return nil
		}
		want = append(want, n.Value)
	}
	return fmt.Errorf("%w: %s", errNames, strings.Join(want, ", "))
}

// protocols are offered to a server that is no proxy of the mesh.
func (o *originator) protocols(mesh []string) []string {
	switch {
	case slices.Contains(mesh, alpn.HTTP1):
		return []string{"http/1.1"}
	case slices.Contains(mesh, alpn.HTTP2):
		return []string{"h2"}
	}
	return o.Protocols
}

func (o *originator) trusted() (*x509.CertPool, error) {
	if o.Roots == (Material{}) {
		return x509.SystemCertPool()
	}
	pool, err := o.roots.get(o.notice, parseRoots, o.Roots)
	if err != nil && o.Roots.File == systemBundle {
		// Another system keeps them elsewhere.
		return x509.SystemCertPool()
	}
	if err != nil {
		return nil, fmt.Errorf("the trusted authorities: %w", err)
	}
	return pool, nil
}

// notice tells of files that changed for the worse: what they held before
// stays in use.
func (o *originator) notice(err error) {
	o.log.Warn("TLS files cannot be used; what they held before stays in use", "cluster", o.cluster, "error", err)
}
