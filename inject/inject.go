package inject

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
)

// Labels and annotations that every injected pod carries, whichever family's
// switch asked for it.
const (
	// ControlNamespaceLabel names the control plane's namespace.
	ControlNamespaceLabel = "weft.mesh/control-plane-ns"
	// InjectedBy names the injector and its version.
	InjectedBy = "weft.mesh/injected-by"
	// ProxyVersion is the version of the proxy.
	ProxyVersion = "weft.mesh/proxy-version"
)

// Pod decides about a pod and makes the patch. It changes nothing itself. An
// error means that the pod asks for a sidecar which cannot be made as asked;
// it wraps ErrAnnotation or ErrClash, once for every fault, or ErrOptions.
func Pod(t Target, o Options) (Result, error) {
	o = o.withDefaults()
	res := Result{Decision: Decide(t, o.ControlNamespace)}
	res.Warnings = res.Decision.Warnings
	if !res.Decision.Inject {
		if r := res.Decision.Reason; res.Decision.Family != "" && r != AlreadyInjected {
			res.Warnings = append(res.Warnings, fmt.Sprintf("not meshed (%s): %s", r, res.Decision.Detail))
		}
		return res, nil
	}
	if err := o.check(); err != nil {
		return res, err
	}
	s, ignored, faults := readSettings(t, o)
	res.Warnings = append(res.Warnings, ignored...)
	warnings, clash := clashes(t.Pod, res.Decision.Family, s)
	res.Warnings = append(res.Warnings, warnings...)
	if len(faults) > 0 || clash != nil {
		return res, errors.Join(append(faults, clash)...)
	}
	owner := t.Owner
	if owner == "" {
		owner = OwnerOf(t.Pod)
	}
	p, err := makePatch(t, res.Decision.Family, owner, s, o, &res.Warnings)
	res.Patch = p
	return res, err
}

func makePatch(t Target, f Family, owner string, s settings, o Options, warnings *[]string) (Patch, error) {
	pod := t.Pod
	var p Patch
	labels, annotations := marks(t, f, owner, s, o)
	setup, proxy := initContainer(f, s, o), proxyContainer(t, f, owner, s, o)
	steps := []error{
		p.addStrings(pod.Labels, labels, "metadata", "labels"),
		p.addStrings(pod.Annotations, annotations, "metadata", "annotations"),
	}
	if s.native {
		// First of all, so that later init containers are meshed too.
		steps = append(steps, insert(&p, len(pod.Spec.InitContainers), 0, []corev1.Container{setup, proxy}, "spec", "initContainers"))
	} else {
		// The rules come last: before them, init containers reach the network
		// without the proxy, which runs after them.
		n := len(pod.Spec.InitContainers)
		steps = append(steps,
			insert(&p, n, n, []corev1.Container{setup}, "spec", "initContainers"),
			insert(&p, len(pod.Spec.Containers), 0, []corev1.Container{proxy}, "spec", "containers"))
	}
	if !slices.ContainsFunc(pod.Spec.Volumes, func(v corev1.Volume) bool { return v.Name == tokenVolume }) {
		n := len(pod.Spec.Volumes)
		steps = append(steps, insert(&p, n, n, []corev1.Volume{projectedToken()}, "spec", "volumes"))
	}
	if !s.native && endsByItself(pod, owner) {
		switch {
		case pod.Spec.HostPID:
			*warnings = append(*warnings, "spec.hostPID hides when the application ends: the sidecar has to be stopped with POST /shutdown")
		default:
			steps = append(steps, p.add(asJSON(true), "spec", "shareProcessNamespace"))
		}
	}
	return p, errors.Join(steps...)
}

// marks are the labels and annotations of an injected pod.
func marks(t Target, f Family, owner string, s settings, o Options) (labels, annotations map[string]string) {
	pod := t.Pod
	labels = map[string]string{ControlNamespaceLabel: o.ControlNamespace}
	annotations = map[string]string{InjectedBy: "weft-injector/" + o.Version, ProxyVersion: o.Version}
	kind, name, _ := strings.Cut(owner, "/")
	switch f {
	case Linkerd:
		labels["linkerd.io/control-plane-ns"] = o.ControlNamespace
		labels["linkerd.io/workload-ns"] = t.Namespace.Name
		if kind != "pod" {
			labels["linkerd.io/proxy-"+kind] = name
		}
		annotations["linkerd.io/created-by"] = annotations[InjectedBy]
		annotations["linkerd.io/proxy-version"] = o.Version
	case Istio:
		labels["security.istio.io/tlsMode"] = "istio"
		labels["service.istio.io/canonical-name"] = firstOf(pod.Labels, name, "service.istio.io/canonical-name", "app.kubernetes.io/name", "app")
		labels["service.istio.io/canonical-revision"] = firstOf(pod.Labels, "latest", "service.istio.io/canonical-revision", "app.kubernetes.io/version", "version")
		annotations["sidecar.istio.io/status"] = istioStatus(f, s)
		annotations[istioRevision] = "default"
	}
	if s.opaque != "" {
		annotations[OpaquePorts] = s.opaque
	}
	if !s.native && len(pod.Spec.Containers) > 0 {
		// kubectl logs and exec go to the application, though the proxy comes first.
		for _, key := range []string{"kubectl.kubernetes.io/default-container", "kubectl.kubernetes.io/default-logs-container"} {
			if pod.Annotations[key] == "" {
				annotations[key] = pod.Spec.Containers[0].Name
			}
		}
	}
	for k, v := range labels {
		// A name may be longer than a label can hold; no label is better than no pod.
		if v == "" || len(validation.IsValidLabelValue(v)) > 0 {
			delete(labels, k)
		}
	}
	return labels, annotations
}

func firstOf(labels map[string]string, def string, keys ...string) string {
	for _, k := range keys {
		if v := labels[k]; v != "" {
			return v
		}
	}
	return def
}

// istioStatus lists what was added, in the shape that Istio's tools read.
func istioStatus(f Family, s settings) string {
	st := struct {
		InitContainers []string `json:"initContainers"`
		Containers     []string `json:"containers"`
		Volumes        []string `json:"volumes"`
		Revision       string   `json:"revision"`
	}{InitContainers: []string{f.InitContainer()}, Volumes: []string{tokenVolume}, Revision: "default"}
	if s.native {
		st.InitContainers = append(st.InitContainers, f.ProxyContainer())
	} else {
		st.Containers = []string{f.ProxyContainer()}
	}
	// Strings and lists of strings always encode.
	out, _ := json.Marshal(st)
	return string(out)
}
