package check

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	authv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/version"
	fakediscovery "k8s.io/client-go/discovery/fake"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/kubernetes/scheme"
	k8stest "k8s.io/client-go/testing"

	"github.com/weftmesh/weft/cli/cluster"
	"github.com/weftmesh/weft/cli/console"
	"github.com/weftmesh/weft/control/ca"
	ours "github.com/weftmesh/weft/internal/version"
	"github.com/weftmesh/weft/manifests"
)

// installed is a cluster after `install --crds` and `install`, all of it ready.
type installed struct {
	env     *env
	kube    *fake.Clientset
	dynamic *dynamicfake.FakeDynamicClient
}

func install(t *testing.T) installed {
	t.Helper()
	m, err := ca.Generate("cluster.local", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	objects, err := manifests.Render(manifests.Release{Namespace: "linkerd", Values: map[string]any{
		"namespace": map[string]any{"create": true},
		"identity":  map[string]any{"trustAnchorsPEM": string(m.Roots), "issuer": map[string]any{"crtPEM": string(m.Cert), "keyPEM": string(m.Key)}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	var typed []runtime.Object
	for _, o := range objects {
		raw, err := json.Marshal(o.Object)
		if err != nil {
			t.Fatal(err)
		}
		obj, _, err := scheme.Codecs.UniversalDeserializer().Decode(raw, nil, nil)
		if err != nil {
			t.Fatalf("%s %s: %v", o.GetKind(), o.GetName(), err)
		}
		if d, ok := obj.(*appsv1.Deployment); ok {
			d.Status = appsv1.DeploymentStatus{Replicas: 1, UpdatedReplicas: 1, AvailableReplicas: 1}
		}
		typed = append(typed, obj)
	}
	typed = append(typed, pod("linkerd", "weft-control-1", map[string]string{"app": manifests.Deployment}, "control"))
	kube := fake.NewClientset(typed...)
	kube.Discovery().(*fakediscovery.FakeDiscovery).FakedServerVersion = &version.Info{GitVersion: "v1.34.1"}
	kube.PrependReactor("create", "selfsubjectaccessreviews", func(k8stest.Action) (bool, runtime.Object, error) {
		return true, &authv1.SelfSubjectAccessReview{Status: authv1.SubjectAccessReviewStatus{Allowed: true}}, nil
	})
	crds, err := manifests.CRDs()
	if err != nil {
		t.Fatal(err)
	}
	var defs []runtime.Object
	for _, d := range crds {
		defs = append(defs, &d.Object.Unstructured)
	}
	dyn := dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), map[schema.GroupVersionResource]string{cluster.CustomResourceDefinitions: "CustomResourceDefinitionList"}, defs...)
	chain := serve(t, m)
	e := &env{
		console: console.Console{Tool: console.ToolNamed("linkerd")}, flags: &cluster.Flags{ControlNamespace: "linkerd"}, tool: "linkerd", now: time.Now,
		cluster: &cluster.Cluster{Kube: kube, Dynamic: dyn, ControlNamespace: "linkerd"},
		serving: func(context.Context, *cluster.Cluster, string, string, int, string) ([]*x509.Certificate, error) {
			return chain, nil
		},
		readiness: func(context.Context, *cluster.Cluster, string, string) (string, error) {
			return "", errors.New("out of reach")
		},
	}
	return installed{e, kube, dyn}
}

// serve returns the chain that the webhooks' server would show.
func serve(t *testing.T, m ca.Material) []*x509.Certificate {
	t.Helper()
	a := ca.NewAuthority("linkerd", slog.New(slog.DiscardHandler), time.Now)
	if err := a.Update(m); err != nil {
		t.Fatal(err)
	}
	pair, err := ca.NewServing(a, []string{"weft-control.linkerd.svc"}).Certificate(&tls.ClientHelloInfo{})
	if err != nil {
		t.Fatal(err)
	}
	var chain []*x509.Certificate
	for _, der := range pair.Certificate {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		chain = append(chain, c)
	}
	return chain
}

func pod(namespace, name string, labels map[string]string, container string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: labels},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: container}}},
		Status: corev1.PodStatus{Phase: corev1.PodRunning,
			Conditions:        []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}},
			ContainerStatuses: []corev1.ContainerStatus{{Name: container, Ready: true}}},
	}
}

