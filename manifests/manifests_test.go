package manifests

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/weftmesh/weft/internal/version"
)

func render(t *testing.T, values map[string]any) []Object {
	t.Helper()
	out, err := Render(Release{Values: values})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func find(t *testing.T, objects []Object, kind, name string) Object {
	t.Helper()
	for _, o := range objects {
		if o.GetKind() == kind && o.GetName() == name {
			return o
		}
	}
	t.Fatalf("no %s %s", kind, name)
	return Object{}
}

func nested(t *testing.T, o Object, path ...string) string {
	t.Helper()
	var v any = o.Object
	for _, p := range path {
		switch c := v.(type) {
		case map[string]any:
			v = c[p]
		case []any:
			v = c[int(p[0]-'0')]
		}
	}
	s, _ := v.(string)
	return s
}

func b64(t *testing.T, s string) []byte {
	t.Helper()
	raw, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestRenderMakesOneIdentityForAllObjects(t *testing.T) {
	objects := render(t, nil)
	secret := find(t, objects, "Secret", Issuer)
	crt, key := b64(t, nested(t, secret, "data", IssuerCert)), b64(t, nested(t, secret, "data", IssuerKey))
	pair, err := tls.X509KeyPair(crt, key)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := pair.PrivateKey.(*ecdsa.PrivateKey); !ok {
		t.Errorf("issuer key is %T, want ECDSA", pair.PrivateKey)
	}
	roots := nested(t, find(t, objects, "ConfigMap", TrustRoots), "data", RootsKey)
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM([]byte(roots)) {
		t.Fatalf("no root in %q", roots)
	}
	leaf, _ := x509.ParseCertificate(pair.Certificate[0])
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: pool}); err != nil || !leaf.IsCA {
		t.Errorf("issuer: CA %v, %v", leaf.IsCA, err)
	}
	for _, o := range []Object{find(t, objects, "MutatingWebhookConfiguration", Injector), find(t, objects, "ValidatingWebhookConfiguration", Validator)} {
		got := b64(t, nested(t, o, "webhooks", "0", "clientConfig", "caBundle"))
		if strings.TrimSpace(string(got)) != strings.TrimSpace(roots) {
			t.Errorf("%s trusts other roots than the mesh", o.GetName())
		}
	}
	values := nested(t, find(t, objects, "ConfigMap", ConfigMap), "data", "values")
	if strings.Contains(values, "BEGIN") || !strings.Contains(values, "trustDomain: cluster.local") {
		t.Errorf("weft-config must hold settings and no PEM:\n%s", values)
	}
}

func TestRenderKeepsGivenIdentity(t *testing.T) {
	made := render(t, nil)
	crt := string(b64(t, nested(t, find(t, made, "Secret", Issuer), "data", IssuerCert)))
	key := string(b64(t, nested(t, find(t, made, "Secret", Issuer), "data", IssuerKey)))
	give := func(roots, crt, key string) map[string]any {
		return map[string]any{"identity": map[string]any{"trustAnchorsPEM": roots, "issuer": map[string]any{"crtPEM": crt, "keyPEM": key}}}
	}
	objects := render(t, give(crt, crt, key))
	if got := string(b64(t, nested(t, find(t, objects, "Secret", Issuer), "data", IssuerKey))); got != key {
		t.Error("the given key is not used")
	}
	for _, bad := range []map[string]any{give("", crt, key), give(crt, crt, ""), give(crt, "", "")} {
		if _, err := Render(Release{Values: bad}); !errors.Is(err, ErrValues) {
			t.Errorf("%v: error %v, want ErrValues", bad, err)
		}
	}
}

func TestRenderNamesTheImagesOfThisBuild(t *testing.T) {
	d := find(t, render(t, nil), "Deployment", Deployment)
	raw, _ := json.Marshal(d.Object)
	for _, name := range version.Images() {
		if !bytes.Contains(raw, []byte(version.Image("", name))) {
			t.Errorf("deployment does not name %s", version.Image("", name))
		}
	}
}

func TestValuesAreChecked(t *testing.T) {
	for field, values := range map[string]map[string]any{
		"contol":        {"contol": map[string]any{"replicas": 2}},
		"replicas":      {"control": map[string]any{"replicas": 0}},
		"failurePolicy": {"webhook": map[string]any{"failurePolicy": "Maybe"}},
	} {
		_, err := Render(Release{Values: values})
		if !errors.Is(err, ErrValues) || !strings.Contains(err.Error(), field) {
			t.Errorf("%s: error %v", field, err)
		}
	}
}

