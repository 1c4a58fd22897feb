package telemetry

import (
	"net/netip"
	"strconv"
	"strings"
)

// labels are rendered once for each handle: the part that all its series of
// one vocabulary share, without braces.
type labels struct {
	linkerd, istio string
}

func number(f float64) string { return strconv.FormatFloat(f, 'g', -1, 64) }

// render writes labels as name="value",... and leaves out the empty ones.
func render(ls []Label) string {
	var b strings.Builder
	for _, l := range ls {
		if l.Value == "" {
			continue
		}
		if b.Len() > 0 {
			b.WriteByte(',')
		}
		b.WriteString(l.Name)
		b.WriteString(`="`)
		escape(&b, l.Value)
		b.WriteByte('"')
	}
	return b.String()
}

// escape writes a label's value as the text format demands; what is not UTF-8
// becomes U+FFFD.
func escape(b *strings.Builder, v string) {
	for _, c := range strings.ToValidUTF8(v, "\uFFFD") {
		switch c {
		case '\\':
			b.WriteString(`\\`)
		case '"':
			b.WriteString(`\"`)
		case '\n':
			b.WriteString(`\n`)
		default:
			b.WriteRune(c)
		}
	}
}

// base are Linkerd's labels that requests and connections share.
func base(d Direction, t TLS, p *Peer, target netip.AddrPort, namespace string) []Label {
	if p.Namespace != "" {
		namespace = p.Namespace
	}
	tls, reason := t.label()
	ls := []Label{{"direction", d.String()}, {"tls", tls}, {"no_tls_reason", reason}}
	if target.IsValid() {
		ls = append(ls, Label{"target_addr", target.String()}, Label{"target_ip", target.Addr().String()},
			Label{"target_port", strconv.Itoa(int(target.Port()))})
	}
	id := p.Identity.String()
	if d == Inbound {
		return append(ls, Label{"client_id", id})
	}
	ls = append(ls, Label{"server_id", id}, Label{"dst_namespace", namespace}, Label{"dst_pod", p.Workload},
		Label{"dst_serviceaccount", p.Identity.ServiceAccount})
	if kind, name, ok := strings.Cut(p.Owner, "/"); ok && ownerKinds[kind] != "" {
		ls = append(ls, Label{ownerKinds[kind], name})
	}
	return ls
}

// ownerKinds are Linkerd's labels of a pod's controller.
var ownerKinds = map[string]string{
	"deployment": "dst_deployment", "statefulset": "dst_statefulset", "daemonset": "dst_daemonset",
	"replicaset": "dst_replicaset", "replicationcontroller": "dst_replicationcontroller",
	"job": "dst_k8s_job", "cronjob": "dst_cronjob",
}

func httpLabels(self *Self, k *HTTPKey) labels {
	ls := base(k.Direction, k.TLS, &k.Peer, k.Target, k.Namespace)
	ls = append(ls, Label{"authority", k.Authority}, Label{"dst_service", k.Service}, Label{"dst_port", k.Port})
	if kind, name, ok := strings.Cut(k.Route, " "); ok {
		ns, name, _ := strings.Cut(name, "/")
		ls = append(ls, Label{"route_kind", kind}, Label{"route_namespace", ns}, Label{"route_name", name})
	}
	return labels{render(ls), render(istio(self, k.Direction, k.TLS, &k.Peer, k.Authority, k.Service, k.Namespace))}
}

func tcpLabels(self *Self, k *TCPKey) labels {
	ls := base(k.Direction, k.TLS, &k.Peer, k.Target, k.Namespace)
	side := "src"
	if k.Side == Dst {
		side = "dst"
	}
	ls = append(ls, Label{"peer", side}, Label{"authority", k.Authority}, Label{"dst_service", k.Service}, Label{"dst_port", k.Port})
	return labels{render(ls), render(istio(self, k.Direction, k.TLS, &k.Peer, k.Authority, k.Service, k.Namespace))}
}
