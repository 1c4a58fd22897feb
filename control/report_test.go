package control

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/weftmesh/weft/mesh"
)

func TestProblemsAreToldOnce(t *testing.T) {
	var out bytes.Buffer
	r := reporter{log: slog.New(slog.NewTextHandler(&out, nil))}
	p := mesh.Problem{Severity: mesh.Error, Code: "WEFT0001", Origin: mesh.Origin{File: "split.yaml", Line: 3}, Message: "not YAML"}
	for range 3 {
		r.report([]mesh.Problem{p})
	}
	r.report(nil)
	r.report(nil)
	if n := strings.Count(out.String(), "split.yaml:3"); n != 2 {
		t.Errorf("told %d times, want once when it came and once when it went:\n%s", n, out.String())
	}
	if !strings.Contains(out.String(), "level=WARN msg=problem") || !strings.Contains(out.String(), "mended") {
		t.Errorf("unexpected log:\n%s", out.String())
	}
}
