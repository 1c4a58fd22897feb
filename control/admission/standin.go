package admission

import (
	"encoding/json"
	"fmt"
	"net"
	"slices"
	"sort"
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/weftmesh/weft/control/source/file"
	"github.com/weftmesh/weft/control/world"
	"github.com/weftmesh/weft/mesh"
)

// standIn names what is made up.
const standIn = "stand-in"

// reference is a service or another host that an object names.
type reference struct {
	field string
	// ref is a Service of the platform, or zero.
	ref mesh.Ref
	// host is any other.
	host string
}

func (r reference) service() bool { return r.ref != mesh.Ref{} }

// isRoute says whether the kind is one of the Gateway API's routes, which
// Linkerd has too.
func (s *subject) isRoute() bool {
	return (s.group == "gateway.networking.k8s.io" || s.group == "policy.linkerd.io") &&
		slices.Contains([]string{"HTTPRoute", "GRPCRoute", "TLSRoute", "TCPRoute"}, s.kind)
}

// ours says whether the object is the mesh's business: a route that hangs on a
// Gateway alone is its controller's.
func (s *subject) ours() bool {
	if !s.isRoute() {
		return true
	}
	for _, p := range list(s.spec["parentRefs"]) {
		if m, ok := p.(map[string]any); ok && isService(m, "Gateway") {
			return true
		}
	}
	return false
}

// references lists what the object names, in the order of its fields.
func (s *subject) references(domain string) []reference {
	var out []reference
	host := func(field string, v any) {
		if h, ok := v.(string); ok && h != "" {
			out = append(out, hostReference(field, h, s.namespace, domain))
		}
	}
	local := func(field string, v any) {
		if n, ok := v.(string); ok && n != "" {
			n, _, _ = strings.Cut(n, ".")
			out = append(out, reference{field: field, ref: mesh.Ref{Namespace: s.namespace, Name: n}})
		}
	}
	switch world.Kind(s.kind) {
	case world.KindTrafficSplit:
		local("spec.service", s.spec["service"])
		for i, b := range list(s.spec["backends"]) {
			if m, ok := b.(map[string]any); ok {
				local(fmt.Sprintf("spec.backends[%d].service", i), m["service"])
			}
		}
	case world.KindVirtualService:
		for i, h := range list(s.spec["hosts"]) {
			host(fmt.Sprintf("spec.hosts[%d]", i), h)
		}
		walk("spec", s.spec, func(field, key string, m map[string]any) {
			if key == "destination" || key == "mirror" {
				host(field+".host", m["host"])
			}
		})
	case world.KindDestinationRule:
		host("spec.host", s.spec["host"])
	case world.KindServiceProfile:
		host("metadata.name", s.name)
		for i, d := range list(s.spec["dstOverrides"]) {
			if m, ok := d.(map[string]any); ok {
				authority, _ := m["authority"].(string)
				if h, _, err := net.SplitHostPort(authority); err == nil {
					authority = h
				}
				host(fmt.Sprintf("spec.dstOverrides[%d].authority", i), strings.TrimSuffix(authority, "."))
			}
		}
	}
	if s.isRoute() {
		walk("spec", s.spec, func(field, key string, m map[string]any) {
			def := map[string]string{"parentRefs": "Gateway", "backendRefs": "Service", "backendRef": "Service"}[key]
			name, _ := m["name"].(string)
			if def == "" || name == "" || !isService(m, def) {
				return
			}
			ns := s.namespace
			if v, ok := m["namespace"].(string); ok && v != "" {
				ns = v
			}
			out = append(out, reference{field: field + ".name", ref: mesh.Ref{Namespace: ns, Name: name}})
		})
	}
	return out
}

// isService says whether a reference is to a Service, given the kind that it
// means where it names none.
func isService(m map[string]any, def string) bool {
	kind, group := def, ""
	if v, ok := m["kind"].(string); ok {
		kind = v
	}
	if v, ok := m["group"].(string); ok {
		group = v
	}
	return kind == "Service" && (group == "" || group == "core")
}

// hostReference reads a host as Istio's objects write it.
func hostReference(field, host, namespace, domain string) reference {
	if !strings.Contains(host, ".") && !strings.Contains(host, "*") {
		return reference{field: field, ref: mesh.Ref{Namespace: namespace, Name: host}}
	}
	if rest, ok := strings.CutSuffix(host, ".svc."+domain); ok && !strings.Contains(host, "*") {
		if name, ns, ok := strings.Cut(rest, "."); ok && !strings.Contains(ns, ".") {
			return reference{field: field, ref: mesh.Ref{Namespace: ns, Name: name}}
		}
	}
	return reference{field: field, host: host}
}

