//go:build e2e

// Package lifecycle_test is the suite of what a platform engineer does with
// the mesh: install, check, inject, remove.
package lifecycle_test

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weftmesh/weft/e2e/app/report"
	"github.com/weftmesh/weft/e2e/cluster"
	"github.com/weftmesh/weft/e2e/cluster/clustertest"
	"github.com/weftmesh/weft/e2e/meshtest"
	"github.com/weftmesh/weft/e2e/traffic"
)

// shared is the cluster of this package, without a mesh at first.
var shared *cluster.Cluster

func TestMain(m *testing.M) { os.Exit(clustertest.Main(m, &shared, meshtest.Load)) }

// TestLifecycle is one story, told in order: each part needs the one before.
func TestLifecycle(t *testing.T) {
	c := clustertest.On(t, shared)
	c.Namespace("plain")
	c.Apply(meshtest.App{Name: "api", Namespace: "plain", Replicas: 2}.YAML() + meshtest.Client("client", "plain"))
	c.Rollout("plain", "api")
	c.Kube("-n", "plain", "wait", "--for=condition=Ready", "pods", "--all", "--timeout=60s")
	before := objects(c)

	// Load between pods outside of the mesh, from before install until after
	// uninstall.
	plain := meshtest.From(shared, "plain", "client")
	type result struct {
		r   report.Report
		err error
	}
	done := make(chan result, 1)
	go func() {
		r, err := plain.Load(t.Context(), "-target", "http://api/", "-rate", "50", "-for", "0", "-new-connections")
		done <- result{r, err}
	}()

	ok := c.Run("pre-check", func(t *clustertest.T) { checks(t, "weft check --pre") }) &&
		c.Run("install", install) &&
		c.Run("check", func(t *clustertest.T) { checks(t, "weft check") })
	if ok {
		c.Run("inject", inject)
		c.Run("refuse", refuse)
		c.Run("webhook policy Fail", failClosed)
	}
	c.Run("uninstall", func(t *clustertest.T) {
		// It refuses as long as there are meshed pods; those of the tests
		// above are on their way out.
		t.Eventually(time.Minute, func() error {
			out, err := t.Kubectl(t.Context(), "get", "namespaces", "-o", "name")
			if err == nil && strings.Contains(out, "/e2e-") {
				err = fmt.Errorf("namespaces of earlier tests are still there: %s", strings.Fields(out))
			}
			return err
		})
		if _, err := meshtest.Shell(t.Context(), shared, "weft uninstall | kubectl delete -f -"); err != nil {
			t.Fatal(err)
		}
		t.Eventually(30*time.Second, func() error {
			after := objects(t)
			var left []string
			for _, o := range after {
				if !slices.Contains(before, o) {
					left = append(left, o)
				}
			}
			if len(left) > 0 {
				return fmt.Errorf("left behind: %v", left)
			}
			return nil
		})
	})
	if _, err := plain.Run(t.Context(), "/bin/busybox", "killall", "-TERM", "app"); err != nil {
		t.Fatal(err)
	}
	got := <-done
	if got.err != nil {
		t.Fatal(got.err)
	}
	if err := got.r.Problem(); err != nil {
		t.Errorf("between pods outside of the mesh: %v", err)
	}
	t.Logf("%d requests outside of the mesh, %d failed", got.r.Sent, got.r.Failed)
}

// objects lists everything in the cluster that an installation could leave
// behind: all cluster-scoped objects, and all namespaced ones outside of the
// tests' own namespaces.
func objects(t *clustertest.T) []string {
	t.Helper()
	var out []string
	for _, scope := range []string{"--namespaced=false", "--namespaced=true"} {
		kinds := strings.Fields(t.Kube("api-resources", "--verbs=list,delete", "-o", "name", scope))
		kinds = slices.DeleteFunc(kinds, func(k string) bool {
			return k == "events" || strings.HasPrefix(k, "events.") || strings.HasPrefix(k, "leases.")
		})
		list := t.Kube("get", strings.Join(kinds, ","), "-A", "--ignore-not-found", "-o", `jsonpath={range .items[*]}{.kind}/{.metadata.namespace}/{.metadata.name}{"\n"}{end}`)
		for _, o := range strings.Split(strings.TrimSpace(list), "\n") {
			if _, rest, _ := strings.Cut(o, "/"); strings.HasPrefix(rest, "/") || strings.HasPrefix(rest, "kube-system/") || strings.HasPrefix(rest, "default/") || strings.HasPrefix(rest, "weft") {
				out = append(out, o)
			}
		}
	}
	slices.Sort(out)
	return slices.DeleteFunc(out, func(o string) bool {
		return strings.HasPrefix(o, "Namespace//e2e-") || strings.HasPrefix(o, "Pod/kube-system/") // the tests' own; pods of the cluster may be replaced
	})
}

