package manifests

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

// Object is one Kubernetes object of any kind.
type Object struct{ unstructured.Unstructured }

// YAML encodes the object with sorted keys.
func (o Object) YAML() ([]byte, error) {
	out, err := yaml.Marshal(o.Object)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", o.GetKind(), o.GetName(), err)
	}
	return out, nil
}

// Split reads a stream of YAML or JSON documents; empty ones are left out.
func Split(raw []byte) ([]Object, error) {
	docs := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(raw)))
	var out []Object
	for n := 1; ; n++ {
		doc, err := docs.Read()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, fmt.Errorf("document %d: %w", n, err)
		}
		var m map[string]any
		if err := yaml.Unmarshal(doc, &m); err != nil {
			return nil, fmt.Errorf("document %d: %w", n, err)
		}
		if len(m) == 0 {
			continue
		}
		o := Object{unstructured.Unstructured{Object: m}}
		if o.GetKind() == "" || o.GetAPIVersion() == "" {
			return nil, fmt.Errorf("document %d: kind or apiVersion is missing", n)
		}
		out = append(out, o)
	}
}

// applyOrder is the order in which kinds can be applied: what others refer to
// comes first, webhooks come when what serves them is there.
var applyOrder = []string{
	"Namespace", "CustomResourceDefinition", "ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding",
	"Secret", "ConfigMap", "Service", "Deployment", "PodDisruptionBudget",
	"MutatingWebhookConfiguration", "ValidatingWebhookConfiguration",
}

// SortForApply orders objects so that they can be applied one by one.
func SortForApply(objects []Object) {
	rank := func(o Object) int {
		if i := slices.Index(applyOrder, o.GetKind()); i >= 0 {
			return i
		}
		return len(applyOrder)
	}
	slices.SortStableFunc(objects, func(a, b Object) int { return rank(a) - rank(b) })
}

// SortForDelete orders objects so that nothing is refused or left behind:
// webhooks first, namespaces last.
func SortForDelete(objects []Object) {
	SortForApply(objects)
	slices.Reverse(objects)
}
