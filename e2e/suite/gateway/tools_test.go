//go:build e2e

package gateway_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weftmesh/weft/e2e/cluster"
	"github.com/weftmesh/weft/e2e/cluster/clustertest"
	"github.com/weftmesh/weft/e2e/meshtest"
)

// run runs a command line with weft and kubectl on PATH; both streams come
// back in one text. A status other than 0 is ok where it is wanted.
func run(t *clustertest.T, failing bool, line string) string {
	t.Helper()
	out, err := meshtest.Shell(t.Context(), t.Cluster, "{ "+line+"\n} 2>&1")
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) || (err != nil) != failing {
		t.Fatalf("%s: %v\n%s", line, err, out)
	}
	return out
}

// has checks that a text has all parts, in any order.
func has(t *clustertest.T, what, text string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if !strings.Contains(text, p) {
			t.Errorf("%s lacks %q:\n%s", what, p, text)
		}
	}
}

const toolsNS = "tools"

// objects of several families for the Service api, and a route with a fault.
const families = `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: routing, namespace: tools}
spec:
  hosts: [api]
  http:
    - match: [{headers: {x-canary: {exact: "true"}}}]
      route: [{destination: {host: api, subset: v2}}]
    - timeout: 30s
      retries: {attempts: 3, perTryTimeout: 10s, retryOn: "5xx,reset"}
      route: [{destination: {host: api, subset: v1}, weight: 90}, {destination: {host: api, subset: v2}, weight: 10}]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: subsets, namespace: tools}
spec:
  host: api
  trafficPolicy: {loadBalancer: {simple: LEAST_REQUEST}, connectionPool: {tcp: {maxConnections: 100}}, outlierDetection: {consecutive5xxErrors: 5}}
  subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}]
---
apiVersion: split.smi-spec.io/v1alpha4
kind: TrafficSplit
metadata: {name: outranked, namespace: tools}
spec: {service: api, backends: [{service: v1, weight: 1}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: half, namespace: tools}
spec:
  parentRefs: [{group: "", kind: Service, name: v1, port: 80}]
  rules: [{timeouts: {request: 3s}, backendRefs: [{name: v2, port: 80}, {name: gone, port: 80}]}]
`

// TestToolsExplainTheCluster: translate and why say what is in effect, by which
// object in which version, what lost, and what is wrong.
func TestToolsExplainTheCluster(t *testing.T) {
	c := newBed(t, toolsNS).T
	c.Apply(families)
	pod := strings.TrimSpace(c.Kube("-n", toolsNS, "get", "pods", "-l", "version=v1", "-o", "jsonpath={.items[0].metadata.name}"))
	version := func(kind, name string) string {
		return strings.TrimSpace(c.Kube("-n", toolsNS, "get", kind, name, "-o", "jsonpath={.metadata.resourceVersion}"))
	}

	out := run(c, false, "weft why -n tools "+pod+" http://api/v1/users")
	has(c, "why", out,
		"GET http://api/v1/users from tools/"+pod+" (deployment/v1)",
		"search domain tools.svc.cluster.local", "Service tools/api spec.ports[0] (version "+version("service", "api")+")",
		`header x-canary is absent, wanted exactly "true"`,
		"30s, then 504", "VirtualService tools/routing spec.http[1].timeout (version "+version("virtualservice", "routing")+")",
		"3 more on 5xx, reset, each try 10s", "spec.http[1].retries",
		"90% to tools/api:80 subset v1", "10% to tools/api:80 subset v2",
		"DestinationRule tools/subsets spec.subsets[0] (version "+version("destinationrule", "subsets")+")",
		"least request", "100 connections", "out after 5 × 5xx", "spec.trafficPolicy.outlierDetection",
		"Not in effect", "WEFT0402", "port 80 of service tools/api follows VirtualService tools/routing instead", "TrafficSplit tools/outranked spec.service")
	has(c, "why with the header", run(c, false, "weft why -n tools deploy/v1 http://api -H 'x-canary: true' -X POST"), "POST http://api/", "100% to tools/api:80 subset v2")
	has(c, "why without a kind", run(c, false, "weft why -n tools v2 http://v1.tools.svc.cluster.local/"),
		"HTTPRoute tools/half spec.rules[0].timeouts", "50% to tools/v2:80", "50% to tools/gone:80", "BackendNotFound; its share is answered 500", "spec.rules[0].backendRefs[1].name")
	has(c, "why of TCP", run(c, false, "weft why -n tools client tcp://api:9000"), "TrafficSplit tools/outranked spec.backends", "100% to tools/v1:9000")
	has(c, "why of a stranger", run(c, false, "weft why -n tools client https://pay.example.com/"), "passthrough", "ALLOW_ANY")

	var d struct {
		Client struct{ Name string }
		Route  struct {
			Rules int
			Rule  struct {
				Settings []struct {
					Name   string
					Source struct{ Kind, Name, Field, ResourceVersion string }
				}
				Backends []struct {
					Percent   float64
					Endpoints []struct{ Workload, Identity string }
				}
			}
		}
		Losers []struct {
			Code   string
			Source struct{ ResourceVersion string }
		}
	}
	if err := json.Unmarshal([]byte(run(c, false, "weft why -n tools "+pod+" http://api/ -o json")), &d); err != nil {
		t.Fatal(err)
	}
	if r := d.Route.Rule; d.Client.Name != pod || d.Route.Rules != 2 || len(r.Backends) != 2 || r.Backends[0].Percent != 90 || len(r.Backends[0].Endpoints) != 1 ||
		!strings.HasSuffix(r.Backends[0].Endpoints[0].Identity, "/ns/tools/sa/default") || len(r.Settings) < 2 || r.Settings[0].Source.ResourceVersion != version("virtualservice", "routing") ||
		len(d.Losers) == 0 || d.Losers[0].Source.ResourceVersion != version("trafficsplit", "outranked") {
		t.Errorf("why -o json: %+v", d)
	}

	out = run(c, true, "weft translate --cluster")
	has(c, "translate", out, "Warning WEFT0402 TrafficSplit tools/outranked", "Error WEFT0305 HTTPRoute tools/half\n  spec.rules[0].backendRefs[1].name: service tools/gone does not exist", "  → create the Service or correct the name",
		"algorithm: LEAST_REQUEST", "services:", "endpoints:")
	var all struct {
		Mesh     struct{ Routes, Services []json.RawMessage }
		Problems []struct{ Code, Field string }
	}
	if err := json.Unmarshal([]byte(run(c, true, "weft translate --cluster -o json 2>/dev/null")), &all); err != nil {
		t.Fatal(err)
	}
	if len(all.Mesh.Routes) == 0 || len(all.Mesh.Services) == 0 || len(all.Problems) == 0 {
		t.Errorf("translate -o json: %d routes, %d services, %d problems", len(all.Mesh.Routes), len(all.Mesh.Services), len(all.Problems))
	}
}