func checks(t *clustertest.T, command string) {
	out, err := meshtest.Shell(t.Context(), shared, command)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if strings.Count(out, "√") < 5 || strings.Contains(out, "×") {
		t.Errorf("%s says:\n%s", command, out)
	}
	out, err = meshtest.Shell(t.Context(), shared, command+" -o json")
	if err != nil {
		t.Fatal(err)
	}
	var r struct {
		Success    bool
		Categories []struct{ Checks []struct{ Result string } }
	}
	if err := json.Unmarshal([]byte(out), &r); err != nil || !r.Success || len(r.Categories) == 0 {
		t.Errorf("%s -o json: %v: %s", command, err, out)
	}
}

// install takes at most 30 seconds to all-ready with the images loaded.
func install(t *clustertest.T) {
	began := time.Now()
	if err := meshtest.Install(t.Context(), shared); err != nil {
		t.Fatal(err)
	}
	took := time.Since(began)
	t.Logf("install to all-ready: %.1f s", took.Seconds())
	if took > 30*time.Second {
		t.Errorf("install to all-ready took %v, the most is 30 s", took)
	}
}

// containers of the newest pod of a selector.
func containers(t *clustertest.T, namespace, selector string) []string {
	t.Helper()
	pods, err := traffic.Pods(t.Context(), shared, namespace, selector)
	if err != nil {
		t.Fatal(err)
	}
	if len(pods) == 0 {
		t.Fatalf("no pod %s in %s", selector, namespace)
	}
	var out []string
	for _, p := range pods {
		out = append(out, p.Sidecars()...)
	}
	return out
}

func inject(t *clustertest.T) {
	for family, mark := range map[string]string{
		"weft-proxy": "annotation weft.mesh/inject=enabled", "linkerd-proxy": "annotation linkerd.io/inject=enabled", "istio-proxy": "label istio-injection=enabled",
	} {
		t.Run(mark, func(t *clustertest.T) {
			ns := "e2e-" + family
			t.Namespace(ns)
			t.Apply(meshtest.App{Name: "api", Namespace: ns}.YAML())
			t.Rollout(ns, "api")
			if got := containers(t, ns, "app=api"); len(got) != 0 {
				t.Fatalf("sidecars without being asked for: %v", got)
			}
			verb, arg, _ := strings.Cut(mark, " ")
			t.Kube(strings.TrimSuffix(strings.Replace(verb, "annotation", "annotate", 1), " "), "namespace", ns, arg)
			t.Kube("-n", ns, "rollout", "restart", "deployment/api")
			t.Rollout(ns, "api")
			if got := containers(t, ns, "app=api"); !slices.Equal(got, []string{family}) {
				t.Errorf("sidecars %v, want %s", got, family)
			}
		})
	}
	t.Run("a Job ends", job)
	t.Run("left alone", leftAlone)
	t.Run("probes", probes)
	t.Run("weft inject and uninject", manual)
}

