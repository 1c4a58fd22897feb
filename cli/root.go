// Package cli is the command line. The trees of all three tools stand here in
// one literal each; a command is a package of its own.
package cli

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/weftmesh/weft/cli/check"
	"github.com/weftmesh/weft/cli/cluster"
	"github.com/weftmesh/weft/cli/compat"
	"github.com/weftmesh/weft/cli/completion"
	"github.com/weftmesh/weft/cli/console"
	"github.com/weftmesh/weft/cli/demo"
	"github.com/weftmesh/weft/cli/inject"
	"github.com/weftmesh/weft/cli/install"
	"github.com/weftmesh/weft/cli/istio"
	"github.com/weftmesh/weft/cli/run"
	"github.com/weftmesh/weft/cli/unbuilt"
	"github.com/weftmesh/weft/cli/uninstall"
	"github.com/weftmesh/weft/cli/version"
)

// Main runs one command and returns the exit code. args[0] is the name that
// the binary was called by.
func Main(ctx context.Context, args []string, in io.Reader, out, errOut io.Writer, getenv func(string) string) int {
	name := strings.TrimSuffix(filepath.Base(args[0]), ".exe")
	c := console.Console{In: in, Out: out, Err: errOut, Getenv: getenv, Tool: console.ToolNamed(name)}
	root := New(c)
	root.SetArgs(args[1:])
	code, message := console.Code(root.ExecuteContext(ctx))
	if message != "" {
		c.Printf("%s\n", strings.TrimSpace(message))
	}
	return code
}

// New makes the command tree of the tool that the console stands for.
func New(c console.Console) *cobra.Command {
	flags := &cluster.Flags{}
	trees := map[string]func() []*cobra.Command{
		"weft": func() []*cobra.Command {
			return []*cobra.Command{
				install.New(c, flags),
				uninstall.New(c, flags),
				check.New(c, flags),
				inject.New(c, flags),
				inject.NewUninject(c),
				demo.New(),
				run.New(c.Getenv),
				version.New(c, flags),
				completion.New(c),
				compat.New(c),
			}
		},
		"linkerd": func() []*cobra.Command {
			return append(unbuilt.New(c, "authz", "dashboard", "diagnostics", "dg", "edges", "identity", "install-cni", "jaeger", "multicluster",
				"policy", "profile", "prune", "routes", "smi", "stat", "tap", "top", "upgrade", "viz"),
				install.New(c, flags),
				uninstall.New(c, flags),
				check.New(c, flags),
				inject.New(c, flags),
				inject.NewUninject(c),
				version.New(c, flags),
				completion.New(c),
			)
		},
		"istioctl": func() []*cobra.Command {
			x := &cobra.Command{Use: "experimental", Aliases: []string{"x", "exp"}, Short: "Commands that may change"}
			x.AddCommand(append(unbuilt.New(c, "authz", "check-inject", "config", "describe", "des", "envoy-stats", "injector", "internal-debug",
				"metrics", "proxy-status", "revision", "wait", "workload"),
				istio.NewPrecheck(c, flags),
				version.New(c, flags),
			)...)
			return append(unbuilt.New(c, "admin", "analyze", "authn", "authz", "bug-report", "create-remote-secret", "dashboard", "dash", "manifest", "operator",
				"profile", "proxy-config", "pc", "proxy-status", "ps", "remote-clusters", "tag", "upgrade", "validate", "waypoint", "ztunnel-config"),
				x,
				istio.NewInstall(c, flags),
				istio.NewVerify(c, flags),
				istio.NewUninstall(c, flags),
				inject.NewKubeInject(c, flags),
				version.New(c, flags),
				completion.New(c),
			)
		},
	}
	root := &cobra.Command{
		Use: c.Tool.Name, Short: "The Weft service mesh", SilenceErrors: true, SilenceUsage: true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
	}
	root.SetIn(c.In)
	root.SetOut(c.Out)
	root.SetErr(c.Err)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return &console.ExitError{Code: usageCode(c), Cause: fmt.Errorf("%w\nsee '%s --help'", err, cmd.CommandPath())}
	})
	flags.Register(root.PersistentFlags(), c)
	root.AddCommand(trees[c.Tool.Name]()...)
	return root
}

// usageCode is the exit code of a command line that cannot be read.
func usageCode(c console.Console) int {
	if c.Tool.Name == "istioctl" {
		return 64
	}
	return 1
}