// TestToolsSayWhatIsMissing: who asks wrongly is told what to do, soon.
func TestToolsSayWhatIsMissing(t *testing.T) {
	c := clustertest.On(t, shared)
	dir := t.TempDir()
	file := func(name, text string) string {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return p
	}
	for _, ns := range []string{"twins-one", "twins-two"} {
		c.Namespace(ns)
		c.Apply(meshtest.Client("twin", ns))
		c.Kube("-n", ns, "wait", "--for=condition=Ready", "pod/twin", "--timeout=90s")
	}
	config, err := os.ReadFile(c.Kubeconfig())
	if err != nil {
		t.Fatal(err)
	}
	away := file("away.yaml", strings.ReplaceAll(string(config), "https://"+cluster.NodeIP+":"+cluster.APIPort, "https://127.0.0.1:1"))
	odd := file("odd.yaml", "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: x, namespace: shop}\nspec:\n  hosts: [api]\n  http:\n  - timeouts: 3s\n    route: [{destination: {host: api}}]\n")
	broken := file("broken.yaml", "apiVersion: v1\nkind: Service\n  metadata: {name: x\n")
	for line, want := range map[string][]string{
		"weft why twin http://api/":                                        {"twin is in the namespaces twins-one, twins-two: say which with -n"},
		"weft why -n twins-one nosuch http://api/":                         {"there is no workload nosuch in namespace twins-one; the cluster has twin -n twins-one"},
		"weft why -n nowhere deploy/web http://api/":                       {"there is no workload deploy/web in namespace nowhere: no pod runs there"},
		"weft why -n twins-one twin ftp://api/":                            {"the scheme may be http, https or tcp"},
		"weft why -n twins-one twin http://api/ -o yaml":                   {"--output yaml: want json"},
		"weft --kubeconfig /nowhere why twin http://api/":                  {"cannot reach the cluster", "/nowhere"},
		"weft --context nowhere translate --cluster":                       {"cannot reach the cluster", `"nowhere"`},
		"weft --kubeconfig " + away + " why twin http://api/":              {"cannot reach the cluster", "connection refused", "-f reads files instead"},
		"weft --as eve translate --cluster":                                {`user "eve" may not list customresourcedefinitions, endpointslices, namespaces, pods, services in all namespaces`},
		"weft --as eve --as-group system:authenticated why twin http://a/": {`user "eve" may not list`},
		"weft translate":                            {"name files with -f, or use --cluster"},
		"weft translate --cluster -f " + odd:        {"-f and --cluster exclude each other"},
		"weft translate -f " + broken:               {"Error WEFT0001", "broken.yaml:", "1 error"},
		"weft translate -f " + dir + "/nowhere":     {"cannot read the objects", "nowhere"},
		"weft profile --tap deploy/web -n shop api": {"--tap is not available", "use --open-api, --proto or --template"},
	} {
		c.Run(line, func(t *clustertest.T) {
			began := time.Now()
			out := run(t, true, line)
			has(t, line, out, want...)
			if took := time.Since(began); took > 15*time.Second || len(out) > 2000 {
				t.Errorf("%d bytes after %v", len(out), took)
			}
		})
	}
	// A field that nobody knows is a warning: the object may be of a newer version.
	has(c, "an unknown field", run(c, true, "weft translate -f "+odd), "1 error, 1 warning", "Warning WEFT0002 VirtualService shop/x", "odd.yaml:7", "spec.http[0].timeouts")
}

