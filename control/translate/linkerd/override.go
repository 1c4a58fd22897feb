package linkerd

import (
	"github.com/weftmesh/weft/control/problem"
	"github.com/weftmesh/weft/control/translate/fragment"
	"github.com/weftmesh/weft/mesh"
)

// overrides makes routes of dstOverrides. A profile of a namespace that has
// none leads its clients to the service itself, where the general one has some.
func (t *translator) overrides(p profile, general map[mesh.Ref]profile) {
	list := p.item.Obj.Spec.DstOverrides
	if len(list) == 0 {
		g, ok := general[p.service.Ref]
		if p.scope == "" || !ok || len(g.item.Obj.Spec.DstOverrides) == 0 {
			return
		}
	}
	for _, port := range p.service.Ports {
		backends := []mesh.Backend{{Service: p.service.Ref, Port: port.Number, Weight: 1}}
		if len(list) > 0 {
			if backends = t.overriding(p, port); backends == nil {
				continue
			}
		}
		tg := target{Service: p.service.Ref, Port: port.Number, Scope: p.scope}
		if by, taken := t.routed[tg]; taken {
			t.problem(problem.OutrankedLinkerd, p.item.Origin, "spec.dstOverrides", at("port %d of service %s follows %s instead", port.Number, p.service.Ref, by), "remove one of the two")
			continue
		}
		r := &mesh.Route{Service: p.service.Ref, Port: port.Number, Scope: p.scope, TCP: []mesh.TCPRule{{Backends: backends, Origin: p.item.Origin.At("spec.dstOverrides")}}}
		if port.Protocol.MayBeHTTP() {
			r.Rules = []mesh.Rule{{Name: defaultName, Backends: backends, Origin: p.item.Origin.At("spec.dstOverrides")}}
		}
		t.out.Routes = append(t.out.Routes, fragment.Route{Route: r, Origins: []mesh.Origin{p.item.Origin}})
	}
}

// overriding are the backends for one port; nil means that the overrides are
// not in effect there. An authority without a port means the same port; one
// with a port of the service counts for that port, and with another for all.
func (t *translator) overriding(p profile, port mesh.Port) []mesh.Backend {
	o := p.item.Origin
	var out []mesh.Backend
	var milli []int64
	meant := false
	for i := range p.item.Obj.Spec.DstOverrides {
		d, where := &p.item.Obj.Spec.DstOverrides[i], at("spec.dstOverrides[%d]", i)
		host, number, err := d.Destination()
		if err != nil {
			continue // refused when it was decoded
		}
		switch {
		case number == 0:
			number = port.Number
		case number != port.Number && p.service.PortByNumber(number) != nil:
			continue
		}
		meant = true
		s := t.serviceOf(host)
		switch {
		case s == nil:
			t.problem(problem.OverrideMissing, o, where+".authority", at("%s is not the DNS name of a service of the cluster; it receives nothing and the others share its part", host), "create the Service or correct the name")
			continue
		case s.Kind == mesh.ExternalName || s.PortByNumber(number) == nil:
			t.problem(problem.OverrideMissing, o, where+".authority", at("service %s has no port %d; it receives nothing and the others share its part", s.Ref, number), "name a port of the Service")
			continue
		}
		out = append(out, mesh.Backend{Service: s.Ref, Port: number})
		milli = append(milli, d.Weight.MilliValue())
	}
	weights := fragment.Weights(milli)
	if weights == nil {
		if meant {
			t.problem(problem.OverrideWeights, o, "spec.dstOverrides", at("no destination for port %d can be used and has a weight; service %s receives its own traffic there", port.Number, p.service.Ref), "name Services that exist, and give one of them a weight above 0")
		}
		return nil
	}
	for i := range out {
		out[i].Weight = weights[i]
	}
	return out
}
