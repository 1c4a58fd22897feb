package manifests

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	"helm.sh/helm/v4/pkg/chart/loader/archive"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/engine"

	"github.com/weftmesh/weft/internal/version"
)

// ErrValues means that the values do not fit the chart.
var ErrValues = errors.New("invalid values")

// Release is one rendering of the chart.
type Release struct {
	// Namespace of the control plane; empty means weft-system.
	Namespace string
	// KubeVersion of the cluster, such as v1.34.1; empty means a recent one.
	KubeVersion string
	// Values as in the chart's values.yaml, which gives the defaults.
	Values map[string]any
}

// DefaultNamespace is the control plane's where none is named.
const DefaultNamespace = "weft-system"

// Render returns the objects of the control plane in the order in which they
// are to be applied. Image tags default to this build's version.
func Render(r Release) ([]Object, error) {
	c, err := load()
	if err != nil {
		return nil, err
	}
	c.Metadata.AppVersion = version.Get()
	caps := common.DefaultCapabilities.Copy()
	if r.KubeVersion != "" {
		kv, err := common.ParseKubeVersion(r.KubeVersion)
		if err != nil {
			return nil, fmt.Errorf("version of Kubernetes %q: %w", r.KubeVersion, err)
		}
		caps.KubeVersion = *kv
	}
	ns := r.Namespace
	if ns == "" {
		ns = DefaultNamespace
	}
	values, err := util.ToRenderValues(c, r.Values, common.ReleaseOptions{Name: "weft", Namespace: ns, IsInstall: true, Revision: 1}, caps)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrValues, err)
	}
	files, err := engine.Render(c, values)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrValues, err)
	}
	var out []Object
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if base := path.Base(name); strings.HasPrefix(base, "_") || path.Ext(base) != ".yaml" {
			continue
		}
		objects, err := Split([]byte(files[name]))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		out = append(out, objects...)
	}
	SortForApply(out)
	return out, nil
}

func load() (*chart.Chart, error) {
	var files []*archive.BufferedFile
	err := fs.WalkDir(chartFiles, "chart", func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		raw, err := chartFiles.ReadFile(p)
		files = append(files, &archive.BufferedFile{Name: strings.TrimPrefix(p, "chart/"), Data: raw})
		return err
	})
	if err != nil {
		return nil, err
	}
	return loader.LoadFiles(files)
}

// Write prints objects as a stream of YAML documents.
func Write(w io.Writer, objects []Object) error {
	for _, o := range objects {
		doc, err := o.YAML()
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(w, "---\n%s", doc); err != nil {
			return err
		}
	}
	return nil
}