// secret returns the issuer's certificate and key.
func (i installed) secret(t *testing.T) (crt, key []byte) {
	t.Helper()
	s, err := i.kube.CoreV1().Secrets("linkerd").Get(t.Context(), manifests.Issuer, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return s.Data[manifests.IssuerCert], s.Data[manifests.IssuerKey]
}

// run checks everything once and returns the table and the verdict.
func (i installed) run(t *testing.T, pre, crds, proxy bool) (string, bool) {
	t.Helper()
	var out bytes.Buffer
	r := Runner{Timeout: 10 * time.Second, Poll: time.Millisecond}
	ok := printers["table"](&out, r.stream(t.Context(), categories(i.env, pre, crds, proxy)))
	return out.String(), ok
}

const healthy = `kubernetes-api
--------------
√ can initialize the client
√ can query the Kubernetes API

kubernetes-version
------------------
√ is running the minimum Kubernetes API version

linkerd-config
--------------
√ control plane Namespace exists
√ control plane ClusterRoles exist
√ control plane ClusterRoleBindings exist
√ control plane ServiceAccounts exist
√ control plane CustomResourceDefinitions exist
√ control plane MutatingWebhookConfigurations exist
√ control plane ValidatingWebhookConfigurations exist

linkerd-existence
-----------------
√ 'weft-config' config map exists
√ control plane replica sets are ready
√ no unschedulable pods
√ control plane pods are ready

linkerd-identity
----------------
√ certificate config is valid
√ trust anchors are using supported crypto algorithm
√ trust anchors are within their validity period
√ trust anchors are valid for at least 60 days
√ issuer cert is using supported crypto algorithm
√ issuer cert is within its validity period
√ issuer cert is valid for at least 60 days
√ issuer cert is issued by the trust anchor

linkerd-webhooks-and-apisvc-tls
-------------------------------
√ weft-injector webhook has valid cert
√ weft-validator webhook has valid cert

control-plane-version
---------------------
√ control plane and cli versions match

Status check results are √
`

func TestHealthy(t *testing.T) {
	if got, ok := install(t).run(t, false, false, false); !ok || got != healthy {
		t.Errorf("ok %v, got:\n%s", ok, got)
	}
}

// TestFaults breaks one thing at a time and looks for the line that tells.
func TestFaults(t *testing.T) {
	ctx := context.Background()
	gone := metav1.DeleteOptions{}
	for name, c := range map[string]struct {
		breaks          func(i installed) error
		pre, crds, data bool
		want            string
		ok              bool // the whole is still a success
	}{
		"namespace": {func(i installed) error { return i.kube.CoreV1().Namespaces().Delete(ctx, "linkerd", gone) }, false, false, false,
			"× control plane Namespace exists\n    missing Namespace: linkerd\n    see https://github.com/weftmesh/weft/blob/main/docs/checks.md#config for hints\n", false},
		"definition": {func(i installed) error {
			return i.dynamic.Resource(cluster.CustomResourceDefinitions).Delete(ctx, "trafficsplits.split.smi-spec.io", gone)
		}, false, true, false, "× control plane CustomResourceDefinitions exist\n    missing CustomResourceDefinition: trafficsplits.split.smi-spec.io", false},
		"not ready": {func(i installed) error {
			d, err := i.kube.AppsV1().Deployments("linkerd").Get(ctx, manifests.Deployment, metav1.GetOptions{})
			d.Status.AvailableReplicas = 0
			_, err2 := i.kube.AppsV1().Deployments("linkerd").UpdateStatus(ctx, d, metav1.UpdateOptions{})
			return errors.Join(err, err2)
		}, false, false, false, "× control plane replica sets are ready\n    deployment weft-control: 0 of 1 replicas", false},
		"unschedulable": {func(i installed) error {
			p := pod("linkerd", "weft-control-2", map[string]string{"app": manifests.Deployment}, "control")
			p.Status.Conditions = append(p.Status.Conditions, corev1.PodCondition{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: corev1.PodReasonUnschedulable, Message: "0/1 nodes"})
			_, err := i.kube.CoreV1().Pods("linkerd").Create(ctx, p, metav1.CreateOptions{})
			return err
		}, false, false, false, "‼ no unschedulable pods\n    linkerd/weft-control-2: 0/1 nodes", true},
		"image": {func(i installed) error {
			p := pod("linkerd", "weft-control-2", map[string]string{"app": manifests.Deployment}, "control")
			p.Status.Conditions[0].Status = corev1.ConditionFalse
			p.Status.ContainerStatuses[0].State.Waiting = &corev1.ContainerStateWaiting{Reason: "ErrImagePull", Message: "no such image"}
			_, err := i.kube.CoreV1().Pods("linkerd").Create(ctx, p, metav1.CreateOptions{})
			return err
		}, false, false, false, "container control is waiting: ErrImagePull no such image", false},
		"issuer of another root": {func(i installed) error {
			other, err := ca.Generate("cluster.local", time.Now())
			cm, err2 := i.kube.CoreV1().ConfigMaps("linkerd").Get(ctx, manifests.TrustRoots, metav1.GetOptions{})
			cm.Data[manifests.RootsKey] = string(other.Roots)
			_, err3 := i.kube.CoreV1().ConfigMaps("linkerd").Update(ctx, cm, metav1.UpdateOptions{})
			return errors.Join(err, err2, err3)
		}, false, false, false, "× issuer cert is issued by the trust anchor\n", false},
		"no issuer": {func(i installed) error { return i.kube.CoreV1().Secrets("linkerd").Delete(ctx, manifests.Issuer, gone) }, false, false, false,
			"× certificate config is valid\n    missing Secret: weft-identity-issuer", false},
		"issuer at its end": {func(i installed) error {
			pair, err := tls.X509KeyPair(i.secret(t))
			if err != nil {
				return err
			}
			i.env.now = func() time.Time { return pair.Leaf.NotAfter.Add(-59 * 24 * time.Hour) }
			i.env.serving = func(context.Context, *cluster.Cluster, string, string, int, string) ([]*x509.Certificate, error) {
				return nil, errors.New("that far in the future")
			}
			return nil
		}, false, false, false, "‼ issuer cert is valid for at least 60 days\n", true},
		"webhook of another authority": {func(i installed) error {
			h, err := i.kube.AdmissionregistrationV1().MutatingWebhookConfigurations().Get(ctx, manifests.Injector, metav1.GetOptions{})
			other, err2 := ca.Generate("cluster.local", time.Now())
			h.Webhooks[0].ClientConfig.CABundle = other.Roots
			_, err3 := i.kube.AdmissionregistrationV1().MutatingWebhookConfigurations().Update(ctx, h, metav1.UpdateOptions{})
			return errors.Join(err, err2, err3)
		}, false, false, false, "× weft-injector webhook has valid cert\n    pod weft-control-1: x509:", false},
		"pods out of reach": {func(i installed) error {
			i.env.serving = func(context.Context, *cluster.Cluster, string, string, int, string) ([]*x509.Certificate, error) {
				return nil, errors.New("refused")
			}
			return nil
		}, false, false, false, "‼ weft-injector webhook has valid cert\n    could not be checked: refused", true},
		"other version": {func(i installed) error {
			cm, err := i.kube.CoreV1().ConfigMaps("linkerd").Get(ctx, manifests.ConfigMap, metav1.GetOptions{})
			cm.Data["version"] = "v0.0.9"
			_, err2 := i.kube.CoreV1().ConfigMaps("linkerd").Update(ctx, cm, metav1.UpdateOptions{})
			return errors.Join(err, err2)
		}, false, false, false, "‼ control plane and cli versions match\n    control plane running v0.0.9 but cli running " + ours.Get(), true},
		"old Kubernetes": {func(i installed) error {
			i.kube.Discovery().(*fakediscovery.FakeDiscovery).FakedServerVersion = &version.Info{GitVersion: "v1.20.4"}
			return nil
		}, true, false, false, "Kubernetes is on version [1.20.4], but version [1.25.0] or more recent is required", false},
		"installed already": {func(installed) error { return nil }, true, false, false, "× control plane namespace does not already exist\n    the \"linkerd\" namespace already exists", false},
		"not allowed": {func(i installed) error {
			i.kube.PrependReactor("create", "selfsubjectaccessreviews", func(a k8stest.Action) (bool, runtime.Object, error) {
				r := a.(k8stest.CreateAction).GetObject().(*authv1.SelfSubjectAccessReview)
				return true, &authv1.SelfSubjectAccessReview{Status: authv1.SubjectAccessReviewStatus{Allowed: r.Spec.ResourceAttributes.Resource != "secrets"}}, nil
			})
			return nil
		}, true, false, false, "× can create Secrets\n    not authorized to create secrets", false},
		"clock": {func(i installed) error {
			n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1"}, Status: corev1.NodeStatus{Conditions: []corev1.NodeCondition{
				{Type: corev1.NodeReady, Status: corev1.ConditionTrue, LastHeartbeatTime: metav1.NewTime(time.Now().Add(-time.Hour))}}}}
			_, err := i.kube.CoreV1().Nodes().Create(ctx, n, metav1.CreateOptions{})
			return err
		}, true, false, false, "‼ no clock skew detected\n    the clock of node n1", false},
		"no proxies": {func(installed) error { return nil }, false, false, true, "× data plane proxies are ready\n    no pod with a proxy in any namespace", false},
		"proxy not ready": {func(i installed) error {
			p := pod("production", "api-1", map[string]string{"weft.mesh/control-plane-ns": "linkerd"}, "linkerd-proxy")
			p.Status.ContainerStatuses[0].Ready = false
			_, err := i.kube.CoreV1().Pods("production").Create(ctx, p, metav1.CreateOptions{})
			return err
		}, false, false, true, "pod production/api-1: container linkerd-proxy is not ready", false},
		"pod without proxy": {func(i installed) error {
			ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "production", Annotations: map[string]string{"linkerd.io/inject": "enabled"}}}
			_, err := i.kube.CoreV1().Namespaces().Create(ctx, ns, metav1.CreateOptions{})
			_, err2 := i.kube.CoreV1().Pods("production").Create(ctx, pod("production", "old", nil, "app"), metav1.CreateOptions{})
			meshed := pod("production", "new", map[string]string{"weft.mesh/control-plane-ns": "linkerd"}, "linkerd-proxy")
			meshed.Annotations = map[string]string{"weft.mesh/proxy-version": ours.Get()}
			_, err3 := i.kube.CoreV1().Pods("production").Create(ctx, meshed, metav1.CreateOptions{})
			return errors.Join(err, err2, err3)
		}, false, false, true, "‼ pods of meshed namespaces have a proxy\n    pod production/old has none", true},
		"all pods without proxy": {func(i installed) error {
			ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "production", Annotations: map[string]string{"linkerd.io/inject": "enabled"}}}
			_, err := i.kube.CoreV1().Namespaces().Create(ctx, ns, metav1.CreateOptions{})
			_, err2 := i.kube.CoreV1().Pods("production").Create(ctx, pod("production", "slipped", nil, "app"), metav1.CreateOptions{})
			return errors.Join(err, err2)
		}, false, false, true, "‼ pods of meshed namespaces have a proxy\n    pod production/slipped has none", false},
		"pod without proxy where the webhook does not look": {func(i installed) error {
			ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "production", Annotations: map[string]string{"linkerd.io/inject": "enabled"},
				Labels: map[string]string{"kubernetes.io/metadata.name": "production"}}}
			_, err := i.kube.CoreV1().Namespaces().Create(ctx, ns, metav1.CreateOptions{})
			_, err2 := i.kube.CoreV1().Pods("production").Create(ctx, pod("production", "left-out", nil, "app"), metav1.CreateOptions{})
			h, err3 := i.kube.AdmissionregistrationV1().MutatingWebhookConfigurations().Get(ctx, manifests.Injector, metav1.GetOptions{})
			for j, e := range h.Webhooks[0].NamespaceSelector.MatchExpressions {
				if e.Key == "kubernetes.io/metadata.name" {
					h.Webhooks[0].NamespaceSelector.MatchExpressions[j].Values = append(e.Values, "production")
				}
			}
			_, err4 := i.kube.AdmissionregistrationV1().MutatingWebhookConfigurations().Update(ctx, h, metav1.UpdateOptions{})
			return errors.Join(err, err2, err3, err4)
		}, false, false, true, "√ pods of meshed namespaces have a proxy\n", false},
		"control plane that cannot list": {func(i installed) error {
			p := pod("linkerd", "weft-control-2", map[string]string{"app": manifests.Deployment}, "control")
			p.Status.Conditions[0].Status = corev1.ConditionFalse
			p.Status.ContainerStatuses[0].Ready = false
			i.env.readiness = func(_ context.Context, _ *cluster.Cluster, namespace, pod string) (string, error) {
				if namespace != "linkerd" || pod != "weft-control-2" {
					return "", errors.New("another pod")
				}
				return "not ready: the sources are not read yet: services: forbidden", nil
			}
			_, err := i.kube.CoreV1().Pods("linkerd").Create(ctx, p, metav1.CreateOptions{})
			d, err2 := i.kube.AppsV1().Deployments("linkerd").Get(ctx, manifests.Deployment, metav1.GetOptions{})
			d.Status.AvailableReplicas = 0
			_, err3 := i.kube.AppsV1().Deployments("linkerd").UpdateStatus(ctx, d, metav1.UpdateOptions{})
			return errors.Join(err, err2, err3)
		}, false, false, false, "replicas are updated and available\n    pod linkerd/weft-control-2 is not ready (Running): the sources are not read yet: services: forbidden\n", false},
	} {
		t.Run(name, func(t *testing.T) {
			i := install(t)
			if err := c.breaks(i); err != nil {
				t.Fatal(err)
			}
			got, ok := i.run(t, c.pre, c.crds, c.data)
			if !strings.Contains(got, c.want) || ok != c.ok {
				t.Errorf("ok %v, want %v and %q in:\n%s", ok, c.ok, c.want, got)
			}
		})
	}
}

