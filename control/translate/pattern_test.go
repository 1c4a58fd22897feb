package translate_test

import (
	"fmt"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/weftmesh/weft/control/translate"
	"github.com/weftmesh/weft/control/world"
	"github.com/weftmesh/weft/mesh"
)

// objects reads a text of YAML.
func objects(t testing.TB, text string) []world.Event {
	t.Helper()
	return eventsOf(t, &txtar.Archive{Files: []txtar.File{{Name: "all.yaml", Data: []byte(text)}}})
}

func serviceText(i int) string {
	return fmt.Sprintf("---\napiVersion: v1\nkind: Service\nmetadata: {name: s%d, namespace: n%d}\nspec: {clusterIP: 10.2.%d.%d, ports: [{name: http, port: 80}]}\n", i, i%20, i/250, 1+i%250)
}

// wide is a mesh of services that have the rules of one pattern in common.
type wide struct {
	stream *world.Stream
	x      *translate.Incremental
	spare  world.Event
	result translate.Result
}

func newWide(t testing.TB, services, rules int) *wide {
	t.Helper()
	var text strings.Builder
	for i := range services + 1 {
		text.WriteString(serviceText(i))
	}
	text.WriteString("---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: wide, namespace: n0}\nspec:\n  hosts: [\"*.svc.cluster.local\"]\n  http:\n")
	for i := range rules {
		fmt.Fprintf(&text, "  - {match: [{uri: {prefix: /p%d}}], route: [{destination: {host: s%d.n%d.svc.cluster.local}}]}\n", i, i%services, i%services%20)
	}
	events := objects(t, text.String())
	w := &wide{stream: world.NewStream(settings.TrustDomain), x: translate.NewIncremental(settings)}
	for i, e := range events {
		if i == services {
			w.spare = e
			continue
		}
		w.stream.Apply(e)
	}
	w.build()
	return w
}

func (w *wide) build() { w.result = w.x.Build(w.stream.World()) }

// more adds a service, and takes it away again.
func (w *wide) more() {
	w.stream.Apply(w.spare.Copy(func(metav1.Object) {}))
	w.build()
	kind, ref, _ := w.spare.About()
	w.stream.Apply(world.Delete(kind, ref))
	w.build()
}

// TestPatternIsMadeOnce: the rules of a pattern are made, compared and held once,
// however many services it covers.
func TestPatternIsMadeOnce(t *testing.T) {
	const services, rules = 200, 100
	w := newWide(t, services, rules)
	lists := func() int {
		seen := map[*mesh.Rule]bool{}
		for _, r := range w.result.Mesh.Routes {
			if len(r.Rules) != rules {
				t.Fatalf("%s has %d rules", r.Service, len(r.Rules))
			}
			seen[&r.Rules[0]] = true
		}
		return len(seen)
	}
	if n := lists(); n != 1 {
		t.Errorf("%d services hold %d lists of rules", services, n)
	}
	for range 3 {
		w.stream.Apply(w.spare.Copy(func(metav1.Object) {}))
		w.build()
		if n := lists(); n != 1 || len(w.result.Mesh.Routes) != services+1 {
			t.Errorf("with one service more %d routes hold %d lists of rules", len(w.result.Mesh.Routes), n)
		}
		kind, ref, _ := w.spare.About()
		w.stream.Apply(world.Delete(kind, ref))
		w.build()
	}
	few := testing.AllocsPerRun(3, newWide(t, services, 1).more)
	many := testing.AllocsPerRun(3, w.more)
	// Two translations a run.
	if each := (many - few) / 2 / (rules - 1); each > 100 {
		t.Errorf("one service more costs %.0f allocations for each rule of the pattern", each)
	}
}

// BenchmarkPattern adds a service to a mesh of 2,000 that have the 100 rules of
// one pattern in common, and takes it away again: two translations.
func BenchmarkPattern(b *testing.B) {
	w := newWide(b, 2000, 100)
	b.ReportAllocs()
	for b.Loop() {
		w.more()
	}
}
