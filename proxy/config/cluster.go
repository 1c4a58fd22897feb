package config

import (
	"fmt"
	"math"
	"net/netip"
	"strings"
	"time"

	"github.com/weftmesh/weft/identity"
	"github.com/weftmesh/weft/proxy/upstream"
)

// cluster is envoy.config.cluster.v3.Cluster.
type cluster struct {
	spec upstream.Spec
	// eds is the name of its endpoints' resource; empty where they come
	// otherwise.
	eds string
	// static are the endpoints of a cluster that carries them itself.
	static []upstream.EndpointSpec
}

// Values of Cluster.DiscoveryType and Cluster.LbPolicy.
const (
	typeStatic      = 0
	typeLogicalDNS  = 2
	typeEDS         = 3
	typeOriginalDst = 4

	policyRoundRobin   = 0
	policyLeastRequest = 1
)

func decodeCluster(b []byte) (*cluster, error) {
	c := &cluster{}
	var kind, policy uint32
	var assigned *assignment
	err := eachField(b, func(f field) error {
		switch f.num {
		case 1:
			return f.str(&c.spec.Name)
		case 2:
			return f.uint32(&kind)
		case 3:
			return f.in("eds_cluster_config", func(b []byte) error {
				return eachField(b, func(f field) error {
					switch f.num {
					case 1:
						return f.in("eds_config", decodeSource)
					case 2:
						return f.str(&c.eds)
					}
					return nil
				})
			})
		case 4:
			return f.in("connect_timeout", func(b []byte) (err error) {
				c.spec.ConnectTimeout, err = decodeDuration(b)
				return err
			})
		case 6:
			return f.uint32(&policy)
		case 24:
			return f.in("transport_socket", func(b []byte) error {
				name, a, _, err := decodeNamedAny(b, 3)
				if err == nil && a.url != urlRawBuffer {
					err = unsupported("%q for every endpoint", name)
				}
				return err
			})
		case 25:
			return f.in("metadata", func(b []byte) error {
				m, _, err := weftMetadata(b)
				c.spec.Service, c.spec.Namespace, c.spec.ServicePort = m["service"], m["namespace"], m["port"]
				return err
			})
		case 33:
			return f.in("load_assignment", func(b []byte) (err error) {
				assigned, err = decodeAssignment(b)
				return err
			})
		case 22, 38, 40, 41:
			return unsupported("subsets, cluster types, filters and policies of extensions (field %d)", f.num)
		}
		return nil
	})
	if err == nil {
		err = c.settle(kind, policy, assigned)
	}
	return c, err
}

func (c *cluster) settle(kind, policy uint32, a *assignment) error {
	switch policy {
	case policyRoundRobin:
		c.spec.Policy = upstream.RoundRobin
	case policyLeastRequest:
		c.spec.Policy = upstream.PeakEWMA
	default:
		return unsupported("lb_policy %d", policy)
	}
	if kind != typeEDS {
		c.eds = ""
	}
	switch kind {
	case typeEDS:
		c.spec.Kind = upstream.Pushed
		if c.eds == "" {
			c.eds = c.spec.Name
		}
	case typeStatic:
		c.spec.Kind = upstream.Pushed
		if a == nil {
			return invalid("a STATIC cluster without load_assignment")
		}
		if a.host != "" {
			return invalid("the host name %q in a STATIC cluster", a.host)
		}
		c.static = a.endpoints
	case typeLogicalDNS:
		c.spec.Kind = upstream.DNS
		if a == nil || a.host == "" && len(a.endpoints) != 1 || len(a.endpoints) > 1 {
			return invalid("a LOGICAL_DNS cluster wants just one endpoint in load_assignment")
		}
		c.spec.Host, c.spec.Port = a.host, a.port
		if a.host == "" {
			c.spec.Host, c.spec.Port = a.endpoints[0].Address.Addr().String(), a.endpoints[0].Address.Port()
		}
	case typeOriginalDst:
		c.spec.Kind = upstream.OriginalDestination
	default:
		return unsupported("type %d", kind)
	}
	return nil
}

