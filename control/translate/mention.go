package translate

import (
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/weftmesh/weft/control/world"
	"github.com/weftmesh/weft/internal/istioapi"
	"github.com/weftmesh/weft/internal/linkerdapi"
	"github.com/weftmesh/weft/internal/smiapi"
	"github.com/weftmesh/weft/mesh"
)

// A token is a name that objects mention. Objects that share one may depend on
// each other: they are translated together. What follows the first byte is
//
//	h  a host                        links always
//	a  an address                    links always
//	v  a VirtualService              links always
//	g  an HTTPRouteGroup             links always
//	s  the kind and the namespace of
//	   what selects workloads        links always
//	w  a pattern of hosts            links whatever it covers
//	l  a pattern of a DestinationRule: it is read for whatever it covers, and
//	   links nothing, since a rule does not lead to other hosts
//	e  a namespace                   links where it has WorkloadEntries
//	n  a namespace                   links where it has Servers
//	p  the pods of a namespace       never links
//	r  ReferenceGrants of a namespace: never links
type token string

func (t token) kind() byte { return t[0] }

func (t token) name() string { return string(t[1:]) }

// mentions collects the tokens of an object.
type mentions struct {
	domain string
	list   []token
}

func (m *mentions) add(kind byte, name string) {
	if kind == 'h' || kind == 'w' || kind == 'l' {
		name = strings.ToLower(name) // as DNS has it
	}
	if t := token(string(kind) + name); !slices.Contains(m.list, t) {
		m.list = append(m.list, t)
	}
}

func (m *mentions) service(namespace, name string) {
	m.add('h', name+"."+namespace+".svc."+m.domain)
}

// host adds every reading of a name that an object of a namespace uses: which
// one holds depends on what exists.
func (m *mentions) host(host, namespace string) {
	if host == "" {
		return
	}
	name, rest, dotted := strings.Cut(host, ".")
	if !dotted {
		m.service(namespace, host)
		return
	}
	m.add('h', host)
	if ns, svc, more := strings.Cut(rest, "."); !more || svc == "svc" {
		m.service(ns, name)
	}
}

func (m *mentions) address(s string) {
	if p, err := netip.ParsePrefix(s); err == nil && p.IsSingleIP() {
		m.add('a', p.Addr().Unmap().String())
	} else if err == nil {
		m.add('a', p.Masked().String())
	} else if a, err := netip.ParseAddr(s); err == nil {
		m.add('a', a.Unmap().String())
	}
}

func (m *mentions) services(o *corev1.Service) {
	m.service(o.Namespace, o.Name)
	m.add('n', o.Namespace)
	for _, ip := range append([]string{o.Spec.ClusterIP}, o.Spec.ClusterIPs...) {
		m.address(ip)
	}
	if len(o.Spec.Selector) > 0 {
		m.add('e', o.Namespace)
	}
}

func (m *mentions) virtualService(o *istioapi.VirtualService) {
	spec, ns := o.Spec, o.Namespace
	m.add('v', ns+"/"+o.Name)
	if g := spec.GetGateways(); len(g) > 0 && !slices.Contains(g, "mesh") {
		return // it binds no sidecar
	}
	for _, h := range spec.GetHosts() {
		switch {
		case h == "*": // for gateways alone
		case strings.HasPrefix(h, "*"):
			m.add('w', h)
		default:
			m.host(h, ns)
		}
	}
	for _, r := range spec.GetHttp() {
		for _, d := range r.GetRoute() {
			m.host(d.GetDestination().GetHost(), ns)
		}
		m.host(r.GetMirror().GetHost(), ns)
		for _, d := range r.GetMirrors() {
			m.host(d.GetDestination().GetHost(), ns)
		}
		if d := r.GetDelegate(); d != nil {
			of := d.GetNamespace()
			if of == "" {
				of = ns
			}
			m.add('v', of+"/"+d.GetName())
		}
	}
	for _, r := range spec.GetTcp() {
		for _, d := range r.GetRoute() {
			m.host(d.GetDestination().GetHost(), ns)
		}
	}
	for _, r := range spec.GetTls() {
		for _, d := range r.GetRoute() {
			m.host(d.GetDestination().GetHost(), ns)
		}
	}
}

func (m *mentions) destinationRule(o *istioapi.DestinationRule) {
	if h := o.Spec.GetHost(); strings.HasPrefix(h, "*") {
		m.add('l', h)
	} else {
		m.host(h, o.Namespace)
	}
}

func (m *mentions) serviceEntry(o *istioapi.ServiceEntry) {
	for _, h := range o.Spec.GetHosts() {
		if strings.HasPrefix(h, "*") && h != "*" {
			m.add('w', h)
		} else {
			m.add('h', h)
		}
	}
	for _, a := range o.Spec.GetAddresses() {
		m.address(a)
	}
	if o.Spec.GetWorkloadSelector() != nil {
		m.add('e', o.Namespace)
		m.add('p', o.Namespace)
	}
}

