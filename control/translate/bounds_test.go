package translate_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/weftmesh/weft/control/problem"
	"github.com/weftmesh/weft/control/translate"
	"github.com/weftmesh/weft/control/world"
	"github.com/weftmesh/weft/mesh"
)

// translated is what a text of YAML comes to.
func translated(t testing.TB, text string) translate.Result {
	t.Helper()
	w, _ := world.Build(settings.TrustDomain, objects(t, text)...)
	return translate.Build(w, settings)
}

// profiled is a service with a profile of some routes, whose paths have a
// pattern, beside a VirtualService of some rules.
func profiled(routes int, pattern string, rules int, more string) string {
	var b strings.Builder
	b.WriteString("apiVersion: v1\nkind: Service\nmetadata: {name: api, namespace: shop}\nspec: {clusterIP: 10.2.0.1, ports: [{name: http, port: 80}]}\n" +
		"---\napiVersion: linkerd.io/v1alpha2\nkind: ServiceProfile\nmetadata: {name: api.shop.svc.cluster.local, namespace: shop}\nspec:\n  routes:\n")
	for i := range routes {
		fmt.Fprintf(&b, "  - {name: r%d, condition: {pathRegex: '%s'}, timeout: 3s}\n", i, fmt.Sprintf(pattern, i))
	}
	b.WriteString("---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: v, namespace: shop}\nspec:\n  hosts: [api]\n  http:\n")
	for i := range rules {
		fmt.Fprintf(&b, "  - {name: v%d, match: [{uri: {prefix: /q%d/}}], headers: {request: {set: {a: b}}}, route: [{destination: {host: api}}]}\n", i, i)
	}
	return b.String() + more
}

const catchAll = "  - {name: rest, headers: {request: {set: {a: b}}}, route: [{destination: {host: api}}, {destination: {host: api}, weight: 1}]}\n"

func about(r translate.Result, code problem.Code) (out []mesh.Problem) {
	for _, p := range r.Problems {
		if p.Code == string(code) {
			out = append(out, p)
		}
	}
	return out
}

// TestProfileBesideManyRules: routes of a profile make no rules for requests that
// there cannot be.
func TestProfileBesideManyRules(t *testing.T) {
	r := translated(t, profiled(300, "^/r%d/[^/]*", 200, ""))
	if n := len(r.Mesh.Routes[0].Rules); n != 200 {
		t.Errorf("%d rules for 200 of which none has requests for the profile", n)
	}
	if lost := about(r, problem.PolicySaidElsewhere); len(lost) != 300 || !strings.Contains(lost[0].Message, "no rule takes requests") {
		t.Errorf("%d routes of the profile are told that they are not in effect: %v", len(lost), lost)
	}
	// Those that can be the same are both in effect.
	r = translated(t, profiled(300, "/q%d/x/[^/]*", 200, catchAll))
	rules := r.Mesh.Routes[0].Rules
	if n := len(rules); n != 200+200+300+1 {
		t.Fatalf("%d rules for 200 with one route of the profile each, and one with all", n)
	}
	for i, want := range []string{"r0", "v0", "r1", "v1"} {
		if rules[i].Name != want {
			t.Errorf("rule %d is %s, not %s", i, rules[i].Name, want)
		}
	}
	if len(about(r, problem.PolicySaidElsewhere))+len(about(r, problem.TooManyAlternatives)) != 0 {
		t.Errorf("something is lost: %v", r.Problems)
	}
}

// TestTooManyAlternatives: what comes of a profile and rules is bounded; every
// rule stays, and the profile is in effect for what no rule takes.
func TestTooManyAlternatives(t *testing.T) {
	r := translated(t, profiled(300, ".*/r%d", 200, catchAll))
	n, rules := 0, r.Mesh.Routes[0].Rules
	names := map[string]int{}
	for i := range rules {
		n += max(1, len(rules[i].Matches))
		names[rules[i].Name]++
	}
	if n > 4096+300+201 {
		t.Errorf("%d alternatives", n)
	}
	for i := range 200 {
		if names[fmt.Sprint("v", i)] != 1 {
			t.Errorf("rule v%d is there %d times", i, names[fmt.Sprint("v", i)])
		}
	}
	// 12 rules of 300 fit beside those of the last.
	if names["rest"] != 1 || names["r0"] != 13 || names["r299"] != 13 {
		t.Errorf("of the profile's routes there are %d and %d rules", names["r0"], names["r299"])
	}
	for i, rule := range rules[len(rules)-301:] {
		if i < 300 && (rule.Name != fmt.Sprint("r", i) || rule.Timeouts.Request == nil) {
			t.Errorf("the last rule lacks the profile's %d: %+v", i, rule)
		}
	}
	told := about(r, problem.TooManyAlternatives)
	if len(told) != 1 || told[0].Origin.Kind != "ServiceProfile" || !strings.Contains(told[0].Message, "for 188 of the rules, the first spec.http[12] of VirtualService shop/v") {
		t.Errorf("told: %v", told)
	}
	if lost := about(r, problem.PolicySaidElsewhere); len(lost) != 0 {
		t.Errorf("and told again: %v", lost)
	}
}