// decodeDuration reads a google.protobuf.Duration that is above zero.
func decodeDuration(b []byte) (time.Duration, error) {
	var sec, nano int64
	err := eachField(b, func(f field) error {
		switch f.num {
		case 1:
			sec = int64(f.u)
		case 2:
			nano = int64(f.u)
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	if sec < 0 || nano < 0 || nano >= 1e9 || sec > math.MaxInt64/int64(time.Second)-1 || sec+nano == 0 {
		return 0, invalid("a duration of %d s and %d ns", sec, nano)
	}
	return time.Duration(sec)*time.Second + time.Duration(nano), nil
}

// assignment is envoy.config.endpoint.v3.ClusterLoadAssignment. host and port
// are set where an endpoint's address is a name.
type assignment struct {
	name      string
	endpoints []upstream.EndpointSpec
	host      string
	port      uint16
}

// Values of HealthStatus.
const (
	healthUnknown   = 0
	healthHealthy   = 1
	healthUnhealthy = 2
	healthDraining  = 3
	healthTimeout   = 4
	healthDegraded  = 5
)

func decodeAssignment(b []byte) (*assignment, error) {
	a := &assignment{}
	err := eachField(b, func(f field) error {
		switch f.num {
		case 1:
			return f.str(&a.name)
		case 2:
			return f.in("endpoints", a.decodeLocality)
		}
		return nil
	})
	return a, err
}

func (a *assignment) decodeLocality(b []byte) error {
	var zone string
	from := len(a.endpoints)
	err := eachField(b, func(f field) error {
		switch f.num {
		case 1:
			return f.in("locality", func(b []byte) error {
				return eachField(b, func(f field) error {
					if f.num == 2 {
						return f.str(&zone)
					}
					return nil
				})
			})
		case 2:
			return f.in("lb_endpoints["+itoa(len(a.endpoints)-from)+"]", a.decodeEndpoint)
		case 5:
			if f.u != 0 {
				return unsupported("priority %d", f.u)
			}
		case 8:
			return unsupported("leds_cluster_locality_config")
		}
		return nil
	})
	for i := from; i < len(a.endpoints); i++ {
		a.endpoints[i].Zone = zone
	}
	return err
}

func (a *assignment) decodeEndpoint(b []byte) error {
	var e upstream.EndpointSpec
	var host, tlsMode string
	var port, health uint32
	weight := uint32(1)
	var m map[string]string
	err := eachField(b, func(f field) error {
		switch f.num {
		case 1:
			return f.in("endpoint", func(b []byte) error {
				return eachField(b, func(f field) error {
					if f.num == 1 {
						return f.in("address", func(b []byte) (err error) {
							host, port, err = decodeAddress(b)
							return err
						})
					}
					return nil
				})
			})
		case 2:
			return f.uint32(&health)
		case 3:
			return f.in("metadata", func(b []byte) (err error) {
				m, tlsMode, err = weftMetadata(b)
				return err
			})
		case 4:
			return at("load_balancing_weight", f.wrappedUint32(&weight))
		case 5:
			return unsupported("endpoint_name")
		}
		return nil
	})
	if err != nil {
		return err
	}
	switch health {
	case healthUnknown, healthHealthy, healthDegraded:
	case healthDraining:
		e.Draining = true
	case healthUnhealthy, healthTimeout:
		return nil
	default:
		return unsupported("health_status %d", health)
	}
	if weight == 0 {
		return invalid("load_balancing_weight 0")
	}
	if port == 0 || port > 65535 {
		return invalid("port %d", port)
	}
	addr, err := netip.ParseAddr(host)
	if err != nil || addr.Zone() != "" {
		if host == "" || strings.ContainsAny(host, " /:[]") || addr.Zone() != "" {
			return invalid("address %q", host)
		}
		if a.host != "" {
			return invalid("two host names: %q and %q", a.host, host)
		}
		a.host, a.port = host, uint16(port)
		return nil
	}
	e.Address = netip.AddrPortFrom(addr.Unmap(), uint16(port))
	e.Weight, e.Workload, e.Namespace, e.Owner = weight, m["workload"], m["namespace"], m["owner"]
	if id := m["identity"]; id != "" {
		if e.Identity, err = identity.ParseID(id); err != nil {
			return fmt.Errorf("metadata: weft.identity: %w", err)
		}
	} else if tlsMode != "" && tlsMode != "disabled" {
		// Without an identity to demand it would be dialled in plaintext.
		return invalid("endpoint %s has tlsMode %s but no weft.identity", e.Address, tlsMode)
	}
	a.endpoints = append(a.endpoints, e)
	return nil
}

// decodeAddress reads an Address that is a TCP socket_address.
func decodeAddress(b []byte) (host string, port uint32, err error) {
	err = eachField(b, func(f field) error {
		if f.num != 1 {
			return unsupported("an address other than socket_address (field %d)", f.num)
		}
		return f.in("socket_address", func(b []byte) error {
			return eachField(b, func(f field) error {
				switch f.num {
				case 1:
					if f.u != 0 {
						return unsupported("protocol %d", f.u)
					}
				case 2:
					return f.str(&host)
				case 3:
					return f.uint32(&port)
				case 4, 7:
					return unsupported("named_port and network namespaces (field %d)", f.num)
				}
				return nil
			})
		})
	})
	return host, port, err
}

// decodeSecret reads the trust bundle of a Secret.
func decodeSecret(b []byte) (name string, bundle *identity.Bundle, err error) {
	var pem []byte
	err = eachField(b, func(f field) error {
		switch f.num {
		case 1:
			return f.str(&name)
		case 4:
			return f.in("validation_context", func(b []byte) error {
				return eachField(b, func(f field) error {
					if f.num != 1 {
						return nil
					}
					return f.in("trusted_ca", func(b []byte) error {
						return eachField(b, func(f field) (err error) {
							switch f.num {
							case 2, 3:
								pem, err = f.msg()
								return err
							}
							return unsupported("a data source that is not inline (field %d)", f.num)
						})
					})
				})
			})
		case 2, 3, 5:
			return unsupported("a secret other than validation_context (field %d)", f.num)
		}
		return nil
	})
	if err == nil {
		bundle, err = identity.ParseBundlePEM(pem)
	}
	return name, bundle, at("trusted_ca", err)
}