func (m *mentions) workloadEntry(o *istioapi.WorkloadEntry) {
	m.add('e', o.Namespace)
	m.add('p', o.Namespace)
}

func (m *mentions) reference(kind *gwv1.Kind, namespace *gwv1.Namespace, name gwv1.ObjectName, own string) {
	if kind != nil && *kind != "Service" {
		return
	}
	ns := own
	if namespace != nil && *namespace != "" {
		ns = string(*namespace)
	}
	m.service(ns, string(name))
	if ns != own {
		m.add('r', ns)
	}
}

func (m *mentions) parents(list []gwv1.ParentReference, own string) {
	for i := range list {
		if list[i].Kind != nil { // the default is a Gateway
			m.reference(list[i].Kind, list[i].Namespace, list[i].Name, own)
		}
	}
}

func (m *mentions) backend(b *gwv1.BackendObjectReference, own string) {
	m.reference(b.Kind, b.Namespace, b.Name, own)
}

func (m *mentions) httpRoute(spec *gwv1.HTTPRouteSpec, own string) {
	m.parents(spec.ParentRefs, own)
	mirror := func(f *gwv1.HTTPRouteFilter) *gwv1.HTTPRequestMirrorFilter { return f.RequestMirror }
	for i := range spec.Rules {
		mirrors(m, spec.Rules[i].Filters, mirror, own)
		for j := range spec.Rules[i].BackendRefs {
			b := &spec.Rules[i].BackendRefs[j]
			m.backend(&b.BackendObjectReference, own)
			mirrors(m, b.Filters, mirror, own)
		}
	}
}

func (m *mentions) grpcRoute(spec *gwv1.GRPCRouteSpec, own string) {
	m.parents(spec.ParentRefs, own)
	mirror := func(f *gwv1.GRPCRouteFilter) *gwv1.HTTPRequestMirrorFilter { return f.RequestMirror }
	for i := range spec.Rules {
		mirrors(m, spec.Rules[i].Filters, mirror, own)
		for j := range spec.Rules[i].BackendRefs {
			b := &spec.Rules[i].BackendRefs[j]
			m.backend(&b.BackendObjectReference, own)
			mirrors(m, b.Filters, mirror, own)
		}
	}
}

func mirrors[F any](m *mentions, filters []F, of func(*F) *gwv1.HTTPRequestMirrorFilter, own string) {
	for i := range filters {
		if f := of(&filters[i]); f != nil {
			m.backend(&f.BackendRef, own)
		}
	}
}

func (m *mentions) backends(list []gwv1.BackendRef, own string) {
	for i := range list {
		m.backend(&list[i].BackendObjectReference, own)
	}
}

func (m *mentions) split(o *smiapi.TrafficSplit) {
	m.host(o.Service, o.Namespace)
	for _, b := range o.Backends {
		m.host(b.Service, o.Namespace)
	}
	for _, x := range o.Matches {
		m.add('g', o.Namespace+"/"+x.Name)
	}
}

func (m *mentions) profile(o *linkerdapi.ServiceProfile) {
	m.host(o.Name, o.Namespace)
	for i := range o.Spec.DstOverrides {
		if host, _, err := o.Spec.DstOverrides[i].Destination(); err == nil {
			m.host(host, o.Namespace)
		}
	}
}

// id names an object of the graph.
type id struct {
	kind world.Kind
	ref  mesh.Ref
}

// seen is one change of an object: what it mentions now, and whether it exists.
type seen func(i id, now []token, exists bool)

