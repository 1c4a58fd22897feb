package mesh

import (
	"strings"
	"time"
)

// Sidecar limits what some workloads see and do (Istio Sidecar). Those with
// labels outrank those without, the namespace's own the root namespace's.
type Sidecar struct {
	Ref
	// Labels of the workloads in the namespace that it is for; none means all
	// of the namespace, or of the mesh where it is the root namespace.
	Labels map[string]string `json:"labels,omitempty"`
	// Egress are the services that can be seen; nil means all.
	Egress []Egress `json:"egress,omitempty"`
	// Ingress are the workload's own ports, of which they say more than is known
	// otherwise.
	Ingress []Port `json:"ingress,omitempty"`
	// Outbound is the fate of unknown destinations; empty means the mesh's.
	Outbound OutboundMode `json:"outbound,omitempty"`
	// Created is when the object was made: of several for a workload the oldest
	// is in effect.
	Created time.Time `json:"created,omitzero"`
	Origin  Origin    `json:"origin"`
}

// Before says whether the object has precedence of another with a selector: it
// is older, or as old and has a name that sorts first.
func (s *Sidecar) Before(o *Sidecar) bool { return older(s.Created, s.Ref, o.Created, o.Ref) }

func older(a time.Time, refA Ref, b time.Time, refB Ref) bool {
	return a.Before(b) || a.Equal(b) && refA.Less(refB)
}

// Egress is a list of hosts that can be seen.
type Egress struct {
	// Port limits the hosts to one port; 0 means every port that no other entry
	// names.
	Port  uint16       `json:"port,omitempty"`
	Hosts []EgressHost `json:"hosts"`
}

// EgressHost is a host, or many, of one namespace or all.
type EgressHost struct {
	// Namespace is * for all, or a name.
	Namespace string `json:"namespace"`
	// Host is a DNS name, *.suffix, or * for all.
	Host string `json:"host"`
	// Not takes the hosts out again, whatever else the Sidecar says.
	Not bool `json:"not,omitempty"`
}

func (h *EgressHost) covers(namespace, host string) bool {
	return (h.Namespace == "*" || h.Namespace == namespace) && HostCovers(h.Host, host)
}

// covers says whether a host is in the list.
func (e *Egress) covers(namespace, host string) bool {
	in := false
	for i := range e.Hosts {
		if h := &e.Hosts[i]; h.covers(namespace, host) {
			if h.Not {
				return false
			}
			in = true
		}
	}
	return in
}

// Sees says whether a service port can be seen; port 0 means any. An entry that
// names a port is alone for it.
func (s *Sidecar) Sees(namespace, host string, port uint16) bool {
	if s == nil || s.Egress == nil {
		return true
	}
	own := false
	for i := range s.Egress {
		e := &s.Egress[i]
		own = own || port != 0 && e.Port == port
		for j := range e.Hosts {
			if e.Hosts[j].Not && e.Hosts[j].covers(namespace, host) {
				return false
			}
		}
	}
	for i := range s.Egress {
		e := &s.Egress[i]
		if (port == 0 || e.Port == port || e.Port == 0 && !own) && e.covers(namespace, host) {
			return true
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
