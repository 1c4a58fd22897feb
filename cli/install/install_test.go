package install

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/version"
	fakediscovery "k8s.io/client-go/discovery/fake"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	"k8s.io/client-go/kubernetes/fake"

	regv1 "k8s.io/api/admissionregistration/v1"

	"github.com/weftmesh/weft/cli/cluster"
	"github.com/weftmesh/weft/cli/console"
	"github.com/weftmesh/weft/control/ca"
	"github.com/weftmesh/weft/inject"
	"github.com/weftmesh/weft/manifests"
)

func material(t *testing.T) ca.Material {
	t.Helper()
	m, err := ca.Generate("cluster.local", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func connect(kube []runtime.Object, crds ...runtime.Object) *cluster.Cluster {
	k := fake.NewClientset(kube...)
	k.Discovery().(*fakediscovery.FakeDiscovery).FakedServerVersion = &version.Info{GitVersion: "v1.34.1"}
	return &cluster.Cluster{Kube: k, Dynamic: dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(),
		map[schema.GroupVersionResource]string{cluster.CustomResourceDefinitions: "CustomResourceDefinitionList"}, crds...), ControlNamespace: "linkerd"}
}

func issuer(t *testing.T, objects []manifests.Object) ca.Material {
	t.Helper()
	var m ca.Material
	for _, o := range objects {
		switch o.GetName() {
		case manifests.Issuer:
			var s corev1.Secret
			if err := runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, &s); err != nil {
				t.Fatal(err)
			}
			m.Cert, m.Key = s.Data[manifests.IssuerCert], s.Data[manifests.IssuerKey]
		case manifests.TrustRoots:
			s, _, _ := unstructured.NestedString(o.Object, "data", manifests.RootsKey)
			m.Roots = []byte(s)
		}
	}
	return m
}

func same(a, b ca.Material) bool {
	eq := func(x, y []byte) bool { return bytes.Equal(bytes.TrimSpace(x), bytes.TrimSpace(y)) }
	return eq(a.Cert, b.Cert) && eq(a.Key, b.Key) && eq(a.Roots, b.Roots)
}

func TestNewIdentityIsOneThatTheAuthorityTakes(t *testing.T) {
	var r Request
	a, err := r.Objects(t.Context(), console.Console{Err: new(bytes.Buffer)}, nil, "linkerd")
	if err != nil {
		t.Fatal(err)
	}
	b, err := r.Objects(t.Context(), console.Console{Err: new(bytes.Buffer)}, connect(nil), "linkerd")
	if err != nil {
		t.Fatal(err)
	}
	for _, objects := range [][]manifests.Object{a, b} {
		if _, err := ca.NewIssuer(issuer(t, objects), time.Now()); err != nil {
			t.Error(err)
		}
	}
	if same(issuer(t, a), issuer(t, b)) {
		t.Error("two installations have the same identity")
	}
}

// TestChartsOwnIdentityIsOneThatTheAuthorityTakes is helm's way, without the CLI.
func TestChartsOwnIdentityIsOneThatTheAuthorityTakes(t *testing.T) {
	objects, err := manifests.Render(manifests.Release{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ca.NewIssuer(issuer(t, objects), time.Now()); err != nil {
		t.Error(err)
	}
}

func TestExistingIdentityIsKept(t *testing.T) {
	m := material(t)
	cl := connect([]runtime.Object{
		&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: manifests.Issuer, Namespace: "linkerd"}, Data: map[string][]byte{"tls.crt": m.Cert, "tls.key": m.Key}},
		&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: manifests.TrustRoots, Namespace: "linkerd"}, Data: map[string]string{manifests.RootsKey: string(m.Roots)}},
	})
	var talk bytes.Buffer
	objects, err := Request{}.Objects(t.Context(), console.Console{Err: &talk}, cl, "linkerd")
	if err != nil {
		t.Fatal(err)
	}
	if !same(issuer(t, objects), m) || !strings.Contains(talk.String(), "it is kept") {
		t.Errorf("identity was replaced; talk: %s", &talk)
	}
}