func TestHighAvailability(t *testing.T) {
	ha, err := HAValues()
	if err != nil {
		t.Fatal(err)
	}
	objects := render(t, ha)
	find(t, objects, "PodDisruptionBudget", Deployment)
	if p := nested(t, find(t, objects, "MutatingWebhookConfiguration", Injector), "webhooks", "0", "failurePolicy"); p != "Fail" {
		t.Errorf("failure policy %s", p)
	}
}

func TestNamespaceComesFirst(t *testing.T) {
	objects := render(t, map[string]any{"namespace": map[string]any{"create": true}})
	if objects[0].GetKind() != "Namespace" || objects[0].GetName() != DefaultNamespace {
		t.Errorf("first object is %s %s", objects[0].GetKind(), objects[0].GetName())
	}
	for _, o := range objects {
		if o.GetLabels()[PartOf] != PartOfWeft || o.GetLabels()[ControlPlane] != DefaultNamespace {
			t.Errorf("%s %s lacks the labels by which it is uninstalled: %v", o.GetKind(), o.GetName(), o.GetLabels())
		}
	}
	SortForDelete(objects)
	if objects[len(objects)-1].GetKind() != "Namespace" {
		t.Error("the namespace is not deleted last")
	}
}

func TestCRDs(t *testing.T) {
	crds, err := CRDs()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, c := range crds {
		names = append(names, c.Name)
		raw, err := json.Marshal(c.Object.Object)
		if err != nil {
			t.Fatal(err)
		}
		// kubectl apply keeps a copy in an annotation, and annotations are
		// limited to 256 KiB in all.
		if len(raw) > 255<<10 {
			t.Errorf("%s has %d bytes: kubectl apply cannot keep it in an annotation", c.Name, len(raw))
		}
	}
	want := []string{"destinationrules.networking.istio.io", "grpcroutes.gateway.networking.k8s.io", "httproutegroups.specs.smi-spec.io", "httproutes.gateway.networking.k8s.io",
		"httproutes.policy.linkerd.io", "referencegrants.gateway.networking.k8s.io", "servers.policy.linkerd.io", "serviceentries.networking.istio.io",
		"serviceprofiles.linkerd.io", "sidecars.networking.istio.io", "tcproutes.gateway.networking.k8s.io", "telemetries.telemetry.istio.io", "tlsroutes.gateway.networking.k8s.io",
		"trafficsplits.split.smi-spec.io", "virtualservices.networking.istio.io", "workloadentries.networking.istio.io", "workloadgroups.networking.istio.io"}
	if !slices.Equal(names, want) {
		t.Errorf("got %v, want %v", names, want)
	}
}

func TestGatewayAPIDefinitionsAreTheModules(t *testing.T) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "sigs.k8s.io/gateway-api").Output()
	dir := strings.TrimSpace(string(out))
	if err != nil || dir == "" {
		t.Skip("the module is not in the cache")
	}
	ours, err := filepath.Glob("crds/gateway-api/*.yaml")
	if err != nil || len(ours) == 0 {
		t.Fatal("no definitions", err)
	}
	for _, f := range ours {
		a, err1 := os.ReadFile(f)
		b, err2 := os.ReadFile(filepath.Join(dir, "config/crd/standard", filepath.Base(f)))
		if err1 != nil || err2 != nil || !bytes.Equal(a, b) {
			t.Errorf("%s differs from the module's (%v, %v)", f, err1, err2)
		}
	}
}

func TestSplitTellsWhichDocumentIsBad(t *testing.T) {
	_, err := Split([]byte("kind: A\napiVersion: v1\n---\nkind: [\n"))
	if err == nil || !strings.Contains(err.Error(), "document 2") {
		t.Errorf("error %v", err)
	}
}

func TestKeyIsPEM(t *testing.T) {
	key := b64(t, nested(t, find(t, render(t, nil), "Secret", Issuer), "data", IssuerKey))
	if b, rest := pem.Decode(key); b == nil || len(bytes.TrimSpace(rest)) > 0 {
		t.Errorf("key.pem is not one PEM block")
	}
}
