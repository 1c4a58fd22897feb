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
	// ports are those of it that the object names, beside 80.
	ports []int
	// target says that the object's rules are for it.
	target bool
}

// placeKey is the service or host of a reference.
type placeKey struct {
	ref  mesh.Ref
	host string
}

func (r reference) key() placeKey { return placeKey{r.ref, r.host} }

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
	host := func(field string, v any, ports ...int) {
		if h, ok := v.(string); ok && h != "" {
			r := hostReference(field, h, s.namespace, domain)
			r.ports = ports
			out = append(out, r)
		}
	}
	targets := func() {
		for i := range out {
			out[i].target = true
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
		ports := s.matched()
		for i, h := range list(s.spec["hosts"]) {
			host(fmt.Sprintf("spec.hosts[%d]", i), h, ports...)
		}
		targets()
		walk(s.spec, func(field, key string, m map[string]any) {
			if key == "destination" || key == "mirror" {
				number, _ := m["port"].(map[string]any)
				host(field+".host", m["host"], numbers(number["number"])...)
			}
		})
	case world.KindDestinationRule:
		var ports []int
		walk(s.spec, func(_, key string, m map[string]any) {
			if key == "port" {
				ports = append(ports, numbers(m["number"])...)
			}
		})
		host("spec.host", s.spec["host"], ports...)
		targets()
	case world.KindServiceProfile:
		host("metadata.name", s.name)
		targets()
		for i, d := range list(s.spec["dstOverrides"]) {
			if m, ok := d.(map[string]any); ok {
				authority, _ := m["authority"].(string)
				var ports []int
				if h, p, err := net.SplitHostPort(authority); err == nil {
					authority, ports = h, numbers(json.Number(p))
				}
				host(fmt.Sprintf("spec.dstOverrides[%d].authority", i), strings.TrimSuffix(authority, "."), ports...)
			}
		}
	}
	if s.isRoute() {
		walk(s.spec, func(field, key string, m map[string]any) {
			def := map[string]string{"parentRefs": "Gateway", "backendRefs": "Service", "backendRef": "Service"}[key]
			name, _ := m["name"].(string)
			if def == "" || name == "" || !isService(m, def) {
				return
			}
			ns := s.namespace
			if v, ok := m["namespace"].(string); ok && v != "" {
				ns = v
			}
			out = append(out, reference{field: field + ".name", ref: mesh.Ref{Namespace: ns, Name: name}, ports: numbers(m["port"]), target: key == "parentRefs"})
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

// walk visits every object within a spec, with the key that holds it (that of
// the list, for elements of lists), in the order of keys.
func walk(spec map[string]any, visit func(field, key string, m map[string]any)) {
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
	in("spec", "", spec)
}

func list(v any) []any {
	out, _ := v.([]any)
	return out
}

// numbers is a port, where the value is one.
func numbers(v any) []int {
	if n, ok := v.(json.Number); ok {
		if p, err := n.Int64(); err == nil && p > 0 && p <= 65535 {
			return []int{int(p)}
		}
	}
	return nil
}

// mostRules bounds what comes of one object: each of its rules is one for each
// port of each service that it is for.
const mostRules = 50_000

// matched are the ports that the matches of a VirtualService name.
func (s *subject) matched() (ports []int) {
	walk(s.spec, func(_, key string, m map[string]any) {
		if key == "match" {
			ports = append(ports, numbers(m["port"])...)
		}
	})
	return distinct(ports)
}

// parts are how much of an object there may be for one port.
func (s *subject) parts() (n int) {
	walk(s.spec, func(string, string, map[string]any) { n++ })
	return n
}

// reached are the ports of the services that an object names. Of those that it
// is for there are as many as can be looked at together, the first of them first:
// what is wrong with a rule is wrong for each. whole is false where rules for
// some ports have none.
func (s *subject) reached(references []reference) (out map[placeKey]*ports, whole bool) {
	out, whole = map[placeKey]*ports{}, true
	for _, r := range references {
		p := out[r.key()]
		if p == nil {
			p = &ports{}
			out[r.key()] = p
		}
		switch {
		case !r.target:
			p.other = append(p.other, r.ports...)
		case !p.target: // the ports of all hosts of an object are one list
			p.target, p.own = true, slices.Clip(r.ports)
		case s.isRoute():
			p.own = append(p.own, r.ports...)
		}
	}
	left, first := max(1, mostRules/max(1, s.parts())), true
	if s.isRoute() {
		// Routes are read once for each namespace of their parents, too.
		spaces := map[string]bool{}
		for _, r := range references {
			if r.target && !spaces[r.ref.Namespace] {
				spaces[r.ref.Namespace] = true
				whole = whole && len(spaces) <= left
			}
		}
	}
	for _, r := range references {
		p := out[r.key()]
		if p.target && left == 0 {
			p.none = p.list == nil
		}
		if p.list != nil || p.none {
			continue
		}
		// 80 comes first but where the object names what it is for.
		if p.list = distinct(slices.Concat([]int{80}, p.own, p.other)); s.isRoute() {
			p.list = distinct(slices.Concat(p.own, []int{80}, p.other))
		}
		if !p.target {
			continue
		}
		n := min(left, len(p.list))
		if own := len(distinct(append([]int{80}, p.own...))); first && n < own {
			whole = false
		}
		left, first = left-n, false
		p.list = p.list[:n]
	}
	return out, whole
}

// ports are those of a stand-in: that are named as what the object is for, and
// beside it. none says that there is no stand-in.
type ports struct {
	target, none     bool
	own, other, list []int
}

// standIns are the objects that the object needs to be seen whole.
func (s *subject) standIns(settings mesh.Settings) (out []metav1.Object, whole bool) {
	var docs []any
	references := s.references(settings.ClusterDomain)
	root := mesh.Ref{Namespace: s.namespace, Name: standIn}
	delegate := world.Kind(s.kind) == world.KindVirtualService && len(list(s.spec["hosts"])) == 0
	if delegate {
		references = append(references, reference{ref: root, ports: s.matched(), target: true})
	}
	reached, whole := s.reached(references)
	services, hosts := map[mesh.Ref]bool{}, map[string]bool{}
	service := func(ref mesh.Ref, ports []int) {
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
		of := reached[r.key()]
		switch {
		case of.none:
		case r.service():
			service(r.ref, of.list)
		case r.host == "*":
			service(root, of.list)
		case !hosts[r.host]:
			hosts[r.host] = true
			h := r.host
			if suffix, ok := strings.CutPrefix(h, "*"); ok {
				h = standIn + suffix
			}
			var list []any
			for _, p := range of.list {
				list = append(list, map[string]any{"name": "p" + strconv.Itoa(p), "number": p})
			}
			docs = append(docs, object("networking.istio.io/v1", "ServiceEntry", mesh.Ref{Namespace: s.namespace, Name: standIn + "-" + strconv.Itoa(len(hosts))},
				map[string]any{"hosts": []any{h}, "ports": list, "resolution": "DNS"}))
		}
	}
	if delegate {
		// It is read where it is named.
		docs = append(docs, object("networking.istio.io/v1", "VirtualService", root, map[string]any{"hosts": []any{standIn},
			"http": []any{map[string]any{"delegate": map[string]any{"name": s.name, "namespace": s.namespace}}}}))
	}
	for _, d := range docs {
		// What was made of maps and strings can be encoded.
		raw, _ := json.Marshal(d)
		// A host that makes no object is reported with the object itself.
		objects, _, _ := file.Decode("stand-in.json", raw)
		for _, o := range objects {
			out = append(out, o.Obj)
		}
	}
	return out, whole
}

func object(version, kind string, ref mesh.Ref, spec map[string]any) map[string]any {
	return map[string]any{"apiVersion": version, "kind": kind, "metadata": map[string]any{"name": ref.Name, "namespace": ref.Namespace}, "spec": spec}
}