// job: the sidecar does not keep a finished Job from being complete, and is
// there for its first packet.
func job(t *clustertest.T) {
	const ns = "e2e-job"
	t.Namespace(ns, meshtest.Inject)
	t.Apply(meshtest.App{Name: "api", Namespace: ns}.YAML())
	t.Rollout(ns, "api")
	t.Apply(`
apiVersion: batch/v1
kind: Job
metadata: {name: once, namespace: e2e-job}
spec:
  backoffLimit: 0
  template:
    metadata: {labels: {app: once}}
    spec:
      restartPolicy: Never
      containers:
        - name: once
          image: localhost/app:e2e
          imagePullPolicy: Never
          command: [/bin/busybox, wget, -q, -O, "-", "http://api/first-packet"]
`)
	t.Kube("-n", ns, "wait", "--for=condition=Complete", "job/once", "--timeout=60s")
	if got := containers(t, ns, "app=once"); len(got) != 1 {
		t.Errorf("the Job's pod had sidecars %v", got)
	}
	if out := t.Kube("-n", ns, "logs", "job/once", "-c", "once"); !strings.Contains(out, "/first-packet") {
		t.Errorf("the Job's output: %s", out)
	}
}

// leftAlone: pods that must not have a sidecar have none, and run.
func leftAlone(t *clustertest.T) {
	const ns = "e2e-alone"
	t.Namespace(ns, meshtest.Inject)
	pod := func(name, annotations, spec string) string {
		return fmt.Sprintf(`
apiVersion: v1
kind: Pod
metadata: {name: %[1]s, namespace: %[2]s, annotations: {%[3]s}, labels: {which: %[1]s}}
spec:
  %[4]s
  terminationGracePeriodSeconds: 1
  containers: [{name: client, image: "localhost/app:e2e", imagePullPolicy: Never, command: [/bin/busybox, sleep, "100000"]}]
---
`, name, ns, annotations, spec)
	}
	t.Apply(pod("host", "", "hostNetwork: true") + pod("weft", "weft.mesh/inject: disabled", "") +
		pod("linkerd", "linkerd.io/inject: disabled", "") + pod("istio", `sidecar.istio.io/inject: "false"`, ""))
	t.Kube("-n", ns, "wait", "--for=condition=Ready", "pods", "--all", "--timeout=60s")
	for _, which := range []string{"host", "weft", "linkerd", "istio"} {
		if got := containers(t, ns, "which="+which); len(got) != 0 {
			t.Errorf("pod %s has sidecars %v", which, got)
		}
	}
}

// probes of every kind work through the sidecar, and say no when the
// application does.
func probes(t *clustertest.T) {
	const ns = "e2e-probes"
	t.Namespace(ns, meshtest.Inject)
	var pods strings.Builder
	for name, probe := range map[string]string{
		"http": "httpGet: {path: /healthz, port: 8080}", "tcp": "tcpSocket: {port: 9000}", "grpc": "grpc: {port: 9090}", "exec": `exec: {command: [/bin/busybox, "true"]}`,
		"never": "httpGet: {path: /status/500, port: 8080}",
	} {
		fmt.Fprintf(&pods, `
apiVersion: v1
kind: Pod
metadata: {name: %[1]s, namespace: %[2]s, labels: {which: %[1]s}}
spec:
  terminationGracePeriodSeconds: 1
  containers:
    - name: app
      image: localhost/app:e2e
      imagePullPolicy: Never
      readinessProbe: {%[3]s, periodSeconds: 1}
      livenessProbe: {tcpSocket: {port: 8080}, periodSeconds: 1}
---
`, name, ns, probe)
	}
	t.Apply(pods.String())
	for _, name := range []string{"http", "tcp", "grpc", "exec"} {
		t.Kube("-n", ns, "wait", "--for=condition=Ready", "pod/"+name, "--timeout=60s")
		if got := containers(t, ns, "which="+name); len(got) != 1 {
			t.Errorf("pod %s has sidecars %v", name, got)
		}
	}
	list, err := traffic.Pods(t.Context(), shared, ns, "which=never")
	if err != nil || len(list) != 1 {
		t.Fatalf("%v %v", list, err)
	}
	if s, _ := list[0].ContainerStatus("app"); s.Ready || s.RestartCount > 0 {
		t.Errorf("a failing readiness probe became %+v", s)
	}
}

