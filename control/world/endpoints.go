package world

import (
	"maps"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	"github.com/weftmesh/weft/mesh"
)

// endpointIndex joins slices, pods and service ports to endpoint sets. It
// notes which services a change concerns and computes those alone.
type endpointIndex struct {
	state       *state
	trustDomain string
	// dirty services are computed at the next take.
	dirty map[mesh.Ref]struct{}
	// slices of each service.
	slices map[mesh.Ref]map[mesh.Ref]*discoveryv1.EndpointSlice
	// users of a pod or an address: how many slices of which service name it.
	podUsers map[mesh.Ref][]user
	ipUsers  map[netip.Addr][]user
	// podsByIP finds the pods of an address that no targetRef names. There is
	// more than one while an address changes hands, and in a local mesh.
	podsByIP map[netip.Addr][]mesh.Ref
	// sets as last taken, by service.
	sets map[mesh.Ref]map[uint16]*mesh.EndpointSet
}

func newEndpointIndex(s *state, trustDomain string) *endpointIndex {
	return &endpointIndex{
		state: s, trustDomain: trustDomain, dirty: map[mesh.Ref]struct{}{},
		slices:   map[mesh.Ref]map[mesh.Ref]*discoveryv1.EndpointSlice{},
		podUsers: map[mesh.Ref][]user{}, ipUsers: map[netip.Addr][]user{},
		podsByIP: map[netip.Addr][]mesh.Ref{}, sets: map[mesh.Ref]map[uint16]*mesh.EndpointSet{},
	}
}

func (x *endpointIndex) service(ref mesh.Ref) { x.dirty[ref] = struct{}{} }

// slice notes that a slice has come or gone.
func (x *endpointIndex) slice(ref mesh.Ref, o *discoveryv1.EndpointSlice, come bool) {
	name := o.Labels[discoveryv1.LabelServiceName]
	if name == "" {
		return
	}
	svc := mesh.Ref{Namespace: o.Namespace, Name: name}
	x.dirty[svc] = struct{}{}
	delta := 1
	if come {
		if x.slices[svc] == nil {
			x.slices[svc] = map[mesh.Ref]*discoveryv1.EndpointSlice{}
		}
		x.slices[svc][ref] = o
	} else {
		delta = -1
		if delete(x.slices[svc], ref); len(x.slices[svc]) == 0 {
			delete(x.slices, svc)
		}
	}
	for i := range o.Endpoints {
		if pod, ok := targetPod(o, &o.Endpoints[i]); ok {
			count(x.podUsers, pod, svc, delta)
			continue
		}
		for _, a := range o.Endpoints[i].Addresses {
			if ip, err := netip.ParseAddr(a); err == nil {
				count(x.ipUsers, ip.Unmap(), svc, delta)
			}
		}
	}
}

// user is a service that names a pod or an address in so many endpoints. Most
// are named by one, which a short list holds in a fraction of a map's memory.
type user struct {
	service mesh.Ref
	n       int
}

func count[K comparable](users map[K][]user, k K, svc mesh.Ref, delta int) {
	list := users[k]
	for i := range list {
		if list[i].service != svc {
			continue
		}
		if list[i].n += delta; list[i].n <= 0 {
			list = slices.Delete(list, i, i+1)
			if users[k] = list; len(list) == 0 {
				delete(users, k)
			}
		}
		return
	}
	if delta > 0 {
		users[k] = append(list, user{svc, delta})
	}
}

// targetPod returns the pod that the endpoint says it is.
func targetPod(o *discoveryv1.EndpointSlice, e *discoveryv1.Endpoint) (mesh.Ref, bool) {
	if e.TargetRef == nil || e.TargetRef.Kind != "Pod" || e.TargetRef.Name == "" {
		return mesh.Ref{}, false
	}
	ns := e.TargetRef.Namespace
	if ns == "" {
		ns = o.Namespace
	}
	return mesh.Ref{Namespace: ns, Name: e.TargetRef.Name}, true
}

// pod notes that a pod has come, in a new form, or gone.
func (x *endpointIndex) pod(ref mesh.Ref, p *corev1.Pod, come bool) {
	for _, u := range x.podUsers[ref] {
		x.dirty[u.service] = struct{}{}
	}
	for _, ip := range PodAddresses(p) {
		switch {
		case come && !Ended(p):
			if !slices.Contains(x.podsByIP[ip], ref) {
				x.podsByIP[ip] = append(x.podsByIP[ip], ref)
			}
		default:
			list := slices.DeleteFunc(x.podsByIP[ip], func(o mesh.Ref) bool { return o == ref })
			if x.podsByIP[ip] = list; len(list) == 0 {
				delete(x.podsByIP, ip)
			}
		}
		for _, u := range x.ipUsers[ip] {
			x.dirty[u.service] = struct{}{}
		}
	}
}

// podAt returns the pod that has an address: of several the one that is not
// going away, then the youngest, then the first by name.
func (x *endpointIndex) podAt(ip netip.Addr) (mesh.Ref, bool) {
	var best mesh.Ref
	var bestPod *corev1.Pod
	for _, ref := range x.podsByIP[ip] {
		p := x.state.pods.m[ref].Obj
		if p != nil && (bestPod == nil || outlives(ref, p, best, bestPod)) {
			best, bestPod = ref, p
		}
	}
	return best, bestPod != nil
}

func outlives(ref mesh.Ref, p *corev1.Pod, other mesh.Ref, o *corev1.Pod) bool {
	if going := p.DeletionTimestamp != nil; going != (o.DeletionTimestamp != nil) {
		return !going
	}
	if !p.CreationTimestamp.Equal(&o.CreationTimestamp) {
		return o.CreationTimestamp.Before(&p.CreationTimestamp)
	}
	return ref.Less(other)
}

// PodAddresses returns the addresses that are the pod's own: none of a pod in
// the host's network.
func PodAddresses(p *corev1.Pod) []netip.Addr {
	if p.Spec.HostNetwork {
		return nil
	}
	var out []netip.Addr
	add := func(s string) {
		if ip, err := netip.ParseAddr(s); err == nil && !slices.Contains(out, ip.Unmap()) {
			out = append(out, ip.Unmap())
		}
	}
	for _, ip := range p.Status.PodIPs {
		add(ip.IP)
	}
	if p.Status.PodIP != "" {
		add(p.Status.PodIP)
	}
	return out
}

// take computes the dirty services and returns the sets that differ from
// before; nil stands for one that is gone.
func (x *endpointIndex) take() map[mesh.EndpointKey]*mesh.EndpointSet {
	out := map[mesh.EndpointKey]*mesh.EndpointSet{}
	for ref := range x.dirty {
		old, now := x.sets[ref], x.compute(ref)
		for port, set := range now {
			if prev := old[port]; prev != nil && sameSet(prev, set) {
				now[port] = prev
				continue
			}
			out[set.Key] = set
		}
		for port := range old {
			if now[port] == nil {
				out[mesh.EndpointKey{Service: ref, Port: port}] = nil
			}
		}
		if len(now) == 0 {
			delete(x.sets, ref)
		} else {
			x.sets[ref] = now
		}
	}
	clear(x.dirty)
	return out
}

func sameSet(a, b *mesh.EndpointSet) bool {
	return slices.EqualFunc(a.Endpoints, b.Endpoints, func(x, y mesh.Endpoint) bool {
		return x.Address == y.Address && x.Workload == y.Workload && x.Owner == y.Owner && x.Identity == y.Identity &&
			x.Health == y.Health && x.Weight == y.Weight && x.Zone == y.Zone && maps.Equal(x.Labels, y.Labels)
	})
}
