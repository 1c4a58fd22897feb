package install

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"helm.sh/helm/v4/pkg/chart/common/util"
	"helm.sh/helm/v4/pkg/strvals"
	"sigs.k8s.io/yaml"

	"github.com/weftmesh/weft/cli/cluster"
	"github.com/weftmesh/weft/cli/console"
	"github.com/weftmesh/weft/control/ca"
	"github.com/weftmesh/weft/manifests"
)

// Request is what is asked of an installation.
type Request struct {
	// Files, Set, SetString and SetFile are values as helm has them; later ones win.
	Files, Set, SetString, SetFile []string
	// HA adds the values of a highly available installation below all others.
	HA bool
	// IgnoreCluster renders without asking the cluster anything.
	IgnoreCluster bool
	// Identity are the files of a brought authority, all three or none.
	Identity ca.Files
	// Overrides are single values that flags set, by their dotted name.
	Overrides map[string]string
}

// values merges everything but the identity.
func (r Request) values(stdin io.Reader) (map[string]any, error) {
	out := map[string]any{"namespace": map[string]any{"create": true}}
	if r.HA {
		ha, err := manifests.HAValues()
		if err != nil {
			return nil, err
		}
		out = util.CoalesceTables(ha, out)
	}
	for _, f := range r.Files {
		raw, err := read(f, stdin)
		if err != nil {
			return nil, fmt.Errorf("--values: %w", err)
		}
		var v map[string]any
		if err := yaml.Unmarshal(raw, &v); err != nil {
			return nil, fmt.Errorf("--values %s: %w", f, err)
		}
		if v != nil {
			out = util.CoalesceTables(v, out)
		}
	}
	for name, value := range r.Overrides {
		if err := strvals.ParseIntoString(name+"="+escape(value), out); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	for _, s := range r.Set {
		if err := strvals.ParseInto(s, out); err != nil {
			return nil, fmt.Errorf("--set %s: %w; the form is name=value", s, err)
		}
	}
	for _, s := range r.SetString {
		if err := strvals.ParseIntoString(s, out); err != nil {
			return nil, fmt.Errorf("--set-string %s: %w; the form is name=value", s, err)
		}
	}
	for _, s := range r.SetFile {
		load := func(rs []rune) (any, error) {
			raw, err := os.ReadFile(string(rs))
			return string(raw), err
		}
		if err := strvals.ParseIntoFile(s, out, load); err != nil {
			return nil, fmt.Errorf("--set-file %s: %w; the form is name=file", s, err)
		}
	}
	return out, nil
}

// escape protects what strvals would read as structure.
func escape(s string) string {
	var b []byte
	for i := range len(s) {
		if c := s[i]; c == ',' || c == '\\' || c == '{' || c == '}' {
			b = append(b, '\\')
		}
		b = append(b, s[i])
	}
	return string(b)
}

func read(file string, stdin io.Reader) ([]byte, error) {
	if file == "-" {
		return io.ReadAll(stdin)
	}
	return os.ReadFile(file)
}

// Objects renders the control plane. cl may be nil when the cluster is ignored.
func (r Request) Objects(ctx context.Context, c console.Console, cl *cluster.Cluster, namespace string) ([]manifests.Object, error) {
	values, err := r.values(c.In)
	if err != nil {
		return nil, err
	}
	rel := manifests.Release{Namespace: namespace, Values: values}
	if cl != nil {
		if rel.KubeVersion, err = cl.Version(); err != nil {
			return nil, err
		}
		if err := r.onlyOne(ctx, cl, namespace); err != nil {
			return nil, err
		}
	}
	if err := r.addIdentity(ctx, c, cl, namespace, values); err != nil {
		return nil, err
	}
	return manifests.Render(rel)
}

// addIdentity puts the authority into the values: the brought one; or what the
// values say; or the cluster's; or a new one.
func (r Request) addIdentity(ctx context.Context, c console.Console, cl *cluster.Cluster, namespace string, values map[string]any) error {
	id, _ := values["identity"].(map[string]any)
	if id == nil {
		id = map[string]any{}
		values["identity"] = id
	}
	issuer, _ := id["issuer"].(map[string]any)
	if issuer == nil {
		issuer = map[string]any{}
		id["issuer"] = issuer
	}
	var m ca.Material
	var err error
	switch {
	case r.Identity != (ca.Files{}):
		if issuer["external"] == true && r.Identity.Roots != "" {
			raw, err := os.ReadFile(r.Identity.Roots)
			if err != nil {
				return fmt.Errorf("%w: --identity-trust-anchors-file: %w", ErrIdentity, err)
			}
			id["trustAnchorsPEM"] = string(raw)
			return nil
		}
		if m, err = readAuthority(r.Identity, time.Now()); err != nil {
			return err
		}
	case text(id["trustAnchorsPEM"]) != "" || text(issuer["crtPEM"]) != "" || text(issuer["keyPEM"]) != "" || issuer["external"] == true:
		return nil // the chart checks that they belong together
	default:
		found := false
		if cl != nil {
			if m, found, err = existingAuthority(ctx, cl.Kube, namespace); err != nil {
				return err
			}
		}
		if found {
			c.Printf("the cluster has an identity already: it is kept\n")
		} else {
			domain := text(id["trustDomain"])
			if domain == "" {
				domain = "cluster.local"
			}
			if m, err = ca.Generate(domain, time.Now()); err != nil {
				return fmt.Errorf("make an identity: %w", err)
			}
		}
	}
	id["trustAnchorsPEM"], issuer["crtPEM"], issuer["keyPEM"] = string(m.Roots), string(m.Cert), string(m.Key)
	return nil
}

func text(v any) string {
	s, _ := v.(string)
	return s
}
