// Package check is the command `check`: is the cluster fit for the mesh, and is
// the mesh in it well? Each category is a file: a list of checks in the order
// in which one builds on another.
package check

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/weftmesh/weft/cli/cluster"
	"github.com/weftmesh/weft/cli/console"
)

// New makes the command.
func New(c console.Console, flags *cluster.Flags) *cobra.Command {
	var (
		pre, crds, proxy  bool
		namespace, output string
		wait              time.Duration
	)
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Check whether the cluster is fit for the mesh, and the mesh is well",
		Example: `  ` + c.Tool.Name + ` check --pre   # before an installation
  ` + c.Tool.Name + ` check         # after it
  ` + c.Tool.Name + ` check --proxy # the proxies of workloads too`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if pre && (proxy || crds) {
				return fmt.Errorf("--pre excludes --proxy and --crds")
			}
			if _, ok := printers[output]; !ok {
				return fmt.Errorf("--output %s: want table, json or short", output)
			}
			e := &env{console: c, flags: flags, tool: c.Tool.Name, namespace: namespace, now: time.Now, serving: servingCertificates, readiness: askReadiness}
			r := Runner{Wait: wait, Poll: 5 * time.Second, Timeout: 30 * time.Second}
			success := printers[output](c.Out, r.stream(cmd.Context(), categories(e, pre, crds, proxy)))
			if !success {
				return console.Failed()
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.BoolVar(&pre, "pre", false, "check whether the cluster is fit for an installation")
	f.BoolVar(&crds, "crds", false, "check the definitions of custom resources only")
	f.BoolVar(&proxy, "proxy", false, "check the proxies of workloads too")
	f.StringVarP(&namespace, "namespace", "n", "", "namespace whose proxies are checked (default: all)")
	f.DurationVar(&wait, "wait", 5*time.Minute, "how long to wait for what is still starting")
	f.StringVarP(&output, "output", "o", "table", "table, json or short")
	return cmd
}

// categories are what is checked, in order.
func categories(e *env, pre, crds, proxy bool) []Category {
	out := []Category{kubernetesAPI(e), kubernetesVersion(e)}
	switch {
	case pre:
		return append(out, preSetup(e))
	case crds:
		return append(out, definitions(e))
	}
	out = append(out, config(e), existence(e), identities(e), webhooks(e))
	if proxy {
		return append(out, dataPlane(e))
	}
	return append(out, controlPlaneVersion(e))
}

// env is what the checks share: what one finds out, later ones use.
type env struct {
	console   console.Console
	flags     *cluster.Flags
	tool      string
	namespace string // of the data plane; "" means all
	now       func() time.Time
	serving   servingFunc
	readiness readinessFunc

	cluster *cluster.Cluster
	version string // of Kubernetes
}

func (e *env) control() string { return e.flags.ControlNamespace }

// Category is a list of checks under one heading.
type Category struct {
	Name   string
	Checks []Check
}

// Check is one question to the cluster.
type Check struct {
	Description string
	// Fatal ends everything when the check fails, since nothing after it could succeed.
	Fatal bool
	// Warning makes a failure a warning, which does not fail the whole.
	Warning bool
	// Retry asks again until the waiting time is over.
	Retry bool
	// Hint is the heading in docs/checks.md.
	Hint string
	Run  func(ctx context.Context) error
}
