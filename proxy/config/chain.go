package config

import (
	"net/netip"
	"slices"
	"strings"
)

// chain is a FilterChain with its match and its one terminal filter.
type chain struct {
	port      uint32 // 0 is every port
	transport string
	alpn      []string
	names     []string       // of SNI
	subnets   []netip.Prefix // of the original destination
	tls       bool           // a transport socket with TLS
	http      *httpManager
	tcp       *tcpProxy
}

func decodeChain(b []byte) (*chain, error) {
	c := &chain{}
	filters := 0
	err := eachField(b, func(f field) error {
		switch f.num {
		case 1:
			return f.in("filter_chain_match", c.decodeMatch)
		case 3:
			filters++
			return f.in("filters", c.decodeFilter)
		case 6:
			return f.in("transport_socket", c.decodeSocket)
		}
		return nil
	})
	if err == nil && filters != 1 {
		err = unsupported("%d network filters, want one", filters)
	}
	return c, err
}

// decodeMatch refuses every condition that it does not know: without it the
// chain would take connections that are not its own.
func (c *chain) decodeMatch(b []byte) error {
	return eachField(b, func(f field) error {
		switch f.num {
		case 3:
			return f.in("prefix_ranges["+itoa(len(c.subnets))+"]", func(b []byte) error {
				p, err := decodePrefix(b)
				c.subnets = append(c.subnets, p)
				return err
			})
		case 11:
			var s string
			if err := f.str(&s); err != nil {
				return err
			}
			c.names = append(c.names, strings.ToLower(s))
			return at("server_names["+itoa(len(c.names)-1)+"]", checkServerName(s))
		case 8:
			if err := f.wrappedUint32(&c.port); err != nil {
				return err
			}
			if c.port == 0 || c.port > 65535 {
				return invalid("destination_port %d", c.port)
			}
		case 9:
			return f.str(&c.transport)
		case 10:
			var s string
			if err := f.str(&s); err != nil {
				return err
			}
			c.alpn = append(c.alpn, s)
		default:
			return unsupported("condition (field %d)", f.num)
		}
		return nil
	})
}

// decodePrefix reads a CidrRange.
func decodePrefix(b []byte) (p netip.Prefix, err error) {
	var text string
	var bits uint32
	err = eachField(b, func(f field) error {
		switch f.num {
		case 1:
			return f.str(&text)
		case 2:
			return at("prefix_len", f.wrappedUint32(&bits))
		}
		return nil
	})
	if err != nil {
		return p, err
	}
	a, e := netip.ParseAddr(text)
	if e != nil || a.Zone() != "" {
		return p, invalid("address_prefix %q", text)
	}
	if a.Is4In6() && bits >= 96 {
		a, bits = a.Unmap(), bits-96
	}
	if bits > uint32(a.BitLen()) {
		return p, invalid("prefix_len %d of %s", bits, a)
	}
	return netip.PrefixFrom(a, int(bits)).Masked(), nil
}

// checkServerName refuses names that no client can ask for: a star stands for
// whole labels at the beginning only.
func checkServerName(s string) error {
	rest := strings.TrimPrefix(s, "*.")
	if s == "*" {
		rest = "x"
	}
	if rest == "" || len(s) > 255 || strings.ContainsAny(rest, "* /:") || rest[0] == '.' {
		return invalid("%q: want a name, or one with *. before it", s)
	}
	return nil
}

func (c *chain) decodeFilter(b []byte) error {
	name, a, _, err := decodeNamedAny(b, 4)
	if err != nil {
		return err
	}
	switch a.url {
	case urlHTTPManager:
		c.http, err = decodeHTTPManager(a.value)
	case urlTCPProxy:
		c.tcp, err = decodeTCPProxy(a.value)
	default:
		err = unsupported("type %q", a.url)
	}
	return at(name, err)
}

// decodeNamedAny reads the messages that carry an extension: name = 1 and
// typed_config as given. disabled or optional are of HttpFilter only.
func decodeNamedAny(b []byte, typed int32) (name string, a anyMessage, skip bool, err error) {
	optional := false
	err = eachField(b, func(f field) (err error) {
		switch {
		case f.num == 1:
			return f.str(&name)
		case int32(f.num) == typed:
			return f.in("typed_config", func(b []byte) (err error) {
				a, err = decodeAny(b)
				return err
			})
		case typed == 4 && f.num == 5:
			return unsupported("config_discovery of filter %q", name)
		case typed == 4 && f.num == 6:
			return f.bool(&optional)
		case typed == 4 && f.num == 7:
			return f.bool(&skip)
		}
		return nil
	})
	if optional && a.url != urlRouter {
		skip = true
	}
	return name, a, skip, err
}

// decodeSocket accepts plaintext and mutual TLS. A TLS context that does not
// demand a client certificate is refused, as is one that accepts just some
// clients: this proxy accepts every identity of the mesh.
func (c *chain) decodeSocket(b []byte) error {
	name, a, _, err := decodeNamedAny(b, 3)
	if err != nil {
		return err
	}
	if a.url == urlRawBuffer || a.url == "" && strings.HasSuffix(name, "raw_buffer") {
		return nil
	}
	if a.url != urlDownstreamTLS {
		return unsupported("transport socket %q of type %q", name, a.url)
	}
	c.tls = true
	demanded := false
	err = eachField(a.value, func(f field) error {
		switch f.num {
		case 1:
			return f.in("common_tls_context", func(b []byte) error {
				return eachField(b, func(f field) error {
					switch f.num {
					case 3:
						return f.in("validation_context", acceptsAnyone)
					case 8:
						return f.in("combined_validation_context", func(b []byte) error {
							return eachField(b, func(f field) error {
								if f.num == 1 {
									return f.in("default_validation_context", acceptsAnyone)
								}
								return nil
							})
						})
					}
					return nil
				})
			})
		case 2:
			return at("require_client_certificate", f.wrappedBool(&demanded))
		}
		return nil
	})
	if err == nil && !demanded {
		err = invalid("require_client_certificate is not set: the port would accept clients without identity")
	}
	return at(name, err)
}

// acceptsAnyone refuses a CertificateValidationContext that pins certificates
// or names subjects.
func acceptsAnyone(b []byte) error {
	return eachField(b, func(f field) error {
		switch f.num {
		case 2, 3, 7, 9, 12, 15:
			return unsupported("a condition on client certificates (field %d)", f.num)
		}
		return nil
	})
}

// isHTTPDetection says whether a chain is for what was detected to be HTTP.
func (c *chain) isHTTPDetection() bool {
	return slices.Equal(c.alpn, []string{"http/1.1", "h2c"})
}
