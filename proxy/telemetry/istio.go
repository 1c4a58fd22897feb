package telemetry

import (
	"strings"

	"github.com/weftmesh/weft/identity"
)

const unknown = "unknown"

func orUnknown(s string) string {
	if s == "" {
		return unknown
	}
	return s
}

// istio are the labels of Istio's standard metrics that do not depend on the
// answer. The source proxy reports its own workload as the source, the
// destination proxy its own as the destination; what is not known of the other
// is "unknown".
func istio(self *Self, d Direction, t TLS, p *Peer, authority, service, namespace string) []Label {
	me := side{owner: self.Owner, workload: self.Workload, namespace: self.Namespace, id: self.Identity}
	other := side{owner: p.Owner, workload: p.Workload, namespace: p.Namespace, id: p.Identity}
	if other.namespace == "" {
		other.namespace = p.Identity.Namespace
	}
	ls := make([]Label, 0, 24)
	source, destination := me, other
	if d == Inbound {
		source, destination = other, me
		ls = append(ls, Label{"reporter", "destination"})
	} else {
		ls = append(ls, Label{"reporter", "source"})
	}
	if t != Mutual { // a name is only as good as the proof of it
		source.id, destination.id = identity.ID{}, identity.ID{}
	}
	ls = source.labels(ls, "source")
	ls = destination.labels(ls, "destination")
	host := serviceHost(authority, service, namespace)
	if namespace == "" {
		namespace = destination.namespace
	}
	if service == "" {
		service, _, _ = strings.Cut(host, ".")
	}
	ls = append(ls, Label{"destination_service", orUnknown(host)}, Label{"destination_service_name", orUnknown(service)},
		Label{"destination_service_namespace", orUnknown(namespace)})
	// Only the destination can tell what protected the connection.
	security := unknown
	if d == Inbound {
		if security = "none"; t == Mutual {
			security = "mutual_tls"
		}
	}
	return append(ls, Label{"connection_security_policy", security})
}

type side struct {
	owner, workload, namespace string
	id                         identity.ID
}

func (s side) labels(ls []Label, prefix string) []Label {
	name := s.workload
	if _, n, ok := strings.Cut(s.owner, "/"); ok {
		name = n
	}
	for _, l := range []Label{
		{"_workload", name}, {"_workload_namespace", s.namespace}, {"_principal", s.id.String()},
		{"_app", name}, {"_version", ""}, {"_cluster", "Kubernetes"},
		{"_canonical_service", name}, {"_canonical_revision", "latest"},
	} {
		ls = append(ls, Label{prefix + l.Name, orUnknown(l.Value)})
	}
	return ls
}

// serviceHost is the DNS name of the service that serves. The destination as
// addressed tells the cluster's domain; behind a split the service differs.
func serviceHost(authority, service, namespace string) string {
	host := authority
	if i := strings.LastIndexByte(host, ':'); i >= 0 {
		host = host[:i]
	}
	if service == "" || namespace == "" {
		return host
	}
	domain := "svc.cluster.local"
	if _, d, ok := strings.Cut(host, ".svc."); ok {
		domain = "svc." + d
	}
	return service + "." + namespace + "." + domain
}