// compareTables calls for each object of the graph that differs between two
// Worlds. An object that was only read again differs too.
func compareTables(old, next *world.World, domain string, visit seen) {
	of := func(f func(*mentions)) []token {
		m := mentions{domain: domain}
		f(&m)
		return slices.Clip(m.list)
	}
	compare(world.KindService, old.Services, next.Services, visit, func(o *corev1.Service) []token { return of(func(m *mentions) { m.services(o) }) })
	compare(world.KindVirtualService, old.VirtualServices, next.VirtualServices, visit, func(o *istioapi.VirtualService) []token { return of(func(m *mentions) { m.virtualService(o) }) })
	compare(world.KindDestinationRule, old.DestinationRules, next.DestinationRules, visit, func(o *istioapi.DestinationRule) []token { return of(func(m *mentions) { m.destinationRule(o) }) })
	compare(world.KindServiceEntry, old.ServiceEntries, next.ServiceEntries, visit, func(o *istioapi.ServiceEntry) []token { return of(func(m *mentions) { m.serviceEntry(o) }) })
	compare(world.KindWorkloadEntry, old.WorkloadEntries, next.WorkloadEntries, visit, func(o *istioapi.WorkloadEntry) []token { return of(func(m *mentions) { m.workloadEntry(o) }) })
	compare(world.KindWorkloadGroup, old.WorkloadGroups, next.WorkloadGroups, visit, func(o *istioapi.WorkloadGroup) []token { return []token{token("e" + o.Namespace)} })
	compare(world.KindSidecar, old.Sidecars, next.Sidecars, visit, func(o *istioapi.Sidecar) []token {
		return selecting("s", o.Namespace, o.Spec.GetWorkloadSelector().GetLabels())
	})
	compare(world.KindTelemetry, old.Telemetries, next.Telemetries, visit, func(o *istioapi.Telemetry) []token {
		return selecting("stelemetry ", o.Namespace, o.Spec.GetSelector().GetMatchLabels())
	})
	compare(world.KindTrafficSplit, old.TrafficSplits, next.TrafficSplits, visit, func(o *smiapi.TrafficSplit) []token { return of(func(m *mentions) { m.split(o) }) })
	compare(world.KindHTTPRouteGroup, old.HTTPRouteGroups, next.HTTPRouteGroups, visit, func(o *smiapi.HTTPRouteGroup) []token { return []token{token("g" + o.Namespace + "/" + o.Name)} })
	compare(world.KindServiceProfile, old.ServiceProfiles, next.ServiceProfiles, visit, func(o *linkerdapi.ServiceProfile) []token { return of(func(m *mentions) { m.profile(o) }) })
	compare(world.KindServer, old.Servers, next.Servers, visit, func(o *linkerdapi.Server) []token { return []token{token("n" + o.Namespace)} })
	compare(world.KindPolicyRoute, old.PolicyRoutes, next.PolicyRoutes, visit, func(o *linkerdapi.HTTPRoute) []token {
		return of(func(m *mentions) { m.httpRoute(&o.Spec, o.Namespace) })
	})
	compare(world.KindHTTPRoute, old.HTTPRoutes, next.HTTPRoutes, visit, func(o *gwv1.HTTPRoute) []token { return of(func(m *mentions) { m.httpRoute(&o.Spec, o.Namespace) }) })
	compare(world.KindGRPCRoute, old.GRPCRoutes, next.GRPCRoutes, visit, func(o *gwv1.GRPCRoute) []token { return of(func(m *mentions) { m.grpcRoute(&o.Spec, o.Namespace) }) })
	compare(world.KindTLSRoute, old.TLSRoutes, next.TLSRoutes, visit, func(o *gwv1.TLSRoute) []token {
		return of(func(m *mentions) {
			m.parents(o.Spec.ParentRefs, o.Namespace)
			for i := range o.Spec.Rules {
				m.backends(o.Spec.Rules[i].BackendRefs, o.Namespace)
			}
		})
	})
	compare(world.KindTCPRoute, old.TCPRoutes, next.TCPRoutes, visit, func(o *gwv1.TCPRoute) []token {
		return of(func(m *mentions) {
			m.parents(o.Spec.ParentRefs, o.Namespace)
			for i := range o.Spec.Rules {
				m.backends(o.Spec.Rules[i].BackendRefs, o.Namespace)
			}
		})
	})
}

// selecting are the tokens of an object for some of the workloads of its
// namespace, of which others of the kind may be as well.
func selecting(kind token, namespace string, labels map[string]string) []token {
	out := []token{kind + token(namespace)}
	if len(labels) > 0 {
		out = append(out, token("p"+namespace))
	}
	return out
}

func compare[T comparable](kind world.Kind, old, next world.Table[T], visit seen, tokens func(T) []token) {
	changes(old, next, func(ref mesh.Ref, _, now T, exists bool) {
		var list []token
		if exists {
			list = tokens(now)
		}
		visit(id{kind, ref}, list, exists)
	})
}

// changes calls for each object that differs between two tables. Tables that
// were not written to between two Worlds are one and the same.
func changes[T comparable](old, next world.Table[T], visit func(ref mesh.Ref, before, now T, exists bool)) {
	if sameTable(old, next) {
		return
	}
	for ref, item := range next {
		if was, had := old[ref]; !had || was != item {
			visit(ref, was.Obj, item.Obj, true)
		}
	}
	for ref, was := range old {
		if _, has := next[ref]; !has {
			var none T
			visit(ref, was.Obj, none, false)
		}
	}
}

// restricted is the part of a table that some objects make up.
func restricted[T any](table world.Table[T], kind world.Kind, ids map[id]struct{}) world.Table[T] {
	var out world.Table[T]
	for i := range ids {
		if i.kind != kind {
			continue
		}
		if item, ok := table[i.ref]; ok {
			if out == nil {
				out = world.Table[T]{}
			}
			out[i.ref] = item
		}
	}
	return out
}

// within is the part of a table that is in some namespaces.
func within[T any](table world.Table[T], namespaces map[string]bool) world.Table[T] {
	if len(namespaces) == 0 {
		return nil
	}
	out := maps.Clone(table)
	maps.DeleteFunc(out, func(ref mesh.Ref, _ world.Item[T]) bool { return !namespaces[ref.Namespace] })
	return out
}

// sameTable says whether two tables are one.
func sameTable[T any](a, b world.Table[T]) bool {
	return reflect.ValueOf(a).Pointer() == reflect.ValueOf(b).Pointer() && len(a) == len(b)
}
