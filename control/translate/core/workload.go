package core

import (
	"net/netip"
	"slices"
	"sort"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/weftmesh/weft/control/problem"
	"github.com/weftmesh/weft/control/world"
	"github.com/weftmesh/weft/mesh"
)

// workloads makes one of each pod that runs. What is known of its inbound
// ports is, in this order: the proxyProtocol of a Server of Linkerd, the
// opaque-ports annotation of the pod or its namespace, the protocol of the service ports that lead there (the first
// service, by name, that declares one), the name of the container port, and
// Linkerd's default opaque ports.
func (t *translator) workloads() {
	served := t.servedPorts()
	staying := t.stayingAddresses()
	declared := t.declared()
	t.declareServices(declared, served)
	for _, ref := range sortedRefs(t.w.Pods) {
		item := t.w.Pods[ref]
		p := item.Obj
		if world.Ended(p) {
			continue
		}
		w := &mesh.Workload{Ref: ref, Addresses: world.PodAddresses(p), Labels: p.Labels, Owner: world.Owner(p), Node: p.Spec.NodeName, Origin: item.Origin}
		if p.DeletionTimestamp != nil {
			// The address of a pod on its way out may be another's already.
			w.Addresses = slices.DeleteFunc(w.Addresses, func(a netip.Addr) bool { return staying[a] })
		}
		id, err := world.Identity(p, t.settings.TrustDomain)
		if err != nil {
			t.problem(problem.New(problem.BadIdentity, item.Origin, "spec.serviceAccountName", err.Error()+"; the workload is treated as not meshed", "use a valid service account name"))
		}
		w.Identity, w.Meshed = id, !id.IsZero()
		w.Ports = t.inboundPorts(item, served[ref], declared[ref])
		w.AccessLog = t.accessLog(item)
		t.traceCollector(item)
		t.out.Workloads = append(t.out.Workloads, w)
	}
}

// stayingAddresses are those of pods that are not going away.
func (t *translator) stayingAddresses() map[netip.Addr]bool {
	leaving := false
	for _, item := range t.w.Pods {
		leaving = leaving || item.Obj.DeletionTimestamp != nil
	}
	if !leaving {
		return nil
	}
	out := make(map[netip.Addr]bool, len(t.all))
	for _, item := range t.all {
		if item.Obj.DeletionTimestamp == nil && !world.Ended(item.Obj) {
			for _, a := range world.PodAddresses(item.Obj) {
				out[a] = true
			}
		}
	}
	return out
}

// served is a port of a pod to which a service port leads.
type served struct {
	service *mesh.Service
	// port is the service's, number the pod's.
	port, number uint16
	protocol     mesh.Protocol
}

// servedPorts finds the ports of the pods that services send to: by selector,
// or by the slices of services that have none.
func (t *translator) servedPorts() map[mesh.Ref][]served {
	out := make(map[mesh.Ref][]served, len(t.w.Pods))
	pods := t.podIndex()
	for _, s := range t.out.Services {
		svc := t.w.Services[s.Ref]
		if s.Kind == mesh.ExternalName || len(svc.Obj.Spec.Selector) == 0 {
			continue
		}
		for _, ref := range pods.selected(s.Namespace, svc.Obj.Spec.Selector) {
			out[ref] = append(out[ref], t.targets(s, svc, t.w.Pods[ref].Obj)...)
		}
	}
	for _, ref := range sortedRefs(t.w.EndpointSlices) {
		slice := t.w.EndpointSlices[ref].Obj
		name := mesh.Ref{Namespace: ref.Namespace, Name: slice.Labels[discoveryv1.LabelServiceName]}
		if s := t.made[name]; s != nil && len(t.w.Services[name].Obj.Spec.Selector) == 0 {
			sliceTargets(out, s, slice)
		}
	}
	return out
}

// sliceTargets reads which pods' ports a selectorless service leads to.
func sliceTargets(out map[mesh.Ref][]served, s *mesh.Service, slice *discoveryv1.EndpointSlice) {
	for _, p := range slice.Ports {
		if p.Port == nil || *p.Port < 1 || *p.Port > 65535 {
			continue
		}
		for i := range s.Ports {
			if p.Name == nil && s.Ports[i].Name != "" || p.Name != nil && *p.Name != s.Ports[i].Name {
				continue
			}
			for j := range slice.Endpoints {
				if tr := slice.Endpoints[j].TargetRef; tr != nil && tr.Kind == "Pod" {
					ref := mesh.Ref{Namespace: slice.Namespace, Name: tr.Name}
					out[ref] = append(out[ref], served{s, s.Ports[i].Number, uint16(*p.Port), s.Ports[i].Protocol})
				}
			}
		}
	}
}

