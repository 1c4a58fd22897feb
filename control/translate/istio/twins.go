package istio

import (
	"strings"

	"github.com/weftmesh/weft/control/problem"
	"github.com/weftmesh/weft/mesh"
)

// shadow is whose the host of a service is, for everybody who would see it: a
// Service of the platform's, or another entry's of the namespace.
func (t *translator) shadow(s *mesh.Service, twins []*mesh.Service) *mesh.Service {
	if len(twins) == 0 {
		return t.hosts.byHost[s.Host]
	}
	for _, o := range twins {
		if o.Namespace == s.Namespace {
			return o
		}
	}
	return nil
}

// preferred tells the younger of two entries who else has its host, where some
// that are in neither namespace see both.
func (t *translator) preferred(s *mesh.Service, twins []*mesh.Service, field string) {
	for _, o := range twins {
		if seenByOthers(s, o) {
			said := problem.New(problem.EntryShadowed, s.Origin, field, at("the host %s is that of %s too, which clients of other namespaces than %s have", s.Host, o.Origin, s.Namespace), "export it to its own namespace only (exportTo: [.]), or use another host")
			said.Severity = mesh.Warning
			t.report(said)
			return
		}
	}
}

// seenByOthers says whether clients of a third namespace may see both.
func seenByOthers(a, b *mesh.Service) bool {
	if a.ExportTo == nil && b.ExportTo == nil {
		return true
	}
	if a.ExportTo == nil {
		a, b = b, a
	}
	for _, ns := range a.ExportTo {
		if ns != a.Namespace && ns != b.Namespace && seenFrom(b.ExportTo, ns) {
			return true
		}
	}
	return false
}

// seenByBoth says whether some clients may see both.
func seenByBoth(a, b *mesh.Service) bool {
	return seenByOthers(a, b) || a.VisibleTo(a.Namespace) && b.VisibleTo(a.Namespace) || a.VisibleTo(b.Namespace) && b.VisibleTo(b.Namespace)
}

// entryName is the name of the service of an entry's host. A Service may have the
// same name as a host without a dot; hosts of entries always have one.
func entryName(host string) string {
	if !strings.Contains(host, ".") {
		return host + "."
	}
	return host
}

// ownerOf is whose an address is for clients that see the service too; those of
// the same host share it.
func ownerOf(owners []*mesh.Service, s *mesh.Service) *mesh.Service {
	for _, o := range owners {
		if o.Host != s.Host && seenByBoth(o, s) {
			return o
		}
	}
	return nil
}
