package admission_test

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/weftmesh/weft/control/source/file"
	"github.com/weftmesh/weft/control/translate"
	"github.com/weftmesh/weft/control/world"
)

// limit is the processor time that a judgement may take: timeoutSeconds of the
// webhook. How busy the machine is makes no difference.
const limit = 10 * time.Second

// spent is the processor time of this process so far.
func spent(t testing.TB) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// alone are the messages of the translators for an object by itself, as `weft
// translate` would tell them.
func alone(t testing.TB, raw []byte) string {
	t.Helper()
	objects, problems, _ := file.Decode("object.json", raw)
	var events []world.Event
	for _, o := range objects {
		events = append(events, world.Put(o.Obj, o.Origin))
	}
	w, _ := world.Build(judge.Settings.TrustDomain, events...)
	var b strings.Builder
	for _, p := range append(problems, translate.Build(w, judge.Settings).Problems...) {
		b.WriteString(p.Message + "\n" + p.Remedy + "\n")
	}
	return b.String()
}

// FuzzJudge: whatever comes is judged in time and without a panic, equally each
// time; and what was refused may be kept as it is.
func FuzzJudge(f *testing.F) {
	for _, doc := range []string{
		virtual(to + ", timeout: -3s"), virtual("match: [{uri: {regex: '(['}}], " + to), destination("trafficPolicy: {loadBalancer: {simple: FASTEST}}"),
		of(istio, "ServiceEntry", "spec: {hosts: ['a b'], ports: [{number: 80, name: http}], resolution: DNS}"), of(istio, "Sidecar", "spec: {egress: [{hosts: ['./*']}]}"),
		split("service: api, backends: [{service: api-stable, weight: 900m}]"), route("HTTPRoute", "rules: [{backendRefs: [{name: api, port: 80, weight: -5}]}]"),
		route("GRPCRoute", "rules: [{matches: [{method: {service: a, type: RegularExpression}}]}]"), route("TLSRoute", "hostnames: ['*.'], rules: [{}]"),
		profile("routes: [{name: a, condition: {pathRegex: '('}}]"), service("retry.linkerd.io/http: teapot"),
		virtual(to), destination("subsets: [{name: a}]"), profile("routes: []"), service("a: b"),
		of(istio, "VirtualService", "spec: {http: [{delegate: {name: y}}]}"), of(istio, "ServiceEntry", "spec: {hosts: ['*.a']}"),
	} {
		raw := object(f, doc)
		f.Add(raw, []byte(nil))
		f.Add(raw, raw)
	}
	f.Add([]byte(`{"kind":"VirtualService","apiVersion":"networking.istio.io/v1","metadata":[],"spec":7}`), []byte("{"))
	f.Add([]byte("null"), []byte("[]"))
	f.Fuzz(func(t *testing.T, now, old []byte) {
		began := spent(t)
		faults, warnings, err := judge.Judge(t.Context(), now, old)
		again, _, _ := judge.Judge(t.Context(), now, old)
		if took := spent(t) - began; took > limit {
			t.Fatalf("two judgements took %v", took)
		}
		if err != nil && len(faults)+len(warnings) > 0 {
			t.Fatalf("%v, and yet %q %q", err, faults, warnings)
		}
		if !slices.Equal(faults, again) {
			t.Fatalf("%q, and then %q", faults, again)
		}
		for _, s := range append(faults, warnings...) {
			if strings.TrimSpace(s) == "" {
				t.Fatal("a fault without words")
			}
		}
		if kept, _, err := judge.Judge(t.Context(), now, now); err == nil && len(kept) > 0 {
			t.Fatalf("an object that stays as it is would be refused: %q", kept)
		}
	})
}

// TestJudgeSaysWhatTranslateSays: of an object that needs no other to be seen
// whole, a fault has the words that the translators have for it.
func TestJudgeSaysWhatTranslateSays(t *testing.T) {
	told := 0
	for name, doc := range map[string]string{
		"split":   split("service: api, backends: [{service: api-stable, weight: -1}, {service: b, weight: many}]"),
		"group":   of("specs.smi-spec.io/v1alpha4", "HTTPRouteGroup", "spec: {matches: [{name: a, pathRegex: '[', methods: ['GE T']}]}"),
		"profile": profile("routes: [{name: a, condition: {pathRegex: '('}, timeout: fast}], retryBudget: {retryRatio: -1, minRetriesPerSecond: 1, ttl: 10s}"),
		"sidecar": of(istio, "Sidecar", "spec: {egress: [{hosts: [nonsense]}], outboundTrafficPolicy: {mode: SOME}}"),
		"service": service("retry.linkerd.io/http: teapot, timeout.linkerd.io/request: -1s"),
		"entry":   of(istio, "ServiceEntry", "spec: {hosts: ['a b'], ports: [{number: 80, name: http}], resolution: DNS}"),
	} {
		raw := object(t, doc)
		translators := alone(t, raw)
		faults, _, err := judge.Judge(t.Context(), raw, nil)
		if err != nil || len(faults) == 0 {
			t.Errorf("%s: %q, %v", name, faults, err)
		}
		for _, f := range faults {
			told++
			// Field, message and remedy; there is no last good state here.
			for _, part := range strings.Split(f, "; ") {
				if _, message, found := strings.Cut(part, ": "); found && strings.HasPrefix(part, "spec") || strings.HasPrefix(part, "metadata") {
					part = message
				}
				if !strings.Contains(translators, part) {
					t.Errorf("%s: %q is none of the translators' words:\n%s", name, part, translators)
				}
			}
		}
	}
	if told < 8 {
		t.Errorf("only %d faults are told", told)
	}
}

