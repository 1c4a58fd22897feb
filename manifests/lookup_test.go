package manifests

import (
	"strings"
	"testing"

	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	"helm.sh/helm/v4/pkg/engine"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	dynamicfake "k8s.io/client-go/dynamic/fake"
)

// cluster answers the chart's lookups, as helm upgrade does.
type cluster struct{ client dynamic.Interface }

func (c cluster) GetClientFor(_, kind string) (dynamic.NamespaceableResourceInterface, bool, error) {
	r := map[string]string{"Secret": "secrets", "ConfigMap": "configmaps"}[kind]
	return c.client.Resource(schema.GroupVersionResource{Version: "v1", Resource: r}), true, nil
}

// upgrade renders the chart where these objects are.
func upgrade(t *testing.T, have ...runtime.Object) (map[string]string, error) {
	t.Helper()
	c, err := load()
	if err != nil {
		t.Fatal(err)
	}
	values, err := util.ToRenderValues(c, nil, common.ReleaseOptions{Name: "weft", Namespace: DefaultNamespace, IsUpgrade: true}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return engine.RenderWithClientProvider(c, values, cluster{dynamicfake.NewSimpleDynamicClient(runtime.NewScheme(), have...)})
}

func TestChartDoesNotReplaceHalfAnIdentity(t *testing.T) {
	first := render(t, nil)
	for _, o := range []Object{find(t, first, "Secret", Issuer), find(t, first, "ConfigMap", TrustRoots)} {
		if _, err := upgrade(t, &o.Unstructured); err == nil || !strings.Contains(err.Error(), "cut off") {
			t.Errorf("%s alone: %v", o.GetKind(), err)
		}
	}
	if _, err := upgrade(t); err != nil {
		t.Errorf("neither: %v", err)
	}
}

func TestChartKeepsTheClustersIdentity(t *testing.T) {
	first := render(t, nil)
	secret, roots := find(t, first, "Secret", Issuer), find(t, first, "ConfigMap", TrustRoots)
	files, err := upgrade(t, &secret.Unstructured, &roots.Unstructured)
	if err != nil {
		t.Fatal(err)
	}
	again, err := Split([]byte(files["weft/templates/identity.yaml"]))
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{IssuerCert, IssuerKey} {
		if nested(t, find(t, again, "Secret", Issuer), "data", key) != nested(t, secret, "data", key) {
			t.Errorf("an upgrade replaced %s", key)
		}
	}
	if nested(t, find(t, again, "ConfigMap", TrustRoots), "data", RootsKey) != nested(t, roots, "data", RootsKey) {
		t.Error("an upgrade replaced the trust roots")
	}
}