// bad are objects that could not work, with what kubectl is told.
var bad = []struct{ kind, name, yaml, field, remedy string }{
	{"virtualservice", "duration", vs("duration", "timeout: -3s, "+toAPI), "spec.http[0].timeout: the duration -3s is negative", "give 0s or more"},
	{"virtualservice", "regex", vs("regex", "match: [{uri: {regex: '(['}}], "+toAPI), "spec.http[0].match[0].uri.regex", "write it in RE2 syntax"},
	{"virtualservice", "weight", vs("weight", "route: [{destination: {host: api}, weight: -1}]"), "spec.http[0].route[0].weight: the weight -1 is negative", "give 0 or more"},
	{"virtualservice", "condition", vs("condition", toAPI+", retries: {attempts: 2, retryOn: 5xx and more}"), "spec.http[0].retries.retryOn", "use conditions such as 5xx"},
	{"destinationrule", "percentage", obj("networking.istio.io/v1", "DestinationRule", "percentage", "host: api, trafficPolicy: {outlierDetection: {minHealthPercent: 101}}"), "spec.trafficPolicy.outlierDetection.minHealthPercent: 101 is not between 0 and 100", "give a percentage"},
	{"httproute", "expression", obj("gateway.networking.k8s.io/v1", "HTTPRoute", "expression", "parentRefs: [{group: '', kind: Service, name: api}], rules: [{matches: [{path: {type: RegularExpression, value: '['}}], backendRefs: [{name: api, port: 80}]}]"), "spec.rules[0].matches[0].path.value", "write it in RE2 syntax"},
	{"trafficsplit", "split", obj("split.smi-spec.io/v1alpha4", "TrafficSplit", "split", "service: api, backends: [{service: api, weight: -1}]"), "spec.backends[0].weight", "correct the field"},
	{"serviceprofile", "api.refused.svc.cluster.local", obj("linkerd.io/v1alpha2", "ServiceProfile", "api.refused.svc.cluster.local", "routes: [{name: a, condition: {pathRegex: /}, timeout: fast}]"), `spec.routes[0].timeout: bad value: "fast" is no duration`, "correct the field"},
}

const toAPI = "route: [{destination: {host: api}}]"

func obj(version, kind, name, spec string) string {
	return fmt.Sprintf("apiVersion: %s\nkind: %s\nmetadata: {name: %s, namespace: refused}\nspec: {%s}\n", version, kind, name, spec)
}

func vs(name, rule string) string {
	return obj("networking.istio.io/v1", "VirtualService", name, "hosts: [api], http: [{"+rule+"}]")
}

