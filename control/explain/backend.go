package explain

import (
	"fmt"
	"net/http"

	"github.com/weftmesh/weft/mesh"
)

// backend describes one backend: its endpoints, and how this client uses them.
// The origin is that of the rule which names it.
func (x *explainer) backend(b mesh.Backend, rule mesh.Origin) Backend {
	out := Backend{Service: b.Service, Port: b.Port, Subset: b.Subset, Weight: b.Weight, Invalid: b.Invalid, Status: int(b.Status), Endpoints: []Endpoint{}, Source: x.source(rule)}
	s := x.view.Service(b.Service)
	switch {
	case out.Invalid != "":
		if out.Status == 0 {
			out.Status = http.StatusInternalServerError
		}
		return out
	case s == nil:
		out.Invalid, out.Status = "there is no service "+b.Service.String(), http.StatusInternalServerError
		return out
	case !s.VisibleTo(x.in.Client.Namespace):
		out.Invalid, out.Status = "it is not exported to namespace "+x.in.Client.Namespace, http.StatusServiceUnavailable
		return out
	case s.PortByNumber(b.Port) == nil:
		out.Invalid, out.Status = fmt.Sprintf("it has no port %d, but %s", b.Port, ports(s)), http.StatusInternalServerError
		return out
	}
	out.Host = s.Host
	d := x.view.Destination(b.Service)
	policy, labels, ok := d.For(b.Subset, b.Port)
	if !ok {
		out.Invalid, out.Status = "no DestinationRule that this client sees has the subset "+b.Subset, http.StatusServiceUnavailable
		return out
	}
	if sub := d.Subset(b.Subset); sub != nil {
		out.Labels, out.Source = labels, x.source(sub.Origin)
	}
	if b.Host != "" {
		out.Settings = append(out.Settings, Setting{"authority", b.Host, x.source(rule)})
	}
	out.Settings = append(out.Settings, x.headers(b.RequestHeaders, b.ResponseHeaders, rule)...)
	out.Settings = append(out.Settings, x.policy(policy)...)
	x.endpoints(&out, s, labels)
	return out
}

func (x *explainer) endpoints(b *Backend, s *mesh.Service, labels map[string]string) {
	switch s.Kind {
	case mesh.ExternalName:
		b.Note = "the proxy resolves " + s.External
		return
	case mesh.Original:
		b.Note = "the address that the client dialled"
		return
	case mesh.DNS, mesh.OneOfDNS:
		for _, e := range s.Endpoints {
			if mesh.HasLabels(e.Labels, labels) {
				port := b.Port
				if p, ok := e.Ports[b.Port]; ok {
					port = p
				}
				b.Endpoints = append(b.Endpoints, Endpoint{Address: fmt.Sprintf("%s:%d", e.Host, port), Weight: e.Weight, Zone: e.Locality.Zone})
			}
		}
		b.Note = "names that the proxy resolves"
		if len(b.Endpoints) == 0 {
			b.Note = "the proxy resolves " + s.Host
		}
		return
	}
	key := mesh.EndpointKey{Service: s.Ref, Port: b.Port}
	known := x.in.Known
	sets := []*mesh.EndpointSet{x.in.Endpoints[key]}
	for _, set := range x.in.Mesh.Endpoints {
		if set.Key == key {
			sets, known = append(sets, set), true
		}
	}
	total := 0
	for _, set := range sets {
		if set == nil {
			continue
		}
		for i := range set.Endpoints {
			e := &set.Endpoints[i]
			total++
			if !mesh.HasLabels(e.Labels, labels) {
				continue
			}
			out := Endpoint{Address: e.Address.String(), Owner: e.Owner, Health: e.Health, Weight: e.Weight, Zone: e.Zone}
			if e.Workload != (mesh.Ref{}) {
				out.Workload = e.Workload.String()
			}
			if e.Meshed() {
				out.Identity = e.Identity.String()
			}
			b.Endpoints = append(b.Endpoints, out)
		}
	}
	switch {
	case len(b.Endpoints) > 0:
	case !known:
		b.Note = "not known: there are no EndpointSlices among the objects"
	case total > 0:
		b.Note = fmt.Sprintf("none of the service's %d has the labels of the subset; requests are answered 503", total)
	default:
		b.Note = "none is ready; requests are answered 503"
	}
}