// targets resolves the target ports of a service on one pod.
func (t *translator) targets(s *mesh.Service, svc world.Item[*corev1.Service], p *corev1.Pod) []served {
	var out []served
	for i := range svc.Obj.Spec.Ports {
		sp := &svc.Obj.Spec.Ports[i]
		if !world.IsTCP(sp.Protocol) || sp.Port < 1 || sp.Port > 65535 {
			continue
		}
		number := uint16(sp.Port)
		switch {
		case sp.TargetPort.Type == intstr.String && sp.TargetPort.StrVal != "":
			n, ok := containerPort(p, sp.TargetPort.StrVal)
			if !ok {
				t.unknownTarget(svc.Origin, i, sp.TargetPort.StrVal, p)
				continue
			}
			number = n
		case sp.TargetPort.IntVal > 0 && sp.TargetPort.IntVal <= 65535:
			number = uint16(sp.TargetPort.IntVal)
		}
		if port := s.PortByNumber(uint16(sp.Port)); port != nil {
			out = append(out, served{s, port.Number, number, port.Protocol})
		}
	}
	return out
}

// unknownTarget reports once a service port, however many pods lack it.
func (t *translator) unknownTarget(origin mesh.Origin, i int, name string, p *corev1.Pod) {
	f := field("spec.ports[%d].targetPort", i)
	key := origin.String() + " " + f
	if t.told[key] {
		return
	}
	t.told[key] = true
	t.problem(problem.New(problem.UnknownTargetPort, origin, f, field("no container of pod %s/%s declares a port named %q; such pods get no traffic through it", p.Namespace, p.Name, name), "name the container's port, or give its number"))
}

func containerPort(p *corev1.Pod, name string) (uint16, bool) {
	for _, list := range [][]corev1.Container{p.Spec.Containers, p.Spec.InitContainers} {
		for i := range list {
			for _, cp := range list[i].Ports {
				if cp.Name == name && world.IsTCP(cp.Protocol) && cp.ContainerPort > 0 && cp.ContainerPort <= 65535 {
					return uint16(cp.ContainerPort), true
				}
			}
		}
	}
	return 0, false
}

func (t *translator) inboundPorts(item world.Item[*corev1.Pod], ports []served, declared map[uint16]declaration) []mesh.Port {
	opaque := t.opaqueOf(item.Obj.Annotations, item.Origin, item.Obj.Namespace)
	found := map[uint16]mesh.Port{}
	for i := range item.Obj.Spec.Containers {
		c := &item.Obj.Spec.Containers[i]
		if isProxy(c.Name) {
			continue
		}
		for _, cp := range c.Ports {
			if !world.IsTCP(cp.Protocol) || cp.ContainerPort < 1 || cp.ContainerPort > 65535 {
				continue
			}
			n := uint16(cp.ContainerPort)
			found[n] = mesh.Port{Number: n, Name: cp.Name}
		}
	}
	// Services come in the order of their names; the first that says
	// something has the say.
	said := map[uint16]mesh.Protocol{}
	for _, s := range ports {
		if _, ok := found[s.number]; !ok {
			found[s.number] = mesh.Port{Number: s.number}
		}
		if said[s.number] == mesh.Detect {
			said[s.number] = s.protocol
		}
	}
	for n := range declared {
		if _, ok := found[n]; !ok {
			found[n] = mesh.Port{Number: n}
		}
	}
	out := make([]mesh.Port, 0, len(found))
	for n, p := range found {
		if d, ok := declared[n]; ok {
			p.Protocol = d.protocol
		} else if opaque != nil && opaque.has(n, p.Name) {
			p.Protocol = mesh.TCP
		} else if p.Protocol = said[n]; p.Protocol == mesh.Detect {
			p.Protocol, _ = protocolOf(nil, p.Name, n, opaque)
		}
		out = append(out, p)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Number < out[j].Number })
	return out
}

func isProxy(container string) bool {
	for _, name := range world.ProxyContainers {
		if container == name {
			return true
		}
	}
	return false
}

// podIndex finds pods by one of their labels, so that a selector is compared
// with a few pods and not with all of the namespace.
type podIndex struct {
	t       *translator
	byLabel map[string][]mesh.Ref
}

func labelKey(namespace, k, v string) string { return strings.Join([]string{namespace, k, v}, "\x00") }

func (t *translator) podIndex() podIndex {
	x := podIndex{t, make(map[string][]mesh.Ref, len(t.w.Pods))}
	for ref, item := range t.w.Pods {
		if world.Ended(item.Obj) {
			continue
		}
		for k, v := range item.Obj.Labels {
			key := labelKey(ref.Namespace, k, v)
			x.byLabel[key] = append(x.byLabel[key], ref)
		}
	}
	return x
}

func (x podIndex) selected(namespace string, selector map[string]string) []mesh.Ref {
	var few []mesh.Ref
	first := true
	for k, v := range selector {
		if l := x.byLabel[labelKey(namespace, k, v)]; first || len(l) < len(few) {
			few, first = l, false
		}
	}
	var out []mesh.Ref
next:
	for _, ref := range few {
		labels := x.t.w.Pods[ref].Obj.Labels
		for k, v := range selector {
			if have, ok := labels[k]; !ok || have != v {
				continue next
			}
		}
		out = append(out, ref)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Less(out[j]) })
	return out
}
