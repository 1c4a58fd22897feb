package mesh

import "strings"

// Sidecar limits what some workloads see and do (Istio Sidecar). Those with
// labels outrank those without, the namespace's own the root namespace's.
type Sidecar struct {
	Ref
	// Labels of the workloads in the namespace that it is for; none means all
	// of the namespace, or of the mesh where it is the root namespace.
	Labels map[string]string `json:"labels,omitempty"`
	// Egress are the services that can be seen; nil means all.
	Egress []Egress `json:"egress,omitempty"`
	// Outbound is the fate of unknown destinations; empty means the mesh's.
	Outbound OutboundMode `json:"outbound,omitempty"`
	Origin   Origin       `json:"origin"`
}

// Egress is a list of hosts that can be seen.
type Egress struct {
	// Port limits the hosts to one port; 0 means every port.
	Port  uint16       `json:"port,omitempty"`
	Hosts []EgressHost `json:"hosts"`
}

// EgressHost is a host, or many, of one namespace or all.
type EgressHost struct {
	// Namespace is * for all, ~ for none, or a name.
	Namespace string `json:"namespace"`
	// Host is a DNS name, *.suffix, or * for all.
	Host string `json:"host"`
}

// Sees says whether a service port can be seen; port 0 means any.
func (s *Sidecar) Sees(namespace, host string, port uint16) bool {
	if s == nil || s.Egress == nil {
		return true
	}
	for _, e := range s.Egress {
		if e.Port != 0 && port != 0 && e.Port != port {
			continue
		}
		for _, h := range e.Hosts {
			if (h.Namespace == "*" || h.Namespace == namespace) && HostCovers(h.Host, host) {
				return true
			}
		}
	}
	return false
}

// HostCovers says whether a pattern (a DNS name, *.suffix or *) covers a host,
// which may be a pattern itself.
func HostCovers(pattern, host string) bool {
	if suffix, ok := strings.CutPrefix(pattern, "*"); ok {
		return strings.HasSuffix(strings.TrimPrefix(host, "*"), suffix)
	}
	return pattern == host
}
