package problem

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/weftmesh/weft/mesh"
)

var update = flag.Bool("update", false, "rewrite docs/problems.md")

const page = "../../docs/problems.md"

func TestTableIsWhole(t *testing.T) {
	last := Code("")
	for _, e := range Table {
		if e.Code <= last {
			t.Errorf("%s does not come after %s", e.Code, last)
		}
		last = e.Code
		if e.Title == "" || e.Meaning == "" || e.Severity == "" {
			t.Errorf("%s lacks a part: %+v", e.Code, e)
		}
	}
	if got := New("WEFT9999", mesh.Origin{}, "", "m", ""); got.Severity != mesh.Error {
		t.Errorf("an unknown code is a %s", got.Severity)
	}
	if got := New(SelfReference, mesh.Origin{}, "", "m", ""); got.Severity != mesh.Info || got.Code != "WEFT0207" {
		t.Errorf("got %+v", got)
	}
}

func TestPage(t *testing.T) {
	var b strings.Builder
	b.WriteString("# Problems\n\nWhat the control plane may find wrong with its input. An *Error* means that something asked for is not in effect, a *Warning* that it is in effect but probably not as meant, *Info* is worth knowing.\nThis page is made from `control/problem/entries.go` by `go test ./control/problem -update`.\n\n| code | severity | problem | what happens |\n|---|---|---|---|\n")
	for _, e := range Table {
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", e.Code, e.Severity, e.Title, e.Meaning)
	}
	if *update {
		if err := os.WriteFile(page, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != b.String() {
		t.Error("docs/problems.md is not what the table says; run go test ./control/problem -update")
	}
}
