package inject

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// Family is the mesh whose switch asked for the sidecar. It decides the names
// of containers, labels and annotations; the proxy is the same for all.
type Family string

// The families, in the order of precedence among switches on one object.
const (
	Weft    Family = "weft"
	Linkerd Family = "linkerd"
	Istio   Family = "istio"
)

// ProxyContainer is the name of the sidecar.
func (f Family) ProxyContainer() string { return string(f) + "-proxy" }

// InitContainer is the name of the container that sets the redirect rules.
func (f Family) InitContainer() string { return string(f) + "-init" }

// Reason is the code of a decision, fit for a metric label.
type Reason string

// The reasons of a decision.
const (
	Asked           Reason = "asked"            // a switch is on: the pod is injected
	NotAsked        Reason = "not-asked"        // no switch at all
	Disabled        Reason = "disabled"         // a switch is off
	HostNetwork     Reason = "host-network"     // redirecting would hit the whole node
	AlreadyInjected Reason = "already-injected" // a mesh's sidecar is there
	SystemNamespace Reason = "system-namespace" // kube-system and its like, and the control plane's
	NoToken         Reason = "no-token"         // a static pod: the kubelet gives it no service account
	NotLinux        Reason = "not-linux"        // the sidecar is a Linux program
)

// Decision says whether a pod gets a sidecar, and why.
type Decision struct {
	Inject bool
	Family Family
	Reason Reason
	// Detail explains the reason to a person.
	Detail string
	// Warnings are switches that were not understood.
	Warnings []string
}

// Names of the switches.
const (
	weftSwitch    = "weft.mesh/inject"
	linkerdSwitch = "linkerd.io/inject"
	istioSwitch   = "sidecar.istio.io/inject"
	istioRevision = "istio.io/rev"
	istioLabel    = "istio-injection"
	webhooksLabel = "config.linkerd.io/admission-webhooks"
	mirrorPod     = "kubernetes.io/config.mirror"
	betaOS        = "beta.kubernetes.io/os"
)

// systemNamespaces are never injected.
var systemNamespaces = []string{"kube-system", "kube-public", "kube-node-lease"}

// toggle is one switch, found on a pod or a namespace.
type toggle struct {
	family  Family
	on      bool
	text    string // such as annotation linkerd.io/inject=enabled on namespace production
	ingress bool
}

// Decide answers for one pod. A switch on the pod wins over those on its
// namespace; on one object, weft's wins over linkerd's and linkerd's over
// istio's; but a pod that one family's switch opts out stays out, whatever the
// others say.
func Decide(t Target, controlNamespace string) Decision {
	pod, ns := t.Pod, t.Namespace
	var d Decision
	onPod := podToggles(pod, &d.Warnings)
	onNS := namespaceToggles(ns, &d.Warnings)
	skip := func(r Reason, format string, args ...any) Decision {
		d.Reason, d.Detail = r, fmt.Sprintf(format, args...)
		return d
	}
	if i := slices.IndexFunc(onPod, func(t toggle) bool { return !t.on }); i >= 0 {
		return skip(Disabled, "%s", onPod[i].text)
	}
	var by *toggle
	for _, list := range [][]toggle{onPod, onNS} {
		if len(list) > 0 && by == nil {
			by = &list[0]
		}
	}
	switch {
	case by == nil:
		return skip(NotAsked, "neither the pod nor its namespace asks for a sidecar")
	case !by.on:
		return skip(Disabled, "%s", by.text)
	case ns.Name == controlNamespace || slices.Contains(systemNamespaces, ns.Name):
		return skip(SystemNamespace, "namespace %s is never injected", ns.Name)
	case ns.Labels[webhooksLabel] == "disabled":
		return skip(Disabled, "label %s=disabled on namespace %s", webhooksLabel, ns.Name)
	}
	d.Family = by.family
	if name := proxyOf(pod); name != "" {
		return skip(AlreadyInjected, "the pod has a container %s", name)
	}
	switch {
	case pod.Spec.HostNetwork:
		return skip(HostNetwork, "the pod uses the network of its node (spec.hostNetwork)")
	case pod.Spec.OS != nil && pod.Spec.OS.Name == corev1.Windows:
		return skip(NotLinux, "the pod runs on Windows (spec.os.name)")
	case pod.Spec.NodeSelector[corev1.LabelOSStable] == string(corev1.Windows), pod.Spec.NodeSelector[betaOS] == string(corev1.Windows):
		return skip(NotLinux, "the pod runs on Windows (spec.nodeSelector)")
	case pod.Annotations[mirrorPod] != "":
		return skip(NoToken, "static pods have no service account to prove who they are")
	}
	if by.ingress {
		d.Warnings = append(d.Warnings, "linkerd.io/inject: ingress is treated as enabled; let the ingress controller send to service addresses")
	}
	d.Inject, d.Reason, d.Detail = true, Asked, by.text
	return d
}

