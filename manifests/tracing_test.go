package manifests

import (
	"encoding/json"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// What MeshConfig says of traces comes to the control plane as JSON.
func TestTracingValues(t *testing.T) {
	tracing := func(values map[string]any) (out string) {
		d := find(t, render(t, values), "Deployment", Deployment)
		list, _, err := unstructured.NestedSlice(d.Object, "spec", "template", "spec", "containers")
		if err != nil || len(list) == 0 {
			t.Fatal("no container: ", err)
		}
		args, _, err := unstructured.NestedStringSlice(list[0].(map[string]any), "args")
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range args {
			if v, ok := strings.CutPrefix(a, "--tracing="); ok {
				out = v
			}
		}
		return out
	}
	if got := tracing(nil); got != "" {
		t.Errorf("%q though nothing is asked for", got)
	}
	got := tracing(map[string]any{"meshConfig": map[string]any{"enableTracing": true, "defaultConfig": map[string]any{"tracing": map[string]any{"sampling": 12.5}},
		"extensionProviders": []any{map[string]any{"name": "otel", "opentelemetry": map[string]any{"service": "otel.obs", "port": 4317}}}, "defaultProviders": map[string]any{"tracing": []any{"otel"}}}})
	var m struct {
		EnableTracing      bool
		DefaultConfig      struct{ Tracing struct{ Sampling float64 } }
		ExtensionProviders []struct {
			Name          string
			OpenTelemetry struct {
				Service string
				Port    int
			}
		}
		DefaultProviders struct{ Tracing []string }
	}
	if err := json.Unmarshal([]byte(got), &m); err != nil || !m.EnableTracing || m.DefaultConfig.Tracing.Sampling != 12.5 || len(m.ExtensionProviders) != 1 ||
		m.ExtensionProviders[0].OpenTelemetry.Port != 4317 || len(m.DefaultProviders.Tracing) != 1 || strings.Contains(got, "accessLog") {
		t.Errorf("%s: %v", got, err)
	}
	for name, bad := range map[string]map[string]any{"a name that there is not": {"defaultProviders": map[string]any{"trace": []any{"x"}}}, "a share above 100": {"defaultConfig": map[string]any{"tracing": map[string]any{"sampling": 101}}}} {
		if _, err := Render(Release{Values: map[string]any{"meshConfig": bad}}); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}
