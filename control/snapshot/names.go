package snapshot

import (
	"strings"

	"github.com/weftmesh/weft/control/scope"
	"github.com/weftmesh/weft/control/xds"
	"github.com/weftmesh/weft/mesh"
)

// namesText is what is found by name at a port, in a form that compares; empty
// for nothing.
func namesText(hosts, snis []string) string {
	if len(hosts)+len(snis) == 0 {
		return ""
	}
	return strings.Join(hosts, " ") + "," + strings.Join(snis, " ")
}

func (in *input) namesLists() (hosts, snis []string) {
	h, s, _ := strings.Cut(in.names, ",")
	return strings.Fields(h), strings.Fields(s)
}

// byName says whether clients find the service of an endpoint by its name, at
// the endpoint's own port: then it is not known as a pod, whose connections no
// rules are for. A workload is a pod all the same, and so is what may be
// neither HTTP nor TLS.
func byName(c Client, v scope.View, s *mesh.Service, e *mesh.Endpoint) bool {
	if s == nil || e == nil {
		return false
	}
	port := e.Address.Port()
	if c.Kind != xds.Weft || e.Workload != (mesh.Ref{}) || !v.Sees(s, port) {
		return false
	}
	host, sni := s.FoundBy(port)
	return host != sni
}