// TestJudgeInTime: large and deep objects take no longer than the API server
// waits, and end in an answer.
func TestJudgeInTime(t *testing.T) {
	repeat := func(n int, f func(i int) string) string {
		parts := make([]string, n)
		for i := range parts {
			parts[i] = f(i)
		}
		return strings.Join(parts, ",")
	}
	head := func(version, kind string) string {
		return `{"apiVersion":"` + version + `","kind":"` + kind + `","metadata":{"name":"x","namespace":"shop"},"spec":`
	}
	for name, c := range map[string]struct {
		raw   string
		fault string
	}{
		"many rules": {head(istio, "VirtualService") + `{"hosts":["api"],"http":[` + repeat(3000, func(i int) string {
			return `{"match":[{"uri":{"exact":"/` + strconv.Itoa(i) + `"}}],"route":[{"destination":{"host":"h` + strconv.Itoa(i%400) + `"}}],"timeout":"-1s"}`
		}) + `]}}`, "spec.http[2999].timeout"},
		"many services": {head("split.smi-spec.io/v1alpha4", "TrafficSplit") + `{"service":"api","backends":[` + repeat(5000, func(i int) string {
			return `{"service":"b` + strconv.Itoa(i) + `","weight":-1}`
		}) + `]}}`, "spec.backends[4999].weight"},
		"many ports": {head("gateway.networking.k8s.io/v1", "HTTPRoute") + `{"parentRefs":[{"group":"","kind":"Service","name":"api"}],"rules":[` + repeat(4000, func(i int) string {
			return `{"backendRefs":[{"name":"b` + strconv.Itoa(i) + `","port":` + strconv.Itoa(1000+i) + `,"weight":-1}]}`
		}) + `]}}`, "spec.rules[3999].backendRefs[0].weight"},
		"many of all": {head(istio, "VirtualService") + `{"hosts":[` + repeat(100, func(i int) string { return `"h` + strconv.Itoa(i) + `"` }) + `],"http":[` + repeat(200, func(i int) string {
			return `{"match":[{"uri":{"prefix":"/` + strconv.Itoa(i) + `"}}],"timeout":"-1s","route":[{"destination":{"host":"h` + strconv.Itoa(i%100) + `","port":{"number":` + strconv.Itoa(1000+i) + `}}}]}`
		}) + `]}}`, "spec.http[199].timeout"},
		"many ports of many": {head(istio, "VirtualService") + `{"hosts":[` + repeat(1000, func(i int) string { return `"h` + strconv.Itoa(i) + `"` }) + `],"http":[` + repeat(1000, func(i int) string {
			return `{"match":[{"port":` + strconv.Itoa(1000+i) + `},{"uri":{"prefix":"/"}}],"timeout":"-1s","route":[{"destination":{"host":"h0"}}]}`
		}) + `]}}`, "spec.http[0].timeout"},
		"a huge expression": {head(istio, "VirtualService") + `{"hosts":["api"],"http":[{"match":[{"uri":{"regex":"` + strings.Repeat("(a|b){1000}", 1000) + `"}}],"route":[{"destination":{"host":"api"}}]}]}}`, "spec.http[0].match[0].uri.regex"},
		"a deep condition":  {head("linkerd.io/v1alpha2", "ServiceProfile") + `{"routes":[{"name":"a","condition":` + strings.Repeat(`{"not":`, 3000) + `{"pathRegex":"/"}` + strings.Repeat("}", 3000) + `}]}}`, ""},
		"deep garbage":      {head(istio, "VirtualService") + strings.Repeat(`{"a":[`, 4000) + strings.Repeat("]}", 4000) + "}", ""},
	} {
		t.Run(name, func(t *testing.T) {
			if !json.Valid([]byte(c.raw)) {
				t.Fatal("the case is not JSON")
			}
			began := spent(t)
			faults, _, err := judge.Judge(t.Context(), []byte(c.raw), nil)
			if took := spent(t) - began; took > limit {
				t.Errorf("%v for %d bytes", took, len(c.raw))
			}
			if c.fault != "" && !strings.Contains(strings.Join(faults, "\n"), c.fault) {
				t.Errorf("%d faults, %v; none for %s", len(faults), err, c.fault)
			}
		})
	}
}