// manual: what weft inject prints can be applied, and uninject undoes it.
func manual(t *clustertest.T) {
	const ns = "e2e-manual"
	t.Namespace(ns)
	t.Apply(meshtest.App{Name: "api", Namespace: ns}.YAML())
	t.Rollout(ns, "api")
	for _, step := range []struct {
		verb string
		want int
	}{{"inject", 1}, {"uninject", 0}} {
		if _, err := meshtest.Shell(t.Context(), shared, "kubectl get deploy -n "+ns+" -o yaml | weft "+step.verb+" - | kubectl apply -f -"); err != nil {
			t.Fatal(err)
		}
		t.Rollout(ns, "api")
		if got := containers(t, ns, "app=api"); len(got) != step.want {
			t.Errorf("after weft %s: sidecars %v", step.verb, got)
		}
	}
}

// refuse: an object that cannot be meant is refused with the field's name.
func refuse(t *clustertest.T) {
	const ns = "e2e-refuse"
	t.Namespace(ns)
	split := func(weights ...string) string {
		s := "apiVersion: split.smi-spec.io/v1alpha4\nkind: TrafficSplit\nmetadata: {name: bad, namespace: " + ns + "}\nspec:\n  service: api\n  backends:\n"
		for i, w := range weights {
			s += fmt.Sprintf("    - {service: api-%d, weight: %s}\n", i, w)
		}
		return s
	}
	route := func(rule string) string {
		return "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: bad, namespace: " + ns + "}\nspec:\n  parentRefs: [{kind: Service, group: \"\", name: api, port: 80}]\n  rules:\n    - " + rule + "\n"
	}
	for name, c := range map[string]struct{ manifest, field string }{
		"negative weight":     {split("-1", "2"), "weight"},
		"weight is no number": {split("many"), "weight"},
		"no backends":         {strings.TrimSuffix(split(), "  backends:\n") + "  backends: []\n", "backends"},
		"bad expression":      {route(`{matches: [{path: {type: RegularExpression, value: "/(unclosed"}}], backendRefs: [{name: api, port: 80}]}`), "path"},
		"negative backend":    {route(`{backendRefs: [{name: api, port: 80, weight: -1}]}`), "weight"},
	} {
		t.Run(name, func(t *clustertest.T) {
			_, err := t.KubectlIn(t.Context(), strings.NewReader(c.manifest), "apply", "-f", "-")
			if err == nil {
				t.Fatal("it was accepted")
			}
			if !strings.Contains(err.Error(), c.field) {
				t.Errorf("the refusal does not name %s: %v", c.field, err)
			}
		})
	}
	// What can be meant but hardly is, is accepted with a warning: a Service
	// that does not exist may come to exist, weights may be raised again.
	for want, manifest := range map[string]string{"does not exist": split("1", "2"), "have no weight": split("0", "0")} {
		out, err := meshtest.Shell(t.Context(), shared, "kubectl apply -f - 2>&1 <<'END'\n"+manifest+"END")
		if err != nil || !strings.Contains(out, "Warning:") || !strings.Contains(out, want) {
			t.Errorf("no warning that says %q: %v %s", want, err, out)
		}
	}
}

// failClosed: installed with the policy Fail, no pod of a meshed namespace
// starts without a sidecar while the webhook is away.
func failClosed(t *clustertest.T) {
	const ns = "e2e-closed"
	if _, err := meshtest.Shell(t.Context(), shared, "weft install --set webhook.failurePolicy=Fail | kubectl apply -f -"); err != nil {
		t.Fatal(err)
	}
	if err := meshtest.Ready(t.Context(), shared); err != nil {
		t.Fatal(err)
	}
	t.Namespace(ns, meshtest.Inject)
	t.Kube("-n", meshtest.Namespace, "scale", "deployment/"+meshtest.Deployment, "--replicas=0")
	t.Kube("-n", meshtest.Namespace, "wait", "--for=delete", "pods", "--all", "--timeout=60s")
	if _, err := t.KubectlIn(t.Context(), strings.NewReader(meshtest.Client("client", ns)), "apply", "-f", "-"); err == nil {
		t.Error("a pod was made although the policy is Fail and the webhook is away")
	}
	t.Kube("-n", meshtest.Namespace, "scale", "deployment/"+meshtest.Deployment, "--replicas=1")
	if err := meshtest.Ready(t.Context(), shared); err != nil {
		t.Fatal(err)
	}
	t.Apply(meshtest.Client("client", ns))
	t.Kube("-n", ns, "wait", "--for=condition=Ready", "pod/client", "--timeout=60s")
}