func TestRetryUntilReady(t *testing.T) {
	n := 0
	cat := Category{"c", []Check{{Description: "comes right", Retry: true, Run: func(context.Context) error {
		if n++; n < 3 {
			return errors.New("not yet")
		}
		return nil
	}}}}
	var out bytes.Buffer
	r := Runner{Wait: time.Minute, Poll: time.Millisecond, Timeout: time.Second}
	if ok := printers["short"](&out, r.stream(t.Context(), []Category{cat})); !ok || n != 3 || out.String() != "Status check results are √\n" {
		t.Errorf("ok %v after %d tries: %s", ok, n, &out)
	}
}

func TestFatalEndsAll(t *testing.T) {
	bad := func(context.Context) error { return errors.New("no") }
	cats := []Category{{"a", []Check{{Description: "1", Fatal: true, Warning: true, Run: bad}, {Description: "2", Fatal: true, Run: bad}, {Description: "3", Run: bad}}}}
	var out bytes.Buffer
	printers["json"](&out, Runner{Timeout: time.Second}.stream(t.Context(), cats))
	if !strings.Contains(out.String(), `"result": "warning"`) || !strings.Contains(out.String(), `"result": "error"`) || strings.Contains(out.String(), `"3"`) {
		t.Errorf("got %s", &out)
	}
}

// TestHintsAreExplained holds the links to their page.
func TestHintsAreExplained(t *testing.T) {
	page, err := os.ReadFile("../../docs/checks.md")
	if err != nil {
		t.Fatal(err)
	}
	e := install(t).env
	for _, cats := range [][]Category{categories(e, true, false, false), categories(e, false, true, false), categories(e, false, false, false), categories(e, false, false, true)} {
		for _, cat := range cats {
			for _, c := range cat.Checks {
				if c.Hint == "" || !bytes.Contains(page, []byte("\n## "+c.Hint+"\n")) {
					t.Errorf("%s, %s: hint %q has no heading", cat.Name, c.Description, c.Hint)
				}
			}
		}
	}
}
