package istio

import (
	"net/netip"
	"slices"
	"strings"

	networking "istio.io/api/networking/v1alpha3"

	"github.com/weftmesh/weft/control/problem"
	"github.com/weftmesh/weft/mesh"
)

// sidecars reads the Sidecars: what their workloads see, and the fate of what
// they do not know. Of several for the same workloads the oldest is in effect.
func (t *translator) sidecars() {
	taken := map[string]mesh.Origin{}
	selectors := selectors{}
	for _, item := range byAge(t.w.Sidecars) {
		spec, ns := item.Obj.Spec, item.Obj.Namespace
		s := &mesh.Sidecar{Ref: mesh.Ref{Namespace: ns, Name: item.Obj.Name}, Labels: spec.WorkloadSelector.GetLabels(), Created: item.Obj.CreationTimestamp.UTC(), Origin: item.Origin}
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
		selectors.add(s.Namespace, s.Labels, s.Origin)
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
		s.Ingress = t.ingress(spec.Ingress, item.Origin)
		if spec.InboundConnectionPool != nil {
			t.problem(problem.IstioUnsupported, item.Origin, "spec.inboundConnectionPool", "connections to the workload are not limited by it", "limit clients by connectionPool of a DestinationRule")
		}
		t.out.Sidecars = append(t.out.Sidecars, s)
	}
	t.contested(selectors, problem.SidecarConflict, "spec.workloadSelector")
}

// ingress reads what is declared of the workload's own ports.
func (t *translator) ingress(list []*networking.IstioIngressListener, o mesh.Origin) []mesh.Port {
	var out []mesh.Port
	seen := map[uint32]bool{}
	for i, in := range list {
		field := at("spec.ingress[%d]", i)
		unsupported := func(name, message, remedy string) {
			t.problem(problem.IstioUnsupported, o, field+name, message, remedy)
		}
		p := in.GetPort()
		n := p.GetNumber()
		if n < 1 || n > 65535 || seen[n] {
			t.problem(problem.SchemaInvalid, o, field+".port.number", at("%d is no port, or is given twice; the entry is ignored", n), "give each port once, from 1 to 65535")
			continue
		}
		seen[n] = true
		out = append(out, mesh.Port{Number: uint16(n), Name: p.GetName(), Protocol: t.sidecarProtocol(p, o, field), Application: t.defaultEndpoint(in.DefaultEndpoint, n, o, field+".defaultEndpoint")})
		if in.Bind != "" {
			unsupported(".bind", at("connections to port %d are received at every address of the workload", n), "remove the field")
		}
		if in.CaptureMode == networking.CaptureMode_NONE {
			unsupported(".captureMode", "the proxy does not listen for itself; the port is captured as all others are", "exclude the port with traffic.sidecar.istio.io/excludeInboundPorts")
		}
		if in.Tls != nil {
			unsupported(".tls", "the proxy does not terminate TLS of clients outside of the mesh; such connections are handed to the application as they are", "terminate TLS in the application")
		}
		if in.ConnectionPool != nil {
			unsupported(".connectionPool", "connections to the port are not limited by it", "limit clients by connectionPool of a DestinationRule")
		}
	}
	return out
}

// proxyPorts are the proxy's own: what is there is not for clients.
var proxyPorts = []uint16{4140, 4143, 4190, 4191, 15021, 15090}

// defaultEndpoint is where connections to a port are handed to; zero stands for
// what was dialled.
func (t *translator) defaultEndpoint(text string, port uint32, o mesh.Origin, field string) netip.AddrPort {
	if strings.HasPrefix(text, "unix:") {
		t.problem(problem.IstioUnsupported, o, field, "connections are handed to ports only, not to sockets of a file system; they go to the port that was dialled", "let the application listen at the port")
		return netip.AddrPort{}
	}
	a, err := netip.ParseAddrPort(text)
	switch {
	case text == "":
	case err != nil || a.Port() == 0 || !a.Addr().IsLoopback() && !a.Addr().IsUnspecified():
		code := problem.SchemaInvalid
		if strings.HasPrefix(text, ":") {
			code = problem.SchemaWarning // Istio takes a port alone
		}
		t.problem(code, o, field, at("%q is neither an address and port of the workload nor a socket; connections go to the port that was dialled", text), "write 127.0.0.1:PORT or 0.0.0.0:PORT")
	case slices.Contains(proxyPorts, a.Port()):
		t.problem(problem.SchemaWarning, o, field, at("port %d is the proxy's own; connections go to the port that was dialled", a.Port()), "name the application's port")
	case a.Addr().IsLoopback() || uint32(a.Port()) != port:
		return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
	}
	return netip.AddrPort{}
}

// sidecarProtocol reads the protocol of a port; nothing that is known means to
// find out.
func (t *translator) sidecarProtocol(p *networking.SidecarPort, o mesh.Origin, field string) mesh.Protocol {
	if p.GetTargetPort() != 0 { //nolint:staticcheck // deprecated, and told
		t.problem(problem.IstioUnsupported, o, field+".port.targetPort", "the field has no meaning", "remove it")
	}
	out := protocolOf(&networking.ServicePort{Name: p.GetName(), Protocol: p.GetProtocol()})
	if out == mesh.Detect && p.GetProtocol() != "" {
		t.problem(problem.SchemaWarning, o, field+".port.protocol", at("%q is no protocol; the first bytes of a connection decide", p.GetProtocol()), "use HTTP, HTTPS, GRPC, HTTP2, MONGO, TCP or TLS")
	}
	return out
}

// egress reads one entry of the list of what is seen.
func (t *translator) egress(in *networking.IstioEgressListener, namespace string, o mesh.Origin, field string) mesh.Egress {
	var e mesh.Egress
	if p := in.Port; p != nil {
		if n := p.Number; n > 0 && n <= 65535 {
			e.Port = uint16(n)
		} else if n != 0 {
			t.problem(problem.SchemaInvalid, o, field+".port.number", at("%d is no port; the hosts are seen at every port", n), "give one from 1 to 65535")
		}
		if t.sidecarProtocol(p, o, field) != mesh.Detect {
			said := problem.New(problem.IstioUnsupported, o, field+".port", "the protocol of the port is what each host's own port declares", "declare it there")
			said.Severity = mesh.Info
			t.report(said)
		}
	}
	if in.Bind != "" {
		t.problem(problem.IstioUnsupported, o, field+".bind", "proxies do not listen for themselves; the hosts are seen as without the field", "remove the field")
	}
	if in.CaptureMode == networking.CaptureMode_NONE {
		t.problem(problem.IstioUnsupported, o, field+".captureMode", "proxies do not listen for themselves; connections to the hosts are captured as all others are", "remove the field")
	}
	for i, h := range in.Hosts {
		ns, host, ok := strings.Cut(h, "/")
		if !ok || host == "" || ns == "" {
			t.problem(problem.SchemaInvalid, o, at("%s.hosts[%d]", field, i), at("%q is not of the form namespace/host; it is ignored", h), "write for instance ./* or istio-system/*")
			continue
		}
		// A tilde takes hosts out again; alone it stands for all namespaces.
		ns, not := strings.CutPrefix(ns, "~")
		switch {
		case ns == ".":
			ns = namespace
		case not && ns == "":
			ns = "*"
		}
		e.Hosts = append(e.Hosts, mesh.EgressHost{Namespace: ns, Host: host, Not: not})
	}
	return e
}
