package config

import (
	"cmp"
	"crypto/tls"
	"net/netip"
	"strings"

	"github.com/weftmesh/weft/identity"
	"github.com/weftmesh/weft/proxy/upstream"
)

const urlUpstreamTLS = typePrefix + "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext"

// ownCertificate is the name under which a proxy shows its certificate of the
// mesh (SDS).
const ownCertificate = "default"

// socket is the transport socket of a cluster.
type socket struct {
	raw bool // plaintext
	// tls is of the user's; mesh says that it is the mesh's own instead, whose
	// names are identities.
	tls  *upstream.Origination
	mesh bool
	// trusted says that a source of trust was given, insecure that all are
	// accepted.
	trusted, insecure bool
	showsOwn          bool
}

// decodeSocket reads a TransportSocket.
func (c *clusterParts) decodeSocket(b []byte) error {
	name, a, _, err := decodeNamedAny(b, 3)
	if err != nil {
		return err
	}
	switch {
	case a.url == urlRawBuffer, a.url == "" && strings.HasSuffix(name, rawBuffer):
		c.socket = &socket{raw: true}
		return nil
	case a.url != urlUpstreamTLS:
		return unsupported("%q of type %q", name, a.url)
	}
	s := &socket{tls: &upstream.Origination{}}
	c.socket = s
	return at(name, eachField(a.value, func(f field) error {
		switch f.num {
		case 1:
			return f.in("common_tls_context", s.decodeCommon)
		case 2:
			return f.str(&s.tls.ServerName)
		case 3:
			if f.u != 0 {
				return unsupported("allow_renegotiation")
			}
		}
		// max_session_keys, enforce_rsa_key_usage: crypto/tls decides. Names that
		// Envoy would take from the host are what settle takes them from too.
		return nil
	}))
}

func (s *socket) decodeCommon(b []byte) error {
	pairs := 0
	return eachField(b, func(f field) error {
		switch f.num {
		case 1:
			return f.in("tls_params", s.decodeParams)
		case 2:
			if pairs++; pairs > 1 {
				return unsupported("more than one of tls_certificates")
			}
			return f.in("tls_certificates", s.decodeCertificate)
		case 3:
			return f.in("validation_context", s.decodeValidation)
		case 4:
			var p string
			err := f.str(&p)
			// What is HTTP offers what is about to be spoken.
			if p != "h2" && p != "http/1.1" && p != "" && len(p) < 256 {
				s.tls.Protocols = append(s.tls.Protocols, p)
			}
			return err
		case 6:
			return f.in("tls_certificate_sds_secret_configs", func(b []byte) error {
				name, err := secretName(b)
				if err == nil && name != ownCertificate {
					err = unsupported("the secret %q", name)
				}
				s.showsOwn = true
				return err
			})
		case 7:
			return f.in("validation_context_sds_secret_config", s.decodeTrust)
		case 8:
			return f.in("combined_validation_context", func(b []byte) error {
				return eachField(b, func(f field) error {
					switch f.num {
					case 1:
						return f.in("default_validation_context", s.decodeValidation)
					case 2:
						return f.in("validation_context_sds_secret_config", s.decodeTrust)
					}
					return unsupported("certificate providers (field %d)", f.num)
				})
			})
		case 15:
			return nil // key_log: secrets are not written
		}
		return unsupported("certificate providers and handshakers (field %d)", f.num)
	})
}

// decodeTrust reads the SdsSecretConfig of trust.
func (s *socket) decodeTrust(b []byte) error {
	name, err := secretName(b)
	if err == nil && name != rootCA {
		err = unsupported("the secret %q", name)
	}
	s.mesh = true
	return err
}

func secretName(b []byte) (name string, err error) {
	err = eachField(b, func(f field) error {
		if f.num == 1 {
			return f.str(&name)
		}
		return nil
	})
	return name, err
}