// TestObjectsAreJudged: what cannot work is refused with its field and a remedy,
// what is odd is warned of; while the control plane is away objects pass, the
// translators report them, and afterwards nothing unrelated is held up by them.
// It is not parallel: the control plane goes away.
func TestObjectsAreJudged(t *testing.T) {
	c := clustertest.On(t, shared)
	c.Namespace("refused")
	c.Apply("apiVersion: v1\nkind: Service\nmetadata: {name: api, namespace: refused}\nspec: {ports: [{name: http, port: 80}]}\n")
	apply := func(yaml string) (string, error) {
		return meshtest.Shell(c.Context(), c.Cluster, "{ kubectl apply -f - <<'EOF'\n"+yaml+"\nEOF\n} 2>&1")
	}
	for _, b := range bad {
		out, err := apply(b.yaml)
		if err == nil {
			t.Errorf("%s %s is accepted: %s", b.kind, b.name, out)
		}
		has(c, b.kind+" "+b.name, out, "denied the request", b.field, b.remedy)
	}
	if out, err := apply("apiVersion: v1\nkind: Service\nmetadata: {name: annotated, namespace: refused, annotations: {retry.linkerd.io/http: teapot}}\nspec: {ports: [{port: 80}]}\n"); err == nil || !strings.Contains(out, "metadata.annotations[retry.linkerd.io/http]") {
		t.Errorf("an annotation: %v: %s", err, out)
	}
	for yaml, warning := range map[string]string{
		vs("absent", "route: [{destination: {host: gone}}]"): "Warning: weft: spec.http[0].route[0].destination.host: service gone does not exist in namespace refused yet",
		vs("twice", toAPI+"}, {"+toAPI):                      "Warning: weft: spec.http[1]: spec.http[0] takes every request",
		obj("networking.istio.io/v1", "DestinationRule", "unverified", "host: api, trafficPolicy: {tls: {mode: SIMPLE}}"): "Warning: weft: spec.trafficPolicy.tls: mode SIMPLE names no certificate authority",
	} {
		out, err := apply(yaml)
		if err != nil || !strings.Contains(out, warning) {
			t.Errorf("%v: %s lacks %s", err, out, warning)
		}
	}

	c.Kube("-n", meshtest.Namespace, "scale", "deployment/"+meshtest.Deployment, "--replicas=0")
	c.Kube("-n", meshtest.Namespace, "wait", "--for=delete", "pod", "--all", "--timeout=60s")
	for _, b := range bad {
		if out, err := apply(b.yaml); err != nil {
			t.Errorf("without a webhook: %v: %s", err, out)
		}
	}
	c.Kube("-n", meshtest.Namespace, "scale", "deployment/"+meshtest.Deployment, "--replicas=1")
	if err := meshtest.Ready(c.Context(), c.Cluster); err != nil {
		t.Fatal(err)
	}
	c.Eventually(limit, func() error { // its own Service may lag behind
		if out, err := apply(strings.ReplaceAll(bad[0].yaml, "name: duration", "name: later")); err == nil {
			c.Kube("-n", "refused", "delete", "virtualservice", "later")
			return fmt.Errorf("the webhook is not back: %s", out)
		}
		return nil
	})
	reported := run(c, true, "weft translate --cluster")
	for _, b := range bad {
		has(c, "translate", reported, b.field)
		has(c, "a label", c.Kube("-n", "refused", "label", b.kind, b.name, "team=x"), "labeled")
		has(c, "an annotation", c.Kube("-n", "refused", "annotate", b.kind, b.name, "example.com/x=y"), "annotated")
	}
	out := run(c, false, `kubectl -n refused patch virtualservice duration --type=json -p '[{"op":"add","path":"/spec/http/0/retries","value":{"attempts":2}}]'`)
	has(c, "another field of a bad object", out, "Warning: weft: as before, spec.http[0].timeout: the duration -3s is negative")
	out = run(c, true, `kubectl -n refused patch virtualservice duration --type=json -p '[{"op":"add","path":"/spec/http/0/retries","value":{"attempts":2,"retryOn":"a b"}}]'`)
	has(c, "one fault more", out, "denied the request", "spec.http[0].retries.retryOn")
	for _, b := range bad {
		c.Kube("-n", "refused", "delete", b.kind, b.name)
	}
}

// TestAStatusComesBack: of a route that is replaced by another of its name, and
// of one whose status somebody empties.
func TestAStatusComesBack(t *testing.T) {
	c := clustertest.On(t, shared)
	c.Namespace("status")
	c.Apply("apiVersion: v1\nkind: Service\nmetadata: {name: api, namespace: status}\nspec: {ports: [{name: http, port: 80}]}\n")
	route := "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: r, namespace: status}\nspec: {parentRefs: [{group: '', kind: Service, name: api}], rules: [{backendRefs: [{name: api, port: 80}]}]}\n"
	accepted := func(within time.Duration) {
		t.Helper()
		c.Eventually(within, func() error {
			out, err := c.Kubectl(c.Context(), "-n", "status", "get", "httproute", "r", "-o", `jsonpath={.status.parents[*].conditions[?(@.type=="Accepted")].status}`)
			if err == nil && out != "True" {
				err = fmt.Errorf("accepted: %q", out)
			}
			return err
		})
	}
	c.Apply(route)
	accepted(limit)
	run(c, false, "kubectl replace --force -f - <<'EOF'\n"+route+"\nEOF")
	accepted(limit)
	c.Kube("-n", "status", "patch", "httproute", "r", "--subresource=status", "--type=merge", "-p", `{"status":{"parents":[]}}`)
	accepted(90 * time.Second)
}