// ProxyContainerOf returns the name of the mesh sidecar in the pod, or "".
func ProxyContainerOf(spec *corev1.PodSpec) string {
	for _, list := range [][]corev1.Container{spec.InitContainers, spec.Containers} {
		for _, c := range list {
			for _, f := range []Family{Weft, Linkerd, Istio} {
				if c.Name == f.ProxyContainer() {
					return c.Name
				}
			}
		}
	}
	return ""
}

func proxyOf(pod *corev1.Pod) string { return ProxyContainerOf(&pod.Spec) }

// podToggles lists the pod's switches by precedence.
func podToggles(pod *corev1.Pod, warnings *[]string) []toggle {
	var out []toggle
	read := func(f Family, kind, name string, from map[string]string, on, off []string) bool {
		return readToggle(&out, warnings, f, kind, name, "the pod", from, on, off)
	}
	if !read(Weft, "annotation", weftSwitch, pod.Annotations, enabled, disabled) {
		read(Weft, "label", weftSwitch, pod.Labels, enabled, disabled)
	}
	read(Linkerd, "annotation", linkerdSwitch, pod.Annotations, linkerdOn, disabled)
	// Istio's label beats its annotation of the same name.
	if !read(Istio, "label", istioSwitch, pod.Labels, yes, no) && !read(Istio, "annotation", istioSwitch, pod.Annotations, yes, no) {
		if rev := pod.Labels[istioRevision]; rev != "" {
			out = append(out, toggle{family: Istio, on: true, text: "label " + istioRevision + "=" + rev + " on the pod"})
		}
	}
	return out
}

// namespaceToggles lists the namespace's switches by precedence.
func namespaceToggles(ns Namespace, warnings *[]string) []toggle {
	var out []toggle
	where := "namespace " + ns.Name
	read := func(f Family, kind, name string, from map[string]string, on, off []string) bool {
		return readToggle(&out, warnings, f, kind, name, where, from, on, off)
	}
	if !read(Weft, "annotation", weftSwitch, ns.Annotations, enabled, disabled) {
		read(Weft, "label", weftSwitch, ns.Labels, enabled, disabled)
	}
	read(Linkerd, "annotation", linkerdSwitch, ns.Annotations, linkerdOn, disabled)
	// Where both labels are set, istio-injection wins.
	if !read(Istio, "label", istioLabel, ns.Labels, enabled, disabled) {
		if rev := ns.Labels[istioRevision]; rev != "" {
			out = append(out, toggle{family: Istio, on: true, text: "label " + istioRevision + "=" + rev + " on " + where})
		}
	}
	return out
}

// Values of the switches.
var (
	enabled   = []string{"enabled"}
	linkerdOn = []string{"enabled", "ingress"}
	disabled  = []string{"disabled"}
	yes       = []string{"true", "y", "yes", "on"}
	no        = []string{"false", "n", "no", "off"}
)

func readToggle(out *[]toggle, warnings *[]string, f Family, kind, name, where string, from map[string]string, on, off []string) bool {
	v, ok := from[name]
	if !ok {
		return false
	}
	t := toggle{family: f, text: fmt.Sprintf("%s %s=%s on %s", kind, name, v, where), ingress: v == "ingress"}
	switch {
	case slices.Contains(on, v):
		t.on = true
	case slices.Contains(off, v):
	default:
		*warnings = append(*warnings, fmt.Sprintf("%s is ignored: use %s or %s", t.text, on[0], off[0]))
		return false
	}
	*out = append(*out, t)
	return true
}
