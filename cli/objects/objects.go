// Package objects reads the objects that a command reasons about: from files,
// or from the cluster, through the same sources as the control plane.
package objects

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sort"

	"github.com/spf13/pflag"

	"github.com/weftmesh/weft/cli/cluster"
	"github.com/weftmesh/weft/cli/console"
	"github.com/weftmesh/weft/control/problem"
	"github.com/weftmesh/weft/control/source/file"
	"github.com/weftmesh/weft/control/translate"
	"github.com/weftmesh/weft/control/world"
	"github.com/weftmesh/weft/identity"
	"github.com/weftmesh/weft/mesh"
)

// ErrInput means that what the flags name cannot be read.
var ErrInput = errors.New("cannot read the objects")

// Flags say where objects come from.
type Flags struct {
	Files     []string
	Recursive bool

	trustDomain, clusterDomain, outbound, combine string
}

// Register adds the flags.
func (f *Flags) Register(fs *pflag.FlagSet) {
	fs.StringArrayVarP(&f.Files, "filename", "f", nil, "file or folder of YAML or JSON, or - for stdin; may be repeated")
	fs.BoolVarP(&f.Recursive, "recursive", "R", false, "read the folders below those of -f too")
	fs.StringVar(&f.trustDomain, "trust-domain", identity.DefaultTrustDomain, "with -f: trust domain of identities")
	fs.StringVar(&f.clusterDomain, "cluster-domain", "cluster.local", "with -f: DNS suffix of services")
	fs.StringVar(&f.outbound, "outbound-policy", string(mesh.AllowAny), "with -f: fate of unknown destinations, ALLOW_ANY or REGISTRY_ONLY")
	fs.StringVar(&f.combine, "combine", string(mesh.CombineAll), "with -f: several objects for one host, ALL or OLDEST")
}

// State is what was read, and what follows from it.
type State struct {
	World     *world.World
	Endpoints map[mesh.EndpointKey]*mesh.EndpointSet
	// Known says whether the endpoints are told at all.
	Known bool
	// Live says that the objects are the cluster's.
	Live   bool
	Result translate.Result
	// Templates are workloads that are described and do not run.
	Templates []mesh.Workload
}

// Load reads the files, or the cluster where there are none.
func (f *Flags) Load(ctx context.Context, c console.Console, flags *cluster.Flags) (*State, error) {
	if len(f.Files) == 0 {
		return f.live(ctx, c, flags)
	}
	s := mesh.Settings{TrustDomain: f.trustDomain, ClusterDomain: f.clusterDomain, RootNamespace: flags.ControlNamespace,
		Outbound: mesh.OutboundMode(f.outbound), Inbound: mesh.Permissive, Combine: mesh.Combine(f.combine)}
	switch {
	case s.Outbound != mesh.AllowAny && s.Outbound != mesh.RegistryOnly:
		return nil, fmt.Errorf("--outbound-policy %s: want %s or %s", f.outbound, mesh.AllowAny, mesh.RegistryOnly)
	case s.Combine != mesh.CombineAll && s.Combine != mesh.CombineOldest:
		return nil, fmt.Errorf("--combine %s: want %s or %s", f.combine, mesh.CombineAll, mesh.CombineOldest)
	}
	docs, err := f.read(c.In)
	if err != nil {
		return nil, err
	}
	events, templates := decode(docs, s)
	return build(s, events, templates), nil
}

func build(s mesh.Settings, events []world.Event, templates []mesh.Workload) *State {
	w, sets := world.Build(s.TrustDomain, events...)
	return &State{World: w, Endpoints: sets, Known: len(w.EndpointSlices) > 0, Result: translate.Build(w, s), Templates: templates}
}

type document struct {
	name string
	raw  []byte
}

func (f *Flags) read(stdin io.Reader) ([]document, error) {
	var out []document
	for _, name := range f.Files {
		if name == "-" {
			raw, err := io.ReadAll(stdin)
			if err != nil {
				return nil, fmt.Errorf("%w: stdin: %w", ErrInput, err)
			}
			out = append(out, document{"stdin", raw})
			continue
		}
		n := len(out)
		err := filepath.WalkDir(name, func(p string, d fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case d.IsDir() && p != name && !f.Recursive:
				return fs.SkipDir
			case d.IsDir() || p != name && !slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(p)):
				return nil
			}
			raw, err := os.ReadFile(p)
			out = append(out, document{filepath.ToSlash(p), raw})
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrInput, err)
		}
		if n == len(out) {
			return nil, fmt.Errorf("%w: %s has no file that ends in .yaml, .yml or .json; use -R for the folders below it", ErrInput, name)
		}
	}
	sort.SliceStable(out, func(i, j int) bool { return out[i].name < out[j].name })
	return slices.CompactFunc(out, func(a, b document) bool { return a.name == b.name && a.name != "stdin" }), nil
}

// decode turns documents into events, as the folder source of the control plane
// does: of an object that is given twice the first is in effect.
func decode(docs []document, s mesh.Settings) ([]world.Event, []mesh.Workload) {
	type key struct {
		kind world.Kind
		ref  mesh.Ref
	}
	var events []world.Event
	var templates []mesh.Workload
	taken := map[key]mesh.Origin{}
	for _, doc := range docs {
		objects, problems, _ := file.Decode(doc.name, doc.raw)
		templates = append(templates, workloads(doc, s)...)
		for _, o := range objects {
			k := key{o.Kind, o.Ref()}
			if first, twice := taken[k]; twice {
				problems = append(problems, problem.New(problem.DuplicateObject, o.Origin, "metadata.name",
					fmt.Sprintf("the object is defined in %s:%d already, which is in effect", first.File, first.Line), "remove one of the two"))
				continue
			}
			taken[k] = o.Origin
			events = append(events, world.PutAt(o.Obj, o.Origin, o.Place))
		}
		problems = slices.DeleteFunc(problems, func(p mesh.Problem) bool {
			return p.Code == string(problem.UnknownKind) && template(p.Origin.Kind)
		})
		events = append(events, world.Problems(file.Name, doc.name, problems))
	}
	return events, templates
}
