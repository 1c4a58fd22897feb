package istio

import (
	"bufio"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/weftmesh/weft/cli/check"
	"github.com/weftmesh/weft/cli/cluster"
	"github.com/weftmesh/weft/cli/console"
	"github.com/weftmesh/weft/cli/install"
	"github.com/weftmesh/weft/internal/version"
	"github.com/weftmesh/weft/manifests"
)

// profiles maps Istio's profiles to what of them the mesh has. All install the
// control plane; the value is what they would add and the mesh has not.
var profiles = map[string]string{
	"default": "an ingress gateway",
	"demo":    "ingress and egress gateways",
	"minimal": "",
	"stable":  "an ingress gateway",
}

// NewInstall makes `install`.
func NewInstall(c console.Console, flags *cluster.Flags) *cobra.Command {
	var (
		set       []string
		yes, dry  bool
		readiness time.Duration
	)
	cmd := &cobra.Command{
		Use:     "install",
		Aliases: []string{"apply"},
		Short:   "Install the control plane",
		Example: "  istioctl install --set profile=demo -y",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			p, r, err := readSet(set)
			if err != nil {
				return err
			}
			if !yes && !dry {
				c.Printf("This will install the Weft %s profile %q into the cluster. Proceed? (y/N) ", version.Get(), p)
				if !confirmed(c) {
					c.Printf("Cancelled.\n")
					return console.Failed()
				}
			}
			cl, err := flags.Connect(c)
			if err != nil {
				return err
			}
			in := installation{c: c, cl: cl, readiness: readiness}
			return in.run(cmd.Context(), p, r, dry)
		},
	}
	f := cmd.Flags()
	f.StringArrayVarP(&set, "set", "s", nil, "profile=NAME, hub=REGISTRY, tag=TAG, or values.PATH=VALUE of the chart")
	f.BoolVarP(&yes, "skip-confirmation", "y", false, "do not ask")
	f.BoolVar(&dry, "dry-run", false, "print the objects instead")
	f.DurationVar(&readiness, "readiness-timeout", 5*time.Minute, "how long to wait for the control plane")
	return cmd
}

// readSet translates Istio's --set into the chart's values.
func readSet(set []string) (profile string, r install.Request, err error) {
	profile = "default"
	for _, s := range set {
		name, value, ok := strings.Cut(s, "=")
		if !ok {
			return "", r, &console.ExitError{Code: 64, Cause: fmt.Errorf("--set %s: the form is name=value", s)}
		}
		switch {
		case name == "profile":
			profile = value
		case name == "hub":
			r.Set = append(r.Set, "image.registry="+value)
		case name == "tag":
			r.SetString = append(r.SetString, "image.tag="+value)
		case name == "meshConfig.accessLogFile", name == "meshConfig.accessLogEncoding", name == "meshConfig.accessLogFormat":
			r.SetString = append(r.SetString, s)
		case tracingSetting(name):
			r.Set = append(r.Set, s)
		case strings.HasPrefix(name, "values."):
			r.Set = append(r.Set, strings.TrimPrefix(s, "values."))
		default:
			return "", r, fmt.Errorf("--set %s is not built yet", name)
		}
	}
	if _, ok := profiles[profile]; !ok {
		names := slices.Sorted(maps.Keys(profiles))
		return "", r, fmt.Errorf("profile %q is not built yet; there are %s", profile, strings.Join(names, ", "))
	}
	return profile, r, nil
}

// tracingSetting says whether a name is one of those about traces, which the
// chart has too.
func tracingSetting(name string) bool {
	for _, p := range []string{"meshConfig.enableTracing", "meshConfig.defaultConfig.tracing.", "meshConfig.extensionProviders[", "meshConfig.defaultProviders.tracing"} {
		if strings.HasPrefix(name, p) {
			return true
		}
	}
	return false
}

func confirmed(c console.Console) bool {
	line, _ := bufio.NewReader(c.In).ReadString('\n')
	return slices.Contains([]string{"y", "yes"}, strings.ToLower(strings.TrimSpace(line)))
}

type installation struct {
	c         console.Console
	cl        *cluster.Cluster
	readiness time.Duration
}

func (in installation) run(ctx context.Context, profile string, r install.Request, dry bool) error {
	crds, err := install.CRDs(ctx, in.c, in.cl)
	if err != nil {
		return err
	}
	objects, err := r.Objects(ctx, in.c, in.cl, in.cl.ControlNamespace)
	if err != nil {
		return err
	}
	if dry {
		return manifests.Write(in.c.Out, append(crds, objects...))
	}
	mapper, err := in.cl.Mapper()
	if err != nil {
		return err
	}
	base, pilot := parts(objects)
	if err := in.core(ctx, mapper, append(crds, base...), crds); err != nil {
		return err
	}
	in.done("Istio core installed")
	if err := in.cl.Apply(ctx, mapper, pilot); err != nil {
		return err
	}
	err = cluster.Until(ctx, in.readiness, func(ctx context.Context) error {
		d, err := in.cl.Kube.AppsV1().Deployments(in.cl.ControlNamespace).Get(ctx, manifests.Deployment, metav1.GetOptions{})
		if err != nil {
			return err
		}
		return check.DeploymentReady(d)
	})
	if err != nil {
		return fmt.Errorf("the control plane did not become ready within %s: %w", in.readiness, err)
	}
	in.done("Istiod installed")
	if g := profiles[profile]; g != "" {
		in.c.Printf("! profile %s also has %s, which are not built yet and were left out\n", profile, g)
	}
	in.done("Installation complete")
	return nil
}

func (in installation) done(what string) { _, _ = fmt.Fprintf(in.c.Out, "✔ %s\n", what) }

// parts divides the objects into what others refer to, and the rest.
func parts(objects []manifests.Object) (base, pilot []manifests.Object) {
	for _, o := range objects {
		switch o.GetKind() {
		case "Namespace", "ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding":
			base = append(base, o)
		default:
			pilot = append(pilot, o)
		}
	}
	return base, pilot
}

// core applies the base and waits until the new kinds are served.
func (in installation) core(ctx context.Context, mapper meta.RESTMapper, base, crds []manifests.Object) error {
	if err := in.cl.Apply(ctx, mapper, base); err != nil {
		return err
	}
	return cluster.Until(ctx, in.readiness, func(ctx context.Context) error {
		for _, d := range crds {
			o, err := in.cl.Get(ctx, mapper, d)
			if err != nil {
				return err
			}
			if !established(o) {
				return fmt.Errorf("CustomResourceDefinition %s is not established", d.GetName())
			}
		}
		return nil
	})
}

func established(o *unstructured.Unstructured) bool {
	list, _, _ := unstructured.NestedSlice(o.Object, "status", "conditions")
	for _, c := range list {
		if m, ok := c.(map[string]any); ok && m["type"] == "Established" && m["status"] == "True" {
			return true
		}
	}
	return false
}
