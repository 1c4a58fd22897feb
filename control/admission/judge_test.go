package admission_test

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/weftmesh/weft/control/admission"
	"github.com/weftmesh/weft/control/problem"
	"github.com/weftmesh/weft/mesh"
)

// services are those that exist.
type services map[string]bool

func (s services) HasService(_ context.Context, namespace, name string) (bool, error) {
	return s[namespace+"/"+name], nil
}

var judge = admission.Judge{Settings: mesh.Settings{TrustDomain: "cluster.local", ClusterDomain: "cluster.local", RootNamespace: "weft-system"},
	Services: services{"shop/api": true, "shop/api-stable": true, "shop/api-canary": true}}

func object(t testing.TB, doc string) []byte {
	t.Helper()
	if doc == "" {
		return nil
	}
	raw, err := yaml.YAMLToJSON([]byte(doc))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func of(version, kind, rest string) string {
	return "apiVersion: " + version + "\nkind: " + kind + "\nmetadata: {name: x, namespace: shop}\n" + rest
}

const (
	istio   = "networking.istio.io/v1"
	gateway = "gateway.networking.k8s.io/v1"
	onAPI   = "parentRefs: [{group: '', kind: Service, name: api}]"
)

func virtual(rule string) string {
	return of(istio, "VirtualService", "spec: {hosts: [api], http: [{"+rule+"}]}")
}

func destination(policy string) string {
	return of(istio, "DestinationRule", "spec: {host: api, "+policy+"}")
}

func split(spec string) string {
	return of("split.smi-spec.io/v1alpha4", "TrafficSplit", "spec: {"+spec+"}")
}

func route(kind, spec string) string {
	return of(gateway, kind, "spec: {"+onAPI+", "+spec+"}")
}

func profile(spec string) string {
	return "apiVersion: linkerd.io/v1alpha2\nkind: ServiceProfile\nmetadata: {name: api.shop.svc.cluster.local, namespace: shop}\nspec: {" + spec + "}"
}

func service(annotations string) string {
	return "apiVersion: v1\nkind: Service\nmetadata: {name: api, namespace: shop, annotations: {" + annotations + "}}\nspec: {clusterIP: 10.0.0.1, ports: [{port: 80, name: http}]}"
}

const to = "route: [{destination: {host: api}}]"

// TestJudge has for each object the words of a fault, or of a warning; both
// empty mean that there is nothing to say.
func TestJudge(t *testing.T) {
	for name, c := range map[string]struct{ object, fault, warning string }{
		"virtual service": {virtual(to + ", timeout: 3s, retries: {attempts: 3, retryOn: '5xx,reset,503'}"), "", ""},
		"delegated":       {of(istio, "VirtualService", "spec: {http: [{match: [{uri: {regex: '['}}], "+to+"}]}"), "spec.http[0].match[0].uri.regex", ""},
		"outside":         {of(istio, "VirtualService", "spec: {hosts: [pay.example.com], http: [{timeout: 1s, route: [{destination: {host: pay.example.com}}]}]}"), "", ""},
		"outside, bad":    {of(istio, "VirtualService", "spec: {hosts: ['*.example.com'], http: [{timeout: -1s, "+to+"}]}"), "spec.http[0].timeout: the duration -1s is negative", ""},
		"negative":        {virtual(to + ", timeout: -3s"), "spec.http[0].timeout: the duration -3s is negative", ""},
		"unparsable":      {virtual(to + ", timeout: soon"), "spec.http[0].timeout", ""},
		"regex":           {virtual("match: [{uri: {regex: '(['}}], " + to), "spec.http[0].match[0].uri.regex", ""},
		"retry on":        {virtual(to + ", retries: {attempts: 1, retryOn: 5xx and more}"), "spec.http[0].retries.retryOn", ""},
		"two actions":     {virtual(to + ", redirect: {uri: /x}"), "exactly one of route, redirect", ""},
		"weights":         {virtual("route: [{destination: {host: api}, weight: -1}]"), "spec.http[0].route[0].weight", ""},
		"percentage":      {virtual(to + ", fault: {abort: {httpStatus: 500, percentage: {value: 120}}}"), "spec.http[0].fault.abort", ""},
		"status":          {virtual(to + ", fault: {abort: {httpStatus: 99}}"), "99 is not the status", ""},
		"unreachable":     {of(istio, "VirtualService", "spec: {hosts: [api], http: [{"+to+"}, {"+to+"}]}"), "", "spec.http[1]: spec.http[0] takes every request"},
		"newer field":     {virtual(to + ", tomorrow: 1"), "", "spec.http[0].tomorrow"},
		"gone":            {virtual("route: [{destination: {host: gone}}]"), "", "spec.http[0].route[0].destination.host: service gone does not exist in namespace shop yet"},
		"subset":          {virtual("route: [{destination: {host: api, subset: v2, port: {number: 8080}}}]"), "", ""},
		"tls rule":        {of(istio, "VirtualService", "spec: {hosts: [api], tls: [{match: [{port: 443, sniHosts: [api]}], route: [{destination: {host: api}}]}]}"), "", ""},
		"subnet":          {of(istio, "VirtualService", "spec: {hosts: [api], tcp: [{match: [{destinationSubnets: [everywhere]}], route: [{destination: {host: api}}]}]}"), "destinationSubnets[0]", ""},

		"destination rule": {destination("trafficPolicy: {loadBalancer: {simple: LEAST_REQUEST}}, subsets: [{name: a, labels: {v: '1'}}]"), "", ""},
		"enum":             {destination("trafficPolicy: {loadBalancer: {simple: FASTEST}}"), "spec.trafficPolicy.loadBalancer.simple", ""},
		"two balancers":    {destination("trafficPolicy: {loadBalancer: {simple: RANDOM, consistentHash: {useSourceIp: true}}}"), "only one of", ""},
		"subset twice":     {destination("subsets: [{name: a}, {name: a}]"), "spec.subsets[1].name: the subset a is given twice", ""},
		"panic":            {destination("trafficPolicy: {outlierDetection: {minHealthPercent: 101}}"), "minHealthPercent: 101 is not between 0 and 100", ""},
		"no host":          {of(istio, "DestinationRule", "spec: {}"), "spec.host", ""},
		"unverified":       {destination("trafficPolicy: {tls: {mode: SIMPLE}}"), "", "names no certificate authority"},

		"entry":          {of(istio, "ServiceEntry", "spec: {hosts: [a.example], ports: [{number: 80, name: http}], resolution: DNS}"), "", ""},
		"entry's host":   {of(istio, "ServiceEntry", "spec: {hosts: ['a b'], ports: [{number: 80, name: http}], resolution: DNS}"), "spec.hosts[0]", ""},
		"resolution":     {of(istio, "ServiceEntry", "spec: {hosts: [a.example], resolution: MAGIC}"), "spec.resolution", ""},
		"entry unknown":  {of(istio, "ServiceEntry", "spec: {hosts: [a.example], ports: [{number: 9000, name: tcp, protocol: TCP}], resolution: DNS}"), "", "spec.ports[0]"},
		"sidecar":        {of(istio, "Sidecar", "spec: {egress: [{hosts: ['./*']}]}"), "", ""},
		"sidecar's mode": {of(istio, "Sidecar", "spec: {outboundTrafficPolicy: {mode: SOME}}"), "spec.outboundTrafficPolicy.mode", ""},

		"split":         {split("service: api, backends: [{service: api-stable, weight: 900m}, {service: api-canary, weight: 100m}]"), "", ""},
		"split weight":  {split("service: api, backends: [{service: api-stable, weight: -1}]"), "spec.backends[0].weight", ""},
		"split typo":    {split("service: api, backend: [], backends: [{service: api, weight: 1}]"), "spec.backend", ""},
		"split missing": {split("service: api, backends: [{service: gone, weight: 1}]"), "", "spec.backends[0].service: service gone does not exist"},
		"group":         {of("specs.smi-spec.io/v1alpha4", "HTTPRouteGroup", "spec: {matches: [{name: a, pathRegex: '['}]}"), "spec.matches[0].pathRegex", ""},

		"http route":        {route("HTTPRoute", "rules: [{backendRefs: [{name: api-stable, port: 80, weight: 90}], timeouts: {request: 3s}}]"), "", ""},
		"route regex":       {route("HTTPRoute", "rules: [{matches: [{path: {type: RegularExpression, value: '['}}], backendRefs: [{name: api, port: 80}]}]"), "spec.rules[0].matches[0].path.value", ""},
		"route weight":      {route("HTTPRoute", "rules: [{backendRefs: [{name: api, port: 80, weight: -5}]}]"), "spec.rules[0].backendRefs[0].weight", "no backend has a weight"},
		"route elsewhere":   {of(gateway, "HTTPRoute", "spec: {parentRefs: [{name: g}], rules: [{backendRefs: [{name: gone, port: 80, weight: -5}]}]}"), "", ""},
		"route without it":  {route("HTTPRoute", "rules: [{backendRefs: [{name: gone, port: 80}]}]"), "", "spec.rules[0].backendRefs[0].name: service gone"},
		"other version":     {of("gateway.networking.k8s.io/v9", "HTTPRoute", "spec: 3"), "", ""},
		"nobody's business": {of("example.com/v1", "Gadget", "spec: {x: -1}"), "", ""},

		"profile":         {profile("routes: [{name: a, condition: {pathRegex: /a}, timeout: 30s, retries: {isRetryable: true, maxRetries: 3}}]"), "", ""},
		"profile regex":   {profile("routes: [{name: a, condition: {pathRegex: '('}}]"), "spec.routes[0].condition.pathRegex", ""},
		"profile timeout": {profile("routes: [{name: a, condition: {pathRegex: /a}, timeout: -1s}]"), "spec.routes[0].timeout", ""},
		"profile typo":    {profile("routes: [{name: a, condition: {pathRegex: /a}, timout: 1s}]"), "spec.routes[0].timout", ""},

		"annotations":    {service("retry.linkerd.io/http: 5xx, timeout.linkerd.io/request: 3s"), "", ""},
		"bad annotation": {service("timeout.linkerd.io/request: soon"), "metadata.annotations[timeout.linkerd.io/request]", ""},
		"opaque ports":   {service("config.linkerd.io/opaque-ports: '70000'"), "", "opaque-ports"},
		"plain service":  {"apiVersion: v1\nkind: Service\nmetadata: {name: a, namespace: shop}\nspec: {type: ExternalName, externalName: ''}", "", "spec.externalName"},
	} {
		t.Run(name, func(t *testing.T) {
			faults, warnings, err := judge.Judge(t.Context(), object(t, c.object), nil)
			if err != nil {
				t.Fatal(err)
			}
			check(t, "faults", faults, c.fault)
			check(t, "warnings", warnings, c.warning)
			for _, s := range append(faults, warnings...) {
				if strings.Contains(s, "last good state") || strings.Contains(s, "stand-in") {
					t.Errorf("%q speaks of what is not there", s)
				}
			}
		})
	}
}

func check(t *testing.T, what string, got []string, want string) {
	t.Helper()
	all := strings.Join(got, "\n")
	if (want == "") != (all == "") || !strings.Contains(all, want) {
		t.Errorf("%s %q, want %q", what, all, want)
	}
}

// TestUnrelatedChanges: what was bad before does not stand in the way.
func TestUnrelatedChanges(t *testing.T) {
	bad, twoBad := virtual(to+", timeout: -3s"), of(istio, "VirtualService", "spec: {hosts: [api], http: [{match: [{uri: {exact: /a}}], "+to+", timeout: -3s}, {"+to+", timeout: -4s}]}")
	good := virtual(to + ", timeout: 3s")
	for name, c := range map[string]struct{ now, old, fault, warning string }{
		"nothing":          {bad, bad, "", ""},
		"a label":          {strings.Replace(bad, "{name: x", "{labels: {a: b}, name: x", 1), bad, "", ""},
		"a finalizer":      {bad, strings.Replace(bad, "{name: x", "{finalizers: [a.b/c], name: x", 1), "", ""},
		"the status":       {bad + "\nstatus: {a: b}", bad, "", ""},
		"another field":    {strings.Replace(bad, "hosts: [api]", "hosts: [api], exportTo: ['.']", 1), bad, "", "as before, spec.http[0].timeout"},
		"a rule before it": {strings.Replace(bad, "http: [", "http: [{match: [{uri: {exact: /a}}], "+to+"}, ", 1), bad, "", "as before, spec.http[1].timeout"},
		"the field itself": {strings.Replace(bad, "-3s", "-4s", 1), bad, "-4s is negative", ""},
		"one more":         {twoBad, bad, "spec.http[1].timeout", "as before, spec.http[0].timeout"},
		"made bad":         {bad, good, "negative", ""},
		"mended":           {good, bad, "", ""},
		"of nothing":       {bad, "[]", "negative", ""},
	} {
		t.Run(name, func(t *testing.T) {
			faults, warnings, err := judge.Judge(t.Context(), object(t, c.now), object(t, c.old))
			if err != nil {
				t.Fatal(err)
			}
			check(t, "faults", faults, c.fault)
			check(t, "warnings", warnings, c.warning)
		})
	}
}

func TestNotAnObject(t *testing.T) {
	for _, doc := range []string{"", "null", "[]", "{", "3"} {
		if _, _, err := judge.Judge(t.Context(), []byte(doc), nil); !errors.Is(err, admission.ErrObject) {
			t.Errorf("%q: %v", doc, err)
		}
	}
}

// TestEveryErrorHasAClass: who adds an error decides what it means here.
func TestEveryErrorHasAClass(t *testing.T) {
	warnedOf := map[problem.Code]bool{
		problem.BadAddress: true, problem.BadIdentity: true, problem.NoExternalName: true, problem.AllWeightsZero: true,
		problem.RouteBackendKind: true, problem.UnsupportedFilter: true, problem.UnsupportedField: true, problem.OverrideWeights: true,
	}
	for _, e := range problem.Table {
		if e.Severity == mesh.Error && !admission.Classified(e.Code) && !warnedOf[e.Code] {
			t.Errorf("%s (%s) is an Error: refuse it, leave it to others, or list it here to be warned of", e.Code, e.Title)
		}
		if admission.Classified(e.Code) && warnedOf[e.Code] {
			t.Errorf("%s is in both lists", e.Code)
		}
	}
}

// TestOrdinaryObjects: what people write is neither refused nor warned of.
func TestOrdinaryObjects(t *testing.T) {
	raw, err := os.ReadFile("testdata/canary.yaml")
	if err != nil {
		t.Fatal(err)
	}
	docs := strings.Split(string(raw), "---\n")
	if len(docs) != 7 {
		t.Fatalf("%d objects, want 7", len(docs))
	}
	for _, doc := range docs {
		faults, warnings, err := admission.Judge{}.Judge(t.Context(), object(t, doc), nil)
		if err != nil || len(faults)+len(warnings) > 0 {
			t.Errorf("%s\nfaults %q, warnings %q, %v", doc, faults, warnings, err)
		}
	}
}
