package istio

import (
	"strings"

	networking "istio.io/api/networking/v1alpha3"

	"github.com/weftmesh/weft/control/problem"
	"github.com/weftmesh/weft/mesh"
)

// sidecars reads the Sidecars: what their workloads see, and the fate of what
// they do not know. Of several for the same workloads the oldest is in effect.
func (t *translator) sidecars() {
	taken := map[string]mesh.Origin{}
	for _, item := range byAge(t.w.Sidecars) {
		spec, ns := item.Obj.Spec, item.Obj.Namespace
		s := &mesh.Sidecar{Ref: mesh.Ref{Namespace: ns, Name: item.Obj.Name}, Labels: spec.WorkloadSelector.GetLabels(), Origin: item.Origin}
		key := ns + " " + mesh.LabelString(s.Labels)
		if first, dup := taken[key]; dup {
			code := problem.SidecarDuplicate
			if len(s.Labels) > 0 {
				code = problem.SidecarConflict
			}
			t.problem(code, item.Origin, "spec.workloadSelector", at("%s is for the same workloads, and in effect alone", first), "keep one of the two")
			continue
		}
		taken[key] = item.Origin
		if len(spec.Egress) > 0 {
			s.Egress = []mesh.Egress{}
		}
		for i, e := range spec.Egress {
			s.Egress = append(s.Egress, t.egress(e, ns, item.Origin, at("spec.egress[%d]", i)))
		}
		if p := spec.OutboundTrafficPolicy; p != nil {
			s.Outbound = mesh.RegistryOnly
			if p.Mode == networking.OutboundTrafficPolicy_ALLOW_ANY {
				s.Outbound = mesh.AllowAny
			}
			if p.EgressProxy != nil {
				t.problem(problem.IstioUnsupported, item.Origin, "spec.outboundTrafficPolicy.egressProxy", "unknown destinations are not sent through another service", "remove the field")
			}
		}
		if len(spec.Ingress) > 0 {
			t.problem(problem.IstioUnsupported, item.Origin, "spec.ingress", "every port of the workload is received as without the list", "remove the field")
		}
		if spec.InboundConnectionPool != nil {
			t.problem(problem.IstioUnsupported, item.Origin, "spec.inboundConnectionPool", "connections to the workload are not limited by it", "remove the field")
		}
		t.out.Sidecars = append(t.out.Sidecars, s)
	}
}

func (t *translator) egress(in *networking.IstioEgressListener, namespace string, o mesh.Origin, field string) mesh.Egress {
	var e mesh.Egress
	if p := in.Port.GetNumber(); p > 0 && p <= 65535 {
		e.Port = uint16(p)
	}
	if in.Bind != "" || in.CaptureMode == networking.CaptureMode_NONE {
		t.problem(problem.IstioUnsupported, o, field+".bind", "proxies do not listen for themselves; the hosts are seen as without the field", "remove the field")
	}
	for i, h := range in.Hosts {
		ns, host, ok := strings.Cut(h, "/")
		if !ok || host == "" || ns == "" {
			t.problem(problem.SchemaInvalid, o, at("%s.hosts[%d]", field, i), at("%q is not of the form namespace/host; it is ignored", h), "write for instance ./* or istio-system/*")
			continue
		}
		switch ns {
		case ".":
			ns = namespace
		case "~":
			continue
		}
		e.Hosts = append(e.Hosts, mesh.EgressHost{Namespace: ns, Host: host})
	}
	return e
}
