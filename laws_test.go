package weft

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"
)

const module = "github.com/weftmesh/weft/"

// ban says that packages below a folder must not import something.
type ban struct {
	from    string   // folder, "" for all
	imports []string // import path prefixes; "ours" paths begin with the module
	except  []string // folders below from that may
	why     string
}

var std = "std" // stands for: anything outside the standard library

// The import table. Directions that are not banned here are allowed.
var bans = []ban{
	{"identity", []string{std}, nil, "identity is shared by every product and depends on the standard library alone"},
	{"mesh", []string{std}, nil, "the IR knows no Kubernetes, Envoy, protobuf or API-family type"},
	{"proxy", []string{module + "control", module + "inject", module + "cli", module + "manifests", module + "local", module + "redirect", module + "mesh"}, nil, "control plane and proxy meet on the wire only"},
	{"control", []string{module + "proxy", module + "cli", module + "local"}, nil, "control plane and proxy meet on the wire only"},
	{"proxy", []string{"k8s.io/", "sigs.k8s.io/", "google.golang.org/grpc", "github.com/envoyproxy/", "github.com/prometheus/", "net/http"}, []string{"proxy/proxytest"}, "a sidecar stays small: no Kubernetes client, no grpc-go, no net/http"},
	{"cmd/weft-proxy", []string{"k8s.io/", "google.golang.org/grpc", "github.com/envoyproxy/", "net/http"}, nil, "a sidecar stays small"},
	{"cmd/weft-init", []string{"k8s.io/", "google.golang.org/grpc", "os/exec", "net/http"}, nil, "the init container has no shell and needs no client"},
	{"redirect", []string{"os/exec", "k8s.io/", module + "proxy", module + "control"}, nil, "rules are set by netlink, without iptables binaries"},
	{"control/translate/core", []string{module + "control/translate/smi", module + "control/translate/gatewayapi", module + "control/translate/istio", module + "control/translate/linkerd"}, nil, "API families never import each other"},
	{"control/translate/smi", []string{module + "control/translate/core", module + "control/translate/gatewayapi", module + "control/translate/istio", module + "control/translate/linkerd"}, nil, "API families never import each other"},
	{"control/translate/gatewayapi", []string{module + "control/translate/core", module + "control/translate/smi", module + "control/translate/istio", module + "control/translate/linkerd"}, nil, "API families never import each other"},
	{"control/translate/istio", []string{module + "control/translate/core", module + "control/translate/smi", module + "control/translate/gatewayapi", module + "control/translate/linkerd"}, nil, "API families never import each other"},
	{"control/translate/linkerd", []string{module + "control/translate/core", module + "control/translate/smi", module + "control/translate/gatewayapi", module + "control/translate/istio"}, nil, "API families never import each other"},
	{"control/translate/fragment", []string{module + "control/translate/core", module + "control/translate/smi", module + "control/translate/gatewayapi", module + "control/translate/istio", module + "control/translate/linkerd"}, nil, "what families share knows none of them"},
	{"control/translate/annotation", []string{module + "control/translate/core", module + "control/translate/smi", module + "control/translate/gatewayapi", module + "control/translate/istio", module + "control/translate/linkerd"}, nil, "what families share knows none of them"},
	{"control/translate/httproute", []string{module + "control/translate/core", module + "control/translate/smi", module + "control/translate/gatewayapi", module + "control/translate/istio", module + "control/translate/linkerd"}, nil, "what families share knows none of them"},
	{"", []string{"istio.io/api"}, []string{"internal/istioapi", "control/translate/istio"}, "types of Istio's API are read in one place and translated in one"},
	{"control", []string{"github.com/envoyproxy/"}, []string{"control/xds", "control/snapshot", "control/push", "control/controltest"}, "Envoy types live where resources are made and sent"},
	{"", []string{"istio.io/istio", "github.com/linkerd/", "mosn.io/", "github.com/envoyproxy/envoy"}, nil, "the implementation of a rival is never imported; API types are fine"},
}

