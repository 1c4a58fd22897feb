package inject

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// Annotations that tune one sidecar. Linkerd's count on the pod and on its
// namespace (the pod wins); Istio's on the pod, as each does at home.
const (
	linkerdConfig = "config.linkerd.io/"
	istioSidecar  = "sidecar.istio.io/"
	istioTraffic  = "traffic.sidecar.istio.io/"
	// OpaquePorts lists ports whose protocol is not to be detected.
	OpaquePorts = linkerdConfig + "opaque-ports"
)

// settings are one sidecar's, from the mesh's options and the annotations.
type settings struct {
	skipInbound, skipOutbound []string // ports and ranges a-b
	skipSubnets               []string // CIDRs
	opaque                    string   // inherited from the namespace, "" otherwise
	resources                 corev1.ResourceRequirements
	logLevel                  string
	proxyImage                string
	pullPolicy                corev1.PullPolicy
	await                     bool
	native                    bool
	adminPort                 int
	drainSeconds              int
}

// reader reads annotations and gathers all that is wrong with them.
type reader struct {
	pod, ns   map[string]string
	namespace string
	faults    []error
	// ignored are faults of the namespace. They concern pods whose authors have
	// no part in them and which may be only moved to another node: the setting
	// is left out and the pod let through.
	ignored []string
}

// linkerd returns an annotation of the pod, or else of its namespace.
func (r *reader) linkerd(name string) (key, value string, ok bool) {
	key = linkerdConfig + name
	if value, ok = r.pod[key]; !ok {
		value, ok = r.ns[key]
	}
	return key, strings.TrimSpace(value), ok
}

func (r *reader) fault(key, value, want string) {
	if _, onPod := r.pod[key]; !onPod {
		r.ignored = append(r.ignored, fmt.Sprintf("%s on namespace %s is ignored: %q is not %s", key, r.namespace, value, want))
		return
	}
	r.faults = append(r.faults, fmt.Errorf("%w: %s: %q is not %s", ErrAnnotation, key, value, want))
}

// readSettings returns the settings, what was ignored and why, and the faults.
func readSettings(t Target, o Options) (s settings, ignored []string, faults []error) {
	r := &reader{pod: t.Pod.Annotations, ns: t.Namespace.Annotations, namespace: t.Namespace.Name}
	s = settings{resources: *o.Resources.DeepCopy(), logLevel: o.LogLevel, proxyImage: o.ProxyImage, pullPolicy: o.PullPolicy, await: true, native: o.NativeSidecar, adminPort: 4191}

	s.skipInbound = append(r.ports(r.linkerd("skip-inbound-ports")), r.ports(r.istio(istioTraffic+"excludeInboundPorts"))...)
	s.skipOutbound = append(r.ports(r.linkerd("skip-outbound-ports")), r.ports(r.istio(istioTraffic+"excludeOutboundPorts"))...)
	s.skipSubnets = append(r.subnets(r.linkerd("skip-subnets")), r.subnets(r.istio(istioTraffic+"excludeOutboundIPRanges"))...)
	if _, onPod := t.Pod.Annotations[OpaquePorts]; !onPod {
		s.opaque = t.Namespace.Annotations[OpaquePorts]
	}
	r.resources(&s.resources)
	if key, v, ok := r.linkerd("proxy-log-level"); ok {
		s.logLevel = r.logLevel(key, v, s.logLevel)
	} else if key, v, ok := r.istio(istioSidecar + "logLevel"); ok {
		s.logLevel = r.logLevel(key, v, s.logLevel)
	}
	if _, v, ok := r.linkerd("proxy-image"); ok && v != "" {
		s.proxyImage = v
	} else if _, v, ok := r.istio(istioSidecar + "proxyImage"); ok && v != "" {
		s.proxyImage = v
	}
	if key, v, ok := r.linkerd("image-pull-policy"); ok {
		if p := corev1.PullPolicy(v); slices.Contains([]corev1.PullPolicy{corev1.PullAlways, corev1.PullIfNotPresent, corev1.PullNever}, p) {
			s.pullPolicy = p
		} else {
			r.fault(key, v, "Always, IfNotPresent or Never")
		}
	}
	s.await = r.toggle("proxy-await", s.await)
	for _, f := range []func() (string, string, bool){
		func() (string, string, bool) { return r.linkerd("proxy-enable-native-sidecar") },
		func() (string, string, bool) { return r.istio(istioSidecar + "nativeSidecar") },
	} {
		key, v, ok := f()
		s.native = r.boolean(key, v, ok, s.native)
	}
	if key, v, ok := r.linkerd("admin-port"); ok {
		n, err := strconv.ParseUint(v, 10, 16)
		switch {
		case err != nil || n == 0:
			r.fault(key, v, "a port number")
		case slices.Contains([]uint64{4140, 4143, 4190, 15021, 15090}, n):
			r.fault(key, v, "free: the proxy uses that port itself")
		default:
			s.adminPort = int(n)
		}
	}
	if s.adminPort != 4191 {
		// The redirect leaves the default port alone by itself.
		s.skipInbound = append(s.skipInbound, strconv.Itoa(s.adminPort))
	}
	if key, v, ok := r.linkerd("shutdown-grace-period"); ok {
		s.drainSeconds = r.seconds(key, v)
	}
	return s, r.ignored, r.faults
}

func (r *reader) istio(key string) (string, string, bool) {
	v, ok := r.pod[key]
	return key, strings.TrimSpace(v), ok
}

// items are those of a comma list that are not empty.
func items(list string) (out []string) {
	for item := range strings.SplitSeq(list, ",") {
		if item = strings.TrimSpace(item); item != "" {
			out = append(out, item)
		}
	}
	return out
}

