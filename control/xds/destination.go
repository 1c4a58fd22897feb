package xds

import (
	"net/netip"

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
	// TCP are the shares of connections whose requests cannot be told apart;
	// empty means all to the destination itself.
	TCP []Share
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

// TCPShares are the weighted clusters of connections whose requests cannot be
// told apart. Backends that cannot be used keep their share, which goes to
// InvalidCluster; where none can be used, everything does.
func TCPShares(backends []mesh.Backend, hosts Hosts) []Share {
	var out []Share
	for _, b := range backends {
		if b.Weight == 0 {
			continue
		}
		s := Share{Cluster: InvalidCluster, Weight: b.Weight}
		if host := hosts(b.Service); b.Invalid == "" && host != "" {
			s.Cluster = ClusterName(host, b.Port)
		}
		out = append(out, s)
	}
	if len(backends) > 0 && len(out) == 0 {
		return []Share{{Cluster: InvalidCluster, Weight: 1}}
	}
	return out
}
