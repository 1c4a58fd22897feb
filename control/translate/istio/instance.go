package istio

import (
	"net/netip"

	networking "istio.io/api/networking/v1alpha3"

	"github.com/weftmesh/weft/control/world"
	"github.com/weftmesh/weft/identity"
	"github.com/weftmesh/weft/mesh"
)

// tlsModeLabel says of a WorkloadEntry that a proxy stands beside it.
const tlsModeLabel = "security.istio.io/tlsMode"

// instance is an endpoint without its port.
type instance struct {
	endpoint mesh.Endpoint
	ports    map[string]uint32 // by name
}

// instance reads a WorkloadEntry; false means that its address is none.
func (t *translator) instance(e *networking.WorkloadEntry, namespace string, ref mesh.Ref, outside bool) (instance, bool) {
	a, err := netip.ParseAddr(e.Address)
	if err != nil || a.Zone() != "" {
		return instance{}, false
	}
	l := mesh.ParseLocality(e.Locality)
	out := instance{ports: e.Ports, endpoint: mesh.Endpoint{Address: netip.AddrPortFrom(a.Unmap(), 0), Workload: ref, Health: mesh.Ready, Weight: e.Weight,
		Region: l.Region, Zone: l.Zone, Subzone: l.Subzone, Labels: e.Labels}}
	if !outside && e.Labels[tlsModeLabel] == "istio" {
		account := e.ServiceAccount
		if account == "" {
			account = "default"
		}
		// One that makes no valid identity is an endpoint without.
		out.endpoint.Identity, _ = identity.NewID(t.settings.TrustDomain, namespace, account)
	}
	return out, true
}

// selected are the WorkloadEntries of a namespace that have the labels, and
// the pods where asked for, in the order of their addresses.
func (t *translator) selected(namespace string, labels map[string]string, pods bool) []instance {
	var out []instance
	for _, w := range t.workloads {
		if w.ref.Namespace != namespace || !mesh.HasLabels(entryLabels(w.item.Obj.Labels, w.spec.Labels), labels) {
			continue
		}
		if in, ok := t.instance(w.spec, namespace, w.ref, false); ok {
			out = append(out, in)
		}
	}
	if pods {
		for ref, item := range t.w.Pods {
			p := item.Obj
			if ref.Namespace != namespace || !mesh.HasLabels(p.Labels, labels) || world.Ended(p) || p.DeletionTimestamp != nil {
				continue
			}
			for _, a := range world.PodAddresses(p) {
				e := mesh.Endpoint{Address: netip.AddrPortFrom(a, 0), Workload: ref, Owner: world.Owner(p), Health: mesh.Ready, Labels: p.Labels}
				e.Identity, _ = world.Identity(p, t.settings.TrustDomain)
				out = append(out, instance{endpoint: e})
				break
			}
		}
	}
	sortInstances(out)
	return out
}

// entryLabels are those of the spec, and those of the object beside them.
func entryLabels(meta, spec map[string]string) map[string]string {
	if len(meta) == 0 {
		return spec
	}
	out := make(map[string]string, len(meta)+len(spec))
	for k, v := range meta {
		out[k] = v
	}
	for k, v := range spec {
		out[k] = v
	}
	return out
}