// ports reads a comma list of ports and ranges, such as 25,4567-4568.
func (r *reader) ports(key, value string, ok bool) []string {
	if !ok {
		return nil
	}
	var out []string
	for _, item := range items(value) {
		lo, hi, isRange := strings.Cut(item, "-")
		from, err1 := strconv.ParseUint(lo, 10, 16)
		to, err2 := from, error(nil)
		if isRange {
			to, err2 = strconv.ParseUint(hi, 10, 16)
		}
		if err1 != nil || err2 != nil || from == 0 || to < from {
			r.fault(key, value, "a comma list of ports and ranges such as 25,4567-4568")
			return nil
		}
		out = append(out, item)
	}
	return out
}

// subnets reads a comma list of CIDRs; single addresses count as such.
func (r *reader) subnets(key, value string, ok bool) []string {
	if !ok {
		return nil
	}
	var out []string
	for _, item := range items(value) {
		p, err := netip.ParsePrefix(item)
		if err != nil {
			a, err2 := netip.ParseAddr(item)
			if err2 != nil {
				r.fault(key, value, "a comma list of networks such as 10.0.0.0/8")
				return nil
			}
			p = netip.PrefixFrom(a, a.BitLen())
		}
		out = append(out, p.Masked().String())
	}
	return out
}

// resources applies both families' annotations. With any of Istio's the mesh's
// defaults are dropped entirely, as Istio's users expect.
func (r *reader) resources(rr *corev1.ResourceRequirements) {
	type entry struct {
		linkerd, istio string
		name           corev1.ResourceName
		limit          bool
	}
	table := []entry{
		{"proxy-cpu-request", "proxyCPU", corev1.ResourceCPU, false},
		{"proxy-cpu-limit", "proxyCPULimit", corev1.ResourceCPU, true},
		{"proxy-memory-request", "proxyMemory", corev1.ResourceMemory, false},
		{"proxy-memory-limit", "proxyMemoryLimit", corev1.ResourceMemory, true},
		{"proxy-ephemeral-storage-request", "", corev1.ResourceEphemeralStorage, false},
		{"proxy-ephemeral-storage-limit", "", corev1.ResourceEphemeralStorage, true},
	}
	for _, e := range table {
		if _, ok := r.pod[istioSidecar+e.istio]; ok && e.istio != "" {
			*rr = corev1.ResourceRequirements{}
			break
		}
	}
	set := func(key, v string, e entry) {
		q, err := resource.ParseQuantity(v)
		if err != nil || q.Sign() < 0 {
			r.fault(key, v, "a quantity such as 100m or 64Mi")
			return
		}
		list := &rr.Requests
		if e.limit {
			list = &rr.Limits
		}
		if *list == nil {
			*list = corev1.ResourceList{}
		}
		(*list)[e.name] = q
	}
	for _, e := range table {
		if key, v, ok := r.istio(istioSidecar + e.istio); ok && e.istio != "" {
			set(key, v, e)
		}
		if key, v, ok := r.linkerd(e.linkerd); ok {
			set(key, v, e)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(rr.Limits)) {
		lim := rr.Limits[name]
		req, ok := rr.Requests[name]
		if !ok || req.Cmp(lim) <= 0 {
			continue
		}
		fault := fmt.Errorf("%w: the proxy's %s request %s is above its limit %s; lower the one or raise the other", ErrAnnotation, name, req.String(), lim.String())
		if slices.ContainsFunc(table, func(e entry) bool {
			_, l := r.pod[linkerdConfig+e.linkerd]
			_, i := r.pod[istioSidecar+e.istio]
			return e.name == name && (l || i && e.istio != "")
		}) {
			r.faults = append(r.faults, fault)
			continue
		}
		r.ignored = append(r.ignored, fmt.Sprintf("the limit on namespace %s is ignored: %v", r.namespace, fault))
		delete(rr.Requests, name)
		delete(rr.Limits, name)
	}
}

// logLevel takes the level of weft's four that is nearest to a family's: the
// first word of a list such as "warn,linkerd=info".
func (r *reader) logLevel(key, v, def string) string {
	first, _, _ := strings.Cut(v, ",")
	_, level, scoped := strings.Cut(first, "=")
	if !scoped {
		_, level, scoped = strings.Cut(first, ":")
	}
	if !scoped {
		level = first
	}
	switch l := strings.ToLower(level); l {
	case "error", "warn", "info", "debug":
		return l
	case "warning":
		return "warn"
	case "trace":
		return "debug"
	case "critical", "off", "none":
		return "error"
	}
	r.fault(key, v, "error, warn, info or debug")
	return def
}

// toggle reads enabled or disabled.
func (r *reader) toggle(name string, def bool) bool {
	key, v, ok := r.linkerd(name)
	switch {
	case !ok:
		return def
	case v == "enabled" || v == "true":
		return true
	case v == "disabled" || v == "false":
		return false
	}
	r.fault(key, v, "enabled or disabled")
	return def
}

func (r *reader) boolean(key, v string, ok, def bool) bool {
	if !ok {
		return def
	}
	b, err := strconv.ParseBool(v)
	if err != nil {
		r.fault(key, v, "true or false")
		return def
	}
	return b
}

// seconds reads a duration in Linkerd's form: a number with ms, s, m, h or d.
func (r *reader) seconds(key, v string) int {
	for _, u := range []struct {
		suffix string
		ms     int
	}{{"ms", 1}, {"s", 1000}, {"m", 60_000}, {"h", 3_600_000}, {"d", 86_400_000}} {
		if n, ok := strings.CutSuffix(v, u.suffix); ok {
			if i, err := strconv.ParseUint(n, 10, 31); err == nil {
				return max(1, int(i)*u.ms/1000)
			}
		}
	}
	r.fault(key, v, "a duration such as 30s or 2m")
	return 0
}
