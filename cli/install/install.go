// Package install is the command `install`: it prints the manifests of the
// control plane, and applies nothing.
package install

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/weftmesh/weft/cli/cluster"
	"github.com/weftmesh/weft/cli/console"
	"github.com/weftmesh/weft/manifests"
)

// New makes the command.
func New(c console.Console, flags *cluster.Flags) *cobra.Command {
	var (
		r    Request
		crds bool
	)
	cmd := &cobra.Command{
		Use:   "install",
		Short: "Print the manifests of the control plane",
		Long: `Prints the Kubernetes objects of the control plane for kubectl.

A certificate authority is generated unless one is brought with the three
--identity-... files; the root's key is discarded. Where the cluster has an
identity already, it is kept.`,
		Example: `  # first the custom resources, then the control plane
  ` + c.Tool.Name + ` install --crds | kubectl apply -f -
  ` + c.Tool.Name + ` install | kubectl apply -f -`,
		Args: cobra.NoArgs,
	}
	f := cmd.Flags()
	f.BoolVar(&crds, "crds", false, "print the definitions of custom resources only")
	f.BoolVar(&r.HA, "ha", false, "three replicas, and pods that do not start without their sidecar")
	f.BoolVar(&r.IgnoreCluster, "ignore-cluster", false, "do not look into the cluster; a new identity is made")
	f.StringArrayVar(&r.Set, "set", nil, "set a value, such as control.replicas=2")
	f.StringArrayVar(&r.SetString, "set-string", nil, "set a value that is a string")
	f.StringArrayVar(&r.SetFile, "set-file", nil, "set a value to the content of a file")
	f.StringArrayVarP(&r.Files, "values", "f", nil, "file of values; may be repeated, - is stdin")
	f.StringVar(&r.Identity.Roots, "identity-trust-anchors-file", "", "PEM file of the roots")
	f.StringVar(&r.Identity.Cert, "identity-issuer-certificate-file", "", "PEM file of the issuer's certificate")
	f.StringVar(&r.Identity.Key, "identity-issuer-key-file", "", "PEM file of the issuer's key")
	over := map[string]*string{}
	for _, o := range []struct{ flag, value, help string }{
		{"identity-trust-domain", "identity.trustDomain", "trust domain of the identities (default cluster.local)"},
		{"cluster-domain", "identity.clusterDomain", "DNS domain of the cluster (default cluster.local)"},
		{"registry", "image.registry", "registry of the images"},
		{"image-pull-policy", "image.pullPolicy", "Always, IfNotPresent or Never"},
		{"proxy-log-level", "proxy.logLevel", "error, warn, info or debug"},
		{"proxy-cpu-request", "proxy.resources.requests.cpu", "CPU that each proxy asks for"},
		{"proxy-cpu-limit", "proxy.resources.limits.cpu", "CPU that each proxy gets at most"},
		{"proxy-memory-request", "proxy.resources.requests.memory", "memory that each proxy asks for"},
		{"proxy-memory-limit", "proxy.resources.limits.memory", "memory that each proxy gets at most"},
		{"controller-log-level", "control.logLevel", "error, warn, info or debug"},
	} {
		over[o.value] = f.String(o.flag, "", o.help)
	}
	replicas := f.Uint("controller-replicas", 0, "replicas of the control plane (default 1)")
	external := f.Bool("identity-external-issuer", false, "leave the Secret "+manifests.Issuer+" to somebody else, such as cert-manager")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		r.Overrides = map[string]string{}
		for name, v := range over {
			if *v != "" {
				r.Overrides[name] = *v
			}
		}
		if *replicas > 0 {
			r.Set = append([]string{"control.replicas=" + cmd.Flag("controller-replicas").Value.String()}, r.Set...)
		}
		if *external {
			r.Set = append([]string{"identity.issuer.external=true"}, r.Set...)
		}
		return run(cmd.Context(), c, flags, r, crds)
	}
	return cmd
}

func run(ctx context.Context, c console.Console, flags *cluster.Flags, r Request, crds bool) error {
	var cl *cluster.Cluster
	if !r.IgnoreCluster {
		var err error
		if cl, err = flags.Connect(c); err != nil {
			return hint(err)
		}
	}
	var (
		objects []manifests.Object
		err     error
	)
	if crds {
		objects, err = CRDs(ctx, c, cl)
	} else {
		objects, err = r.Objects(ctx, c, cl, flags.ControlNamespace)
	}
	if err != nil {
		return hint(err)
	}
	return manifests.Write(c.Out, objects)
}