// banned names of folders: they say nothing about what is inside.
var bannedFolders = []string{"pkg", "util", "utils", "common", "helpers", "misc"}

// maxLines is the budget of a hand-written product file; most have 75 to 200.
const maxLines = 600

type goFile struct {
	rel       string // slash-separated, from the root
	pkg       string
	doc       bool
	imports   []string
	lines     int
	generated bool
	test      bool
}

func goFiles(t *testing.T) []goFile {
	t.Helper()
	var out []goFile
	err := filepath.WalkDir(".", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() {
			if p != "." && (strings.HasPrefix(name, ".") || name == "testdata" || name == "dist" || name == "node_modules" || name == "out") {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		src, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		f, err := parser.ParseFile(token.NewFileSet(), p, src, parser.ImportsOnly|parser.ParseComments)
		if err != nil {
			return err
		}
		g := goFile{rel: filepath.ToSlash(p), pkg: f.Name.Name, doc: f.Doc != nil, lines: bytes.Count(src, []byte("\n")),
			generated: ast.IsGenerated(f), test: strings.HasSuffix(name, "_test.go")}
		for _, im := range f.Imports {
			g.imports = append(g.imports, strings.Trim(im.Path.Value, `"`))
		}
		out = append(out, g)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(out) == 0 {
		t.Fatal("no Go file found: the laws would hold for nothing")
	}
	return out
}

func under(file, folder string) bool { return folder == "" || strings.HasPrefix(file, folder+"/") }

func TestImportsPointOneWay(t *testing.T) {
	for _, f := range goFiles(t) {
		for _, b := range bans {
			if f.test || f.generated || !under(f.rel, b.from) || underAny(f.rel, b.except) {
				continue
			}
			for _, im := range f.imports {
				if hits(im, b.imports) {
					t.Errorf("%s imports %s: %s", f.rel, im, b.why)
				}
			}
		}
	}
}

func underAny(file string, folders []string) bool {
	for _, d := range folders {
		if under(file, d) {
			return true
		}
	}
	return false
}

func hits(im string, prefixes []string) bool {
	for _, p := range prefixes {
		if p == std {
			first, _, _ := strings.Cut(im, "/")
			ours := im == module+"identity"
			if strings.Contains(first, ".") && !ours {
				return true
			}
		} else if im == strings.TrimSuffix(p, "/") || strings.HasPrefix(im, strings.TrimSuffix(p, "/")+"/") {
			return true
		}
	}
	return false
}

func TestFilesStaySmall(t *testing.T) {
	for _, f := range goFiles(t) {
		if !f.test && !f.generated && f.lines > maxLines {
			t.Errorf("%s has %d lines; the budget is %d: what in it is a thing of its own?", f.rel, f.lines, maxLines)
		}
	}
}

func TestEveryPackageHasOneComment(t *testing.T) {
	docs, seen := map[string][]string{}, map[string]bool{}
	for _, f := range goFiles(t) {
		if f.test || f.generated {
			continue
		}
		d := path.Dir(f.rel)
		seen[d] = true
		if f.doc {
			docs[d] = append(docs[d], f.rel)
		}
	}
	for d := range seen {
		if n := len(docs[d]); n != 1 {
			t.Errorf("%s has %d package comments, want one: %v", d, n, docs[d])
		}
	}
}

func TestFolderNamesSaySomething(t *testing.T) {
	for _, f := range goFiles(t) {
		for _, seg := range strings.Split(path.Dir(f.rel), "/") {
			for _, b := range bannedFolders {
				if seg == b {
					t.Errorf("%s: a folder named %q says nothing about what is inside", f.rel, seg)
				}
			}
		}
	}
}

func TestModuleReplacesNothing(t *testing.T) {
	src, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range strings.Split(string(src), "\n") {
		if strings.HasPrefix(strings.TrimSpace(l), "replace") {
			t.Errorf("go.mod: %s: a module that replaces another cannot be installed with go install", l)
		}
	}
}