// TestProfileBehindAll: the reason that is told is the one that holds.
func TestProfileBehindAll(t *testing.T) {
	r := translated(t, strings.Replace(profiled(1, "/r%d", 0, catchAll), "  routes:\n", "  routes:\n  - {name: all, condition: {pathRegex: '.*'}, isRetryable: true}\n", 1))
	lost := about(r, problem.PolicySaidElsewhere)
	if len(lost) != 1 || lost[0].Field != "spec.routes[1].timeout" || !strings.HasPrefix(lost[0].Message, "spec.routes[0] takes every request") {
		t.Errorf("told: %v", lost)
	}
}

// TestHugeWeights: what users divide by stays the share, within what xDS takes.
func TestHugeWeights(t *testing.T) {
	const big = 2_000_000_000
	r := translated(t, profiled(0, "", 1, fmt.Sprintf("  - {name: split, route: [{destination: {host: api}, weight: %d}, {destination: {host: api}, weight: %d}, {destination: {host: api}, weight: %d}, {destination: {host: api}, weight: 3}]}\n", big, big, big/2)))
	b := r.Mesh.Routes[0].Rules[1].Backends
	var sum uint64
	for i := range b {
		sum += uint64(b[i].Weight)
	}
	if sum > 1<<32-1 || b[0].Weight != b[1].Weight || b[0].Weight != 2*b[2].Weight || b[3].Weight == 0 {
		t.Errorf("weights %d, %d, %d, %d", b[0].Weight, b[1].Weight, b[2].Weight, b[3].Weight)
	}
}

// TestProblemsOfManyObjects: what is told of many objects of one host grows as
// they do, and not as their pairs, or theirs and those of namespaces.
func TestProblemsOfManyObjects(t *testing.T) {
	size := func(n int, object func(i int) string) (bytes int) {
		var b strings.Builder
		b.WriteString("apiVersion: v1\nkind: Service\nmetadata: {name: api, namespace: shop}\nspec: {clusterIP: 10.2.0.1, ports: [{name: http, port: 80}]}\n")
		for i := range n {
			b.WriteString("---\n" + object(i))
		}
		r := translated(t, b.String())
		for _, p := range r.Problems {
			bytes += len(p.String())
		}
		if len(r.Problems) < n/2 {
			t.Errorf("%d problems of %d objects", len(r.Problems), n)
		}
		return bytes
	}
	virtual := func(name, spec string) string {
		return "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: " + name + ", namespace: shop}\nspec: {hosts: [api], " + spec + "}\n"
	}
	for name, object := range map[string]func(i int) string{
		"rules": func(i int) string {
			return virtual(fmt.Sprintf("v%04d", i), fmt.Sprintf("http: [{match: [{uri: {prefix: /%d}}], route: [{destination: {host: api}}]}]", i))
		},
		"policy": func(i int) string {
			return virtual(fmt.Sprintf("v%04d", i), "http: [{timeout: 1s, route: [{destination: {host: api}}]}]")
		},
		"for namespaces": func(i int) string {
			if i%2 == 0 {
				return virtual(fmt.Sprintf("v%04d", i), fmt.Sprintf("exportTo: [n%d], http: [{match: [{uri: {prefix: /%d}}], route: [{destination: {host: api}}]}]", i, i))
			}
			return virtual(fmt.Sprintf("v%04d", i), "http: [{timeout: 1s, route: [{destination: {host: api}}]}]")
		},
		"outranked in namespaces": func(i int) string {
			if i%2 == 0 {
				return fmt.Sprintf("apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: r, namespace: n%d}\nspec: {parentRefs: [{kind: Service, group: \"\", name: api, namespace: shop, port: 80}], rules: [{}]}\n", i)
			}
			return virtual(fmt.Sprintf("v%04d", i), fmt.Sprintf("http: [{match: [{uri: {prefix: /%d}}], route: [{destination: {host: api}}]}]", i))
		},
	} {
		few, many := size(40, object), size(160, object)
		if many > 5*few {
			t.Errorf("%s: 40 objects have %d bytes of problems, 160 have %d", name, few, many)
		}
	}
}