// TestHalfAnIdentityIsNotReplaced: a new one would cut off every proxy that
// runs. Where there is none, as after an installation that broke off, a new one
// does no harm.
func TestHalfAnIdentityIsNotReplaced(t *testing.T) {
	m := material(t)
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: manifests.Issuer, Namespace: "linkerd"}, Data: map[string][]byte{"crt.pem": m.Cert, "key.pem": m.Key}}
	empty := &corev1.Secret{ObjectMeta: secret.ObjectMeta}
	roots := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: manifests.TrustRoots, Namespace: "linkerd"}, Data: map[string]string{manifests.RootsKey: string(m.Roots)}}
	proxy := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p", Namespace: "production", Labels: map[string]string{inject.ControlNamespaceLabel: "linkerd"}}}
	for name, have := range map[string][]runtime.Object{"secret alone": {secret}, "roots alone": {roots}, "secret without keys": {empty, roots}} {
		_, err := Request{}.Objects(t.Context(), console.Console{Err: new(bytes.Buffer)}, connect(append(have, proxy)), "linkerd")
		if !errors.Is(err, ErrIdentity) || !strings.Contains(err.Error(), "--ignore-cluster") {
			t.Errorf("%s, with a proxy: error %v", name, err)
		}
		if _, err := (Request{}).Objects(t.Context(), console.Console{Err: new(bytes.Buffer)}, connect(have), "linkerd"); err != nil {
			t.Errorf("%s, without proxies: %v", name, err)
		}
	}
}

func TestBroughtIdentity(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, data []byte) string {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return p
	}
	m, other := material(t), material(t)
	files := ca.Files{Cert: write("crt", m.Cert), Key: write("key", m.Key), Roots: write("roots", m.Roots)}
	c := console.Console{Err: new(bytes.Buffer)}
	objects, err := Request{Identity: files}.Objects(t.Context(), c, nil, "linkerd")
	if err != nil || !same(issuer(t, objects), m) {
		t.Errorf("brought identity is not used: %v", err)
	}
	for name, f := range map[string]ca.Files{
		"other root": {Cert: files.Cert, Key: files.Key, Roots: write("other-roots", other.Roots)},
		"other key":  {Cert: files.Cert, Key: write("other-key", other.Key), Roots: files.Roots},
		"missing":    {Cert: files.Cert, Key: filepath.Join(dir, "none"), Roots: files.Roots},
		"half":       {Cert: files.Cert},
	} {
		if _, err := (Request{Identity: f}).Objects(t.Context(), c, nil, "linkerd"); !errors.Is(err, ErrIdentity) {
			t.Errorf("%s: error %v, want ErrIdentity", name, err)
		}
	}
}

func TestSecondControlPlaneIsRefused(t *testing.T) {
	cl := connect([]runtime.Object{&regv1.MutatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: manifests.Injector, Labels: map[string]string{manifests.ControlPlane: "istio-system"}}}})
	_, err := Request{}.Objects(t.Context(), console.Console{Err: new(bytes.Buffer)}, cl, "linkerd")
	if err == nil || !strings.Contains(err.Error(), "istio-system") {
		t.Errorf("error %v", err)
	}
}

func TestSharedDefinitionsOfOthersAreLeftAlone(t *testing.T) {
	theirs := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
		"metadata": map[string]any{"name": "httproutes.gateway.networking.k8s.io"}}}
	var talk bytes.Buffer
	objects, err := CRDs(t.Context(), console.Console{Err: &talk}, connect(nil, theirs))
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, o := range objects {
		names[o.GetName()] = true
	}
	if names["httproutes.gateway.networking.k8s.io"] || !names["grpcroutes.gateway.networking.k8s.io"] || !names["trafficsplits.split.smi-spec.io"] {
		t.Errorf("got %v", names)
	}
	if !strings.Contains(talk.String(), "httproutes.gateway.networking.k8s.io is installed already") {
		t.Errorf("talk: %s", &talk)
	}
}

func TestOverridesMayHoldCommas(t *testing.T) {
	v, err := Request{Overrides: map[string]string{"identity.trustDomain": `a,b{c}\d`}}.values(strings.NewReader(""))
	if err != nil {
		t.Fatal(err)
	}
	if got := v["identity"].(map[string]any)["trustDomain"]; got != `a,b{c}\d` {
		t.Errorf("got %q", got)
	}
}
