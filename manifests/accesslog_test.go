package manifests

import (
	"slices"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Formats come to the control plane as they were written.
func TestAccessLogValues(t *testing.T) {
	args := func(values map[string]any) []string {
		d := find(t, render(t, values), "Deployment", Deployment)
		list, _, err := unstructured.NestedSlice(d.Object, "spec", "template", "spec", "containers")
		if err != nil || len(list) == 0 {
			t.Fatal("no container: ", err)
		}
		out, _, err := unstructured.NestedStringSlice(list[0].(map[string]any), "args")
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	const format = `{"a": "%START_TIME(%s)%", "b": "it's \"%REQ(X)%\" # {{ x }}"}` + "\n"
	got := args(map[string]any{"meshConfig": map[string]any{"accessLogFile": "/dev/stdout", "accessLogEncoding": "JSON", "accessLogFormat": format}})
	for _, want := range []string{"--access-log-file=/dev/stdout", "--access-log-encoding=JSON", "--access-log-format=" + format} {
		if !slices.Contains(got, want) {
			t.Errorf("%q is not in %q", want, got)
		}
	}
	for _, a := range args(nil) {
		if a == "--access-log-file=" || a == "--access-log-format=" {
			t.Errorf("%q though nothing is asked for", a)
		}
	}
	if _, err := Render(Release{Values: map[string]any{"meshConfig": map[string]any{"accessLogEncoding": "XML"}}}); err == nil {
		t.Error("an encoding that there is not")
	}
}
