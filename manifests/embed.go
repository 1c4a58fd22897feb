package manifests

import (
	"embed"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"
)

//go:embed all:chart
var chartFiles embed.FS

//go:embed crds
var crdFiles embed.FS

// HAValues returns the values that a highly available installation adds.
func HAValues() (map[string]any, error) {
	raw, err := chartFiles.ReadFile("chart/values-ha.yaml")
	if err != nil {
		return nil, err
	}
	var v map[string]any
	if err := yaml.Unmarshal(raw, &v); err != nil {
		return nil, fmt.Errorf("values-ha.yaml: %w", err)
	}
	return v, nil
}

// PartOf is the label that everything an installation consists of carries, and
// its value; ControlPlane is the label that names the namespace it belongs to.
const (
	PartOf       = "app.kubernetes.io/part-of"
	PartOfWeft   = "weft"
	ControlPlane = "weft.mesh/control-plane"
)

// Names of what is looked up by name.
const (
	Deployment  = "weft-control"
	Service     = "weft-control"
	ConfigMap   = "weft-config"
	TrustRoots  = "weft-trust-roots"
	RootsKey    = "ca-bundle.crt"
	Issuer      = "weft-identity-issuer"
	IssuerCert  = "crt.pem"
	IssuerKey   = "key.pem"
	Injector    = "weft-injector"
	Validator   = "weft-validator"
	ClusterRole = "weft-control"
)

// CRD is one definition of a custom resource.
type CRD struct {
	// Name, such as httproutes.gateway.networking.k8s.io.
	Name string
	// Shared says that the API is not the mesh's alone: other controllers may
	// have installed it, or may rely on it.
	Shared bool
	// Object is the definition with the labels of this installation.
	Object Object
}

// CRDs returns the definitions in the order of their names.
func CRDs() ([]CRD, error) {
	var out []CRD
	err := fs.WalkDir(crdFiles, "crds", func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || path.Ext(p) != ".yaml" {
			return err
		}
		raw, err := crdFiles.ReadFile(p)
		if err != nil {
			return err
		}
		objects, err := Split(raw)
		if err != nil {
			return fmt.Errorf("%s: %w", p, err)
		}
		for _, o := range objects {
			labels := o.GetLabels()
			if labels == nil {
				labels = map[string]string{}
			}
			labels[PartOf] = PartOfWeft
			o.SetLabels(labels)
			out = append(out, CRD{Name: o.GetName(), Shared: strings.HasPrefix(p, "crds/gateway-api/") || strings.HasPrefix(p, "crds/istio/") || strings.HasPrefix(p, "crds/linkerd/"), Object: o})
		}
		return nil
	})
	slices.SortFunc(out, func(a, b CRD) int { return strings.Compare(a.Name, b.Name) })
	return out, err
}
