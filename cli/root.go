// Package cli is the command line. The trees of all three tools stand here in
// one literal each; a command is a package of its own.
package cli

import (
	"context"
	"errors"
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
	"github.com/weftmesh/weft/cli/profile"
	"github.com/weftmesh/weft/cli/run"
	"github.com/weftmesh/weft/cli/translate"
	"github.com/weftmesh/weft/cli/unbuilt"
	"github.com/weftmesh/weft/cli/uninstall"
	"github.com/weftmesh/weft/cli/version"
	"github.com/weftmesh/weft/cli/why"
)

// unknownCommand is how cobra's message begins, which has no type of its own.
const unknownCommand = "unknown command"

// Main runs one command and returns the exit code. args[0] is the name that
// the binary was called by.
func Main(ctx context.Context, args []string, in io.Reader, out, errOut io.Writer, getenv func(string) string) int {
	name := strings.TrimSuffix(filepath.Base(args[0]), ".exe")
	c := console.Console{In: in, Out: out, Err: errOut, Getenv: getenv, Tool: console.ToolNamed(name)}
	root := New(c)
	root.SetArgs(args[1:])
	err := root.ExecuteContext(ctx)
	var exit *console.ExitError
	if err != nil && !errors.As(err, &exit) && strings.HasPrefix(err.Error(), unknownCommand) {
		err = &console.ExitError{Code: usageCode(c), Cause: err}
	}
	code, message := console.Code(err)
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
				translate.New(c, flags),
				why.New(c, flags),
				profile.New(c, flags),
				demo.New(),
				run.New(c.Getenv),
				version.New(c, flags),
				completion.New(c),
				compat.New(c),
			}
		},
		"linkerd": func() []*cobra.Command {
			return append(unbuilt.New(c, "authz", "dashboard", "diagnostics", "dg", "edges", "identity", "install-cni", "jaeger", "multicluster",
				"policy", "prune", "routes", "smi", "stat", "tap", "top", "upgrade", "viz"),
				install.New(c, flags),
				uninstall.New(c, flags),
				check.New(c, flags),
				inject.New(c, flags),
				inject.NewUninject(c),
				profile.New(c, flags),
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
	for _, cmd := range root.Commands() {
		if cmd.HasSubCommands() && !cmd.Runnable() {
			group(cmd)
		}
	}
	return root
}

// group makes a command that only holds others refuse words that are none of
// them; cobra by itself shows the help and calls it a success.
func group(cmd *cobra.Command) {
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) > 0 {
			return fmt.Errorf("%s %q for %q", unknownCommand, args[0], cmd.CommandPath())
		}
		return nil
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
}

// usageCode is the exit code of a command line that cannot be read.
func usageCode(c console.Console) int {
	if c.Tool.Name == "istioctl" {
		return 64
	}
	return 1
}
