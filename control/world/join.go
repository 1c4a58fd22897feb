package world

import (
	"net/netip"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	"github.com/weftmesh/weft/identity"
	"github.com/weftmesh/weft/mesh"
)

// MeshedAnnotation says of a pod of a local mesh that a proxy stands beside it.
const MeshedAnnotation = "weft.mesh/meshed"

// ProxyContainers are the names that the injector gives the proxy's container.
var ProxyContainers = []string{"weft-proxy", "linkerd-proxy", "istio-proxy"}

// Meshed says whether a proxy stands beside the pod.
func Meshed(p *corev1.Pod) bool {
	if p.Annotations[MeshedAnnotation] == "true" {
		return true
	}
	for _, list := range [][]corev1.Container{p.Spec.Containers, p.Spec.InitContainers} {
		for i := range list {
			for _, name := range ProxyContainers {
				if list[i].Name == name {
					return true
				}
			}
		}
	}
	return false
}

// Identity returns whom the pod's proxy proves to be; zero when it is not meshed.
func Identity(p *corev1.Pod, trustDomain string) (identity.ID, error) {
	if !Meshed(p) {
		return identity.ID{}, nil
	}
	sa := p.Spec.ServiceAccountName
	if sa == "" {
		sa = "default"
	}
	return identity.NewID(trustDomain, p.Namespace, sa)
}

// Owner returns the pod's controller, such as deployment/api: a ReplicaSet
// whose name ends in the pod's template hash stands for its Deployment.
func Owner(p *corev1.Pod) string {
	for i := range p.OwnerReferences {
		o := &p.OwnerReferences[i]
		if o.Controller == nil || !*o.Controller {
			continue
		}
		hash := p.Labels["pod-template-hash"]
		if base, ok := strings.CutSuffix(o.Name, "-"+hash); ok && o.Kind == "ReplicaSet" && hash != "" {
			return "deployment/" + base
		}
		return strings.ToLower(o.Kind) + "/" + o.Name
	}
	return ""
}

// compute returns the endpoint sets of a service by port, or nil if there is
// no such service.
func (x *endpointIndex) compute(ref mesh.Ref) map[uint16]*mesh.EndpointSet {
	item, ok := x.state.services.m[ref]
	if !ok || item.Obj.Spec.Type == corev1.ServiceTypeExternalName {
		return nil
	}
	out := map[uint16]*mesh.EndpointSet{}
	for i := range item.Obj.Spec.Ports {
		p := &item.Obj.Spec.Ports[i]
		if !IsTCP(p.Protocol) || p.Port < 1 || p.Port > 65535 {
			continue
		}
		key := mesh.EndpointKey{Service: ref, Port: uint16(p.Port)}
		set := &mesh.EndpointSet{Key: key}
		// While an endpoint moves from one slice to another it is in both.
		seen := map[netip.AddrPort]int{}
		for _, s := range x.slices[ref] {
			x.fill(set, seen, s, p.Name, item.Obj.Spec.PublishNotReadyAddresses)
		}
		set.Sort()
		out[key.Port] = set
	}
	return out
}

// IsTCP says whether a port of a Service, slice or container is TCP, which is
// the default.
func IsTCP(p corev1.Protocol) bool { return p == corev1.ProtocolTCP || p == "" }

func (x *endpointIndex) fill(set *mesh.EndpointSet, seen map[netip.AddrPort]int, s *discoveryv1.EndpointSlice, portName string, notReady bool) {
	port := slicePort(s, portName)
	if port == 0 || s.AddressType == discoveryv1.AddressTypeFQDN {
		return
	}
	for i := range s.Endpoints {
		e := &s.Endpoints[i]
		health, ok := healthOf(e.Conditions, notReady)
		if !ok {
			continue
		}
		for _, a := range e.Addresses {
			ip, err := netip.ParseAddr(a)
			if err != nil {
				continue
			}
			ep := mesh.Endpoint{Address: netip.AddrPortFrom(ip.Unmap(), port), Health: health}
			if e.Zone != nil {
				ep.Zone = *e.Zone
			}
			if !x.join(&ep, s, e) {
				continue
			}
			if j, dup := seen[ep.Address]; dup {
				if set.Endpoints[j].Health == mesh.Draining {
					set.Endpoints[j] = ep
				}
				continue
			}
			seen[ep.Address] = len(set.Endpoints)
			set.Endpoints = append(set.Endpoints, ep)
		}
	}
}

// join adds what the endpoint's pod tells. False means to leave the endpoint
// out: it names a pod that is not there, has ended, or has been replaced by one
// of the same name. Pods and slices come by different watches, so that the one
// may lag behind the other; the address may be somebody else's by now.
func (x *endpointIndex) join(ep *mesh.Endpoint, s *discoveryv1.EndpointSlice, e *discoveryv1.Endpoint) bool {
	ref, named := targetPod(s, e)
	if !named {
		var ok bool
		if ref, ok = x.podAt(ep.Address.Addr()); !ok {
			return true
		}
	}
	item, ok := x.state.pods.m[ref]
	if !ok || Ended(item.Obj) {
		return false
	}
	// A UID is missing where objects come from files.
	if uid := item.Obj.UID; named && uid != "" && e.TargetRef.UID != "" && e.TargetRef.UID != uid {
		return false
	}
	ep.Workload = ref
	if item.Obj.DeletionTimestamp != nil {
		ep.Health = mesh.Draining
	}
	ep.Owner, ep.Labels = Owner(item.Obj), item.Obj.Labels
	// An identity that cannot be is reported by the translators; the endpoint
	// is then one without.
	ep.Identity, _ = Identity(item.Obj, x.trustDomain)
	return true
}

func slicePort(s *discoveryv1.EndpointSlice, name string) uint16 {
	for i := range s.Ports {
		p := &s.Ports[i]
		if p.Protocol != nil && !IsTCP(*p.Protocol) || p.Port == nil || *p.Port < 1 || *p.Port > 65535 {
			continue
		}
		if p.Name == nil && name == "" || p.Name != nil && *p.Name == name {
			return uint16(*p.Port)
		}
	}
	return 0
}

// healthOf reads the conditions (EndpointConditions): ready and serving are
// true when unknown, terminating is false. False means to leave it out.
func healthOf(c discoveryv1.EndpointConditions, notReady bool) (mesh.Health, bool) {
	ready := c.Ready == nil || *c.Ready
	serving := ready
	if c.Serving != nil {
		serving = *c.Serving
	}
	terminating := c.Terminating != nil && *c.Terminating
	switch {
	case terminating && (serving || notReady):
		return mesh.Draining, true
	case terminating:
		return "", false
	case ready || notReady:
		return mesh.Ready, true
	}
	return "", false
}
