package problem

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strconv"
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
	b.WriteString("# Problems\n\nWhat the control plane may find wrong with its input. An *Error* means that something asked for is not in effect, a *Warning* that it is in effect but probably not as meant, *Info* is worth knowing.\n" +
		"`weft translate` lists the problems of files or of a cluster, `weft why` those of one destination; the log and the admin port of the control plane have them too.\n" +
		"This page is made from `control/problem` by `go test ./control/problem -update`.\n")
	for _, e := range Table {
		a, ok := advice[e.Code]
		if !ok || a.example == "" || a.remedy == "" {
			t.Errorf("%s (%s) has no example, or nothing to do: see advice_test.go", e.Code, e.Title)
		}
		fmt.Fprintf(&b, "\n## %s %s\n\n*%s.* %s\n- Example: `%s`\n- What to do: %s\n", e.Code, e.Title, e.Severity, e.Meaning, a.example, a.remedy)
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

// TestEveryCodeIsInTheTable reads the package's own source: a code that is not
// in the table is not explained, and counts as an Error without saying so.
func TestEveryCodeIsInTheTable(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, name := range files {
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			v, ok := n.(*ast.ValueSpec)
			if !ok {
				return true
			}
			if kind, ok := v.Type.(*ast.Ident); !ok || kind.Name != "Code" {
				return true
			}
			for i, value := range v.Values {
				code, err := strconv.Unquote(value.(*ast.BasicLit).Value)
				if err != nil {
					t.Fatal(err)
				}
				found++
				if _, ok := Find(Code(code)); !ok {
					t.Errorf("%s (%s, %s) is not in the table", code, v.Names[i], name)
				}
			}
			return true
		})
	}
	if found != len(Table) || found != len(advice) {
		t.Errorf("%d codes, %d entries of the table, %d of advice", found, len(Table), len(advice))
	}
}
