package scope

import "github.com/weftmesh/weft/mesh"

// names notes at which ports a service is found by its name.
func (x *Index) names(s *mesh.Service) {
	for _, p := range s.Ports {
		if host, sni := s.FoundBy(p.Number); host || sni {
			x.named[p.Number] = append(x.named[p.Number], s)
		}
	}
}

// Names are the hosts of the visible services that connections to a port are
// for by name, whatever address was dialled: by the host of requests and by the
// server name of TLS, sorted by the services' Refs.
func (v View) Names(port uint16) (hosts, snis []string) {
	for _, s := range v.x.named[port] {
		if !v.Sees(s, port) {
			continue
		}
		host, sni := s.FoundBy(port)
		if host {
			hosts = append(hosts, s.Host)
		}
		if sni {
			snis = append(snis, s.Host)
		}
	}
	return hosts, snis
}
