package inject

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/weftmesh/weft/cli/console"
	"github.com/weftmesh/weft/manifests"
)

// editor changes one object in place and says what it did, for stderr. An
// empty outcome means that the object is none of its business.
type editor interface {
	edit(o manifests.Object) (outcome string, err error)
}

// run edits every object of the inputs and prints them all.
func run(c console.Console, inputs []string, e editor) error {
	var out []manifests.Object
	var faults []error
	for _, in := range inputs {
		docs, err := readInput(in, c.In)
		if err != nil {
			return err
		}
		for _, doc := range docs {
			objects, err := manifests.Split(doc.raw)
			if err != nil {
				return fmt.Errorf("%s: %w", doc.name, err)
			}
			for _, o := range objects {
				faults = append(faults, editAll(c, o, e)...)
				out = append(out, o)
			}
		}
	}
	if err := errors.Join(faults...); err != nil {
		return err
	}
	c.Printf("\n")
	return manifests.Write(c.Out, out)
}

// editAll edits an object, or each item of a list.
func editAll(c console.Console, o manifests.Object, e editor) []error {
	if items, ok := o.Object["items"].([]any); ok && strings.HasSuffix(o.GetKind(), "List") {
		var faults []error
		for _, it := range items {
			if m, ok := it.(map[string]any); ok {
				item := manifests.Object{}
				item.Object = m
				faults = append(faults, editAll(c, item, e)...)
			}
		}
		return faults
	}
	outcome, err := e.edit(o)
	name := fmt.Sprintf("%s %q", strings.ToLower(o.GetKind()), o.GetName())
	if err != nil {
		return []error{fmt.Errorf("%s: %w", name, err)}
	}
	if outcome != "" {
		c.Printf("%s %s\n", name, outcome)
	}
	return nil
}

type document struct {
	name string
	raw  []byte
}

// readInput reads stdin (-), a file, or all YAML and JSON files below a folder.
func readInput(name string, stdin io.Reader) ([]document, error) {
	if name == "-" {
		raw, err := io.ReadAll(stdin)
		return []document{{"stdin", raw}}, err
	}
	var out []document
	err := filepath.WalkDir(name, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if p != name && !slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(p)) {
			return nil
		}
		raw, err := os.ReadFile(p)
		out = append(out, document{p, raw})
		return err
	})
	return out, err
}