// walk visits every object within a value, with the key that holds it (that of
// the list, for elements of lists), in the order of keys.
func walk(field string, v any, visit func(field, key string, m map[string]any)) {
	var in func(field, key string, v any)
	in = func(field, key string, v any) {
		switch v := v.(type) {
		case map[string]any:
			visit(field, key, v)
			keys := make([]string, 0, len(v))
			for k := range v {
				keys = append(keys, k)
			}
			sort.Strings(keys)
			for _, k := range keys {
				in(field+"."+k, k, v[k])
			}
		case []any:
			for i, e := range v {
				in(field+"["+strconv.Itoa(i)+"]", key, e)
			}
		}
	}
	in(field, "", v)
}

func list(v any) []any {
	out, _ := v.([]any)
	return out
}

// ports are all that the object names anywhere, and 80.
func (s *subject) ports() []int {
	out := []int{80}
	add := func(v any) {
		if n, ok := v.(json.Number); ok {
			if p, err := n.Int64(); err == nil && p > 0 && p <= 65535 && !slices.Contains(out, int(p)) {
				out = append(out, int(p))
			}
		}
	}
	walk("spec", s.spec, func(_, key string, m map[string]any) {
		add(m["port"])
		if key == "port" {
			add(m["number"])
		}
		if authority, ok := m["authority"].(string); ok {
			if _, p, err := net.SplitHostPort(authority); err == nil {
				add(json.Number(p))
			}
		}
	})
	return out
}

// maxPorts bounds the ports of all stand-ins together.
const maxPorts = 40_000

// standIns are the objects that the object needs to be seen whole.
func (s *subject) standIns(settings mesh.Settings) []metav1.Object {
	var docs []any
	references := s.references(settings.ClusterDomain)
	ports := s.ports()
	// Every stand-in has every port: an object that names many of both must not
	// come to more than can be held. A port that is missing is no fault of it.
	if n := max(1, len(references)); n*len(ports) > maxPorts {
		ports = ports[:max(1, maxPorts/n)]
	}
	services, hosts := map[mesh.Ref]bool{}, map[string]bool{}
	service := func(ref mesh.Ref) {
		if services[ref] {
			return
		}
		services[ref] = true
		var list []any
		for _, p := range ports {
			port := map[string]any{"name": "p" + strconv.Itoa(p), "port": p}
			// Of other ports the protocol is to be detected, which fits every rule.
			switch s.kind {
			case "TLSRoute":
				port["appProtocol"] = "tls"
			case "TCPRoute":
				port["appProtocol"] = "tcp"
			}
			list = append(list, port)
		}
		n := len(services)
		docs = append(docs, object("v1", "Service", ref, map[string]any{"clusterIP": fmt.Sprintf("198.18.%d.%d", n/250, 1+n%250), "ports": list}))
	}
	for _, r := range references {
		switch {
		case r.service():
			service(r.ref)
		case r.host == "*":
			service(mesh.Ref{Namespace: s.namespace, Name: standIn})
		case !hosts[r.host]:
			hosts[r.host] = true
			h := r.host
			if suffix, ok := strings.CutPrefix(h, "*"); ok {
				h = standIn + suffix
			}
			var list []any
			for _, p := range ports {
				list = append(list, map[string]any{"name": "p" + strconv.Itoa(p), "number": p})
			}
			docs = append(docs, object("networking.istio.io/v1", "ServiceEntry", mesh.Ref{Namespace: s.namespace, Name: standIn + "-" + strconv.Itoa(len(hosts))},
				map[string]any{"hosts": []any{h}, "ports": list, "resolution": "DNS"}))
		}
	}
	if world.Kind(s.kind) == world.KindVirtualService && len(list(s.spec["hosts"])) == 0 {
		// A delegate is read where it is named.
		root := mesh.Ref{Namespace: s.namespace, Name: standIn}
		service(root)
		docs = append(docs, object("networking.istio.io/v1", "VirtualService", root, map[string]any{"hosts": []any{standIn},
			"http": []any{map[string]any{"delegate": map[string]any{"name": s.name, "namespace": s.namespace}}}}))
	}
	var out []metav1.Object
	for _, d := range docs {
		// What was made of maps and strings can be encoded.
		raw, _ := json.Marshal(d)
		// A host that makes no object is reported with the object itself.
		objects, _, _ := file.Decode("stand-in.json", raw)
		for _, o := range objects {
			out = append(out, o.Obj)
		}
	}
	return out
}

func object(version, kind string, ref mesh.Ref, spec map[string]any) map[string]any {
	return map[string]any{"apiVersion": version, "kind": kind, "metadata": map[string]any{"name": ref.Name, "namespace": ref.Namespace}, "spec": spec}
}