// decodeParams reads TlsParameters.
func (s *socket) decodeParams(b []byte) error {
	versions := [...]uint16{0, tls.VersionTLS10, tls.VersionTLS11, tls.VersionTLS12, tls.VersionTLS13}
	return eachField(b, func(f field) error {
		switch f.num {
		case 1, 2:
			if f.u >= uint64(len(versions)) {
				return invalid("TLS version %d", f.u)
			}
			to := &s.tls.MinVersion
			if f.num == 2 {
				to = &s.tls.MaxVersion
			}
			*to = versions[f.u]
			return nil
		}
		return unsupported("cipher suites, curves and signature algorithms (field %d)", f.num)
	})
}

// decodeCertificate reads a TlsCertificate.
func (s *socket) decodeCertificate(b []byte) error {
	return eachField(b, func(f field) error {
		switch f.num {
		case 1:
			return f.in("certificate_chain", decodeMaterial(&s.tls.Certificate))
		case 2:
			return f.in("private_key", decodeMaterial(&s.tls.Key))
		case 4, 5, 7:
			return nil // staples are for servers; every file is watched
		}
		return unsupported("passwords and providers of private keys (field %d)", f.num)
	})
}

// decodeMaterial reads a DataSource.
func decodeMaterial(to *upstream.Material) func([]byte) error {
	return func(b []byte) error {
		return eachField(b, func(f field) error {
			switch f.num {
			case 1:
				*to = upstream.Material{}
				return f.str(&to.File)
			case 2, 3:
				*to = upstream.Material{}
				return f.str(&to.Inline)
			case 5:
				return nil
			}
			return unsupported("a data source other than a file or inline (field %d)", f.num)
		})
	}
}

// decodeValidation reads a CertificateValidationContext. What would verify
// more than is verified is refused.
func (s *socket) decodeValidation(b []byte) error {
	return eachField(b, func(f field) error {
		switch f.num {
		case 1:
			s.trusted = true
			return f.in("trusted_ca", decodeMaterial(&s.tls.Roots))
		case 17:
			s.trusted = true
			return nil
		case 9:
			return f.in("match_subject_alt_names", func(b []byte) error { return s.decodeName(upstream.AnyName, b) })
		case 15:
			return f.in("match_typed_subject_alt_names", s.decodeTyped)
		case 10:
			if f.u > 1 {
				return invalid("trust_chain_verification %d", f.u)
			}
			s.insecure = f.u == 1
			return nil
		case 6, 8, 14:
			if f.u != 0 {
				return unsupported("transparency, expired certificates and revocation (field %d)", f.num)
			}
			return nil
		case 11, 18:
			return nil
		}
		return unsupported("pins, revocation and validators (field %d)", f.num)
	})
}

// decodeTyped reads a SubjectAltNameMatcher.
func (s *socket) decodeTyped(b []byte) error {
	var typ uint32
	var matcher []byte
	err := eachField(b, func(f field) (err error) {
		switch f.num {
		case 1:
			return f.uint32(&typ)
		case 2:
			matcher, err = f.msg()
			return err
		}
		return unsupported("field %d", f.num)
	})
	if err != nil {
		return err
	}
	kinds := map[uint32]upstream.NameKind{2: upstream.DNSName, 3: upstream.URIName, 4: upstream.IPName}
	kind, ok := kinds[typ]
	if !ok {
		return unsupported("san_type %d", typ)
	}
	return s.decodeName(kind, matcher)
}

// decodeName reads a StringMatcher.
func (s *socket) decodeName(kind upstream.NameKind, b []byte) error {
	n := upstream.Name{Kind: kind}
	err := eachField(b, func(f field) error {
		switch f.num {
		case 1:
			return f.str(&n.Value)
		case 6:
			if f.u == 0 || kind == upstream.DNSName {
				return nil
			}
		}
		return unsupported("a matcher other than exact (field %d)", f.num)
	})
	switch {
	case err != nil:
	case n.Value == "":
		err = invalid("an empty name")
	case kind == upstream.IPName:
		if _, e := netip.ParseAddr(n.Value); e != nil {
			err = invalid("address %q", n.Value)
		}
	}
	s.tls.Names = append(s.tls.Names, n)
	return err
}

