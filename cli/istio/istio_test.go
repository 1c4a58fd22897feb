package istio

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/weftmesh/weft/cli/cluster"
	"github.com/weftmesh/weft/cli/console"
	"github.com/weftmesh/weft/manifests"
)

func TestReadSet(t *testing.T) {
	p, r, err := readSet([]string{"profile=demo", "hub=registry.example.org/mesh", "tag=1.10", "values.control.replicas=2"})
	if err != nil || p != "demo" || !slices.Equal(r.Set, []string{"image.registry=registry.example.org/mesh", "control.replicas=2"}) || !slices.Equal(r.SetString, []string{"image.tag=1.10"}) {
		t.Errorf("%s %+v %v", p, r, err)
	}
	for set, want := range map[string]string{"profile=ambient": "not built yet", "meshConfig.x=1": "not built yet", "profile": "name=value"} {
		_, _, err := readSet([]string{set})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v", set, err)
		}
	}
	_, _, err = readSet([]string{"profile"})
	if code, _ := console.Code(err); code != 64 {
		t.Errorf("bad usage exits with %d", code)
	}
}

func TestBaseComesFirst(t *testing.T) {
	objects, err := manifests.Render(manifests.Release{Values: map[string]any{"namespace": map[string]any{"create": true}}})
	if err != nil {
		t.Fatal(err)
	}
	base, pilot := parts(objects)
	if len(base)+len(pilot) != len(objects) || base[0].GetKind() != "Namespace" || pilot[len(pilot)-1].GetKind() != "ValidatingWebhookConfiguration" {
		t.Errorf("base %d, pilot %d of %d", len(base), len(pilot), len(objects))
	}
}

func TestEstablished(t *testing.T) {
	crd := func(status string) *unstructured.Unstructured {
		return &unstructured.Unstructured{Object: map[string]any{"status": map[string]any{"conditions": []any{map[string]any{"type": "Established", "status": status}}}}}
	}
	if !established(crd("True")) || established(crd("False")) || established(&unstructured.Unstructured{Object: map[string]any{}}) {
		t.Error("the condition is not read")
	}
}

func TestUntilReturnsTheLastReason(t *testing.T) {
	reason := errors.New("0 of 1 replicas")
	if err := cluster.Until(t.Context(), time.Millisecond, func(context.Context) error { return reason }); !errors.Is(err, reason) {
		t.Errorf("error %v", err)
	}
}
