package translate_test

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/tools/txtar"

	"github.com/weftmesh/weft/control/source/file"
	"github.com/weftmesh/weft/control/world"
)

// expected are the parts of a case that are results; all others are input files.
var expected = []string{"mesh.yaml", "status.yaml", "endpoints.yaml", "problems.txt"}

func isExpected(name string) bool {
	for _, e := range expected {
		if name == e {
			return true
		}
	}
	return false
}

// eventsOf reads the objects of the input files of a case.
func eventsOf(t testing.TB, a *txtar.Archive) []world.Event {
	t.Helper()
	dir := t.TempDir()
	for _, f := range a.Files {
		if isExpected(f.Name) {
			continue
		}
		p := filepath.Join(dir, filepath.FromSlash(f.Name))
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, f.Data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	events, err := file.Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	return events
}
