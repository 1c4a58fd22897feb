package inject

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/weftmesh/weft/inject"
	"github.com/weftmesh/weft/manifests"
)

// errHostNetwork and errSidecar are why a workload cannot be injected.
var (
	errHostNetwork = errors.New("hostNetwork: pods on the network of their node cannot have a proxy")
	errSidecar     = errors.New("known sidecars: there is a proxy of a mesh in it already")
)

// podPath returns where an object holds its pod: nil for a pod itself, and
// false for objects without one.
func podPath(kind string) ([]string, bool) {
	switch kind {
	case "Pod":
		return nil, true
	case "Deployment", "ReplicaSet", "StatefulSet", "DaemonSet", "Job", "ReplicationController":
		return []string{"spec", "template"}, true
	case "CronJob":
		return []string{"spec", "jobTemplate", "spec", "template"}, true
	}
	return nil, false
}

// template returns the pod (or namespace) part of an object; nil for others.
func template(o manifests.Object) map[string]any {
	if o.GetKind() == "Namespace" {
		return o.Object
	}
	path, ok := podPath(o.GetKind())
	if !ok {
		return nil
	}
	if len(path) == 0 {
		return o.Object
	}
	t, ok, err := unstructured.NestedFieldNoCopy(o.Object, path...)
	m, isMap := t.(map[string]any)
	if err != nil || !ok || !isMap {
		return nil
	}
	return m
}

// podOf decodes the template as a pod.
func podOf(t map[string]any) (*corev1.Pod, []byte, error) {
	raw, err := json.Marshal(t)
	if err != nil {
		return nil, nil, err
	}
	var pod corev1.Pod
	if err := json.Unmarshal(raw, &pod); err != nil {
		return nil, nil, fmt.Errorf("the pod's template cannot be read: %w", err)
	}
	return &pod, raw, nil
}

// annotate asks the webhook for a sidecar.
type annotate struct {
	annotations map[string]string
	verb        string
}

func (a annotate) edit(o manifests.Object) (string, error) {
	t := template(o)
	if t == nil {
		return "skipped", nil
	}
	if o.GetKind() != "Namespace" {
		pod, _, err := podOf(t)
		switch {
		case err != nil:
			return "", err
		case pod.Spec.HostNetwork:
			return "", errHostNetwork
		case inject.ProxyContainerOf(&pod.Spec) != "":
			return "", errSidecar
		case pod.Annotations[key(a.annotations)] == "disabled":
			return "skipped", nil
		}
	}
	return a.verb, setStrings(t, "annotations", a.annotations)
}

// key returns the switch among the annotations.
func key(annotations map[string]string) string {
	for k := range annotations {
		if strings.HasSuffix(k, "/inject") {
			return k
		}
	}
	return ""
}

func setStrings(t map[string]any, field string, values map[string]string) error {
	have, _, err := unstructured.NestedStringMap(t, "metadata", field)
	if err != nil {
		return fmt.Errorf("metadata.%s: %w", field, err)
	}
	if have == nil {
		have = map[string]string{}
	}
	for k, v := range values {
		have[k] = v
	}
	return unstructured.SetNestedStringMap(t, have, "metadata", field)
}

// contain puts the containers in.
type contain struct {
	annotations, labels map[string]string
	opts                inject.Options
	quiet               bool
}

