package istio

import (
	"sort"
	"strings"

	"github.com/weftmesh/weft/control/translate/fragment"
	"github.com/weftmesh/weft/mesh"
)

// hosts finds services by the names that objects give them.
type hosts struct {
	domain string
	// byHost are the first of each host, the oldest.
	byHost map[string]*mesh.Service
	refs   map[mesh.Ref]*mesh.Service
	// several are the hosts that more than one namespace has.
	several map[string]bool
	// all are sorted by Ref, wild those whose host has an asterisk, the most
	// specific first.
	all, wild []*mesh.Service
}

func newHosts(services fragment.Services, domain string) *hosts {
	h := &hosts{domain: domain, byHost: make(map[string]*mesh.Service, len(services)), refs: make(map[mesh.Ref]*mesh.Service, len(services)), several: map[string]bool{}}
	for _, s := range services {
		h.add(s)
	}
	return h
}

func (h *hosts) add(s *mesh.Service) {
	if h.byHost[s.Host] == nil {
		h.byHost[s.Host] = s
	} else {
		h.several[s.Host] = true
	}
	h.refs[s.Ref] = s
	h.all = append(h.all, s)
	if strings.HasPrefix(s.Host, "*") {
		h.wild = append(h.wild, s)
	}
}

func (h *hosts) seal() {
	sort.Slice(h.all, func(i, j int) bool { return h.all[i].Ref.Less(h.all[j].Ref) })
	sort.SliceStable(h.wild, func(i, j int) bool {
		a, b := h.wild[i].Host, h.wild[j].Host
		return len(a) > len(b) || len(a) == len(b) && a < b
	})
}

// name makes a fully qualified name of one that an object in a namespace uses.
// A short name is of the object's own namespace; name.namespace and
// name.namespace.svc are taken for the service where there is one.
func (h *hosts) name(host, namespace string) string {
	host = strings.ToLower(host)
	switch {
	case host == "" || strings.HasPrefix(host, "*"):
		return host
	case !strings.Contains(host, "."):
		return host + "." + namespace + ".svc." + h.domain
	case h.byHost[host] != nil:
		return host
	}
	name, rest, _ := strings.Cut(host, ".")
	ns, svc, dotted := strings.Cut(rest, ".")
	if full := name + "." + ns + ".svc." + h.domain; (!dotted || svc == "svc") && h.byHost[full] != nil {
		return full
	}
	return host
}

// find returns the service of a host, also of one that a wildcard covers. Each
// client replaces it by the one of that host which it sees.
func (h *hosts) find(host, namespace string) *mesh.Service {
	full := h.name(host, namespace)
	if s := h.refs[mesh.Ref{Namespace: namespace, Name: entryName(full)}]; s != nil && s.Host == full {
		return s
	}
	if s := h.byHost[full]; s != nil {
		return s
	}
	for _, s := range h.wild {
		if mesh.HostCovers(s.Host, full) {
			return s
		}
	}
	return nil
}
