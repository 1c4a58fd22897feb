package config

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/weftmesh/weft/identity"
	"github.com/weftmesh/weft/proxy/upstream"
)

// assignment is envoy.config.endpoint.v3.ClusterLoadAssignment. names are the
// endpoints whose address is one.
type assignment struct {
	name             string
	endpoints        []upstream.EndpointSpec
	names            []upstream.NamedEndpoint
	overprovisioning uint32
}

// named are all endpoints: the names, then the addresses.
func (a *assignment) named() []upstream.NamedEndpoint {
	out := a.names
	for _, e := range a.endpoints {
		out = append(out, upstream.NamedEndpoint{Host: e.Address.Addr().String(), EndpointSpec: e})
	}
	return out
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

// maxPriority is the highest number of a priority.
const maxPriority = 128

func decodeAssignment(b []byte) (*assignment, error) {
	a := &assignment{}
	err := eachField(b, func(f field) error {
		switch f.num {
		case 1:
			return f.str(&a.name)
		case 2:
			return f.in("endpoints", a.decodeLocality)
		case 4:
			return f.in("policy", a.decodePolicy)
		}
		return nil
	})
	return a, err
}

func (a *assignment) decodePolicy(b []byte) error {
	return eachField(b, func(f field) error {
		switch f.num {
		case 2:
			return unsupported("drop_overloads")
		case 3:
			err := f.wrappedUint32(&a.overprovisioning)
			if err == nil && (a.overprovisioning == 0 || a.overprovisioning > 1<<20) {
				err = invalid("%d", a.overprovisioning)
			}
			return at("overprovisioning_factor", err)
		case 6:
			if f.u != 0 {
				return unsupported("weighted_priority_health")
			}
		}
		return nil
	})
}

func (a *assignment) decodeLocality(b []byte) error {
	var l upstream.EndpointSpec // what all of them have in common
	from, fromName := len(a.endpoints), len(a.names)
	err := eachField(b, func(f field) error {
		switch f.num {
		case 1:
			return f.in("locality", func(b []byte) error {
				return eachField(b, func(f field) error {
					switch f.num {
					case 1:
						return f.str(&l.Region)
					case 2:
						return f.str(&l.Zone)
					case 3:
						return f.str(&l.SubZone)
					}
					return nil
				})
			})
		case 2:
			return f.in("lb_endpoints["+itoa(len(a.endpoints)-from+len(a.names)-fromName)+"]", a.decodeEndpoint)
		case 3:
			err := f.wrappedUint32(&l.LocalityWeight)
			if err == nil && l.LocalityWeight == 0 {
				err = invalid("0")
			}
			return at("load_balancing_weight", err)
		case 5:
			if err := f.uint32(&l.Priority); err != nil {
				return err
			}
			if l.Priority > maxPriority {
				return invalid("priority %d is above %d", l.Priority, maxPriority)
			}
		case 7, 8:
			return unsupported("load_balancer_endpoints and leds_cluster_locality_config (field %d)", f.num)
		}
		return nil
	})
	in := func(e *upstream.EndpointSpec) {
		e.Region, e.Zone, e.SubZone, e.LocalityWeight, e.Priority = l.Region, l.Zone, l.SubZone, l.LocalityWeight, l.Priority
	}
	for i := from; i < len(a.endpoints); i++ {
		in(&a.endpoints[i])
	}
	for i := fromName; i < len(a.names); i++ {
		in(&a.names[i].EndpointSpec)
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
		e.Unhealthy = true
	default:
		return unsupported("health_status %d", health)
	}
	if weight == 0 {
		return invalid("load_balancing_weight 0")
	}
	if port == 0 || port > 65535 {
		return invalid("port %d", port)
	}
	addr, name, err := readHost(host)
	if err != nil {
		return err
	}
	e.Address = netip.AddrPortFrom(addr.Unmap(), uint16(port))
	e.Weight, e.Workload, e.Namespace, e.Owner = weight, m["workload"], m["namespace"], m["owner"]
	if id := m["identity"]; id != "" {
		if e.Identity, err = identity.ParseID(id); err != nil {
			return fmt.Errorf("metadata: weft.identity: %w", err)
		}
	} else if tlsMode != "" && tlsMode != "disabled" {
		// Without an identity to demand it would be dialled in plaintext.
		return invalid("endpoint %s has tlsMode %s but no weft.identity", host, tlsMode)
	}
	if name {
		a.names = append(a.names, upstream.NamedEndpoint{Host: host, EndpointSpec: e})
		return nil
	}
	a.endpoints = append(a.endpoints, e)
	return nil
}

// readHost reads an address, or else a name.
func readHost(host string) (addr netip.Addr, name bool, err error) {
	if addr, err = netip.ParseAddr(host); err == nil && addr.Zone() == "" {
		return addr, false, nil
	}
	if host == "" || strings.ContainsAny(host, " /:[]%") {
		return netip.Addr{}, false, invalid("address %q", host)
	}
	return netip.Addr{}, true, nil
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