func (m contain) edit(o manifests.Object) (string, error) {
	path, ok := podPath(o.GetKind())
	t := template(o)
	if !ok || t == nil {
		return m.say("skipped"), nil
	}
	for field, values := range map[string]map[string]string{"annotations": m.annotations, "labels": m.labels} {
		if len(values) > 0 {
			if err := setStrings(t, field, values); err != nil {
				return "", err
			}
		}
	}
	pod, raw, err := podOf(t)
	if err != nil {
		return "", err
	}
	owner := strings.ToLower(o.GetKind()) + "/" + o.GetName()
	namespace := o.GetNamespace()
	if namespace == "" {
		namespace = "default"
	}
	res, err := inject.Pod(inject.Target{Pod: pod, Namespace: inject.Namespace{Name: namespace}, Owner: owner}, m.opts)
	if err != nil {
		return "", err
	}
	switch res.Decision.Reason {
	case inject.Asked:
	case inject.HostNetwork:
		return "", errHostNetwork
	case inject.AlreadyInjected:
		return "", errSidecar
	default:
		return m.say("skipped"), nil
	}
	patch, err := res.Patch.JSON()
	if err != nil {
		return "", err
	}
	decoded, err := jsonpatch.DecodePatch(patch)
	if err != nil {
		return "", err
	}
	if raw, err = decoded.Apply(raw); err != nil {
		return "", err
	}
	var patched map[string]any
	if err := json.Unmarshal(raw, &patched); err != nil {
		return "", err
	}
	if len(path) == 0 {
		for k, v := range patched {
			o.Object[k] = v
		}
		return m.say("injected"), nil
	}
	return m.say("injected"), unstructured.SetNestedMap(o.Object, patched, path...)
}

func (m contain) say(s string) string {
	if m.quiet {
		return ""
	}
	return s
}

// remove takes everything out that an injection of any kind has put in.
type remove struct{}

func (remove) edit(o manifests.Object) (string, error) {
	t := template(o)
	if t == nil {
		return "skipped", nil
	}
	changed := dropKeys(t, "annotations", func(k string) bool {
		return slices.Contains([]string{"weft.mesh/inject", "linkerd.io/inject", "sidecar.istio.io/inject", "sidecar.istio.io/status", "linkerd.io/created-by", "linkerd.io/proxy-version"}, k) ||
			strings.HasPrefix(k, "config.linkerd.io/") || strings.HasPrefix(k, "weft.mesh/")
	})
	changed = dropKeys(t, "labels", func(k string) bool {
		return slices.Contains([]string{"weft.mesh/inject", "sidecar.istio.io/inject", "istio-injection", "linkerd.io/control-plane-ns", "linkerd.io/workload-ns", "security.istio.io/tlsMode", inject.ControlNamespaceLabel}, k) ||
			strings.HasPrefix(k, "linkerd.io/proxy-") || strings.HasPrefix(k, "service.istio.io/canonical-")
	}) || changed
	if o.GetKind() != "Namespace" {
		changed = dropNamed(t, ours, "spec", "containers") || changed
		changed = dropNamed(t, ours, "spec", "initContainers") || changed
		changed = dropNamed(t, func(n string) bool { return n == "weft-token" }, "spec", "volumes") || changed
	}
	if !changed {
		return "skipped", nil
	}
	return "uninjected", nil
}

func ours(name string) bool {
	for _, f := range []inject.Family{inject.Weft, inject.Linkerd, inject.Istio} {
		if name == f.ProxyContainer() || name == f.InitContainer() {
			return true
		}
	}
	return false
}

func dropKeys(t map[string]any, field string, drop func(string) bool) bool {
	m, _, _ := unstructured.NestedFieldNoCopy(t, "metadata", field)
	have, ok := m.(map[string]any)
	if !ok {
		return false
	}
	n := len(have)
	for k := range have {
		if drop(k) {
			delete(have, k)
		}
	}
	if len(have) == 0 {
		unstructured.RemoveNestedField(t, "metadata", field)
	}
	return len(have) != n
}

func dropNamed(t map[string]any, drop func(string) bool, path ...string) bool {
	list, ok, err := unstructured.NestedSlice(t, path...)
	if !ok || err != nil {
		return false
	}
	n := len(list)
	list = slices.DeleteFunc(list, func(v any) bool {
		m, _ := v.(map[string]any)
		name, _ := m["name"].(string)
		return drop(name)
	})
	if len(list) == n {
		return false
	}
	if len(list) == 0 {
		unstructured.RemoveNestedField(t, path...)
		return true
	}
	// The list came from the object, so that it can go back.
	_ = unstructured.SetNestedSlice(t, list, path...)
	return true
}
