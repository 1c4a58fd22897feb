package xds

import (
	"net/netip"
	"time"

	"github.com/weftmesh/weft/mesh"
)

// Destination is what a client can dial: one port of a service or of a pod.
type Destination struct {
	// Host is its DNS name.
	Host string
	Port uint16
	// Address is the original destination; invalid where it is known by name only.
	Address  netip.Addr
	Protocol mesh.Protocol
	// TCP are the rules for connections whose requests cannot be told apart;
	// empty means all to the destination itself.
	TCP []Connections
	// Hash is by the client's address where it is set.
	Hash *mesh.Hash
	// Idle ends a connection of bytes on which nothing is sent; nil is the default.
	Idle *mesh.Duration
}

// Connections are a rule for connections.
type Connections struct {
	// Matches are alternatives; none means all.
	Matches []mesh.TCPMatch
	Shares  []Share
}

// Share is a cluster and its weight.
type Share struct {
	Cluster string
	Weight  uint32
}

// Name is <host>:<port>.
func (d Destination) Name() string { return HostName(d.Host, d.Port) }

// Cluster is the name of the cluster of the destination itself.
func (d Destination) Cluster() string { return ClusterName(d.Host, d.Port) }

func (d Destination) idle() time.Duration {
	if d.Idle == nil {
		return 0
	}
	return d.Idle.Std()
}

// TCPRules find the clusters of rules for connections.
func TCPRules(rules []mesh.TCPRule, targets Targets) []Connections {
	var out []Connections
	for i := range rules {
		out = append(out, Connections{Matches: rules[i].Matches, Shares: TCPShares(rules[i].Backends, targets)})
	}
	return out
}

// TCPShares are the weighted clusters of connections whose requests cannot be
// told apart. Backends that cannot be used keep their share, which goes to
// InvalidCluster; where none can be used, everything does.
func TCPShares(backends []mesh.Backend, targets Targets) []Share {
	var out []Share
	for _, b := range backends {
		if b.Weight == 0 {
			continue
		}
		s := Share{Cluster: InvalidCluster, Weight: b.Weight}
		if t := targets.of(b); t.Cluster != "" {
			s.Cluster = t.Cluster
		}
		out = append(out, s)
	}
	if len(backends) > 0 && len(out) == 0 {
		return []Share{{Cluster: InvalidCluster, Weight: 1}}
	}
	return out
}
