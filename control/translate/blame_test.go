package translate_test

import (
	"testing"

	"golang.org/x/tools/txtar"

	"github.com/weftmesh/weft/control/translate"
	"github.com/weftmesh/weft/control/world"
)

// TestAProblemIsThatOfItsObject: of several DestinationRules for a host the one
// that says a bad value is blamed for it, also where another is older.
func TestAProblemIsThatOfItsObject(t *testing.T) {
	rule := func(name, created, spec string) string {
		return "---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: " + name + ", namespace: shop, creationTimestamp: '" + created + "'}\nspec: {host: api, " + spec + "}\n"
	}
	docs := "apiVersion: v1\nkind: Service\nmetadata: {name: api, namespace: shop}\nspec: {clusterIP: 10.0.0.1, ports: [{name: http, port: 80}]}\n" +
		rule("older", "2026-01-01T00:00:00Z", "trafficPolicy: {outlierDetection: {interval: 3s}}, subsets: [{name: a}]") +
		rule("younger", "2026-02-01T00:00:00Z", "trafficPolicy: {outlierDetection: {minHealthPercent: 101}}, subsets: [{name: b, trafficPolicy: {outlierDetection: {maxEjectionPercent: 102}}}]")
	events := eventsOf(t, &txtar.Archive{Files: []txtar.File{{Name: "x.yaml", Data: []byte(docs)}}})
	w, _ := world.Build(settings.TrustDomain, events...)
	found := 0
	for _, p := range translate.Build(w, settings).Problems {
		if p.Code != "IST0106" {
			continue
		}
		if found++; p.Origin.Name != "younger" {
			t.Errorf("blamed for it: %s", p)
		}
	}
	if found < 2 {
		t.Errorf("%d of the two problems are told", found)
	}
}