// Values of metadata weft.tls.
const (
	tlsDisable = "DISABLE"
	tlsSimple  = "SIMPLE"
	tlsMutual  = "MUTUAL"
)

// settleSecurity decides how endpoints are protected. What was asked for and is
// not there is refused: it would be plaintext otherwise.
func (c *clusterParts) settleSecurity() error {
	s := c.socket
	mode := c.meta["tls"]
	switch mode {
	case "":
	case tlsDisable:
		if s != nil && !s.raw {
			return invalid("metadata: weft.tls is %s beside a transport_socket with TLS", mode)
		}
		c.spec.Plaintext = true
		return nil
	case tlsSimple, tlsMutual:
		if s == nil || s.tls == nil || s.mesh {
			return invalid("metadata: weft.tls is %s without a transport_socket that says how", mode)
		}
		if mode == tlsMutual && s.tls.Certificate == (upstream.Material{}) {
			return invalid("metadata: weft.tls is %s without tls_certificates in transport_socket", mode)
		}
	default:
		return invalid("metadata: weft.tls: %q", mode)
	}
	switch {
	case s == nil:
		return nil
	case s.raw:
		// Endpoints of the matches still choose.
		c.spec.Plaintext = !c.matches
		return nil
	case s.mesh || s.showsOwn:
		return at("transport_socket", c.settleMesh())
	}
	return at("transport_socket", c.settleOrigination())
}

// settleMesh reads mutual TLS of the mesh with endpoints that say nothing of
// themselves: whom to expect must be certain.
func (c *clusterParts) settleMesh() error {
	s := c.socket
	switch {
	case !s.mesh || !s.showsOwn:
		return invalid("the mesh's own certificate and its trust bundle come together")
	case s.tls.Certificate != (upstream.Material{}) || s.trusted || s.insecure:
		return invalid("certificates beside those of the mesh")
	case len(s.tls.Names) == 0 && c.spec.Kind == upstream.Pushed:
		return nil // each endpoint says who it is
	case len(s.tls.Names) != 1:
		return unsupported("mutual TLS of the mesh with %d identities, want one", len(s.tls.Names))
	}
	id, err := identity.ParseID(s.tls.Names[0].Value)
	if err != nil {
		return at("match_typed_subject_alt_names", err)
	}
	c.spec.Identity = id
	return nil
}

func (c *clusterParts) settleOrigination() error {
	s, t := c.socket, c.socket.tls
	switch {
	case !s.trusted && !s.insecure:
		return invalid("validation_context.trusted_ca is missing, so that no certificate would be verified (trust_chain_verification ACCEPT_UNTRUSTED says that this is meant)")
	case (t.Certificate == upstream.Material{}) != (t.Key == upstream.Material{}):
		return invalid("tls_certificates: want certificate_chain and private_key")
	case t.MaxVersion != 0 && t.MaxVersion < cmp.Or(t.MinVersion, tls.VersionTLS12):
		return invalid("tls_params: the maximum version is below the minimum")
	}
	t.Insecure = s.insecure
	host := c.spec.Host
	if host == "" {
		host = c.spec.Name[strings.LastIndexByte(c.spec.Name, '|')+1:]
	}
	wild := strings.HasPrefix(host, "*.")
	if t.ServerName == "" && !strings.Contains(host, "*") {
		t.ServerName = host
	}
	if len(t.Names) == 0 && !t.Insecure {
		if t.ServerName == "" && !wild {
			return invalid("neither sni nor names that the certificate must hold")
		}
		// A certificate for anybody would do otherwise.
		n := upstream.Name{Kind: upstream.DNSName, Value: t.ServerName}
		if _, err := netip.ParseAddr(t.ServerName); err == nil {
			n.Kind = upstream.IPName
		}
		if t.ServerName == "" {
			n = upstream.Name{Kind: upstream.UnderDomain, Value: host}
		}
		t.Names = []upstream.Name{n}
	}
	c.spec.Originate = t
	return nil
}
