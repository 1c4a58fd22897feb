package translate_test

import (
	"path/filepath"
	"testing"

	"golang.org/x/tools/txtar"

	"github.com/weftmesh/weft/control/translate"
	"github.com/weftmesh/weft/control/world"
	"github.com/weftmesh/weft/mesh"
)

// TestEverythingHasAField: a problem of an object says which field it is in,
// and whatever an object says in the mesh can be led back to a field.
func TestEverythingHasAField(t *testing.T) {
	cases, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(cases) == 0 {
		t.Fatalf("%d cases, %v", len(cases), err)
	}
	for _, name := range cases {
		t.Run(filepath.Base(name), func(t *testing.T) {
			a, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			w, _ := world.Build(settings.TrustDomain, eventsOf(t, a)...)
			r := translate.Build(w, settings)
			for _, p := range r.Problems {
				if p.Origin.Kind != "" && p.Field == "" {
					t.Errorf("no field: %s", p)
				}
			}
			said := func(what string, o mesh.Origin) {
				if o.Name != "" && o.Field == "" {
					t.Errorf("%s of %s has no field", what, o)
				}
			}
			for _, route := range r.Mesh.Routes {
				for i := range route.Rules {
					policies(&route.Rules[i], said)
				}
				for i := range route.TCP {
					said("a rule for connections", route.TCP[i].Origin)
				}
			}
		})
	}
}

// policies tells the origins of a rule and of all that it does.
func policies(r *mesh.Rule, said func(string, mesh.Origin)) {
	said("a rule", r.Origin)
	said("the timeouts", r.Timeouts.Origin)
	if r.Retry != nil {
		said("the retry", r.Retry.Origin)
	}
	if r.Fault != nil {
		said("the fault", r.Fault.Origin)
	}
	if r.CORS != nil {
		said("the CORS policy", r.CORS.Origin)
	}
	if r.Rewrite != nil {
		said("the rewrite", r.Rewrite.Origin)
	}
	for i := range r.Mirrors {
		said("a mirror", r.Mirrors[i].Origin)
	}
	for i := range r.Classes {
		said("a class of responses", r.Classes[i].Origin)
	}
}
