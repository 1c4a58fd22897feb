package translate_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"github.com/weftmesh/weft/control/translate"
	"github.com/weftmesh/weft/control/world"
	"github.com/weftmesh/weft/mesh"
)

// build translates the files of a case of testdata.
func build(t *testing.T, name string, s mesh.Settings) translate.Result {
	t.Helper()
	a, err := txtar.ParseFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	w, _ := world.Build(s.TrustDomain, eventsOf(t, a)...)
	return translate.Build(w, s)
}

// TestOldestAlone: with Istio's own way of it only the first of the guide's
// VirtualServices is in effect, and the first traffic policy.
func TestOldestAlone(t *testing.T) {
	s := settings
	s.Combine = mesh.CombineOldest
	r := build(t, "istio-guide.txtar", s)
	if len(r.Mesh.Routes) != 1 || len(r.Mesh.Routes[0].Rules) != 1 {
		t.Fatalf("routes: %+v", r.Mesh.Routes)
	}
	rule := r.Mesh.Routes[0].Rules[0]
	if rule.Retry.Attempts != 3 || rule.Timeouts.Request != nil || rule.Backends[0].Subset != "" {
		t.Errorf("another object than the oldest is in effect: %+v", rule)
	}
	d := r.Mesh.Destinations[0]
	if d.Policy.Outlier == nil || d.Policy.Pool != nil || len(d.Subsets) != 2 {
		t.Errorf("policies are mixed, or subsets are not united: %+v", d)
	}
	lost := 0
	for _, p := range r.Problems {
		if p.Code == "IST0109" && p.Severity == mesh.Error {
			lost++
		}
	}
	if lost != 2 {
		t.Errorf("%d of 2 VirtualServices are told that they are not in effect: %v", lost, r.Problems)
	}
}

// TestGuideTogether: all five objects of the guide are in effect.
func TestGuideTogether(t *testing.T) {
	r := build(t, "istio-guide.txtar", settings)
	rules := r.Mesh.Routes[0].Rules
	if len(rules) != 2 || len(rules[0].Matches) != 1 || rules[0].Backends[0].Subset != "canary" || rules[1].Backends[0].Weight != 90 {
		t.Fatalf("rules: %+v", rules)
	}
	for _, rule := range rules {
		if rule.Retry.Attempts != 3 || rule.Retry.PerTry.Std().String() != "10s" || rule.Timeouts.Request.Std().String() != "30s" {
			t.Errorf("without the policy of the others: %+v", rule)
		}
	}
	p, labels, ok := r.Mesh.Destinations[0].For("canary", 80)
	if !ok || labels["version"] != "canary" || *p.Pool.MaxConnections != 100 || p.Pool.Upgrade != mesh.DoUpgrade || *p.Outlier.Consecutive5xx != 3 || *p.Outlier.MinHealthPercent != 30 || p.Balancing.Algorithm != mesh.LeastRequest {
		t.Errorf("the rules are not joined: %+v", p)
	}
	for _, problem := range r.Problems {
		if problem.Severity == mesh.Error {
			t.Errorf("something is lost: %s", problem)
		}
	}
}

// TestAgeDecides: of values that contradict each other the older object's is in
// effect, whatever it is named; of limits the tighter one, whoever is older.
func TestAgeDecides(t *testing.T) {
	a, err := os.ReadFile("testdata/istio-guide.txtar")
	if err != nil {
		t.Fatal(err)
	}
	const contradiction = "  trafficPolicy:\n    # Outlier detection implements the circuit breaker pattern\n"
	text := strings.Replace(string(a), contradiction, contradiction+"    loadBalancer: {simple: RANDOM}\n", 1)
	for older, want := range map[string]mesh.Balance{"api-destination": mesh.LeastRequest, "api-circuit-breaker": mesh.Random} {
		aged := text
		for _, name := range []string{"api-destination", "api-circuit-breaker"} {
			year := "2021"
			if name == older {
				year = "2020"
			}
			aged = strings.Replace(aged, "name: "+name+"\n", "name: "+name+"\n  creationTimestamp: "+year+"-01-01T00:00:00Z\n", 1)
		}
		w, _ := world.Build(settings.TrustDomain, eventsOf(t, txtar.Parse([]byte(aged)))...)
		p := translate.Build(w, settings).Mesh.Destinations[0].Policy
		if p.Balancing.Algorithm != want {
			t.Errorf("with an older %s: %s", older, p.Balancing.Algorithm)
		}
		if o := p.Outlier; *o.Consecutive5xx != 3 || o.Interval.Std().String() != "10s" || o.BaseEjection.Std().String() != "30s" || *o.MaxEjectionPercent != 50 {
			t.Errorf("with an older %s: %+v", older, o)
		}
	}
}
