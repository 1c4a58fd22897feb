package core

import (
	"fmt"
	"net/netip"
	"sort"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/weftmesh/weft/control/problem"
	"github.com/weftmesh/weft/control/translate/fragment"
	"github.com/weftmesh/weft/control/world"
	"github.com/weftmesh/weft/internal/apifield"
	"github.com/weftmesh/weft/mesh"
)

type translator struct {
	w        *world.World
	settings mesh.Settings
	out      fragment.Fragment
	// made are the services by name, for the workloads.
	made map[mesh.Ref]*mesh.Service
	// nsOpaque remembers the annotation of each namespace, parsed.
	nsOpaque map[string]*portSet
	// all are the pods of the cluster, of which w.Pods may be a part.
	all world.Table[*corev1.Pod]
	// told are the places of problems that are reported once only.
	told map[string]bool
}

func (t *translator) problem(p mesh.Problem) { t.out.Problems = append(t.out.Problems, p) }

// sortedRefs returns the keys of a table in order, so that equal inputs give
// equal results.
func sortedRefs[T any](table world.Table[T]) []mesh.Ref {
	refs := make([]mesh.Ref, 0, len(table))
	for r := range table {
		refs = append(refs, r)
	}
	sort.Slice(refs, func(i, j int) bool { return refs[i].Less(refs[j]) })
	return refs
}

func (t *translator) services() {
	owners := t.addressOwners()
	for _, ref := range sortedRefs(t.w.Services) {
		item := t.w.Services[ref]
		if s := t.service(ref, item, owners); s != nil {
			t.out.Services = append(t.out.Services, s)
			t.made[ref] = s
		}
	}
}

func (t *translator) service(ref mesh.Ref, item world.Item[*corev1.Service], owners map[netip.Addr]mesh.Ref) *mesh.Service {
	spec := &item.Obj.Spec
	s := &mesh.Service{Ref: ref, Kind: mesh.ClusterIP, Host: ref.Name + "." + ref.Namespace + ".svc." + t.settings.ClusterDomain, Origin: item.Origin}
	s.ExportTo = exportTo(item.Obj)
	switch {
	case spec.Type == corev1.ServiceTypeExternalName:
		if a, err := netip.ParseAddr(spec.ExternalName); !apifield.DNSName(spec.ExternalName) && (err != nil || a.Zone() != "") {
			message := "the service is of type ExternalName but names no DNS name; it is left out"
			if spec.ExternalName != "" {
				message = fmt.Sprintf("%q is no DNS name; the service is left out", spec.ExternalName)
			}
			t.problem(problem.New(problem.NoExternalName, item.Origin, "spec.externalName", message, "set spec.externalName"))
			return nil
		}
		s.Kind, s.External = mesh.ExternalName, spec.ExternalName
	case spec.ClusterIP == corev1.ClusterIPNone:
		s.Kind = mesh.Headless
	default:
		s.Addresses = t.addresses(ref, item, owners)
	}
	opaque := t.opaqueOf(item.Obj.Annotations, item.Origin, ref.Namespace).and(t.profiled(s))
	for i := range spec.Ports {
		p := &spec.Ports[i]
		if !world.IsTCP(p.Protocol) || p.Port < 1 || p.Port > 65535 || s.PortByNumber(uint16(p.Port)) != nil {
			continue
		}
		proto, known := protocolOf(p.AppProtocol, p.Name, uint16(p.Port), opaque)
		if !known {
			t.problem(problem.New(problem.UnknownAppProtocol, item.Origin, field("spec.ports[%d].appProtocol", i),
				field("%q is not a protocol that the mesh knows; the port's name and the first bytes decide", *p.AppProtocol), "use one of http, http2, grpc, https, tls, tcp, kubernetes.io/h2c, kubernetes.io/ws, linkerd.io/opaque"))
		}
		s.Ports = append(s.Ports, mesh.Port{Number: uint16(p.Port), Name: p.Name, Protocol: proto})
	}
	return s
}

// ExportToAnnotation lists the namespaces whose clients see a Service: names, a
// dot for its own, an asterisk for all, ~ for none (Istio).
const ExportToAnnotation = "networking.istio.io/exportTo"

func exportTo(o *corev1.Service) []string {
	v, ok := o.Annotations[ExportToAnnotation]
	if !ok {
		return nil
	}
	out := []string{}
	for _, ns := range strings.Split(v, ",") {
		switch ns = strings.TrimSpace(ns); ns {
		case "*":
			return nil
		case "~", "":
		case ".":
			out = append(out, o.Namespace)
		default:
			out = append(out, ns)
		}
	}
	sort.Strings(out)
	return out
}

func clusterIPs(o *corev1.Service) []string {
	ips := o.Spec.ClusterIPs
	if len(ips) == 0 && o.Spec.ClusterIP != "" {
		ips = []string{o.Spec.ClusterIP}
	}
	return ips
}

// addressOwners settles who has an address that several services claim, which
// only files can do.
func (t *translator) addressOwners() map[netip.Addr]mesh.Ref {
	owners := make(map[netip.Addr]mesh.Ref, len(t.w.Services))
	for ref, item := range t.w.Services {
		if item.Obj.Spec.Type == corev1.ServiceTypeExternalName {
			continue
		}
		for _, s := range clusterIPs(item.Obj) {
			ip, err := netip.ParseAddr(s)
			if err != nil {
				continue
			}
			if prev, taken := owners[ip.Unmap()]; !taken || older(item.Obj, ref, t.w.Services[prev].Obj, prev) {
				owners[ip.Unmap()] = ref
			}
		}
	}
	return owners
}

func older(a *corev1.Service, ar mesh.Ref, b *corev1.Service, br mesh.Ref) bool {
	if !a.CreationTimestamp.Equal(&b.CreationTimestamp) {
		return a.CreationTimestamp.Before(&b.CreationTimestamp)
	}
	return ar.Less(br)
}

func (t *translator) addresses(ref mesh.Ref, item world.Item[*corev1.Service], owners map[netip.Addr]mesh.Ref) []netip.Addr {
	var out []netip.Addr
	for i, s := range clusterIPs(item.Obj) {
		if s == corev1.ClusterIPNone {
			continue
		}
		ip, err := netip.ParseAddr(s)
		if err != nil {
			t.problem(problem.New(problem.BadAddress, item.Origin, field("spec.clusterIPs[%d]", i), field("%q is not an IP address; it is ignored", s), "give an IPv4 or IPv6 address"))
			continue
		}
		ip = ip.Unmap()
		if owner := owners[ip]; owner != ref {
			t.problem(problem.New(problem.AddressTaken, item.Origin, field("spec.clusterIPs[%d]", i), field("%s belongs to service %s already; it is ignored here", ip, owner), "give each service its own address"))
			continue
		}
		out = append(out, ip)
	}
	return out
}
